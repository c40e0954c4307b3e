"""``dagnet train``: from two files to a trained one; ``dagnet importance``: to many, and what they say."""

from __future__ import annotations

import io
import json
import signal
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import networkx as nx
import numpy as np
from click import echo as say

from dagnet.arrays import Array
from dagnet.callbacks import Checkpoint, EarlyStopping
from dagnet.cli import files, tables
from dagnet.cli.applying import are_exclusive, counted, json_text, score_table, scores, sizes, write_table
from dagnet.cli.tables import FILL, WORDS, Columns, Refusals, Table, harmless, noted
from dagnet.contracts import Callback, Run
from dagnet.controls import importance
from dagnet.errors import DagnetWarning, DataError, Verbatim, did_you_mean, expected
from dagnet.network import Network
from dagnet.preparing import prepare_graph
from dagnet.rewiring import afresh
from dagnet.training import Settings

Graph: TypeAlias = "nx.DiGraph[Any]"
Classes = dict[str, list[str]]
Split = dict[str, tuple[Columns, Columns]]
"""Inputs and targets by node name, for each purpose that there is: train, validation, test."""
VERBS = {"train": "train", "validation": "validate", "test": "test"}
PATIENCE, WIDTH = 2.0, 100
"""Seconds after which a first batch is not counted as training: kernels are compiled in it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of ``dagnet train``: ``out`` is a path, ``fit`` are further ones of ``Network.fit``."""

    graph: Path
    data: Path
    targets: tuple[str, ...]
    out: Any
    loss: str | None
    seed: int
    test: float = 0.0
    validation: str | None = None
    early_stopping: int | None = None
    activation: str
    raw: bool
    prepare: bool
    checkpoint: Path | None = None
    resume: Path | None = None
    distributed: bool = False
    blocks: int | None = None
    threads: int | None
    missing: str
    attributes: files.Attributes
    as_json: bool
    fit: Mapping[str, Any]

    @property
    def validation_file(self) -> Path | None:
        """Where ``--validation`` is no share."""
        try:
            float(self.validation or 0)
        except ValueError:
            return Path(str(self.validation))
        return None


def importance_of_files(request: Request, asked: Mapping[str, Any]) -> None:
    """Read, train, print, write; a file that would be written over an input is refused first."""
    files.check_places({"GRAPH": request.graph, "DATA": request.data}, {"--out": request.out})
    if request.out is not None:
        files.check_writable(request.out)
    tell = partial(say, file=io.StringIO()) if request.as_json else say
    table, network, split = _prepared(request, tell)
    tell(f"graph     {request.graph}: {counted(network)}\ndata      {table.path}: {len(table):,} rows")
    given = {**request.fit, **asked, "seed": request.seed, "threads": request.threads}
    given["of"] = {str(node): node for node in network.nodes}.get(asked["of"], asked["of"])
    given["missing"] = "skip" if request.missing == "skip" else "refuse"
    found = importance(afresh(network.to_networkx(), {}), *split["train"], **given)
    inputs = "as they are" if request.raw else "standardised by the rows that are learned from"
    cells = f"empty cells: {request.missing}; inputs {inputs}"
    settings = found.asked["settings"].replace(f"missing={given['missing']}", cells)
    found = replace(found, asked={**found.asked, "settings": settings})
    names, columns = list(map(str, found.names)), [column.tolist() for column in found.columns.values()]
    tell(f"\n{found}\n\n" + textwrap.fill(found.methods, WIDTH))
    if request.out is not None:
        rows = zip(map(harmless, names), *columns, strict=True)
        write_table(request.out, ["node", *found.columns], rows)
        tell(f"written   {request.out}")
    if request.as_json:
        by_name = dict(zip(names, zip(*columns, strict=True), strict=True))
        nodes = {name: dict(zip(found.columns, row, strict=True)) for name, row in by_name.items()}
        alike = {"twins": found.twins, "chains": found.chains, "collinear": found.collinear}
        say(json_text({"nodes": nodes, **alike, "stability": found.stability, "methods": found.methods}))


