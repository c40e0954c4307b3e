r"""How names, numbers and derivatives are written: as text in one line, or as LaTeX.

The LaTeX compiles in pdflatex with amsmath and in MathJax, whatever the names are.  A name that a
textbook would set does so: x1 → x_{1}, h11 → h_{11}, eta → \eta.  Others are set upright,
character by character in math mode; what is not ASCII is written as its code point.

>>> print(*map(LATEX.name, ("h11", "eta", "TP_53", 7)))
h_{11} \eta \mathrm{TP\_53} \mathrm{7}
>>> print(*map(LATEX.number, (-1e-9, 0.25, float("inf"))))
-1 \times 10^{-9} 0.25 \infty
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dagnet.arrays import Array
from dagnet.markup import label, number

T = TypeVar("T")
Number = float | Array
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
    **{character: rf"\text{{{character}}}" for character in "'`-\""},
    **{character: rf"\{character}" for character in "#$%&_{}"},
    "→": r"\to ",
    "…": r"\ldots ",
}


def plain(values: Array) -> Number:
    """A float where there is one number, else the array."""
    return float(values.flat[0]) if np.size(values) == 1 else values


def elided(items: Sequence[T], say: Callable[[int], T], head: int, tail: int) -> list[T]:
    """The first and last items, and between them a word on how many are left out."""
    if len(items) <= head + tail + 1:
        return list(items)
    return [*items[:head], say(len(items) - head - tail), *items[-tail:]]


@dataclass(frozen=True)
class Notation:
    """How mathematics is written; matrices of more than ``most`` numbers are ``large``."""

    name: Callable[[Hashable], str]
    words: Callable[[str], str]
    number: Callable[[float], str]
    delta: str
    dot: str
    minus: str
    derivative_of_by: str
    slope_at: str
    rows_times: str
    matrix: str
    between: tuple[str, str]
    most: int
    large: Callable[[Array], str]

    def derivative(self, of: str, by: str) -> str:
        """∂of/∂by."""
        return self.derivative_of_by.format(of, by)

    def slope(self, function: str, at: str) -> str:
        """The function's derivative at a place."""
        return self.slope_at.format(self.words(function), at)

    def quantity(self, value: Number) -> str:
        """A number; a small array; of a large one its shape.

        Examples
        --------
        >>> TEXT.quantity(0.5), TEXT.quantity(np.eye(2)), TEXT.quantity(np.ones((20, 3)))
        ('0.5', '[1 0; 0 1]', '(20×3, largest 1)')
        """
        if not isinstance(value, np.ndarray):
            return self.number(value)
        if value.size > self.most:
            return self.large(value)
        cells, lines = self.between
        rows = (cells.join(map(self.number, row)) for row in np.atleast_2d(value).tolist())
        return self.matrix.format(lines.join(rows))

    def product(self, factors: Sequence[str]) -> str:
        """Factors with dots between them, those in the middle of a long product left out."""
        return self.dot.join(elided(factors, lambda n: self.words(f"… {n:,} more …"), head=8, tail=4))

    def numbers(self, values: Sequence[Number]) -> str:
        """A product of numbers, negative ones but the first in parentheses.

        Examples
        --------
        >>> TEXT.numbers([-2.0, 3.0, -1.0])
        '-2 · 3 · (-1)'
        """
        first, *rest = map(self.quantity, values)
        return self.product([first, *(f"({text})" if text.startswith("-") else text for text in rest)])

    def total(self, terms: Sequence[str], omitted: int = 0) -> str:
        """Terms with + and − between them, and how many more there are.

        Examples
        --------
        >>> TEXT.total(["0.3·x1", "-0.1·x2", "0.5"])
        '0.3·x1 − 0.1·x2 + 0.5'
        """
        rest = [f"{self.minus} {text[1:]}" if text.startswith("-") else f"+ {text}" for text in terms[1:]]
        more = [f"+ {self.words(f'{omitted:,} more')}"] if omitted else []
        return " ".join([*terms[:1], *rest, *more])


def _large(value: Array) -> str:
    return f"({'×'.join(map(str, value.shape))}, largest {number(float(np.abs(value).max()))})"


def _latex_large(value: Array) -> str:
    shape = r" \times ".join(map(str, value.shape))
    return rf"\left[{shape}\right]"


def _latex_name(node: Hashable) -> str:
    if isinstance(node, str):
        indexed = re.fullmatch(INDEXED, node)
        if indexed:
            return f"{_letter(indexed[1])}_{{{indexed[2].replace('_', ',')}}}"
        if node in GREEK or re.fullmatch("[A-Za-z]", node):
            return _letter(node)
    return _latex_words(label(node))


def _letter(text: str) -> str:
    return rf"\{text}" if text in GREEK else text


def _latex_words(text: str) -> str:
    return rf"\mathrm{{{''.join(map(_character, text))}}}" if text else ""


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isascii():
        return character if character.isalnum() else f"{{{character}}}"
    return f"U{{+}}{ord(character):04X}"


def _latex_number(value: float) -> str:
    if not math.isfinite(value):
        return {"inf": r"\infty", "-inf": r"-\infty"}.get(str(value), r"\mathrm{nan}")
    mantissa, _, exponent = number(value).partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa


TEXT = Notation(
    name=label,
    words=str,
    number=number,
    delta="δ",
    dot=" · ",
    minus="−",
    derivative_of_by="∂{}/∂{}",
    slope_at="{}′({})",
    rows_times="{} · {}",
    matrix="[{}]",
    between=(" ", "; "),
    most=6,
    large=_large,
)
LATEX = Notation(
    name=_latex_name,
    words=_latex_words,
    number=_latex_number,
    delta=r"\delta",
    dot=r" \cdot ",
    minus="-",
    derivative_of_by=r"\frac{{\partial {}}}{{\partial {}}}",
    slope_at="{}'({})",
    rows_times=r"\left({}\right)^{{\top}} \odot {}",
    matrix=r"\begin{{pmatrix}} {} \end{{pmatrix}}",
    between=(" & ", r" \\ "),
    most=36,
    large=_latex_large,
)
