r"""Names and numbers as text, and small tables as HTML in which everything is escaped.

A name is data.  Control characters, lone surrogates and marks that turn the direction of
writing are shown as the escapes that Python would write.
"""

from __future__ import annotations

import html
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any

from dagnet.errors import written

_ESCAPED = frozenset(("Cc", "Cs", "Cn", "Co", "Zl", "Zp"))
_DIRECTION = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)))
LONGEST, LONGEST_LABEL = 60, 1 << 20


def visible(text: str) -> str:
    r"""The text with what cannot be seen, or not be written to a file, as an escape.

    Examples
    --------
    >>> print(visible("a\nb"))
    a\nb
    """
    if text.isprintable() and not _DIRECTION.intersection(text):
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    hidden = character in _DIRECTION or unicodedata.category(character) in _ESCAPED
    return character.encode("unicode_escape").decode("ascii") if hidden else character


def counted(n: int, noun: str) -> str:
    """``1 edge``, ``1,000 edges``."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def label(name: Hashable, limit: int = LONGEST) -> str:
    """One line for a node's name: text as it is, other things as Python writes them.

    Examples
    --------
    >>> label("h11"), label(("gene", 7)), label("")
    ('h11', "('gene', 7)", "''")
    """
    text = visible(name) if isinstance(name, str) else ""
    if not _shows(text):
        text = visible(written(name))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def told_apart(texts: Sequence[str], limit: int = LONGEST) -> list[str]:
    """Different texts, the long ones without their middle, and numbered where that makes them alike.

    Examples
    --------
    >>> told_apart(["pathway of glucose", "pathway in glucose", "path"], 13)
    ['pathway …cose · 1', 'pathway …cose · 2', 'path']
    """
    tail = limit // 3
    cut = [text if len(text) <= limit else f"{text[: limit - tail - 1]}…{text[-tail:]}" for text in texts]
    total, seen = Counter(cut), defaultdict[str, Iterator[int]](lambda: count(1))
    return [f"{text} · {next(seen[text])}" if total[text] > 1 else text for text in cut]


def _shows(text: str) -> bool:
    """Whether there is anything to see: no label may be empty to a reader that trims it."""
    return any(character.isprintable() and not character.isspace() for character in text)


def is_label(name: Hashable) -> bool:
    """Whether a name is text that can be shown as it is."""
    return type(name) is str and _shows(name) and visible(name) == name


def node_labels(names: Iterable[Hashable], kept: Callable[[Hashable], bool] = is_label) -> list[Any]:
    """A label for each name, all different: what is ``kept`` as it is, of other names their label.

    Examples
    --------
    >>> node_labels(["x1", 7, "7", ("layer", 2), ""])
    ['x1', '7 (int)', '7', "('layer', 2)", "''"]
    """
    names = list(names)
    taken = {name for name in names if kept(name)}
    labels: list[Any] = []
    for name in names:
        if kept(name):
            labels.append(name)
            continue
        text = label(name, LONGEST_LABEL)
        typed = f"{text} ({type(name).__name__})"
        numbered = (f"{typed} {number}" for number in count(2))
        labels.append(next(free for free in chain((text, typed), numbered) if free not in taken))
        taken.add(labels[-1])
    return labels


def names_text(names: Sequence[Hashable], limit: int = 6) -> str:
    """Some names on one line, the first ``limit`` of them."""
    more = f", … {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(label, names[:limit])) + more


def number(value: float) -> str:
    """A number for reading, six digits.

    Examples
    --------
    >>> number(0.1 + 0.2), number(-3.0), number(1e-9)
    ('0.3', '-3', '1e-09')
    """
    return f"{value + 0.0:.6g}"  # + 0.0: no "-0"


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Aligned columns, those in ``left`` to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    forms = [f"  {{:{'<' if place in left else '>'}{width}}}" for place, width in enumerate(widths)]
    return "\n".join("".join(forms).format(*line).rstrip() for line in lines)


def table_html(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], note: str = "",
    left: Collection[int] = (0,),
) -> str:  # fmt: skip
    """A table in which every cell is escaped text, columns aligned as in :func:`table_text`."""
    sides = ["left" if place in left else "right" for place in range(len(header))]

    def line(tag: str, cells: Sequence[str]) -> str:
        placed = zip(cells, sides, strict=True)
        row = (f'<{tag} style="text-align:{side}">{_text(cell)}</{tag}>' for cell, side in placed)
        return f"<tr>{''.join(row)}</tr>"

    body = [line("td", row) for row in rows]
    head = line("th", header) if body else ""
    style = "caption-side:top;text-align:left;white-space:nowrap"
    above = f'<caption style="{style}">{_text(caption)}</caption>' if caption else ""
    below = f"<div>{_text(note)}</div>" if note else ""
    return f"<table>{above}{head}{''.join(body)}</table>{below}"


def listing_html(text: str) -> str:
    """Lines as they stand, escaped."""
    lines = "\n".join(html.escape(visible(line)) for line in text.splitlines())
    return f"<pre>{lines}</pre>"


def _text(text: str) -> str:
    lines = text.split("\n")
    return "<br>".join(html.escape(visible(line)) for line in lines)
