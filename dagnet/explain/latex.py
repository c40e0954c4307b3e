r"""LaTeX that compiles in pdflatex with amsmath and in MathJax, whatever the names are.

A name that a textbook would set does so: x1 → x_{1}, h11 → h_{11}, eta → \eta.  Others are set
upright, character by character in math mode; what is not ASCII is written as its code point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence

import numpy as np

from dagnet.explain.chain_parts import Number
from dagnet.markup import label, number

__all__ = [
    "aligned",
    "display_table",
    "fraction",
    "latex_name",
    "latex_number",
    "latex_quantity",
    "latex_text",
]

GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
    *("nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
INDEXED = rf"([A-Za-z]|{'|'.join(GREEK)})(\d+(?:_\d+)?)"
SPECIAL = {
    " ": r"\ ",
    "\\": r"\backslash ",
    "^": r"{\wedge}",
    "~": r"{\sim}",
    "'": r"\text{'}",
    "`": r"\text{`}",
    "-": r"\text{-}",
    '"': r'\text{"}',
    **{character: rf"\{character}" for character in "#$%&_{}"},
}
SMALL = 36


def latex_name(name: Hashable) -> str:
    r"""A node's name in math mode.

    Examples
    --------
    >>> print(latex_name("h11"), latex_name("eta"), latex_name("TP_53"), latex_name(7))
    h_{11} \eta \mathrm{TP\_53} \mathrm{7}
    """
    if isinstance(name, str):
        indexed = re.fullmatch(INDEXED, name)
        if indexed:
            return f"{_letter(indexed[1])}_{{{indexed[2].replace('_', ',')}}}"
        if name in GREEK or re.fullmatch("[A-Za-z]", name):
            return _letter(name)
    return latex_text(label(name))


def _letter(text: str) -> str:
    return rf"\{text}" if text in GREEK else text


def latex_text(text: str) -> str:
    """Any text, upright, in math mode."""
    return rf"\mathrm{{{''.join(map(_character, text))}}}"


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isascii():
        return character if character.isalnum() else f"{{{character}}}"
    return {"→": r"\to ", "…": r"\ldots ", "′": r"{\prime}"}.get(character, f"U{{+}}{ord(character):04X}")


def latex_number(value: float) -> str:
    r"""A number with a power of ten where it has an exponent.

    Examples
    --------
    >>> print(latex_number(-1e-9), latex_number(0.25), latex_number(float("inf")))
    -1 \times 10^{-9} 0.25 \infty
    """
    if math.isnan(value):
        return r"\mathrm{nan}"
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    mantissa, _, exponent = number(value).partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa


def latex_quantity(value: Number, *, inside: bool = False) -> str:
    """A number, in parentheses where it is negative inside a product; a matrix; a large one's shape."""
    if not isinstance(value, np.ndarray):
        text = latex_number(value)
        return f"({text})" if inside and text.startswith("-") else text
    if value.size > SMALL:
        shape = r" \times ".join(map(str, value.shape))
        return rf"\left[{shape}\right]"
    rows = [" & ".join(map(latex_number, row)) for row in np.atleast_2d(value).tolist()]
    body = r" \\ ".join(rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def fraction(of: str, by: str) -> str:
    """∂of/∂by."""
    return rf"\frac{{\partial {of}}}{{\partial {by}}}"


def aligned(lines: list[str]) -> str:
    """Lines aligned at their ``&``, as one display."""
    body = " \\\\\n".join(lines)
    return f"$$\\begin{{aligned}}\n{body}\n\\end{{aligned}}$$"


def display_table(header: Sequence[str], rows: list[list[str]]) -> str:
    """An ``array`` with a line under its header; cells are mathematics."""
    lines = [" & ".join(row) for row in rows]
    body = " \\\\\n".join([f"{' & '.join(header)} \\\\ \\hline\n{lines[0]}", *lines[1:]]) if lines else ""
    return f"$$\\begin{{array}}{{l{'r' * (len(header) - 1)}}}\n{body}\n\\end{{array}}$$"
