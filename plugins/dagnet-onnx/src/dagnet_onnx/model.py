"""A network as an ONNX model: its prediction plan, walked level by level.

Input ``X`` (rows, input units) has the network's precision and the columns of ``net(X)``, as they are
before standardisation; categories are 0 and 1, a column each.  Outputs are ``outputs``, what ``net(X)``
gives, (rows, output units), and for each head ``predict[its name]``, (rows, its units), what
``net.predict(X)`` gives.  The number of rows is free.  Metadata have, as JSON, ``inputs`` (the node of each
column, and its unit or category), ``outputs`` (the node of each output unit) and ``heads`` (the loss of each
head, and its nodes).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from onnx import helper

import dagnet
from dagnet.arrays import Array
from dagnet.errors import DataError, shorten
from dagnet.formats.plain_attributes import READABLE, not_finite
from dagnet.formula import Formula, Untraceable, traced
from dagnet.plan import ACTIVATE, LAYER, Plan, Step
from dagnet.values import plain
from dagnet_onnx.functions import Functions, nodes, simple
from dagnet_onnx.operators import simplified
from dagnet_onnx.sums import Bucket, blocks_of, buckets_of, rule_of
from dagnet_onnx.values import Pool, Values
from dagnet_onnx.writer import KINDS, Writer

ABOUT = (
    "A network of dagnet. X: (rows, input units), raw; the metadata 'inputs' name its columns; of a category "
    "each word has one, 0 or 1.{scaled} outputs: (rows, output units), which the metadata 'outputs' name. "
    "predict[…]: what the loss of each head says they predict."
)
SCALED = " Centre and scale of the inputs are inside."


def written(network: Any, stream: BinaryIO) -> None:
    """Write a network to a stream.

    Raises
    ------
    DataError
        For activations, aggregations and predictions without a formula, all of them by name, before
        anything is written; where the numbers need a second file, and there is no place for it.

    NumericalError
        For a number that is NaN or infinite, by name.

    Warns
    -----
    DagnetWarning
        If the numbers are in a second file.
    """
    predictions = _checked(network)
    _refuse_not_finite(network)
    about = _about(network)
    walk = _Walk(network)
    writer = walk.writer
    walk.inputs()
    for number, level in enumerate(levels(network.layout.plan)):
        walk.level(number, level)
    kind, ends = KINDS[network.dtype.name], [("outputs", len(network.layout.plan.outputs))]
    writer.emit("Transpose", walk.values.exactly(network.layout.plan.outputs), result="outputs", perm=[1, 0])
    for (head, units, _), formula in zip(network.objective.each(), predictions, strict=True):
        name = f"predict[{_text(head.name)}]"
        walk.prediction(name, units, formula)
        ends.append((name, len(units)))
    given = helper.make_tensor_value_info("X", kind, ["rows", network.layout.plan.n_inputs])
    found = [helper.make_tensor_value_info(name, kind, ["rows", width]) for name, width in ends]
    writer.write(stream, [given], found, about)


def _refuse_not_finite(network: Any) -> None:
    """As all ways do that leave with numbers: a runtime would give NaN, and nobody would know why."""
    if not np.isfinite(network.vector).all():
        views = {"weight": network.weights, "bias": network.biases, "": network.node_parameters}
        numbers = ((what, name, value) for what, view in views.items() for name, value in view.items())
        for what, name, value in numbers:
            if len(wrong := np.ravel(value)[~np.isfinite(np.ravel(value))]):
                where = f"{what} of {shorten(name)}" if what else f"{name[1]} of {shorten(name[0])}"
                raise not_finite(f"export(): {where}", float(wrong[0]))
    theta = network.layout.theta(network.vector)
    if len(wrong := theta[~np.isfinite(theta)]):  # statistics of batches and factors are folded in
        raise not_finite("export(): weights and biases, times factors and scales,", float(wrong[0]))


def levels(plan: Plan) -> Iterator[list[Step]]:
    """The sums of each level, whose units read the values of earlier levels alone."""
    sums, first = list[Step](), plan.n_inputs
    for step in plan.program():
        if step.kind == ACTIVATE:
            continue
        if sums and plan.sources[step.slots].max(initial=-1) >= first:
            yield sums
            sums, first = [], step.target
        sums.append(step)
    if sums:
        yield sums


class _Walk:
    """The model of a network so far."""

    def __init__(self, network: Any) -> None:
        self.network, self.plan = network, network.layout.plan
        self.theta = np.asarray(network.layout.theta(network.vector), network.dtype)
        self.writer = Writer(network.dtype)
        self.functions = Functions(self.writer)
        one = self.plan.n_units
        read = np.zeros(one + 1, np.int64)
        self.activation_of = np.full(one, -1)
        for step in self.plan.program():
            if step.kind == ACTIVATE:
                self.activation_of[step.targets] = step.what
        for number, sums in enumerate(levels(self.plan)):
            for step in sums:
                read[self.plan.sources[step.slots]] = number
        read[[one, *self.plan.outputs.tolist()]] = read.max() + 1
        self.values = Values(self.writer, read)
        self._has_one = False

    def inputs(self) -> None:
        """X as (input units, rows), standardised in double precision, as dagnet does."""
        emit, constant, found = self.writer.emit, self.writer.constant, "X"
        if self.network.prepared.standardisation is not None:
            center, scale = (np.asarray(array, np.float64) for array in self.network.prepared.standardisation)
            single = self.network.dtype == np.float32
            found = emit("Cast", found, to=KINDS["float64"]) if single else found
            found = emit("Div", emit("Sub", found, constant(center)), constant(scale))
            found = emit("Cast", found, to=KINDS["float32"]) if single else found
        self.values.add(emit("Transpose", found, perm=[1, 0]), np.arange(self.plan.n_inputs), -1)

    def _one(self, number: int) -> None:
        """A row of ones, as the value of a unit behind all others."""
        if not self._has_one:
            emit, constant = self.writer.emit, self.writer.constant
            shape = emit("Concat", constant(np.array([1])), emit("Shape", "X", start=0, end=1), axis=0)
            ones = helper.make_tensor("", KINDS[self.writer.dtype.name], [1], [1.0])
            self.values.add(
                emit("ConstantOfShape", shape, value=ones), np.array([self.plan.n_units]), number - 1
            )
            self._has_one = True

    def level(self, number: int, sums: list[Step]) -> None:
        """The values of one level."""
        z = self._sums(number, sums)
        kinds = self.activation_of[z.units]
        for kind in np.unique(kinds).tolist():
            item, own = self.plan.activations[kind], z.units[kinds == kind]
            part = z if len(own) == len(kinds) else self.values.taken(z, own)
            learned = {
                name: self.writer.constant(self.theta[self.plan.learned_slot[own] + k][:, None])
                for k, name in enumerate(item.trainable)
            }
            self.values.add(self.functions.activation(item, part.name, learned), own, number)

    # -- sums ----------------------------------------------------------------------------

    def _sums(self, number: int, steps: list[Step]) -> Pool:
        """The pre-activations of a level's units."""
        found = [
            bucket
            for kind, blocks in blocks_of(self.plan, steps)
            for bucket in buckets_of(self.plan, kind, blocks, self.theta)
        ]
        alone = [
            bucket for bucket in found if len(bucket.units) == 1 and rule_of(bucket.kind) in {"sum", "mean"}
        ]
        many = [bucket for bucket in found if not any(bucket is other for other in alone)]
        if any((bucket.sources == self.plan.n_units).any() for bucket in found):
            self._one(number)
        pools = [self._product(bucket) for bucket in alone]
        if many:
            pools.append(self._biased(self._batched(many)))
        pools += [self._biased(self._layer(step)) for step in steps if step.kind == LAYER]
        return self.values.joined(pools)

    def _bias(self, units: Array) -> list[str]:
        """(units, 1) of biases, or none where all are 0."""
        slots, bias = self.plan.bias_slot[units], np.zeros(len(units), self.theta.dtype)
        bias[slots >= 0] = self.theta[slots[slots >= 0]]
        return [self.writer.constant(bias[:, None])] if bias.any() else []

    def _biased(self, pool: Pool) -> Pool:
        bias = self._bias(pool.units)
        return Pool(self.writer.emit("Add", pool.name, *bias), pool.units) if bias else pool

    def _product(self, bucket: Bucket) -> Pool:
        """One matrix times the values of its sources, with the biases."""
        (units,), (sources,), (weights,) = bucket.units, bucket.sources, bucket.weights
        pool = self.values.pool(np.unique(sources))
        if len(pool.units) == len(sources):
            weights = weights[:, np.argsort(pool.rows(sources))]
        else:
            pool = self.values.taken(pool, sources)
        return Pool(
            self.writer.emit("Gemm", self.writer.constant(weights), pool.name, *self._bias(units)), units
        )

    def _batched(self, buckets: list[Bucket]) -> Pool:
        """Each bucket by one gathering of what its units read."""
        emit, constant = self.writer.emit, self.writer.constant
        pool = self.values.pool(np.unique(np.concatenate([bucket.sources.ravel() for bucket in buckets])))
        found: dict[int, list[Pool]] = {}
        for bucket in buckets:
            values = emit("Gather", pool.name, constant(pool.rows(bucket.sources)), axis=0)
            if rule_of(bucket.kind) in {"sum", "mean"}:
                name = emit("MatMul", constant(bucket.weights), values)
            else:
                terms = emit("Mul", constant(bucket.weights.transpose(0, 2, 1)), values)
                name = self.functions.aggregation(bucket.kind, terms, bucket.sources.shape[1])
            found.setdefault(bucket.units.shape[1], []).append(Pool(name, bucket.units.ravel()))
        flat = []
        for parts in found.values():
            name, units = self.values.joined(parts)
            flat.append(Pool(emit("Reshape", name, constant(np.array([len(units), -1]))), units))
        return self.values.joined(flat)

    def _layer(self, step: Step) -> Pool:
        """Normalised over the units of each node, in double precision: scale · x̂."""
        emit, constant = self.writer.emit, self.writer.constant
        units, axis = np.arange(step.target, step.target + step.n_target), constant(np.array([1]))
        values, single = self.values.exactly(self.plan.sources[step.slots]), self.writer.dtype == np.float32
        values = emit("Cast", values, to=KINDS["float64"]) if single else values
        values = emit("Reshape", values, constant(np.array([step.n_target // step.source, step.source, -1])))
        away = emit("Sub", values, emit("ReduceMean", values, axis, keepdims=1))
        variance = emit("ReduceMean", emit("Mul", away, away), axis, keepdims=1)
        eps = constant(np.float64(self.plan.normalizations[step.what].eps))
        x = emit("Div", away, emit("Sqrt", emit("Add", variance, eps)))
        x = emit("Reshape", x, constant(np.array([step.n_target, -1])))
        x = emit("Cast", x, to=KINDS["float32"]) if single else x
        return Pool(emit("Mul", x, constant(self.theta[step.slots][:, None])), units)

    # -- predictions ---------------------------------------------------------------------

    def prediction(self, name: str, units: Array, formula: Formula | None) -> None:
        """What a head's outputs predict; the formula's result is an array, (rows, units)."""
        emit, outputs = self.writer.emit, "outputs"
        if not np.array_equal(units, np.arange(len(self.plan.outputs))):
            outputs = emit("Gather", outputs, self.writer.constant(units.astype(np.int32)), axis=1)
        if formula is not None:
            outputs = nodes(self.writer, formula, {"outputs": outputs}, width=len(units))
        emit("Identity", outputs, result=name)


# -- what cannot be written, and what is said ------------------------------------------------


def _checked(network: Any) -> list[Formula | None]:
    """What each head predicts, None for the outputs themselves; all that has no formula is refused."""
    topology, problems, predictions = network.topology, list[str](), list[Formula | None]()
    words = topology.node_words.get("aggregation", {})
    drawn = [
        *((topology.activations[kind], node) for node, kind in enumerate(topology.activation_of.tolist()))
    ]
    drawn += [(item, node) for node, item in words.items()]
    inputs, seen = set(topology.inputs.tolist()), set[Any]()
    for item, node in drawn:
        if item in seen or (node in inputs and item.kind == "activation"):
            continue
        seen.add(item)
        where = f"{item.kind} {item.name!r} (node {shorten(topology.nodes[node])})"
        if item.formula is None:
            problems.append(f"{where} has no formula: it {item.reason}")
            continue
        try:
            simple(item, {"term": 2}, network.dtype)
        except Untraceable as error:
            problems.append(f"{where} {error}")
    for head, units, _ in network.objective.each():
        try:
            predictions.append(_prediction(head.loss, len(units), network.dtype))
        except Untraceable as error:
            where = f"what loss {head.loss.name!r} predicts (head {shorten(head.name)})"
            problems.append(f"{where} has no formula: it {error}")
    if problems:
        listed = "\n  - ".join(["", *problems]) if len(problems) > 1 else f" {problems[0]}"
        raise DataError(f"export(): .onnx holds what has a formula (print(activation.formula)):{listed}")
    return predictions


def _prediction(loss: Any, width: int, dtype: Any) -> Formula | None:
    """The formula of what a loss predicts, tried on a few rows."""
    if loss.predict is None:
        return None
    formula = traced(loss.predict, ["outputs"], loss.parameters, axis=1)
    numbers = {name: float(loss.parameters[name]) for name in formula.arguments if name in loss.parameters}
    outputs = np.random.default_rng(0).normal(0, 1.5, (5, width))
    found, right = formula(outputs, *numbers.values()), loss.prediction(outputs.copy())
    if np.shape(right) != outputs.shape or not np.allclose(found, right, rtol=1e-9, equal_nan=True):
        raise Untraceable("answers symbols otherwise than arrays")
    return simplified(formula, numbers, {"unit": width}, dtype)


def _about(network: Any) -> Mapping[str, str]:
    """What the model says of itself."""
    topology = network.topology

    def columns(node: int) -> Iterator[dict[str, Any]]:
        words, units = topology.categories.get(node), int(topology.units[node])
        for unit in range(units):
            more = {"unit": unit} if units > 1 else {}
            yield {
                "node": _plain(topology.nodes[node]),
                **({"category": _plain(words[unit])} if words else more),
            }

    heads = {
        _text(head.name): {"loss": str(head.loss), "nodes": [_plain(node) for node in head.nodes]}
        for head in network.objective.heads
    }
    said = {
        "inputs": [column for node in topology.inputs.tolist() for column in columns(node)],
        "outputs": [column for node in topology.outputs.tolist() for column in columns(node)],
        "heads": heads,
    }
    scaled = SCALED if network.prepared.standardisation is not None else ""
    texts = {word: json.dumps(value, separators=(",", ":"), allow_nan=False) for word, value in said.items()}
    return {"doc_string": ABOUT.format(scaled=scaled), "dagnet": dagnet.__version__, **texts}


def _plain(name: Any) -> Any:
    """A name as JSON, with its type, as dagnet's ``.json`` files have it."""
    return READABLE.pack(plain(name), f"export(): node or category {shorten(name)}")


def _text(name: str) -> str:
    """A name as UTF-8 can have it."""
    return name.encode("utf-8", "backslashreplace").decode()
