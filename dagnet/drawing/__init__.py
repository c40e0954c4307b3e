"""Pictures: layered coordinates with few crossings, and SVG fit for a paper."""

from dagnet.drawing.layout import Layout, layered_layout
from dagnet.drawing.sketch import Sketch
from dagnet.drawing.svg import Drawing, draw_sketch
from dagnet.drawing.text import node_labels, visible

__all__ = ["Drawing", "Layout", "Sketch", "draw_sketch", "layered_layout", "node_labels", "visible"]
