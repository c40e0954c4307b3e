"""The parts of a chain rule as plain data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChainParts", "Derivative", "Edge", "Fact", "Factor", "Number", "Path", "plain"]

Array = NDArray[Any]
Number = float | Array
Edge = tuple[Hashable, Hashable]


class Factor(NamedTuple):
    """One factor, ∂of/∂by.

    Attributes
    ----------
    kind
        ``"loss"``: ∂L/∂η; ``"node"``: ∂child/∂parent; ``"weight"``: ∂child/∂w.
    of
        The node on top; None for the loss.
    by
        The node below; for a weight its edge.
    value
        A float between one-unit nodes; else ∂L/∂η is (units,), ∂child/∂parent is the matrix
        (child units, parent units), and so is ∂child/∂W with its elements ∂hᵢ/∂Wᵢⱼ.
    slope
        g′(z) of the node on top, None for the loss.
    times
        What the slope is multiplied with: the weight, or the parent's value.
    """

    kind: Literal["loss", "node", "weight"]
    of: Hashable | None
    by: Hashable
    value: Number
    slope: Number | None = None
    times: Number | None = None


class Path(NamedTuple):
    """One path from the loss to the weight: ``nodes`` from an output back to the edge's child."""

    edge: Edge
    nodes: tuple[Hashable, ...]
    factors: tuple[Factor, ...]
    value: Number


class Derivative(NamedTuple):
    """∂L/∂node, as the sum of ``terms``.

    A term (child, ∂child/∂node) stands for ∂L/∂child · ∂child/∂node, and (None, ∂L/∂node) for
    what the loss reads directly.
    """

    node: Hashable
    value: Number
    terms: tuple[tuple[Hashable | None, Factor], ...]


class Fact(NamedTuple):
    """What a node did in the forward pass; ``target``: y, of an output."""

    activation: str
    z: Number
    a: Number
    target: Number | None


@dataclass(frozen=True, eq=False)
class ChainParts:
    """The fields of a :class:`dagnet.explain.ChainRule`.

    Attributes
    ----------
    edge, edges
        The edge asked for, and all edges that are this weight.
    weight
        The weight's value.
    value
        ∂L/∂w, as ``net.gradient`` has it: a float between one-unit nodes, else
        (child units, parent units).
    loss, loss_name
        L of this row.
    n_paths
        How many paths lead from the loss to the weight; infinite beyond 1e308.
    paths
        The paths, where there are at most sixteen; else empty.
    derivatives
        ∂L/∂node of the nodes on the paths, in the order of the reverse walk.
    lasts
        The last factor ∂child/∂w of each of ``edges`` whose child reaches an output.
    facts
        Activation, z and value of each node on the paths.
    """

    edge: Edge
    edges: tuple[Edge, ...]
    weight: Number
    value: Number
    loss: float
    loss_name: str
    n_paths: float
    paths: tuple[Path, ...]
    derivatives: tuple[Derivative, ...]
    lasts: tuple[Factor, ...]
    facts: Mapping[Hashable, Fact]

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All distinct factors, from the loss back to the weight."""
        inner = [factor for derivative in self.derivatives for _, factor in derivative.terms]
        return (*inner, *self.lasts)


def plain(values: Array) -> Number:
    """A float where there is one number, else the array."""
    return float(values.flat[0]) if np.size(values) == 1 else values