class Watch(Callback):
    """Ctrl-C stops the run at the end of the batch, a second one the program; the first batch is timed."""

    every_batch: ClassVar[bool] = False

    def __init__(self, *, tells: bool = True) -> None:
        self.pressed, self._tells = False, tells
        self.compiling: float | None = None
        self._before: Any = None
        self._begun = time.perf_counter()
        said = ["\ncompiling kernels, once per machine …"]
        self._timer = threading.Timer(PATIENCE, say, said, {"err": True})

    def on_training_begin(self, _run: Run) -> None:
        """Listen."""
        self._before = signal.signal(signal.SIGINT, self._press)
        if self._tells and sys.stderr.isatty():
            self._timer.start()

    def _press(self, _number: int, _frame: Any) -> None:
        self.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_batch_end(self, run: Run) -> None:
        """Stop if asked to."""
        if self.compiling is None:
            self._timer.cancel()
            seconds = time.perf_counter() - self._begun
            self.compiling = seconds if seconds > PATIENCE else 0.0
        if self.pressed:
            run.stop = True

    def on_training_end(self, _run: Run) -> None:
        """Listen no more."""
        self._timer.cancel()
        signal.signal(signal.SIGINT, self._before)


def train_from_files(request: Request) -> None:
    """Read and train; of several processes the first tells and writes.  Outputs are checked before."""
    if request.distributed and "-" in {str(request.data), str(request.validation)}:
        must = "a file that each process of --distributed can read"
        raise DataError(expected("DATA", must, Verbatim("- (standard input)")))
    group = Settings(distributed=request.distributed, blocks=request.blocks).distributed
    first = group is None or group.rank == 0
    if not first:
        warnings.simplefilter("ignore")
    files.is_graph_file(request.out, written=True)
    read = {"GRAPH": request.graph, "DATA": request.data, "--resume": request.resume}
    read |= {"--validation": request.validation_file}
    files.check_places(read, {"--out": request.out, "--checkpoint": request.checkpoint})
    if first:
        files.check_writable(request.out)
    tell = say if first and not request.as_json else partial(say, file=io.StringIO())
    table, network, split = _prepared(request, tell)
    tell(f"graph     {request.graph}: {counted(network)}")
    rows = {purpose: len(next(iter(y.values()))) for purpose, (_, y) in split.items()}
    counts = ", ".join(f"{count:,} to {VERBS[purpose]}" for purpose, count in rows.items())
    tell(f"data      {table.path}: {len(table):,} rows; {counts}")
    for column, words in tables.classes_of(network).items():
        tell(f"classes   {column}: {', '.join(words)}")
    fitted = _fit(network, split, request, group, Watch(tells=first))
    if not first:
        return
    tell(_told(fitted))
    found = {purpose: scores(network, *part) for purpose, part in split.items()}
    tell(score_table(found))
    files.write_network(network, request.out)
    tell(f"written   {request.out}")
    if request.as_json:
        said = {"graph": str(request.graph), **sizes(network), "data": str(table.path), "rows": rows}
        say(json_text({**said, **fitted, "scores": found, "written": str(request.out)}))


def _target_nodes(graph: Graph, request: Request, table: Table) -> tuple[list[Hashable], Classes]:
    """The nodes that ``--target`` names by their names as text, or those named as its column's words."""
    by_text = {str(node): node for node in graph}
    problems: list[str] = []
    for name in request.targets:
        words = _words(name, by_text, table)
        if len(request.targets) == 1 < len(words):
            return [by_text[word] for word in words], {name: words}
        with noted(problems):
            _check_target(name, by_text, graph, request, table)
    if problems:
        raise Refusals(problems)
    return [by_text[name] for name in dict.fromkeys(request.targets)], {}


def _words(name: str, by_text: Mapping[str, Hashable], table: Table) -> list[str]:
    """The name of a target, or of its column's words that have a node each."""
    words = [] if name in by_text else table.words(name)
    return words if words and by_text.keys() >= set(words) else [name]


