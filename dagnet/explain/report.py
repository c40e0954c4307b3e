"""What is shown of a result: a title, tables and equations, notes; as text, HTML and LaTeX."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from dagnet.explain.notation import LATEX, TEXT, Notation
from dagnet.markup import table_html, table_text


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

    def latex(self) -> str:
        """An ``array`` with a line under its header."""
        header = rf"{' & '.join(self.header)} \\ \hline"
        columns = "".join("l" if place in self.left else "r" for place in range(len(self.header)))
        return _environment("array", map(" & ".join, self.rows), f"{{{columns}}}\n{header}")


@dataclass(frozen=True)
class Equations:
    """Lines (left, right, …), with = between what is not empty.

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
        lines = [
            f"{left} &{_right(left, rest)}" if left else rf"&\quad {rest[0]}" for left, *rest in self.lines
        ]
        return _environment("aligned", lines)


def _right(left: str, rest: Sequence[str]) -> str:
    """What follows a left side."""
    return ("= " if left else "") + " = ".join(filter(None, rest))


def _environment(name: str, lines: Iterable[str], options: str = "") -> str:
    body = " \\\\\n".join(lines)
    return f"\\begin{{{name}}}{options}\n{body}\n\\end{{{name}}}"


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
        """One display without the title."""
        parts = [*(block.latex() for block in self.blocks), *map(LATEX.words, self.notes)]
        return f"$${parts[0] if len(parts) == 1 else _environment('gathered', parts)}$$"


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
    """The same, and as LaTeX."""

    def _report(self, write: Notation = TEXT) -> Report:
        raise NotImplementedError

    def _repr_latex_(self) -> str:
        return self._report(LATEX).latex()
