"""``dagnet train``: from two files to a trained one."""

from __future__ import annotations

import signal
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from click import echo as say

from dagnet.arrays import Array
from dagnet.callbacks import Checkpoint, EarlyStopping
from dagnet.cli.applying import counted, score_table
from dagnet.cli.files import Table, check_writable, is_graph_file, open_graph, read_table, write_network
from dagnet.contracts import Callback, Run
from dagnet.errors import DataError, did_you_mean
from dagnet.model.selection import make_generator
from dagnet.network import Network
from dagnet.values import FRACTION

Columns = dict[Hashable, Array]
Split = dict[str, tuple[Columns, Columns]]
"""Inputs and targets by node name, for each purpose that there is: train, validation, test."""
VERBS = {"train": "train", "validation": "validate", "test": "test"}


@dataclass(frozen=True)
class Request:
    """The arguments of ``dagnet train``."""

    graph: Path
    data: Path
    targets: tuple[str, ...]
    out: Path
    loss: str | None
    optimizer: str
    learning_rate: float | None
    epochs: int
    batch_size: int
    seed: int
    test: float
    validation: str | None
    early_stopping: int | None
    l2: float
    activation: str
    raw: bool
    checkpoint: Path | None
    resume: Path | None
    threads: int | None


class Interrupt(Callback):
    """Ctrl-C stops the run at the end of the batch; a second one stops the program."""

    def __init__(self) -> None:
        self.pressed = False
        self._before: Any = None

    def on_training_begin(self, _run: Run) -> None:
        """Listen."""
        self._before = signal.signal(signal.SIGINT, self._press)

    def _press(self, _number: int, _frame: Any) -> None:
        self.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_batch_end(self, run: Run) -> None:
        """Stop if asked to."""
        if self.pressed:
            run.stop = True

    def on_training_end(self, _run: Run) -> None:
        """Listen no more."""
        signal.signal(signal.SIGINT, self._before)


def train_from_files(request: Request) -> None:
    """Read, train, report, write."""
    _check_out(request)
    table, graph = read_table(request.data), open_graph(request.graph)
    targets = _target_nodes(graph, request, table)
    network, split = _prepared(graph, table, targets, request)
    say(f"graph     {request.graph}: {counted(network)}")
    counts = ", ".join(
        f"{len(next(iter(y.values()))):,} to {VERBS[purpose]}" for purpose, (_, y) in split.items()
    )
    say(f"data      {request.data}: {len(table):,} rows; {counts}")
    say(_fit(network, split, request))
    say(score_table(network, split))
    write_network(network, request.out)
    say(f"written   {request.out}")


def _check_out(request: Request) -> None:
    """Refuse, before the work is done, an output that could not be written."""
    is_graph_file(request.out, written=True)
    if request.out.exists() and request.out.samefile(request.data):
        raise DataError(f"--out: {request.out} is the file with the data; choose another")
    check_writable(request.out)


def _target_nodes(graph: nx.DiGraph[Any], request: Request, table: Table) -> list[Hashable] | None:
    """The nodes that ``--target`` names, by their names as text."""
    by_text = {str(node): node for node in graph}
    for name in request.targets:
        if name not in by_text:
            fed = [text for text, node in by_text.items() if graph.in_degree(node)]
            mend = did_you_mean(name, fed, listed=8)
            if name in table.header:
                mend += "; the column of a target has the name of its node: rename one of them"
            raise DataError(f"--target: {request.graph} has no node {name!r}{mend}")
        if name not in table.header:
            mend = did_you_mean(name, table.header, listed=8)
            raise DataError(f"--target: {request.data} has no column {name!r}{mend}")
        if not graph.in_degree(by_text[name]):
            raise DataError(f"--target: nothing leads to the node {name!r}; choose one that has parents")
    return [by_text[name] for name in dict.fromkeys(request.targets)] or None


def _prepared(
    graph: nx.DiGraph[Any], table: Table, targets: list[Hashable] | None, request: Request
) -> tuple[Network, Split]:
    """The network with its standardisation, and the rows that it will see."""
    build = partial(
        Network,
        graph,
        outputs=targets,
        activation=request.activation,
        seed=request.seed,
        threads=request.threads,
    )
    draft = build(loss=request.loss)
    X, y = table.columns(draft.inputs), table.columns(draft.outputs)
    _refuse_constant(table, y)
    split = _split(X, y, request, draft)
    if not request.raw:
        standardise(graph, split["train"][0])
    return build(loss=request.loss or _fitting_loss(graph, draft, y)), split


