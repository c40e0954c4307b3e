r"""What is shown of a result, and how names, numbers and derivatives in it are written.

A report is a title, tables and equations, and notes; it becomes text, HTML and LaTeX.

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
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from dagnet.arrays import Array
from dagnet.markup import label, number, table_html, table_text

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
    "·": r"\cdot ",
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
    index: str
    arrow: str

    def parameter(self, kind: str, of: Any) -> str:
        """The weight of an edge, the bias of a node, or another letter of a node: w(h21→eta), b(eta)."""
        names = self.arrow.join(map(self.name, of)) if kind == "weight" else self.name(of)
        return self.index.format(kind[0], names)

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
        return self.in_brackets(list(map(self.quantity, values)))

    def in_brackets(self, factors: Sequence[str]) -> str:
        """A product of what is written already, negative numbers but the first in parentheses."""
        first, *rest = factors
        return self.product([first, *(f"({text})" if text.startswith("-") else text for text in rest)])

    def steps(self, factors: Sequence[tuple[Sequence[str], Number]]) -> list[str]:
        """A product of texts, in symbols and some in numbers as well: each step towards its numbers."""
        parts = [texts[1] if len(texts) > 1 else self.quantity(value) for texts, value in factors]
        symbols = self.product([texts[0] for texts, _ in factors])
        return [symbols, self.in_brackets(parts), self.numbers([value for _, value in factors])]

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


def _text_name(node: Hashable) -> str:
    """A label; one that could be read as a number, or has signs as a formula, stands in quotation marks."""
    text = label(node)
    signs = isinstance(node, str) and re.search(r"[=+\-−·*/()]", node)
    try:
        signs or float(text)
    except ValueError:
        return text
    return f'"{text}"'


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
    name=_text_name,
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
    index="{}({})",
    arrow="→",
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
    index="{}_{{{}}}",
    arrow=r" \to ",
)


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; the columns in ``left`` are aligned to the left."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Collection[int] = (0,)

    def text(self) -> str:
        """Aligned columns."""
        return table_text(self.header, self.rows, self.left)

    def html(self, caption: str, note: str) -> str:
        """A table."""
        return table_html(caption, self.header, self.rows, note, self.left)


@dataclass(frozen=True)
class Equations:
    """Lines (left, right, …), with = between what is not empty and no repetition.

    A line whose left side is empty continues the one above.
    """

    header: str
    lines: Sequence[Sequence[str]]

    def text(self) -> str:
        """A blank line, and the lines with their first = under each other."""
        width = max((len(left) for left, *_ in self.lines), default=0)
        return "\n".join(["", *(f"  {left:<{width}} {_right(left, rest)}" for left, *rest in self.lines)])

    def html(self, caption: str, note: str) -> str:
        """A table of two columns."""
        rows = [(left, _right(left, rest)) for left, *rest in self.lines]
        return table_html(caption, (self.header, ""), rows, note, left=(0, 1))

    def latex(self) -> str:
        """Lines aligned at their first =."""
        lines = (f"{a} &{_right(a, rest)}" if a else rf"&\quad {rest[0]}" for a, *rest in self.lines)
        return _environment("aligned", lines)


def _right(left: str, rest: Sequence[str]) -> str:
    """What follows a left side."""
    return ("= " if left else "") + " = ".join(dict.fromkeys(filter(None, rest)))


def _environment(name: str, lines: Iterable[str]) -> str:
    body = " \\\\\n".join(lines)
    return f"\\begin{{{name}}}\n{body}\n\\end{{{name}}}"


@dataclass(frozen=True)
class Report:
    """A title, what stands below it, and notes at the end; ``kind`` says what the title is of."""

    kind: str
    title: str
    blocks: Sequence[Table | Equations]
    notes: Sequence[str] = ()

    @property
    def heading(self) -> str:
        """The kind and the title."""
        return f"{self.kind}{self.title}"

    def text(self) -> str:
        """Line by line."""
        return "\n".join([self.heading, *(block.text() for block in self.blocks), *self.notes])

    def html(self) -> str:
        """The title above the first table and the notes below the last; everything is escaped."""
        captions = [self.heading, *[""] * (len(self.blocks) - 1)]
        notes = [*[""] * (len(self.blocks) - 1), "\n".join(self.notes)]
        parts = zip(self.blocks, captions, notes, strict=True)
        return "".join(block.html(caption, note) for block, caption, note in parts)

    def latex(self) -> str:
        """One display without the title, of equations."""
        equations = (block.latex() for block in self.blocks if isinstance(block, Equations))
        parts = [*equations, *map(LATEX.words, self.notes)]
        return parts[0] if len(parts) == 1 else _environment("gathered", parts)


class Shown:
    """What ``print`` and notebooks show as its report."""

    def _report(self) -> Report:
        raise NotImplementedError

    def __str__(self) -> str:
        return self._report().text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._report().title}>"

    def _repr_html_(self) -> str:
        return self._report().html()


class ShownAsMathematics(Shown):
    """The same, and as LaTeX, which notebooks show where they can."""

    def _report(self, write: Notation = TEXT) -> Report:
        raise NotImplementedError

    @property
    def html(self) -> str:
        """Title, tables and notes as HTML, whatever the names are."""
        return self._report().html()

    @property
    def latex(self) -> str:
        """One display with every step, for amsmath or MathJax, without the dollar signs around it."""
        return self._report(LATEX).latex()

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Without HTML, which notebooks would prefer."""
        return {"text/plain": repr(self), "text/latex": self._repr_latex_()}
