"""What the tests of many processes run: ``equal`` or ``all FOLDER``, ``killed FOLDER RANK BATCH [BLOCKS]``.

Each process trains the same networks, and rank 0 writes what came out to a file.
"""

import os
import pathlib
import signal
import sys
import warnings

import networkx as nx
import numpy as np

import dagnet

SIZE = 48
ROWS = 5 * SIZE
EPOCHS = 10  # of five batches: fifty steps
ARGUMENTS = {"epochs": EPOCHS, "batch_size": SIZE, "seed": 3, "learning_rate": 0.01}


def graph(**words):
    """Five inputs, three layers with edges that skip some, and the nodes' words by layer."""
    rng, known = np.random.default_rng(0), [f"x{k}" for k in range(5)]
    result = nx.DiGraph()
    for layer in range(3):
        said = {word: values[layer] for word, values in words.items() if values[layer] is not None}
        new = [f"h{layer}{k}" for k in range(6)]
        for node in new:
            result.add_node(node, **said)
            parents = rng.choice(len(known), 4, replace=False)
            result.add_edges_from((known[parent], node) for parent in parents)
        known += new
    result.add_edges_from((parent, output) for parent in known[-6:] for output in ("y1", "y2"))
    return result


PLAIN = {"activation": ["tanh", "silu", "tanh"]}
DROPS = {"dropout": [0.2, None, 0.4], **PLAIN}
NORMALISES = {"normalization": ["batch", None, "batch"], "units": [1, 2, 1], "dropout": [None, 0.3, None]}
CASES = {
    "plain": (PLAIN, {}, {}),
    "clipped": (PLAIN, {"dtype": "float32"}, {"l1": 1e-4, "l2": 1e-3, "clip_norm": 0.5, "optimizer": "sgd"}),
    "drops": (DROPS, {}, {"optimizer": "sgd(momentum=0.9)"}),
    "normalises": (NORMALISES, {}, {"clip_value": 0.1}),
    "reference": ({**NORMALISES, "aggregation": [None, "max", None]}, {"engine": "reference"}, {}),
    "heads": (NORMALISES, {"loss": {"y1": "huber", "y2": "squared_error"}}, {"missing": "skip"}),
    "searches": (PLAIN, {}, {"optimizer": "lbfgs", "batch_size": ROWS, "epochs": 5}),
}


def data(name):
    """X, y and sample weights; of heads some labels are missing."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(ROWS, 5))
    y = np.stack([X[:, 0] * X[:, 1], np.sin(X[:, 2]) + X[:, 3]], axis=1)
    if name == "heads":
        y[rng.random(y.shape) < 0.3] = np.nan
    return X, y, rng.integers(0, 4, ROWS).astype(float)


def train(name, blocks=None, distributed=False, **more):  # noqa: FBT002 - as fit has it
    """A case's vector after fifty steps, and its losses."""
    words, of_network, of_fit = CASES[name]
    X, y, weights = data(name)
    net = dagnet.Network(graph(**words), outputs=["y1", "y2"], seed=0, threads=1, **of_network)
    arguments = {**ARGUMENTS, "sample_weight": weights, **of_fit, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dagnet.DagnetWarning)
        history = net.fit(X, y, blocks=blocks, distributed=distributed, **arguments)
    return {"vector": net.vector.copy(), "loss": np.array(history["loss"])}


class Kill(dagnet.Callback):
    """Kill a rank amid a step, or stop it there if ``FROZEN`` is set."""

    def __init__(self, rank, batch):
        self.rank, self.left = rank, batch

    def on_gradient(self, run, flat):
        self.left -= 1
        if self.left == 0 and int(os.environ["RANK"]) == self.rank:
            if "KILLED" in os.environ:
                pathlib.Path(os.environ["KILLED"]).touch()
            os.kill(os.getpid(), signal.SIGSTOP if os.environ.get("FROZEN") else signal.SIGKILL)


def refusals(rank):
    """What is said where rank 1 begins with something else, by what that is."""
    X, y, _ = data("plain")
    one = rank == 1
    tries = {
        "graph": lambda: train("drops" if one else "plain", distributed=True),
        "shape": lambda: fit(X[: ROWS - one], y[: ROWS - one]),
        "settings": lambda: fit(X, y, batch_size=16 + one, learning_rate=0.1 + one),
        "seed": lambda: fit(X, y, seed=None),
        "start": lambda: fit(X, y, start=rank),
        "blocks": lambda: fit(X, y, blocks=3),
        "version": lambda: versioned("9.9" if one else dagnet.__version__, X, y),
        "coupled": lambda: fit(X, y[:, :1], loss=dagnet.Loss("spread", spread, rowwise=False)),
        "drift": lambda: fit(X, y, callbacks=[Drift(rank)]),
    }
    said = {}
    for what, refused in tries.items():
        try:
            refused()
            said[what] = "nothing"
        except dagnet.DagnetError as error:
            said[what] = f"{type(error).__name__}: {error}"
    return said


def spread(outputs, targets):
    return (outputs[:, 0] - targets[:, 0].mean()) ** 2


class Drift(dagnet.Callback):
    """A callback that does something else in one process."""

    def __init__(self, rank):
        self.rank = rank

    def on_epoch_end(self, run):
        run.model.parameters[0] += self.rank


def fit(X, y, start=0, loss=None, seed=1, **more):
    net = dagnet.Network(graph(**PLAIN), outputs=["y1", "y2"][: y.shape[1]], seed=start, loss=loss)
    net.fit(X, y, seed=seed, epochs=2, distributed=True, **more)


def versioned(version, *arrays):
    before, dagnet.__version__ = dagnet.__version__, version
    try:
        fit(*arrays)
    finally:
        dagnet.__version__ = before


class Late(dagnet.Callback):
    """A callback that stops by the clock: at another time in each process."""

    def on_batch_end(self, run):
        run.stop |= run.batch + run.batches * (run.epoch - 1) >= 11 - 3 * int(os.environ["RANK"])


def equal(folder):
    rank, found = int(os.environ["RANK"]), {}
    for name in CASES:
        for blocks in (None, 8):
            for what, value in train(name, blocks, distributed=True).items():
                found[f"{name} {blocks} {what}"] = value
    np.savez(folder / f"rank{rank}.npz", **found)


def others(folder):
    rank, callbacks = int(os.environ["RANK"]), [Late(), dagnet.Checkpoint(folder / "shared.dagnet")]
    callbacks += [dagnet.CSVLog(folder / "log.csv"), dagnet.ProgressBar(always=True)]
    found = {"stopped": train("drops", 8, distributed=True, callbacks=callbacks)["loss"]}
    found["alone"] = train("drops", epochs=2 + rank)["loss"]  # without distributed each by itself
    found |= {f"refused {what}": np.array(text) for what, text in refusals(rank).items()}
    np.savez(folder / f"others{rank}.npz", **found)


def killed(folder, rank, batch, blocks=8):
    path = folder / "run.dagnet"
    callbacks = [dagnet.Checkpoint(path), dagnet.CSVLog(folder / "log.csv"), Kill(rank, batch)]
    found = train("normalises", blocks, distributed=True, resume=path, callbacks=callbacks)
    if os.environ["RANK"] == "0":
        np.savez(folder / "end.npz", **found)


if __name__ == "__main__":
    place = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "killed":
        killed(place, *map(int, sys.argv[3:]))
    else:
        equal(place)
    if sys.argv[1] == "all":
        others(place)
