"""Draw a network as a NetworkX DAG; train it exactly as drawn, and read every number back by name."""

from importlib import import_module
from typing import TYPE_CHECKING

from dagnet.callbacks import Checkpoint, CSVLog, EarlyStopping, LearningRateSchedule, ProgressBar
from dagnet.contracts import (
    Activation,
    Aggregation,
    Attributor,
    Callback,
    Engine,
    Exporter,
    History,
    Initializer,
    Loss,
    Observations,
    Optimizer,
    Run,
)
from dagnet.errors import (
    CycleError,
    DagnetError,
    DagnetWarning,
    DataError,
    FormatError,
    GraphError,
    NumericalError,
    PluginError,
)
from dagnet.formats import read_graph
from dagnet.hookspecs import hookimpl
from dagnet.layered import layered
from dagnet.loading import load
from dagnet.network import Network
from dagnet.registry import (
    activations,
    aggregations,
    attributions,
    engines,
    exporters,
    initializers,
    losses,
    optimizers,
    register,
)

if TYPE_CHECKING:
    from dagnet.controls import compare_wirings, importance
    from dagnet.editing import compare
    from dagnet.explain.gradient_check import check_gradient
    from dagnet.explain.importance import Importance
    from dagnet.explain.verification import verify
    from dagnet.formula import Formula
    from dagnet.population import Population
    from dagnet.preparing import prepare_graph
    from dagnet.rewiring import rewired
    from dagnet.unrolling import unroll

__version__ = "0.1.0"
__all__ = [
    "Activation", "Aggregation", "Attributor", "CSVLog", "Callback", "Checkpoint", "CycleError",
    "DagnetError", "DagnetWarning", "DataError", "EarlyStopping", "Engine", "Exporter", "FormatError",
    "Formula", "GraphError", "History", "Importance", "Initializer", "LearningRateSchedule", "Loss",
    "Network", "NumericalError", "Observations", "Optimizer", "PluginError", "Population", "ProgressBar",
    "Run", "activations", "aggregations", "attributions", "check_gradient", "compare", "compare_wirings",
    "engines", "exporters", "hookimpl", "importance", "initializers", "layered", "load", "losses",
    "optimizers", "prepare_graph", "read_graph", "register", "rewired", "unroll", "verify",
]  # fmt: skip


LATE = {
    "Formula": "formula",
    "Importance": "explain.importance",
    "Population": "population",
    "check_gradient": "explain.gradient_check",
    "compare": "editing",
    "compare_wirings": "controls",
    "importance": "controls",
    "prepare_graph": "preparing",
    "rewired": "rewiring",
    "unroll": "unrolling",
    "verify": "explain.verification",
}


def __getattr__(name: str) -> object:
    """What few need is read when it is first asked for."""
    if name in LATE:
        return getattr(import_module(f"dagnet.{LATE[name]}"), name)
    raise AttributeError(f"module 'dagnet' has no attribute {name!r}")
