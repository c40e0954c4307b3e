"""Pictures: layered coordinates with few crossings, and SVG fit for a paper."""

from dagnet.drawing.layout import Layout, layered_layout
from dagnet.drawing.page import NEGATIVE, NEUTRAL, POSITIVE, ROLE_FILL, sign_colour
from dagnet.drawing.sketch import ROLES, Sketch, edge_strengths, group, sketch, summarised
from dagnet.drawing.svg import Drawing, draw, draw_sketch

__all__ = [
    "NEGATIVE",
    "NEUTRAL",
    "POSITIVE",
    "ROLES",
    "ROLE_FILL",
    "Drawing",
    "Layout",
    "Sketch",
    "draw",
    "draw_sketch",
    "edge_strengths",
    "group",
    "layered_layout",
    "sign_colour",
    "sketch",
    "summarised",
]