def _check_target(
    name: str, by_text: Mapping[str, Hashable], graph: Graph, request: Request, table: Table
) -> None:
    if name not in by_text:
        fed = [text for text, node in by_text.items() if graph.in_degree(node)]
        mend = did_you_mean(name, fed, listed=8)
        if table.place(name) is not None:
            mend += "; name the node as the column, or draw a node for each word in it"
        raise DataError(f"--target: {request.graph} has no node {name!r}{mend}")
    if table.place(name) is None:
        mend = did_you_mean(name, table.header, listed=8)
        raise DataError(f"--target: {table.path} has no column {name!r}{mend}")
    if not graph.in_degree(by_text[name]):
        mend = "or turn the graph round: --prepare does where its outputs are the data's columns"
        raise DataError(f"--target: nothing leads to the node {name!r}; choose one that has parents, {mend}")


def _prepared(request: Request, tell: Callable[[object], None]) -> tuple[Table, Network, Split]:
    """The network with its standardisation, and the rows that it will see; else all that is wrong."""
    table, graph = tables.read_table(request.data), files.open_graph(request.graph, request.attributes)
    if request.prepare:
        by_text = {str(node): node for node in graph}
        goals = [by_text.get(word, word) for name in request.targets for word in _words(name, by_text, table)]
        names = [by_text.get(name, name) for name in table.header]
        graph, report = prepare_graph(graph, names, goals or None)
        tell(report)
    problems, drafts = list[str](), list[Network]()
    targets, classes, X, y = list[Hashable](), Classes(), Columns(), Columns()
    with noted(problems):
        targets, classes = _target_nodes(graph, request, table)
    # nodes that learn another one's column are outputs, too
    aiming = [node for node, said in graph.nodes(data=True) if said.get("target") is not None]
    ends = [*dict.fromkeys([*targets, *aiming])] if targets else None
    build = partial(
        Network, graph, outputs=ends, seed=request.seed, threads=request.threads,
        activation=request.activation, attributes=request.attributes,
    )  # fmt: skip
    outputs: Sequence[Hashable] = targets
    with noted(problems):
        drafts.append(build(loss=request.loss))
        outputs = () if problems else drafts[0].targets
    inputs = drafts[0].inputs if drafts else [node for node in graph if not graph.in_degree(node)]
    read = partial(
        tables.used_rows, missing=request.missing, fill=tables.fill_values(inputs, graph.nodes),
        categories=tables.categories_of(drafts[0]) if drafts else {},
    )  # fmt: skip
    with noted(problems):
        classes = classes or tables.find_classes(table, outputs)
    outputs = () if problems else outputs  # nobody knows what their cells should be
    with noted(problems):
        table, X, y = read(table, inputs, outputs, classes)
    if problems:
        raise Refusals(problems)
    _refuse_constant(table, y)
    split = _split(X, y, classes, request)
    if request.validation_file is not None:
        other = tables.read_table(request.validation_file)
        split["validation"] = read(other, inputs, outputs, classes)[1:]
    _write_what_rows_say(graph, split, classes, request)
    network = build(loss=request.loss or _fitting_loss(graph, drafts[0], y, classes))
    one_by_one = network.objective.one is not None and network.loss.targets != "class"
    if one_by_one and are_exclusive(np.column_stack(list(y.values()))):
        text = "each row has 1 in one target and 0 in the others: --loss cross_entropy is meant for that"
        warnings.warn(text, DagnetWarning, stacklevel=2)
    return table, network, {purpose: split[purpose] for purpose in VERBS if purpose in split}


def _write_what_rows_say(graph: Graph, split: Split, classes: Classes, request: Request) -> None:
    """To the nodes: words, what fills gaps (and does so in the split), mean and scale."""
    for node in split["train"][1]:
        graph.nodes[node].pop(WORDS, None)
        for column, words in classes.items():
            if str(node) in {column, *words}:
                graph.nodes[node][WORDS] = json.dumps([column, *words], ensure_ascii=False)
    inputs = split["train"][0]
    values = tables.middles(inputs, request.missing, tables.fill_values(inputs, graph.nodes))
    for name, value in values.items():
        graph.nodes[name][FILL] = value
    for X, _ in split.values():
        X.update(tables.filled(X, values))
    if not request.raw:
        numbers = {name: column for name, column in split["train"][0].items() if column.ndim == 1}
        standardise(graph, numbers, request.attributes)


