"""Parameters by name: mappings over the flat vector."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import MOMENTS
from dagnet.errors import DataError, Verbatim, expected, needed, shorten
from dagnet.model.layout import Layout
from dagnet.topology import Topology, interval_text
from dagnet.values import as_real

Edge = tuple[Hashable, Hashable]
SHOWN = 6
FREEZE = (
    "; to freeze, give the edge or the node trainable=False and build the network anew: "
    "graph.edges['a', 'b']['trainable'] = False; net.to_networkx() has the weights"
)
LARGEST = {kind.itemsize: float(np.finfo(kind).max) for kind in map(np.dtype, ("f4", "f8"))}


class MissingNameError(DataError, KeyError):
    """A name that a mapping does not have."""

    __str__ = Exception.__str__


class _View(Mapping[Any, Any]):
    """A mapping from names to slices of a flat vector."""

    _columns: tuple[str, ...] = ("node",)

    def __init__(self, layout: Layout, flat: Array, asked: Array | None = None) -> None:
        self._layout, self._flat, self._asked = layout, flat, asked

    def _places(self, name: Any) -> Any:
        """The parameters of a name, an array or, of a plain weight, a number."""
        try:
            return self._named(self._layout.topology, name)
        except DataError as error:
            raise MissingNameError(str(error)) from None

    def _named(self, topology: Topology, name: Any) -> Any:
        raise NotImplementedError

    def _were_asked(self, places: Any) -> bool:
        if self._asked is None:
            return True
        asked = self._asked[places]
        return bool(asked if type(places) is int else asked.all())

    def __getitem__(self, name: Any) -> Any:
        places = self._places(name)
        if not self._were_asked(places):
            what = f"the derivative for {shorten(name)}"
            raise MissingNameError(f"{what} was not asked for; name it in wrt=[…]")
        if type(places) is int:
            return self._flat.item(places)
        values = self._values(name, places)
        return values.item() if values.size == 1 else values

    def _values(self, _name: Any, places: Any) -> Array:
        return self._flat[places]

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``: parent, child or node (name); units where some have several; value."""
        found = [(name if len(self._columns) > 1 else (name,), np.atleast_1d(self[name])) for name in self]
        units = max((value.ndim for _, value in found if value.size > 1), default=0)
        rows = [(*name, *(*k, 0)[:units], x) for name, value in found for k, x in np.ndenumerate(value)]
        columns = [*self._columns, *("unit", "parent_unit")[:units], "value"]
        return needed("to_frame()", "pandas", "pandas").DataFrame(rows, columns=columns)

    def __contains__(self, name: object) -> bool:
        try:
            return self._were_asked(self._places(name))
        except DataError:
            return False

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        shown = [f"{shorten(name)}: {shorten(self[name])}" for name in islice(self, SHOWN)]
        more = ", …" if len(self) > SHOWN else ""
        return f"<{type(self).__name__} {{{', '.join(shown)}{more}}}>"


class WeightView(_View):
    """Numbers by edge: a float between one-unit nodes, else (child units, parent units).

    Where only some were asked for they are derivatives, by weight as all else that is named.
    """

    _columns = "parent", "child"
    _last: tuple[Edge | None, int] = None, 0
    """The name that an iteration gave last: ``dict(view)`` asks for its value next."""

    def __init__(self, layout: Layout, flat: Array, asked: Array | None = None) -> None:
        super().__init__(layout, flat, asked)
        self._are_numbers = layout.topology.is_plain and layout.element_factor is None

    def _named(self, topology: Topology, name: Any) -> Any:
        last, edge = self._last
        if name is not last or name is None:
            edge = topology.edge_number(name)
        return self._layout.weights.item(edge) if self._are_numbers else self._layout.weight_places(edge)

    def _values(self, name: Any, _places: Any) -> Array:
        edge, derivatives = self._layout.topology.edge_number(name), self._asked is not None
        return self._layout.weights_of(self._flat, edge, derivatives=derivatives)

    def __iter__(self) -> Iterator[Edge]:
        topology, nodes = self._layout.topology, self._layout.topology.nodes
        edges = np.arange(topology.n_edges)
        if self._asked is not None:
            starts = topology.weight_starts[:-1]
            edges = edges[np.logical_and.reduceat(self._asked[self._layout.weights], starts)]
        ends = topology.sources[edges].tolist(), topology.targets[edges].tolist()
        for edge, source, target in zip(edges.tolist(), *ends, strict=True):
            name = nodes[source], nodes[target]
            self._last = name, edge
            yield name

    def __len__(self) -> int:
        return self._layout.topology.n_edges if self._asked is None else super().__len__()


class BiasView(_View):
    """Numbers by node: a float for a one-unit node, else (units,).  Nodes without a bias are absent."""

    def _named(self, topology: Topology, name: Any) -> Array:
        places = self._layout.bias_places(topology.node_number(name))
        if not len(places):
            raise DataError(f"node {shorten(name)} has no bias")
        return places

    def __iter__(self) -> Iterator[Hashable]:
        topology = self._layout.topology
        for node in np.flatnonzero(topology.has_bias).tolist():
            if self._were_asked(self._layout.bias_places(node)):
                yield topology.nodes[node]


