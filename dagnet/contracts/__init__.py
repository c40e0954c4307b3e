"""What can be plugged in: frozen data and small protocols, and nothing that runs a network.

Arrays are written with their shapes.  Activations work on any shape (engines pass
``(units, rows)``), aggregations on ``(terms, units, rows)``, losses on ``(rows, output
units)``, optimizers on the flat vector of trainable parameters.  Everything elementwise is plain
NumPy, so that an engine may run it as it stands or compile it.
"""

from dagnet.contracts.execution import (
    Compressed,
    Draw,
    Engine,
    Group,
    Heads,
    Learner,
    LossGradient,
    NotFinite,
    Runner,
    State,
    Steps,
    ThreeCalls,
    Unsupported,
    counting,
    weighted_gradient,
)
from dagnet.contracts.functions import Activation, Aggregation, Attributor
from dagnet.contracts.losses import FILLERS, RANGES, TARGETS, Loss
from dagnet.contracts.named import LEARNED, MOMENTS, Exporter, Initializer, Normalization, Observations
from dagnet.contracts.optimizer import Evaluate, Optimizer
from dagnet.contracts.training import Callback, History, Run

__all__ = [
    "FILLERS", "LEARNED", "MOMENTS", "RANGES", "TARGETS", "Activation", "Aggregation", "Attributor",
    "Callback", "Compressed", "Draw", "Engine", "Evaluate", "Exporter", "Group", "Heads", "History",
    "Initializer", "Learner", "Loss", "LossGradient", "Normalization", "NotFinite", "Observations",
    "Optimizer", "Run", "Runner", "State", "Steps", "ThreeCalls", "Unsupported",
    "counting", "weighted_gradient",
]  # fmt: skip
