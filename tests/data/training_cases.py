"""Data, a network and a recording callback that the tests of training share."""

from __future__ import annotations

import numpy as np

import dagnet


def make_data(rows=40, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, 2))
    return X, np.sin(X[:, 0]) * X[:, 1]


def make_net(**arguments):
    return dagnet.Network(dagnet.layered([2, 4, 3, 1], activation="tanh"), seed=0, **arguments)


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