class NodeParameterView(_View):
    """Numbers by (node, name) of what nodes learn, and keep, beside weights and biases."""

    _columns = "node", "name"

    def _named(self, topology: Topology, name: Any) -> Array:
        pair = isinstance(name, tuple) and len(name) == 2
        if not pair or name[1] not in self._names():
            listed = ", ".join(map(repr, self._names())) or "none in this network"
            raise DataError(expected("a node parameter", f"(node, name) with a name among {listed}", name))
        places = self._layout.places_of(topology.node_number(name[0]), name[1])
        if not len(places):
            over = " over rows" if name[1] in MOMENTS else ""
            why = f"it is not normalised{over}"
            why = "its activation does not learn it" if name[1] in topology.learners else why
            raise DataError(f"node {shorten(name[0])} has no {name[1]}: {why}")
        return places

    def _names(self) -> tuple[str, ...]:
        names, whole = self._layout.topology.node_starts, len(self._flat) == self._layout.n_numbers
        return tuple(name for name in names if whole or name not in MOMENTS)

    def __iter__(self) -> Iterator[tuple[Hashable, str]]:
        topology, names = self._layout.topology, self._names()
        pairs = sorted(
            (node, k) for k, name in enumerate(names) for node in topology.nodes_with(name).tolist()
        )
        found = ((topology.nodes[node], names[k]) for node, k in pairs)
        return (name for name in found if self._were_asked(self._places(name)))


class _Writable(_View):
    what = "value"

    def __setitem__(self, name: Any, value: Any) -> None:
        places = self._places(name)
        self._flat[places] = self._checked(name, value, places)

    def update(self, values: Mapping[Any, Any]) -> None:
        """Set many at once; if one will not do, none is set.

        Raises
        ------
        DataError
            For an unknown name, a wrong shape, or numbers that are not finite.
        """
        if not isinstance(values, Mapping):
            raise DataError(expected(f"{self.what} values", "a mapping by name", values))
        named = [(name, self._places(name), value) for name, value in values.items()]
        checked = [(places, self._checked(name, value, places)) for name, places, value in named]
        for places, value in checked:
            self._flat[places] = value

    def _checked(self, name: Any, value: Any, places: Any) -> Any:
        """The value in the vector's dtype, of the places' shape or one number for all."""
        largest = LARGEST[self._flat.itemsize]
        if type(value) is float and -largest <= value <= largest:
            return value
        shape = (1, 1) if type(places) is int else places.shape
        where = f"{self.what} of {shorten(name)}"
        given = as_real(value)
        if given is None or (given.ndim and given.shape != shape):
            form = "a number" if math.prod(shape) == 1 else f"a number or an array of shape {shape}"
            got = value if given is None or given.ndim == 0 else Verbatim(f"shape {given.shape}")
            raise DataError(expected(where, form, got))
        with np.errstate(over="ignore"):
            array = given.astype(self._flat.dtype)
        if not np.isfinite(array).all():
            raise DataError(expected(where, f"finite in {self._flat.dtype}", value))
        return array.reshape(()) if array.size == 1 else array


class TrainableMask(np.ndarray[Any, Any]):
    """(parameters,) mask of what training may change; the graph says it, so nobody writes to it."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.flags.writeable:
            raise DataError(f"trainable is read-only{FREEZE}")
        super().__setitem__(key, value)


class WritableWeights(_Writable, WeightView):
    """The weights of a network by edge; assignment writes through to ``net.parameters``."""

    what = "weight"

    def _checked(self, name: Any, value: Any, places: Any) -> Any:
        """The parameters: weight / factor inside their limits, in the vector's dtype."""
        checked, layout, dtype = super()._checked(name, value, places), self._layout, self._flat.dtype
        if layout.element_factor is None and layout.limits is None:
            return checked
        where, edge = f"weight of {shorten(name)}", layout.topology.edge_number(name)
        places, factors = layout.weight_places(edge), layout.topology.edge_words.get("factor")
        factor = 1.0 if factors is None else float(factors[edge])
        weight = np.broadcast_to(np.asarray(value, np.float64), places.shape)
        with np.errstate(all="ignore"):
            exact = weight / factor
            result = exact.astype(dtype)
        if not np.isfinite(result).all():
            must = f"such that it is finite in {dtype} when divided by its factor {factor:g}"
            raise DataError(expected(where, must, weight.flat[0]))
        if layout.limits is not None:
            low, high = (limit[places] for limit in layout.limits)
            outside = (exact < low) | (exact > high)
            if outside.any():
                ends = sorted((low[outside][0] * factor, high[outside][0] * factor))
                raise DataError(expected(where, interval_text(*ends), float(weight[outside][0])))
            result = np.clip(result, *(limit[places] for limit in layout.limits_in(dtype)))
        return result.reshape(()) if result.size == 1 else result


class WritableNodeParameters(_Writable, NodeParameterView):
    """What nodes learn and keep; assignment writes through to the network."""

    what = "node parameter"

    def _checked(self, name: Any, value: Any, places: Any) -> Any:
        checked = super()._checked(name, value, places)
        if name[1] == "variance" and np.any(np.less(checked, 0)):
            raise DataError(expected(f"variance of {shorten(name[0])}", "at least 0", value))
        return checked


class WritableBiases(_Writable, BiasView):
    """The biases of a network by node; assignment writes through to ``net.parameters``."""

    what = "bias"
