"""Data, a network and a recording callback that the tests of training share."""

from __future__ import annotations

import numpy as np
import pytest

import dagnet
from dagnet.plan import DENSE

SIZES = [2, 4, 3, 1]
PLANS = pytest.mark.parametrize("sizes", [SIZES, [80, 80, 1]], ids=["sparse", "dense"])
"""The second one has a dense step, of whose derivatives engines know only a bound of the norm."""


def make_data(rows=40, seed=0, inputs=2):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, inputs))
    return X, np.sin(X[:, 0]) * X[:, 1]


def make_net(sizes=SIZES, **arguments):
    net = dagnet.Network(dagnet.layered(sizes, activation="tanh"), seed=0, **arguments)
    assert (DENSE in net.plan.steps["kind"]) == (sizes[0] == 80)
    return net


class Recorder(dagnet.Callback):
    """What was seen at each joint."""

    def __init__(self):
        self.calls = []
        self.losses = []
        self.parameters = []

    def on_training_begin(self, run):
        self.calls.append("training begin")

    def on_epoch_begin(self, run):
        self.calls.append(f"epoch {run.epoch} begin")

    def on_batch_begin(self, run):
        self.parameters.append(run.model.parameters.copy())

    def on_batch_end(self, run):
        self.calls.append(f"batch {run.batch}/{run.batches}")
        self.losses.append(run.loss)

    def on_epoch_end(self, run):
        self.calls.append(f"epoch {run.epoch} end")

    def on_training_end(self, run):
        self.calls.append("training end")


class StopAt(dagnet.Callback):
    """Stops at the end of one batch."""

    def __init__(self, epoch, batch):
        self.place = epoch, batch

    def on_batch_end(self, run):
        run.stop = run.stop or (run.epoch, run.batch) == self.place
