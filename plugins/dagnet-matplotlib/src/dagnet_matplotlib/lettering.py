"""Names as matplotlib text: nothing in them is a formula, nothing in them lacks a glyph."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from dagnet.drawing import Text
from dagnet.markup import visible

__all__ = ["LETTERS", "NARROWER", "plain", "width_of"]

LETTERS: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Arguments of every text that holds a name: a ``$`` is a dollar."""
NARROWER = 0.92
"""The layout reckons with Helvetica; matplotlib's own font is that much wider."""


def plain(text: str) -> str:
    r"""The text, with what cannot be seen or is not in the font as Python would escape it.

    Examples
    --------
    >>> print(plain("$x_1$ α"), plain("a\nb"), plain("\U0010fffd"))
    $x_1$ α a\nb \U0010fffd
    """
    text = visible(text)
    if text.isascii():
        return text
    known = _glyphs(tuple(FontProperties().get_family()))
    return "".join(character if ord(character) in known else _escaped(character) for character in text)


def width_of(text: Text) -> float:
    """How wide a text is in matplotlib's font, in the unit of its size."""
    return float(
        text_to_path.get_text_width_height_descent(text.text, FontProperties(size=text.size), False)[0]
    )


def _escaped(character: str) -> str:
    if character == "−":
        return "-"
    return character.encode("unicode_escape").decode("ascii")


@lru_cache(maxsize=8)
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    """The characters that the fonts in use have, first choice and fallbacks together."""
    found: set[int] = set()
    for family in families:
        try:
            path = findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # not installed: matplotlib goes on to the next, too
            continue
        found.update(get_font(path).get_charmap())
    return frozenset(found or get_font(findfont(FontProperties())).get_charmap())
