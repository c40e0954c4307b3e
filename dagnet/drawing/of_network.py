"""From a network to the plain data of its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.drawing.overview import summarised
from dagnet.drawing.sketch import Floats, Sketch
from dagnet.drawing.svg import Drawing, draw_sketch
from dagnet.markup import number
from dagnet.model import Model


def draw(model: Model, *, title: str = "", legend: bool = True) -> Drawing:
    """See :meth:`dagnet.Network.draw`."""
    return draw_sketch(summarised(sketch(model)), title=title, legend=legend)


def sketch(model: Model) -> Sketch:
    """Names, roles, levels, weights and biases of a network."""
    topology = model.topology
    spelled = [str(activation) for activation in topology.activations]
    return Sketch(
        names=topology.nodes,
        roles=[topology.role(node) for node in range(topology.n_nodes)],
        levels=topology.level.astype(np.int64),
        sources=topology.sources,
        targets=topology.targets,
        weights=edge_strengths(model, model.parameters),
        activations=[spelled[place] for place in topology.activation_of.tolist()],
        notes=[_note(model, node) for node in range(topology.n_nodes)],
    )


def edge_strengths(model: Model, values: NDArray[Any]) -> Floats:
    """One number an edge, (edges,), from a flat vector of parameters.

    It is the element itself, or of a matrix the root of the mean square with the sign of the sum.
    """
    elements, starts = values[model.layout.weights].astype(np.float64), model.topology.weight_starts[:-1]
    sizes = np.diff(model.topology.weight_starts)
    if len(elements) == len(sizes):
        return elements
    with np.errstate(over="ignore"):
        squares = np.sqrt(np.add.reduceat(elements**2, starts) / sizes)
    signs = np.where(np.add.reduceat(elements, starts) < 0, -1.0, 1.0)
    return np.asarray(np.where(sizes == 1, elements[starts], squares * signs), np.float64)


def _note(model: Model, node: int) -> str:
    places = model.layout.bias_places(node)
    units = int(model.topology.units[node])
    many = f"{units} units" if units > 1 else ""
    bias = f"bias {number(float(model.parameters[places[0]]))}" if len(places) == 1 else ""
    return "\n".join(filter(None, (many, bias)))
