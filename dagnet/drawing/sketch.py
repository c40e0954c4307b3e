"""What is drawn: plain data about nodes and edges, from a network or made up."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ROLES = ("input", "hidden", "output", "constant", "group")


@dataclass(frozen=True)
class Sketch:
    """Nodes and edges as a picture needs them.

    Attributes
    ----------
    names
        (nodes,): names, shown as labels.
    roles
        (nodes,): ``"input"``, ``"hidden"``, ``"output"``, ``"constant"``, ``"group"``.
    levels
        (nodes,): the column of each node.
    sources, targets, weights
        (edges,): node numbers; one number a weight (NaN: none), whose size is the line's
        width and whose sign is its colour.
    activations
        (nodes,): as text; may be empty.
    notes
        (nodes,): a line or more about each node, shown under the pointer; may be empty.
    counted
        The weights are numbers of edges: a line has no sign, only a width.
    message
        What must be said about the whole picture, for instance that it is a summary.
    """

    names: Sequence[Hashable]
    roles: Sequence[str]
    levels: Ints
    sources: Ints
    targets: Ints
    weights: Floats
    activations: Sequence[str] = field(default=())
    notes: Sequence[str] = field(default=())
    counted: bool = False
    message: str = ""
