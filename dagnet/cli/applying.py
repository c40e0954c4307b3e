"""``dagnet show``, ``dagnet predict`` and ``dagnet evaluate``."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

from dagnet.cli.files import check_writable, open_network
from dagnet.cli.reports import counted, score_table
from dagnet.cli.tables import read_table
from dagnet.markup import names_text
from dagnet.storage import atomically

Say = Callable[[str], None]
LISTED = 8


def show_file(path: Path, say: Say) -> None:
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


def evaluate_file(model: Path, data: Path, threads: int | None, say: Say) -> None:
    """Print how good the predictions are."""
    network, table = open_network(model, threads, trained=True), read_table(data)
    X, y = table.columns(network.inputs), table.columns(network.outputs)
    say(f"data      {data}: {len(table):,} rows")
    say(score_table(network, {"all rows": (X, y)}))
