"""The fit loop: mini-batches, an optimizer, a history.  It prints nothing and opens no file.

What else should happen while a network learns (a bar, a log, early stopping, checkpoints) is a
callback's business; see :class:`dagnet.contracts.Callback`.
"""

from dagnet.training.resume import Carried, carry, restore
from dagnet.training.rows import Batches, Rows, mean_loss_of
from dagnet.training.run import TrainingRun
from dagnet.training.settings import Settings, checked_callbacks

__all__ = [
    "Batches",
    "Carried",
    "Rows",
    "Settings",
    "TrainingRun",
    "carry",
    "checked_callbacks",
    "mean_loss_of",
    "restore",
]
