"""Names as labels: one line, printable, safe in XML, of a width that can be told.

A name is data.  Control characters, lone surrogates and marks that turn the direction of
writing are shown as the escapes that Python would write.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable

import numpy as np

from dagnet.markup import visible

LONGEST = 10_000
_NARROW = frozenset("fijlrtI.,:;|!'()[]{} ")
_WIDE = frozenset("mwMW@%")


def node_labels(names: Iterable[Hashable]) -> list[str]:
    """One label a name: text as it is, other things as Python writes them, all distinct.

    NumPy's scalars are written as the plain numbers that they equal, in tuples too.

    Examples
    --------
    >>> node_labels(["x1", 7, "7", ("layer", 2), ""])
    ['x1', '7', "'7'", "('layer', 2)", "''"]
    """
    names = list(names)
    with np.printoptions(legacy="1.25"):
        plain = [visible(name if isinstance(name, str) else repr(name))[:LONGEST] for name in names]
        twice = {label for label, count in Counter(plain).items() if count > 1}
        return [
            visible(repr(name))[:LONGEST]
            if isinstance(name, str) and (label in twice or not any(map(_shows, label)))
            else label
            for name, label in zip(names, plain, strict=True)
        ]


def _shows(character: str) -> bool:
    return character.isprintable() and not character.isspace()


def xml(text: str) -> str:
    """The text, escaped for XML content and double-quoted attributes."""
    shown = visible(text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def text_width(text: str, size: float) -> float:
    """About how wide a sans-serif text is, in the unit of ``size``."""
    return size * sum(map(_advance, text))


def _advance(character: str) -> float:
    if character in _NARROW:
        return 0.3
    if character in _WIDE:
        return 0.86
    if ord(character) > 0x2000 and unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character):
        return 0.0
    return 0.68 if character.isupper() else 0.56


def cut(text: str, size: float, room: float) -> str:
    """The text, shortened with an ellipsis to about ``room``; empty where nothing fits."""
    if len(text) <= 200 and text_width(text, size) <= room:
        return text
    used = size * 0.6
    for end, character in enumerate(text[:200]):
        used += size * _advance(character)
        if used > room:
            return text[:end].rstrip() + "…" if end >= 2 else ""
    return text[:200] + "…"