def _refuse_constant(table: Table, y: Columns) -> None:
    for name, column in y.items():
        if len(column) and (column == column[0]).all():
            what = f"the target {str(name)!r} is {column[0]:g} in every row"
            raise DataError(f"{table.path}: {what}; there is nothing to learn")


def _fitting_loss(graph: nx.DiGraph[Any], draft: Network, y: Columns) -> str | None:
    """For targets that are 0 or 1 the binary cross-entropy, where the graph does not say."""
    if "loss" in graph.graph.get("dagnet", {}):
        return None
    if not all(np.isin(column, (0, 1)).all() for column in y.values()):
        return None
    sigmoid = all(
        str(graph.nodes[node].get("activation", "")).startswith("sigmoid") for node in draft.outputs
    )
    return "binary_cross_entropy" if sigmoid else "binary_cross_entropy_with_logits"


def _split(X: Columns, y: Columns, request: Request, draft: Network) -> Split:
    first = next(iter(y.values()))
    labels = first if len(y) == 1 and np.isin(first, (0, 1)).all() else None
    share, file = 0.0, None
    if request.validation is not None:
        try:
            share = float(request.validation)
        except ValueError:
            file = Path(request.validation)
    rows = split_rows(len(first), {"test": request.test, "validation": share}, labels, request.seed)
    split = {purpose: (_taken(X, chosen), _taken(y, chosen)) for purpose, chosen in rows.items()}
    if file is not None:
        other = read_table(file)
        split["validation"] = other.columns(draft.inputs), other.columns(draft.outputs)
    return {purpose: split[purpose] for purpose in VERBS if purpose in split}


def _taken(columns: Columns, rows: Array) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def standardise(graph: nx.DiGraph[Any], X: Columns) -> None:
    """Write mean and standard deviation to the inputs, unless the graph has its own already."""
    if any("center" in graph.nodes[name] or "scale" in graph.nodes[name] for name in X):
        return
    for name, column in X.items():
        spread = float(column.std())
        graph.nodes[name]["center"] = float(column.mean())
        graph.nodes[name]["scale"] = spread if spread > 0 else 1.0


def _fit(network: Network, split: Split, request: Request) -> str:
    """Train; a line that says how it went."""
    interrupt = Interrupt()
    early = None if request.early_stopping is None else EarlyStopping(request.early_stopping)
    keep = None if request.checkpoint is None else Checkpoint(request.checkpoint)
    begun = time.perf_counter()
    history = network.fit(
        *split["train"],
        epochs=request.epochs,
        batch_size=request.batch_size,
        optimizer=request.optimizer,
        learning_rate=request.learning_rate,
        validation_data=split.get("validation"),
        callbacks=[callback for callback in (interrupt, early, keep) if callback is not None],
        seed=request.seed,
        resume=request.resume,
        l2=request.l2,
    )
    seconds = time.perf_counter() - begun
    ended = f"training  {history.epochs:,} epochs, {seconds:.1f} s"
    if interrupt.pressed:
        return f"{ended}, stopped by Ctrl-C"
    if early is not None and early.best_epoch is not None:
        return f"{ended}; the best was epoch {early.best_epoch:,}"
    return ended


def split_rows(n: int, shares: Mapping[str, float], labels: Array | None, seed: object) -> dict[str, Array]:
    """Row numbers by purpose, each sorted; what is left over is ``"train"``.

    Each share, 0 for none, is taken from the rows that the earlier ones left.  Where ``labels`` (rows,)
    says classes, every part gets its share of each.  DataError for too few rows.

    Examples
    --------
    >>> parts = split_rows(10, {"test": 0.2}, np.arange(10) % 2, 0)
    >>> {purpose: len(rows) for purpose, rows in parts.items()}
    {'test': 2, 'train': 8}
    """
    generator = make_generator(seed)
    left, result = np.arange(n), {}
    for purpose, share in shares.items():
        FRACTION.check(f"--{purpose}", share)
        if not share:
            continue
        taken = _drawn(left, share, None if labels is None else labels[left], generator)
        if not 0 < len(taken) < len(left):
            mend = f"give more rows, or --{purpose} 0 for none"
            raise DataError(
                f"--{purpose}: a share of {share:g} leaves a part of {len(left)} rows empty; {mend}"
            )
        result[purpose] = taken
        left = np.setdiff1d(left, taken)
    result["train"] = left
    return result


def _drawn(rows: Array, share: float, labels: Array | None, generator: np.random.Generator) -> Array:
    groups = [rows] if labels is None else [rows[labels == label] for label in np.unique(labels)]
    chosen = [generator.permutation(group)[: round(share * len(group))] for group in groups]
    return np.sort(np.concatenate(chosen))
