"""``dagnet show``, ``predict`` and ``evaluate``, and the lines that commands print."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path

import numpy as np
from click import echo as say

from dagnet.arrays import Array
from dagnet.cli.files import check_writable, open_network, read_table
from dagnet.markup import names_text
from dagnet.network import Network
from dagnet.scores import accuracy, area_under_curve, determination
from dagnet.storage import atomically

LISTED = 8
Columns = Mapping[Hashable, Array]


def show_file(path: Path) -> None:
    """Print what a network is, and its plan."""
    network = open_network(path)
    say(f"{path}: {counted(network)}")
    say(f"inputs    {names_text(network.inputs, LISTED)}")
    say(f"outputs   {names_text(network.outputs, LISTED)}")
    say(f"loss      {network.loss}")
    say(f"runs on   {network.engine}, {network.dtype}, {network.threads} threads")
    say(f"\n{network.plan}")


def predict_file(model: Path, data: Path, out: Path | None, threads: int | None) -> None:
    """Write predictions as CSV."""
    if out is not None:
        check_writable(out)
    network, table = open_network(model, threads, trained=True), read_table(data)
    predicted = network.predict(table.columns(network.inputs))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([str(name) for name in network.outputs])
    writer.writerows(predicted.tolist())
    if out is None:
        sys.stdout.write(text.getvalue())
        return
    with atomically(out) as stream:
        stream.write(text.getvalue().encode())


def evaluate_file(model: Path, data: Path, threads: int | None) -> None:
    """Print how good the predictions are."""
    network, table = open_network(model, threads, trained=True), read_table(data)
    X, y = table.columns(network.inputs), table.columns(network.outputs)
    say(f"data      {data}: {len(table):,} rows")
    say(score_table(network, {"all rows": (X, y)}))


def counted(network: Network) -> str:
    """Nodes, edges, levels, parameters.

    Examples
    --------
    >>> import dagnet
    >>> counted(dagnet.Network(dagnet.layered([2, 3, 1]), seed=0))
    '6 nodes, 9 edges, 3 levels, 13 parameters'
    """
    topology = network.topology
    parts = {
        "node": topology.n_nodes,
        "edge": topology.n_edges,
        "level": int(topology.level.max()) + 1,
        "parameter": len(network.parameters),
    }
    return ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for noun, count in parts.items())


def score_table(network: Network, parts: Mapping[str, tuple[Columns, Columns]]) -> str:
    """A table: loss, and accuracy and AUC or R², of each part."""
    rows = {name: scores(network, *part) for name, part in parts.items()}
    heads = list(next(iter(rows.values())))
    lines = ["          " + "".join(f"{head:>10}" for head in heads)]
    for name, values in rows.items():
        lines.append(f"{name:<10}" + "".join(f"{_figure(values[head]):>10}" for head in heads))
    return "\n".join(lines)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"


def scores(network: Network, X: Columns, y: Columns) -> dict[str, float]:
    """Loss, and what else measures predictions of that kind; the mean over several targets."""
    result = {"loss": network.evaluate(X, y)}
    truth = np.column_stack([y[name] for name in network.outputs])
    predicted = np.asarray(network.predict(X), np.float64)
    kind = network.loss.targets
    if kind == "class":
        return result | {"accuracy": accuracy(truth, predicted)}
    columns = list(zip(truth.T, predicted.T, strict=True))
    if kind in {"binary", "probability"}:
        result["accuracy"] = float(np.mean([accuracy(*pair) for pair in columns]))
        result["AUC"] = float(np.mean([area_under_curve(*pair) for pair in columns]))
        return result
    return result | {"R²": float(np.mean([determination(*pair) for pair in columns]))}
