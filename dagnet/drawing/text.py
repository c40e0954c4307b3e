"""Labels: safe in XML, of a width that can be told."""

from __future__ import annotations

import unicodedata

from dagnet.markup import visible

_NARROW = frozenset("fijlrtI.,:;|!'()[]{} ")
_WIDE = frozenset("mwMW@%")


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
