r"""How names, numbers and derivatives are written: as text in one line, or as LaTeX.

The LaTeX compiles in pdflatex with amsmath and in MathJax, whatever the names are.  A name that a
textbook would set does so: x1 → x_{1}, h11 → h_{11}, eta → \eta.  Others are set upright,
character by character in math mode; what is not ASCII is written as its code point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dagnet.markup import label, number

__all__ = ["LATEX", "TEXT", "Notation", "Number", "elided", "plain"]

T = TypeVar("T")
Array = NDArray[Any]
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
    "'": r"\text{'}",
    "`": r"\text{`}",
    "-": r"\text{-}",
    '"': r'\text{"}',
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


class Notation:
    """Text in one line."""

    delta, dot, minus, largest = "δ", " · ", "−", 6

    def name(self, node: Hashable) -> str:
        """A node."""
        return label(node)

    def words(self, text: str) -> str:
        """Words between the mathematics."""
        return text

    def number(self, value: float) -> str:
        """A number, six digits."""
        return number(value)

    def matrix(self, rows: list[list[str]]) -> str:
        """A small vector or matrix."""
        return f"[{'; '.join(map(' '.join, rows))}]"

    def large(self, value: Array) -> str:
        """What stands for a matrix that is too large to be written."""
        return f"({'×'.join(map(str, value.shape))}, largest {number(float(np.abs(value).max()))})"

    def derivative(self, of: str, by: str) -> str:
        """∂of/∂by."""
        return f"∂{of}/∂{by}"

    def slope(self, function: str, at: str) -> str:
        """The function's derivative at a place."""
        return f"{self.words(function)}′({at})"

    def rowwise(self, row: str, matrix: str) -> str:
        """The rows of ∂h/∂W, multiplied by the elements of ∂L/∂h."""
        return f"{row}{self.dot}{matrix}"

    def quantity(self, value: Number) -> str:
        """A number; a small array; of a large one its shape.

        Examples
        --------
        >>> TEXT.quantity(0.5), TEXT.quantity(np.eye(2)), TEXT.quantity(np.ones((20, 3)))
        ('0.5', '[1 0; 0 1]', '(20×3, largest 1)')
        """
        if not isinstance(value, np.ndarray):
            return self.number(value)
        if value.size > self.largest:
            return self.large(value)
        return self.matrix([list(map(self.number, row)) for row in np.atleast_2d(value).tolist()])

    def factor(self, value: Number) -> str:
        """The same inside a product: negative numbers in parentheses."""
        text = self.quantity(value)
        return f"({text})" if text.startswith("-") else text

    def product(self, factors: Sequence[str]) -> str:
        """Factors with dots between them, those in the middle of a long product left out."""
        return self.dot.join(elided(factors, lambda n: self.words(f"… {n:,} more …"), head=8, tail=4))

    def numbers(self, values: Sequence[Number]) -> str:
        """A product of numbers.

        Examples
        --------
        >>> TEXT.numbers([-2.0, 3.0, -1.0])
        '-2 · 3 · (-1)'
        """
        return self.product([self.quantity(values[0]), *map(self.factor, values[1:])])

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


class _Latex(Notation):
    """LaTeX, for math mode."""

    delta, dot, minus, largest = r"\delta", r" \cdot ", "-", 36

    def name(self, node: Hashable) -> str:
        r"""A node.

        Examples
        --------
        >>> print(*map(LATEX.name, ("h11", "eta", "TP_53", 7)))
        h_{11} \eta \mathrm{TP\_53} \mathrm{7}
        """
        if isinstance(node, str):
            indexed = re.fullmatch(INDEXED, node)
            if indexed:
                return f"{_letter(indexed[1])}_{{{indexed[2].replace('_', ',')}}}"
            if node in GREEK or re.fullmatch("[A-Za-z]", node):
                return _letter(node)
        return self.words(label(node))

    def words(self, text: str) -> str:
        """Any text, upright."""
        return rf"\mathrm{{{''.join(map(_character, text))}}}" if text else ""

    def number(self, value: float) -> str:
        r"""A number, with a power of ten where it has an exponent.

        Examples
        --------
        >>> print(*map(LATEX.number, (-1e-9, 0.25, float("inf"))))
        -1 \times 10^{-9} 0.25 \infty
        """
        if math.isnan(value):
            return r"\mathrm{nan}"
        if math.isinf(value):
            return r"\infty" if value > 0 else r"-\infty"
        mantissa, _, exponent = number(value).partition("e")
        return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa

    def matrix(self, rows: list[list[str]]) -> str:
        """A small vector or matrix."""
        body = r" \\ ".join(map(" & ".join, rows))
        return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"

    def large(self, value: Array) -> str:
        """The shape of a matrix that is too large to be written."""
        shape = r" \times ".join(map(str, value.shape))
        return rf"\left[{shape}\right]"

    def derivative(self, of: str, by: str) -> str:
        """∂of/∂by."""
        return rf"\frac{{\partial {of}}}{{\partial {by}}}"

    def slope(self, function: str, at: str) -> str:
        """The function's derivative at a place."""
        return f"{self.words(function)}'({at})"

    def rowwise(self, row: str, matrix: str) -> str:
        """The rows of ∂h/∂W, multiplied by the elements of ∂L/∂h."""
        return rf"\left({row}\right)^{{\top}} \odot {matrix}"


TEXT, LATEX = Notation(), _Latex()


def _letter(text: str) -> str:
    return rf"\{text}" if text in GREEK else text


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isascii():
        return character if character.isalnum() else f"{{{character}}}"
    return f"U{{+}}{ord(character):04X}"
