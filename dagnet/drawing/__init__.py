"""Pictures: layered coordinates with few crossings, and SVG fit for a paper."""

# fmt: off
from dagnet.drawing.asking import draw, laid_out
from dagnet.drawing.layout import Layout, layered_layout
from dagnet.drawing.marks import (
    FAINT,
    INK,
    MUTED,
    NEGATIVE,
    NEUTRAL,
    PAPER,
    POSITIVE,
    ROLE_FILL,
    Piece,
    Text,
    arrow_head,
    cut,
    sign_colour,
    text_width,
)
from dagnet.drawing.page import Page, lay_out
from dagnet.drawing.sketch import ROLES, Sketch, edge_strengths, group, sketch, summarised
from dagnet.drawing.svg import Drawing, draw_sketch

__all__ = [
    "FAINT", "INK", "MUTED", "NEGATIVE", "NEUTRAL", "PAPER", "POSITIVE", "ROLES", "ROLE_FILL",
    "Drawing", "Layout", "Page", "Piece", "Sketch", "Text",
    "arrow_head", "cut", "draw", "draw_sketch", "edge_strengths", "group", "laid_out", "lay_out",
    "layered_layout", "sign_colour", "sketch", "summarised", "text_width",
]
