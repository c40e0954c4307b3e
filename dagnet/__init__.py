"""Draw a network as a NetworkX DAG; train it exactly as drawn, and read every number back by name."""

from dagnet.contracts import Activation, Loss
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
from dagnet.hookspecs import hookimpl
from dagnet.layered import layered
from dagnet.network import Network
from dagnet.registry import activations, engines, exporters, initializers, losses, optimizers, register

__all__ = [
    "Activation",
    "CycleError",
    "DagnetError",
    "DagnetWarning",
    "DataError",
    "FormatError",
    "GraphError",
    "Loss",
    "Network",
    "NumericalError",
    "PluginError",
    "activations",
    "engines",
    "exporters",
    "hookimpl",
    "initializers",
    "layered",
    "losses",
    "optimizers",
    "register",
]