def _refuse_constant(table: Table, y: Columns) -> None:
    for name, column in y.items():
        if len(column) and (column == column[0]).all():
            what = f"the target {str(name)!r} is {column[0]:g} in every row"
            raise DataError(f"{table.path}: {what}; there is nothing to learn")


def _fitting_loss(graph: Graph, draft: Network, y: Columns, classes: Classes) -> str | None:
    """A cross-entropy for classes and targets that are 0 or 1, where the graph does not say a loss."""
    if "loss" in graph.graph.get("dagnet", {}):
        return None
    if classes and not classes.keys() & set(map(str, draft.outputs)):
        return "cross_entropy"
    if not all(np.isin(column, (0, 1)).all() for column in y.values()):
        return None
    topology = draft.topology
    used = [str(topology.activations[topology.activation_of[node]]) for node in topology.outputs]
    sigmoid = all(name.startswith("sigmoid") for name in used)
    return "binary_cross_entropy" if sigmoid else "binary_cross_entropy_with_logits"


def _split(X: Columns, y: Columns, classes: Classes, request: Request) -> Split:
    truth, labels = np.column_stack(list(y.values())), None
    if truth.shape[1] == 1 and np.isin(truth, (0, 1)).all():
        labels = truth[:, 0]
    elif classes and are_exclusive(truth):
        labels = truth.argmax(axis=1)
    share = float(request.validation or 0) if request.validation_file is None else 0.0
    rows = tables.split_rows(len(truth), {"test": request.test, "validation": share}, labels, request.seed)
    return {purpose: (_taken(X, chosen), _taken(y, chosen)) for purpose, chosen in rows.items()}


def _taken(columns: Columns, rows: Array) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def standardise(graph: Graph, X: Columns, attributes: files.Attributes) -> None:
    """Write mean and standard deviation to the inputs, unless the graph has its own already."""
    center, scale = (attributes.get(word, word) for word in ("center", "scale"))
    if center is None or scale is None:
        text = "standardising writes center and scale, which are not to be read; pass --raw"
        raise DataError(f"--attribute: {text}")
    if any(center in graph.nodes[name] or scale in graph.nodes[name] for name in X):
        return
    for name, column in X.items():
        constant = (column == column[0]).all()  # whose deviation may be 1e-17 by rounding
        graph.nodes[name][center] = float(column[0] if constant else column.mean())
        graph.nodes[name][scale] = 1.0 if constant else float(column.std()) or 1.0


def _fit(network: Network, split: Split, request: Request, group: Any, watch: Watch) -> dict[str, Any]:
    """Train; how it went."""
    early = None if request.early_stopping is None else EarlyStopping(request.early_stopping)
    keep = None if request.checkpoint is None else Checkpoint(request.checkpoint)
    begun = time.perf_counter()
    history = network.fit(
        *split["train"],
        validation_data=split.get("validation"),
        callbacks=[callback for callback in (watch, early, keep) if callback is not None],
        seed=request.seed,
        resume=request.resume,
        distributed=group,
        blocks=request.blocks,
        missing="skip" if request.missing == "skip" else "refuse",
        **request.fit,
    )
    compiling = watch.compiling or 0.0
    return {
        "epochs": history.epochs,
        "seconds": time.perf_counter() - begun - compiling,
        "compiling_seconds": compiling,
        "stopped": watch.pressed,
        "best_epoch": None if early is None else early.best_epoch,
    }


def _told(fitted: Mapping[str, Any]) -> str:
    compiling = fitted["compiling_seconds"]
    more = f" (and {compiling:.1f} s for the first batch: compiling, once per machine)" if compiling else ""
    ended = f"training  {fitted['epochs']:,} epochs, {fitted['seconds']:.1f} s{more}"
    if fitted["stopped"]:
        return f"{ended}, stopped by Ctrl-C"
    if fitted["best_epoch"] is not None:
        return f"{ended}; the best was epoch {fitted['best_epoch']:,}"
    return ended
