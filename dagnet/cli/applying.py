"""``dagnet show``, ``predict`` and ``evaluate``, and the lines that commands print."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from click import echo as say

from dagnet import markup
from dagnet.arrays import Array
from dagnet.cli.files import Attributes, check_places, check_writable, open_network
from dagnet.cli.tables import (
    Columns,
    categories_of,
    classes_of,
    fill_values,
    filled,
    harmless,
    middles,
    read_table,
    said,
    used_rows,
)
from dagnet.files import atomically
from dagnet.network import Network
from dagnet.scores import accuracy

LISTED = 8
SCORES: tuple[tuple[str, str, set[str]], ...] = (
    ("accuracy", "accuracy", {"class", "binary", "probability"}),
    ("auc", "AUC", {"binary", "probability"}),
    ("r2", "R²", {"real", "positive", "count"}),
)
"""What is printed, as which head, for what kinds of targets."""


def show_file(path: Path, attributes: Attributes) -> None:
    """Print what a network is, and its plan."""
    network = open_network(path, attributes)
    say(f"{path}: {counted(network)}")
    say(f"inputs    {markup.names_text(network.inputs, LISTED)}")
    say(f"outputs   {markup.names_text(network.outputs, LISTED)}")
    say(f"loss      {network.loss}")
    say(f"runs on   {network.engine}, {network.dtype}, {network.threads} threads")
    say(f"\n{network.plan}")


def predict_file(model: Path, data: Path, out: Path | None, threads: int | None) -> None:
    """Write predictions as CSV."""
    check_places({"MODEL": model, "DATA": data}, {"--out": out})
    if out is not None:
        check_writable(out)
    network, table = open_network(model, threads=threads, trained=True), read_table(data)
    fill = fill_values(network.inputs, said(network))
    predicted = network.predict(table.columns(network.inputs, fill, categories_of(network)))
    columns = predicted_columns(network, predicted)
    write_table(out, map(harmless, columns), zip(*columns.values(), strict=True))


def write_table(out: Path | None, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write CSV, whole or not at all; to standard output where no file is named."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    if out is None:
        sys.stdout.write(text.getvalue())
        return
    with atomically(out) as stream:
        stream.write(text.getvalue().encode())


def predicted_columns(network: Network, predicted: Array) -> dict[str, list[Any]]:
    """The numbers of each output, and the words that they stand for."""
    heads = []
    for node in network.outputs:
        units = int(network.topology.units[network.topology.index[node]])
        heads += [str(node)] if units == 1 else [f"{node}[{unit}]" for unit in range(units)]
    columns: dict[str, list[Any]] = dict(zip(heads, predicted.T.tolist(), strict=True))
    for column, words in classes_of(network).items():
        block = predicted[:, [heads.index(head) for head in ([column] if column in heads else words)]]
        labels = block.argmax(axis=1) if block.shape[1] > 1 else (block[:, 0] > 0.5).astype(int)
        columns[f"class of {column}"] = [harmless(words[label]) for label in labels]
    return columns


def evaluate_file(model: Path, data: Path, threads: int | None, missing: str, *, as_json: bool) -> None:
    """Print how good the predictions are."""
    network, table = open_network(model, threads=threads, trained=True), read_table(data)
    fill = fill_values(network.inputs, said(network))
    ends = network.inputs, network.targets
    table, X, y = used_rows(table, *ends, classes_of(network), missing, fill, categories_of(network))
    found = scores(network, filled(X, middles(X, missing, fill)), y)
    if as_json:
        say(json_text({"data": str(table.path), "rows": len(table), "scores": found}))
        return
    say(f"data      {table.path}: {len(table):,} rows")
    say(score_table({"all rows": found}))


def json_text(result: Mapping[str, Any]) -> str:
    """One JSON object, on one line; what is no number is null."""
    return json.dumps(json.loads(json.dumps(result), parse_constant=lambda _: None))


def counted(network: Network) -> str:
    """Nodes, edges, levels, parameters.

    Examples
    --------
    >>> import dagnet
    >>> counted(dagnet.Network(dagnet.layered([2, 3, 1]), seed=0))
    '6 nodes, 9 edges, 3 levels, 13 parameters'
    """
    return ", ".join(markup.counted(count, noun[:-1]) for noun, count in sizes(network).items())


def sizes(network: Network) -> dict[str, int]:
    """The same as numbers."""
    topology = network.topology
    return {
        "nodes": topology.n_nodes,
        "edges": topology.n_edges,
        "levels": int(topology.level.max()) + 1,
        "parameters": len(network.parameters),
    }


def score_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A table of the :func:`scores` of each part."""
    heads = list(next(iter(rows.values())))
    lines = ["          " + "".join(f"{head:>10}" for head in heads)]
    for name, values in rows.items():
        lines.append(f"{name:<10}" + "".join(f"{_figure(values[head]):>10}" for head in heads))
    return "\n".join(lines)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"


def scores(network: Network, X: Columns, y: Columns) -> dict[str, float]:
    """Loss, and what else measures predictions of that kind.

    Of several targets the mean; but where each row has one 1, accuracy is how often that one is the largest.
    """
    result = {"loss": network.evaluate(X, y, missing="skip")}
    kinds = {head.loss.targets for head in network.heads.values() if head.loss.columns == 1}
    for metric, head, among in SCORES:
        if kinds & among:
            result[head] = network.score(X, y, metric, missing="skip")
    truth = np.column_stack([y[name] for name in network.targets])
    if "accuracy" in result and network.targets == network.outputs and are_exclusive(truth):
        result["accuracy"] = accuracy(truth, network.predict(X))
    return result


def are_exclusive(truth: Array) -> bool:
    """Whether (rows, targets) has one 1 in each row, and 0 elsewhere."""
    return truth.shape[1] > 1 and bool(np.isin(truth, (0, 1)).all() and (truth.sum(axis=1) == 1).all())
