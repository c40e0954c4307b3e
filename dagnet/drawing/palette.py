"""Colours that the colour-blind tell apart, from Okabe & Ito (2008)."""

from __future__ import annotations

POSITIVE = "#0072b2"
NEGATIVE = "#d55e00"
NEUTRAL = "#8a8f98"
INK = "#1b1f24"
MUTED = "#5b6470"
PAPER = "#ffffff"
ROLE_FILL = {
    "input": "#e9edf2",
    "hidden": "#ffffff",
    "output": "#fdf3d8",
    "constant": "#f3f0fa",
    "group": "#f4f6f8",
}


def sign_colour(weight: float) -> str:
    """Blue above zero, orange below, grey for zero and for no number."""
    return POSITIVE if weight > 0 else NEGATIVE if weight < 0 else NEUTRAL
