"""``dagnet show`` and ``dagnet plugins``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from dagnet import registry
from dagnet.cli.files import open_network
from dagnet.cli.reports import counted
from dagnet.contracts import Activation
from dagnet.errors import PluginError, shorten
from dagnet.network import Network

Say = Callable[[str], None]
KINDS = ("activations", "losses", "optimizers", "initializers", "exporters", "engines")
LISTED = 8


def show_file(path: Path, say: Say) -> None:
    """Print what a network is, and its plan."""
    network = open_network(path)
    say(f"{path}: {counted(network)}")
    say(f"inputs    {_listed(network.inputs)}")
    say(f"outputs   {_listed(network.outputs)}")
    say(f"loss      {network.loss}")
    say(f"runs on   {network.engine}, {network.dtype}, {network.threads} threads")
    say("")
    say(str(network.plan))


def _listed(names: Sequence[object]) -> str:
    shown = ", ".join(shorten(name) if not isinstance(name, str) else name for name in names[:LISTED])
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def list_plugins(say: Say) -> None:
    """Print kind, name, origin and how they run, of all plugins."""
    rows = [("kind", "name", "from", "runs as")]
    for kind in KINDS:
        table = getattr(registry, kind)()
        forms = _forms(kind, table)
        rows += [
            (kind, name, str(registry.origin(kind, name) or ""), forms.get(name, ""))
            for name in sorted(table)
        ]
    for line in _aligned(rows):
        say(line)


def _forms(kind: str, table: Mapping[str, Any]) -> dict[str, str]:
    """What runs compiled on the default engine, and what as NumPy."""
    if kind == "activations":
        return {name: _form(activation) for name, activation in table.items()}
    if kind == "optimizers":
        engine = registry.engines()[Network(nx.DiGraph([("x", "y")])).engine]
        fused = {
            name: engine.fused_step(optimizer(), dtype=np.dtype("float64"), threads=1)
            for name, optimizer in table.items()
        }
        return {name: "NumPy" if step is None else engine.name for name, step in fused.items()}
    return {}


def _form(activation: Activation) -> str:
    graph: nx.DiGraph[Any] = nx.DiGraph([("x", "y")])
    graph.nodes["y"]["activation"] = activation
    try:
        network = Network(graph)
    except PluginError as error:  # one that misbehaves must not hide the others
        return f"refused: {error}"
    if network.engine == "reference":
        return "NumPy"
    return str(network.plan.notes.get(str(activation), network.engine))


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    table = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return [line.rstrip() for line in padded]
