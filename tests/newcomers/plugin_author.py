"""A plugin author's afternoon: a thing of each kind, checked, printed, used, shipped, and missed.

The plugin is written as a module with its distribution's metadata into a folder, which is what pip leaves
behind; other processes find it there or do not.  Every result is calculated a second time in NumPy.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import dagnet
import dagnet.testing

MODULE = '''
"""What a newcomer offers: five things."""

import json
from dataclasses import dataclass

import networkx as nx
import numpy as np

import dagnet
from dagnet.values import POSITIVE


def ricker(z, width):
    """The wavelet (1 − u²) exp(−u²/2) with u = z/width."""
    u = z / width
    return (1.0 - u**2) * np.exp(-(u**2) / 2.0)


def gamma_deviance(outputs, targets, weight):
    """2 Σ ((t − o)/o − log(t/o)): for durations and amounts, which are above 0."""
    return 2.0 * weight * np.sum((targets - outputs) / outputs - np.log(targets / outputs), axis=1)


def spread(generator, fan_in, fan_out, gain):
    """Uniform in ± gain/fan_in."""
    return gain / fan_in * generator.uniform(-1.0, 1.0, size=fan_in.shape)


@dataclass(frozen=True)
class Belief(dagnet.Optimizer):
    """AdaBelief without its corrections: steps by how far gradients are from their mean."""

    name, state_names = "belief", ("mean", "surprise")
    rules = {"learning_rate": POSITIVE, "eps": POSITIVE}
    learning_rate: float = 0.01
    memory: float = 0.9
    eps: float = 1e-4

    def update(self, parameter, gradient, state, step, learning_rate):
        mean = self.memory * state["mean"] + (1.0 - self.memory) * gradient
        surprise = self.memory * state["surprise"] + (1.0 - self.memory) * (gradient - mean) ** 2
        moved = parameter - learning_rate * mean / (np.sqrt(surprise) + self.eps)
        return moved, {"mean": mean, "surprise": surprise}


def write_listing(network, stream, observations):
    """A line for the graph, one for each node, one for each edge, in JSON."""
    for node in network.nodes:
        if type(node) not in (str, int):
            raise dagnet.DataError(f"a listing names nodes by text or whole numbers, got {node!r}; rename it")
    graph = network.to_networkx()
    lines = [dict(graph.graph), *map(list, graph.nodes(data=True)), *map(list, graph.edges(data=True))]
    stream.write("\\n".join(json.dumps(line, default=np.ndarray.tolist) for line in lines).encode())


def read_listing(stream):
    first, *lines = map(json.loads, stream.read().decode().splitlines())
    graph = nx.DiGraph(**first)
    graph.add_nodes_from(line for line in lines if len(line) == 2)
    graph.add_edges_from(line for line in lines if len(line) == 3)
    return graph


@dagnet.hookimpl
def dagnet_activations():
    return [dagnet.Activation("ricker", ricker, parameters={"width": 1.0}, rules={"width": POSITIVE})]


@dagnet.hookimpl
def dagnet_losses():
    loss = dagnet.Loss(
        "gamma_deviance",
        gamma_deviance,
        targets="positive",
        outputs="positive",
        parameters={"weight": 1.0},
        rules={"weight": POSITIVE},
    )
    return [loss]


@dagnet.hookimpl
def dagnet_initializers():
    return [dagnet.Initializer("spread", spread, parameters={"gain": 2.0}, rules={"gain": POSITIVE})]


@dagnet.hookimpl
def dagnet_optimizers():
    return [Belief]


@dagnet.hookimpl
def dagnet_exporters():
    return [dagnet.Exporter("listing", ".listing", write_listing, read_listing)]
'''
NAMES = ["ricker", "gamma_deviance", "spread", "belief", "listing"]


def written(folder):
    """The module, and what pip writes beside it."""
    (folder / "dagnet_newcomer.py").write_text(MODULE)
    about = folder / "dagnet_newcomer-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dagnet-newcomer\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[dagnet]\ndagnet_newcomer = dagnet_newcomer\n")


def python(*arguments, there=None):
    """Another process, which sees the plugin's folder or does not."""
    path = os.pathsep.join(filter(None, [str(there) if there else "", os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


# ── What is wrong is refused where it is made ─────────────────────────────────────────────


def refused(error, make, *words):
    """The message, in which these words are."""
    with pytest.raises(error) as found:
        make()
    print(f"{found.type.__name__}: {found.value}\n")
    assert all(word in str(found.value) for word in words), (words, str(found.value))
    return str(found.value)


def refusals():
    def sloppy(z, a):
        return 3.0 * z

    text = refused(dagnet.PluginError, lambda: dagnet.Activation("cube", lambda z: z**3, sloppy), "sloppy")
    must, place, got = map(float, re.search(r"must be .*?, (\S+) at (\S+), got ([^;]+);", text).groups())
    assert np.allclose([must, got], [3.0 * place**2, 3.0 * place], rtol=1e-4)
    ricker = dagnet.activations()["ricker"]
    refused(dagnet.DagnetError, lambda: ricker.bind(width=-1.0), "ricker", "width", "-1")
    graph = dagnet.layered([2, 2, 1], activation="ricker(widht=2.0)")
    refused(dagnet.DagnetError, lambda: dagnet.Network(graph), "widht", "width")
    refused(dagnet.PluginError, lambda: dagnet.register(dagnet.Activation("relu", np.tanh)), "relu")
    net = dagnet.Network(dagnet.layered([2, 1]), loss="gamma_deviance", seed=0)
    refused(dagnet.DataError, lambda: net.evaluate([[1.0, 1.0]], [-2.0]), "-2")
    net.weights["x1", "eta"] = net.weights["x2", "eta"] = -1.0
    refused(dagnet.DagnetError, lambda: net.evaluate([[1.0, 1.0]], [2.0]), "gamma_deviance", "-2")


# ── Checked, printed, used ────────────────────────────────────────────────────────────────


def conformance():
    """The kit, at other settings than the defaults, which ``dagnet plugins check`` takes below."""
    dagnet.testing.check_activation("ricker(width=0.5)")
    dagnet.testing.check_loss("gamma_deviance(weight=3.0)")
    dagnet.testing.check_initializer("spread(gain=0.1)")
    dagnet.testing.check_optimizer("belief(memory=0.5)")
    dagnet.testing.check_exporter("listing")


def printed():
    ricker, loss = dagnet.activations()["ricker"], dagnet.losses()["gamma_deviance"]
    slope = ricker.formula.derivative("z")
    print(ricker.formula, slope.latex, loss.formula, loss.formula.derivative("outputs").latex, sep="\n")
    assert "\\mathrm{width}" in slope.latex or "width" in slope.latex
    z = np.linspace(-3.0, 3.0, 13)
    u = z / 0.7
    assert np.allclose(ricker.formula(z, 0.7), (1 - u**2) * np.exp(-(u**2) / 2), atol=1e-15)
    assert np.allclose(slope(z, 0.7), (u**3 - 3 * u) * np.exp(-(u**2) / 2) / 0.7, atol=1e-14)
    wide = ricker.bind(width=0.7)
    assert np.allclose(wide.slope(z, wide.value(z)), slope(z, 0.7), atol=1e-14)
    o, t = np.array([[0.5, 2.0]]), np.array([[1.5, 1.0]])
    assert np.allclose(loss.row_values(o, t), np.sum(2 * ((t - o) / o - np.log(t / o)), axis=1))
    assert np.allclose(loss.row_gradients(o, t), 2 * (1 / o - t / o**2))


def trained(folder):
    """Five epochs of full batches; the first two steps are calculated by hand."""
    draw = np.random.default_rng(5)
    X = draw.normal(size=(60, 2))
    y = np.exp(0.5 * X[:, 0]) + 0.1
    graph = dagnet.layered([2, 4, 1], activation="ricker(width=1.5)", output_activation="softplus")

    def fresh():
        return dagnet.Network(graph, loss="gamma_deviance", initializer="spread(gain=1.0)", seed=3)

    net = fresh()
    assert all(
        abs(weight) <= 1.0 / (4 if child == "eta" else 2) for (_, child), weight in net.weights.items()
    )
    assert dagnet.check_gradient(net, X, y).passed
    assert dagnet.verify(net, X, y).passed

    parameters, mean, surprise = net.parameters.copy(), 0.0, 0.0
    for _ in range(2):
        by_hand = fresh()
        by_hand.parameters[:] = parameters
        gradient = by_hand.gradient(X, y).flat
        mean = 0.9 * mean + 0.1 * gradient
        surprise = 0.9 * surprise + 0.1 * (gradient - mean) ** 2
        parameters = parameters - 0.02 * mean / (np.sqrt(surprise) + 1e-4)
    net.fit(X, y, epochs=2, batch_size=60, optimizer="belief(learning_rate=0.02)")
    assert np.allclose(net.parameters, parameters, rtol=1e-9, atol=1e-12)

    history = net.fit(X, y, epochs=200, batch_size=60, optimizer="belief", learning_rate=0.002)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    outputs = net(X)[:, 0]
    assert np.isclose(net.evaluate(X, y), np.mean(2 * ((y - outputs) / outputs - np.log(y / outputs))))
    net.save(folder / "kept.dagnet")
    net.export(folder / "kept.listing")
    read = dagnet.read_graph(folder / "kept.listing")
    assert {edge: read.edges[edge]["weight"] for edge in read.edges} == dict(net.weights)
    return net(X[:3])[:, 0].tolist(), X[:3].tolist()


# ── Shipped ───────────────────────────────────────────────────────────────────────────────


def shipped(folder, there, values, rows):
    """Another process that has the plugin calculates the same bits; one that has not says what is missing."""
    script = "import dagnet, sys; print(dagnet.load(sys.argv[1])(eval(sys.argv[2]))[:, 0].tolist())"
    found = python("-c", script, str(folder / "kept.dagnet"), repr(rows), there=there)
    assert found.returncode == 0, found.stderr
    assert eval(found.stdout) == values
    missing = python("-c", script, str(folder / "kept.dagnet"), repr(rows))
    assert missing.returncode == 1
    last = missing.stderr.strip().splitlines()[-1]
    print(last)
    assert "PluginError" in last
    assert "dagnet-newcomer" in last, last

    checked = python("-m", "dagnet", "plugins", "check", "dagnet-newcomer", there=there)
    print(checked.stdout)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert all(name in checked.stdout for name in NAMES), checked.stdout


def main(folder):
    there = folder / "site"
    there.mkdir()
    written(there)
    sys.path.insert(0, str(there))
    assert "ricker" in dagnet.activations()  # found by its entry point, nothing imported
    refusals()
    conformance()
    printed()
    shipped(folder, there, *trained(folder))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
