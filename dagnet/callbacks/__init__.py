"""What can be done while a network learns: stop early, keep checkpoints, change the rate, log, show.

Each is a :class:`dagnet.contracts.Callback`, as anybody's own would be.
"""

from dagnet.callbacks.checkpoint import Checkpoint, found_checkpoint
from dagnet.callbacks.progress import CSVLog, ProgressBar, watched, with_progress
from dagnet.callbacks.watching import EarlyStopping, LearningRateSchedule

__all__ = [
    "CSVLog", "Checkpoint", "EarlyStopping", "LearningRateSchedule", "ProgressBar", "found_checkpoint",
    "watched", "with_progress",
]  # fmt: skip
