"""The interval that each weight must stay in: the edge's ``bounds``, and the ``sign`` of its parent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DagnetWarning, Verbatim, expected, shorten
from dagnet.topology.frozen import Topology
from dagnet.topology.groups import first_of_group
from dagnet.topology.sharing import CLOSE

LISTED = 6
PROBES = np.linspace(-40.0, 40.0, 4001)
"""The z at which activations are asked whether they are negative."""


def weight_limits(topology: Topology) -> tuple[Array, Array] | None:
    """(edges,) the lowest and the highest weight, −∞ and ∞ where open; None where nothing is limited."""
    bounds, signs = topology.edge_words.get("bounds"), topology.node_words.get("sign")
    if bounds is None and not signs:
        return None
    low, high = np.full((2, topology.n_edges), [[-np.inf], [np.inf]]) if bounds is None else bounds.T.copy()
    sign = np.zeros(topology.n_nodes)
    sign[list(signs or ())] = list((signs or {}).values())
    of_parent = sign[topology.sources]
    low[of_parent > 0] = np.maximum(low[of_parent > 0], 0)
    high[of_parent < 0] = np.minimum(high[of_parent < 0], 0)
    return low, high


def parameter_limits(topology: Topology) -> tuple[Array, Array] | None:
    """(edges,) the same of the parameter, weight / factor; of a group the intersection."""
    found = weight_limits(topology)
    if found is None:
        return None
    low, high = _divided(topology, *found)
    if topology.share is not None:
        first, (lows, highs) = first_of_group(topology.share), (low.copy(), high.copy())
        np.maximum.at(lows, first, low)
        np.minimum.at(highs, first, high)
        low, high = lows[first], highs[first]
    return low, high


@np.errstate(over="ignore")
def _divided(topology: Topology, low: Array, high: Array) -> Array:
    factor = topology.edge_words.get("factor", np.ones(1))
    ends = low / factor, high / factor
    return np.where(factor < 0, ends[::-1], ends)


def limit_problems(topology: Topology) -> Iterator[str]:
    """What is wrong with the limits themselves, and with start weights outside."""
    found, own = parameter_limits(topology), weight_limits(topology)
    if found is None or own is None:
        return
    low, high = found
    alone = _divided(topology, *own)
    empty = (low > high) | (
        (low == high) & (alone[0] < alone[1])
    )  # nor is a lone point of several intervals one
    yield from _nothing_left(topology, np.flatnonzero(empty), own)
    factor = topology.edge_words.get("factor", np.ones(topology.n_edges))
    limits = np.sort([low * factor, high * factor], axis=0)
    edges = np.repeat(np.arange(topology.n_edges), np.diff(topology.weight_starts))
    drawn = np.isnan(topology.weight_start[topology.weight_starts[:-1]])
    for edge in np.flatnonzero(drawn & ~empty & ((low > 0) | (high < 0))).tolist():
        interval = interval_text(*limits[:, edge])
        reason = f"without a weight it would be drawn about 0, which is not {interval}"
        yield f"edge {topology.edge_text(edge)}: {reason}; write weight=…, {interval}"
    start = topology.weight_start
    outside = np.flatnonzero(~(drawn | empty)[edges] & ~are_near(start, low[edges], high[edges]))
    for place in outside[np.unique(edges[outside], return_index=True)[1]].tolist():
        edge = int(edges[place])
        got = Verbatim(f"{start[place] * factor[edge]:.12g}")
        yield expected(f"edge {topology.edge_text(edge)}: weight", interval_text(*limits[:, edge]), got)


def are_near(values: Array, low: Array, high: Array) -> Array:
    """Whether values are inside but for what dividing by factors may have done to them."""
    reach = CLOSE * np.abs(values)
    result: Array = (values >= low - reach) & (values <= high + reach)
    return result


def interval_text(low: float, high: float) -> str:
    """An interval in words."""
    if np.isinf(low):
        return f"at most {high:.12g}"
    return f"at least {low:.12g}" if np.isinf(high) else f"from {low:.12g} to {high:.12g}"


def _nothing_left(topology: Topology, edges: Array, own: tuple[Array, Array]) -> Iterator[str]:
    """Of edges whose interval is empty: bounds and sign that do, or the two of a group that do."""
    alone, share = own[0] > own[1], topology.share
    for edge in edges[alone[edges]].tolist():
        parent = int(topology.sources[edge])
        bounds = interval_text(*topology.edge_words["bounds"][edge])
        of_sign = f"sign {topology.node_words['sign'][parent]:+d} of node {shorten(topology.nodes[parent])}"
        yield f"edge {topology.edge_text(edge)}: bounds {bounds} and {of_sign} leave nothing; change one"
    if share is None:
        return
    low, high = _divided(topology, *own)
    for group in np.unique(share[edges[~alone[edges]]]).tolist():
        members = np.flatnonzero((share == group) & ~alone)
        two = [int(members[low[members].argmax()]), int(members[high[members].argmin()])]
        if low[two[0]] >= high[two[1]]:
            said = [
                f"{topology.edge_text(edge)} ({interval_text(own[0][edge], own[1][edge])})" for edge in two
            ]
            key = shorten(topology.share_keys[group])
            left = "no weight is" if low[two[0]] > high[two[1]] else "one weight alone is"
            yield f"edges {' and '.join(said)} share key {key}, and {left} inside both; widen one"


def warn_of_signs(topology: Topology) -> None:
    """One warning for nodes whose value may be negative although they say a sign."""
    signs = topology.node_words.get("sign")
    if not signs:
        return
    with np.errstate(all="ignore"):
        negative = [bool((np.asarray(one.value(PROBES)) < 0).any()) for one in topology.activations]
    odd = [
        shorten(topology.nodes[node])
        for node in signs
        if topology.is_input[node] or negative[topology.activation_of[node]]
    ]
    if odd:
        more = f" and {len(odd) - LISTED:,} more" if len(odd) > LISTED else ""
        text = (
            f"sign of {', '.join(odd[:LISTED])}{more} bounds the weights, but the node's value can be "
            "negative: this is not Dale's law, under which all that a neuron sends has one sign; "
            "give it an activation that is never negative, such as relu or sigmoid"
        )
        warnings.warn(text, DagnetWarning, stacklevel=6)
