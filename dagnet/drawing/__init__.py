"""Pictures: layered coordinates with few crossings, and SVG fit for a paper."""

from dagnet.drawing.layout import Layout, layered_layout
from dagnet.drawing.of_network import draw, edge_strengths, sketch
from dagnet.drawing.overview import group, summarised
from dagnet.drawing.palette import NEGATIVE, NEUTRAL, POSITIVE, ROLE_FILL
from dagnet.drawing.sketch import ROLES, Sketch
from dagnet.drawing.svg import Drawing, draw_sketch

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
    "sketch",
    "summarised",
]
