"""``dagnet predict`` and ``dagnet evaluate``."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

from dagnet.cli.files import check_writable, open_trained
from dagnet.cli.reports import score_lines
from dagnet.cli.tables import read_table
from dagnet.storage import atomically


def predict_file(model: Path, data: Path, out: Path | None, threads: int | None) -> None:
    """Write predictions as CSV."""
    if out is not None:
        check_writable(out)
    network, table = open_trained(model, threads), read_table(data)
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


def evaluate_file(model: Path, data: Path, threads: int | None, say: Callable[[str], None]) -> None:
    """Print how good the predictions are."""
    network, table = open_trained(model, threads), read_table(data)
    X, y = table.columns(network.inputs), table.columns(network.outputs)
    say(f"data      {data}: {len(table):,} rows")
    for line in score_lines(network, {"all rows": (X, y)}):
        say(line)
