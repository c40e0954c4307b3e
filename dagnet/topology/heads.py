"""Heads: what outputs learn, each with a loss of its own, from what nodes and arguments say."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from dagnet.contracts import Loss
from dagnet.errors import did_you_mean, expected, shorten, written
from dagnet.registry import find_loss
from dagnet.topology.extras import NODE_EXTRAS
from dagnet.topology.frozen import Topology, number_of
from dagnet.topology.said import Problems

HEAD_WORDS = ("loss", "loss_weight", "target")
ARGUMENTS = {"loss": "loss", "loss_weights": "loss_weight"}
LISTED = 6
NodeWords = Mapping[str, Mapping[int, Any]]


@dataclass(frozen=True)
class Head:
    """Outputs that have one loss together, mostly a single one.

    Attributes
    ----------
    name
        The node's name, of several ``"a,b,c"``: what the history's columns are called by.
    nodes
        The output nodes, in the order in which the loss takes them.
    loss, weight
        The loss, and what it counts in the total.
    targets
        The outputs whose columns of y the nodes learn: themselves, or what ``target`` says.
    """

    name: str
    nodes: tuple[Hashable, ...]
    loss: Loss
    weight: float
    targets: tuple[Hashable, ...]

    def __str__(self) -> str:
        times = "" if self.weight == 1 else f"{self.weight:g} · "
        aim = "" if self.targets == self.nodes else f" of {_name(self.targets)}"
        return f"{self.name}: {times}{self.loss}{aim}"


def with_arguments(
    words: NodeWords,
    arguments: Mapping[str, Mapping[Any, Any]],
    index: Mapping[Hashable, int],
    problems: Problems,
) -> dict[str, dict[int, Any]]:
    """What nodes say, and what the arguments ``loss`` and ``loss_weights`` say of them."""
    found = {word: dict(said) for word, said in words.items()}
    for argument, said in arguments.items():
        own, rule = found.setdefault(ARGUMENTS[argument], {}), NODE_EXTRAS[ARGUMENTS[argument]].rule
        for key, given in said.items():
            where, members = f"{argument}[{shorten(key)}]", _members(key, index)
            if argument == "loss_weights" and len(members) > 1:
                groups = (found.get("loss", {}).get(node) for node in members)
                members = members if all(_group(spec) == key for spec in groups) else ()
            if not members:
                mend = did_you_mean(key, index, listed=LISTED)
                problems.append(f"{where}: there is no such output, and no such group of them{mend}")
            value = problems.tried(partial(rule.check, where), given, None)
            value = (value, tuple(key)) if len(members) > 1 and argument == "loss" else value
            for node in members:
                if own.setdefault(node, value) != value:
                    mend = "say it once"
                    problems.refuse(f"{where}, which the node says, too,", f"{own[node]!r}", value, mend)
    return {word: said for word, said in found.items() if said}


def _members(key: Any, index: Mapping[Hashable, int]) -> tuple[int, ...]:
    """The numbers of a node, or of a tuple of nodes; none where one is unknown or named twice."""
    if (number := number_of(key, index)) is not None:
        return (number,)
    numbers = [number_of(name, index) for name in key] if isinstance(key, tuple) else []
    found = tuple(number for number in numbers if number is not None)
    return found if len(set(found)) == len(numbers) else ()


def _group(spec: Any) -> Any:
    """The nodes that a loss names beside itself, or None."""
    return spec[1] if isinstance(spec, tuple) else None


def heads_of(topology: Topology, default: Loss, problems: Problems) -> tuple[Head, ...]:
    """The heads in the order of their first outputs; outputs that say nothing are one together.

    A topology keeps those of its own loss.
    """
    known = vars(topology).get("_heads")
    if known is not None and known[0] is default:
        return cast("tuple[Head, ...]", known[1])
    found = _read_heads(topology, default, problems)
    if not problems:
        vars(topology)["_heads"] = default, found
    return found


def _read_heads(topology: Topology, default: Loss, problems: Problems) -> tuple[Head, ...]:
    words, names, order = topology.node_words, topology.nodes, dict.fromkeys(topology.outputs.tolist())
    named = {node: word for word in reversed(HEAD_WORDS) for node in words.get(word, {})}
    for node, word in named.items():
        if node not in order:
            mend = "name it in outputs=[…], too, or leave the word out"
            problems.append(f"node {shorten(names[node])}: {word} is for outputs, and it is none; {mend}")
    rest = tuple(node for node in order if node not in named)
    if not named:
        if 0 < len(rest) < default.minimum_outputs:
            _check_width("", default, int(topology.units[list(rest)].sum()), problems)
        nodes = tuple(names[node] for node in rest)
        return (Head(_name(nodes), nodes, default, 1.0, nodes),)
    reader = _Reader(topology, default, problems, order)
    heads = tuple(
        map(reader.head, dict.fromkeys(reader.group(node) if node in named else rest for node in order))
    )
    if len({head.name for head in heads}) < len(heads):  # such as the nodes 1 and "1"
        return tuple(replace(head, name=",".join(map(written, head.nodes))) for head in heads)
    return heads


def _name(nodes: tuple[Hashable, ...]) -> str:
    return ",".join(name if type(name) is str else written(name) for name in nodes)


def _check_width(where: str, loss: Loss, width: int, problems: Problems) -> None:
    if width < loss.minimum_outputs:
        problems.append(
            f"{where}loss {loss.name!r} needs at least {loss.minimum_outputs} output units, got {width}; "
            "add outputs, give several of them one loss by loss={('a', 'b'): …}, or choose another loss"
        )


class _Reader:
    """Reads the heads of one graph; what is wrong is noted."""

    def __init__(
        self, topology: Topology, default: Loss, problems: Problems, order: Mapping[int, None]
    ) -> None:
        self.loss, self.weight, self.target = (topology.node_words.get(word, {}) for word in HEAD_WORDS)
        self.names, self.index, self.units = topology.nodes, topology.index, topology.units
        self.default, self.problems, self.order = default, problems, order
        self.known: dict[Any, Loss] = {}

    def where(self, node: int) -> str:
        return f"node {shorten(self.names[node])}"

    def group(self, node: int) -> tuple[int, ...]:
        """The nodes of the head that a named node belongs to."""
        spec = self.loss.get(node)
        if (nodes := _group(spec)) is None:
            return (node,)
        numbers = _members(nodes, self.index)
        where = f"{self.where(node)}: loss, a group of several nodes,"
        if node not in numbers or not all(number in self.order for number in numbers):
            self.problems.refuse(where, "of different outputs, the node among them", spec)
            return (node,)
        for number in numbers:
            if self.loss.get(number) != spec:
                must = f"said alike by all its nodes, as {self.where(number)} does not do"
                self.problems.refuse(where, must, spec, "nodes of one group have one loss")
                return (node,)
            if self.weight.get(number) != self.weight.get(node):
                self.problems.append(
                    f"{self.where(number)}: loss_weight differs from that of {shorten(self.names[node])}, "
                    "with which it has one loss; say the same of both"
                )
        return numbers

    def head(self, numbers: tuple[int, ...]) -> Head:
        """The head of some nodes."""
        aims = tuple(self._aim(node) for node in numbers)
        if len({aim == node for aim, node in zip(aims, numbers, strict=True)}) > 1:
            where = f"{self.where(numbers[0])}: loss, of a group,"
            self.problems.refuse(where, "of nodes that all have a target, or none", self.loss[numbers[0]])
        loss = self._loss(numbers[0], aims[0])
        if (theirs := self._loss(aims[0], aims[0])).columns != loss.columns:
            must, got = "an output whose loss has as many columns of y", self.names[aims[0]]
            mend = f"{loss.name!r} has {loss.columns:g}, {theirs.name!r} has {theirs.columns:g}"
            self.problems.refuse(f"{self.where(numbers[0])}: target", must, got, mend)
        width = int(sum(self.units[node] for node in numbers))
        nodes, targets = (tuple(self.names[node] for node in some) for some in (numbers, aims))
        _check_width(f"head {_name(nodes)}: ", loss, width, self.problems)
        weight = self.weight.get(numbers[0])
        return Head(_name(nodes), nodes, loss, 1.0 if weight is None else weight, targets)

    def _loss(self, node: int, aim: int) -> Loss:
        """That of the node, of what it learns, or the default."""
        for owner in (node, aim):
            spec = self.loss.get(owner)
            if spec is not None:
                spec = spec[0] if isinstance(spec, tuple) else spec
                if spec not in self.known:
                    where = f"{self.where(owner)}: loss: "
                    self.known[spec] = self.problems.tried(find_loss, spec, self.default, where)
                return self.known[spec]
        return self.default

    def _aim(self, node: int) -> int:
        """The output whose column of y a node learns."""
        aim, seen = node, {node}
        while (name := self.target.get(aim)) is not None:
            where, must = f"{self.where(aim)}: target", "another output"
            following = next(iter(_members((name,), self.index)), None)
            if following not in self.order or following is None:
                mend = did_you_mean(name, [self.names[number] for number in self.order], listed=LISTED)
                self.problems.append(expected(where, must, name) + mend)
                return node
            if following in seen:
                circle = "itself" if following == aim else "an output that learns from this one: a circle"
                self.problems.append(
                    expected(where, must, name) + f", which is {circle}; let one have its own"
                )
                return node
            aim = following
            seen.add(aim)
        if self.units[aim] != self.units[node]:
            must = f"an output of as many units, {self.units[node]}"
            self.problems.refuse(f"{self.where(node)}: target", must, self.names[aim])
            return node
        return aim
