"""Draw a network as a NetworkX DAG; train it exactly as drawn, and read every number back by name."""

from dagnet.callbacks import Checkpoint, CSVLog, EarlyStopping, LearningRateSchedule, ProgressBar
from dagnet.contracts import (
    Activation,
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
from dagnet.explain import check_gradient, verify
from dagnet.formats import read_graph
from dagnet.hookspecs import hookimpl
from dagnet.layered import layered
from dagnet.network import Network, load
from dagnet.preparing import prepare_graph
from dagnet.registry import activations, engines, exporters, initializers, losses, optimizers, register

__version__ = "0.1.0"
__all__ = [
    "Activation",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "CycleError",
    "DagnetError",
    "DagnetWarning",
    "DataError",
    "EarlyStopping",
    "Engine",
    "Exporter",
    "FormatError",
    "Formula",
    "GraphError",
    "History",
    "Initializer",
    "LearningRateSchedule",
    "Loss",
    "Network",
    "NumericalError",
    "Observations",
    "Optimizer",
    "PluginError",
    "ProgressBar",
    "Run",
    "activations",
    "check_gradient",
    "engines",
    "exporters",
    "hookimpl",
    "initializers",
    "layered",
    "load",
    "losses",
    "optimizers",
    "prepare_graph",
    "read_graph",
    "register",
    "verify",
]


def __getattr__(name: str) -> object:
    """``dagnet.Formula``, whose room is read when it is first asked for."""
    if name == "Formula":
        from dagnet.formula import Formula  # noqa: PLC0415 - see above

        return Formula
    raise AttributeError(f"module 'dagnet' has no attribute {name!r}")
