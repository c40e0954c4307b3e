"""A fly's brain: 3,350 neurons and 164,773 connections, drawn at random, through six ticks.

As in Lappalainen et al. (2024), https://doi.org/10.1038/s41586-024-07939-3: the wiring and the signs are
given, a connection's strength is its synapse count times the gain of its pair of cell types, and neurons
of a type have one bias.
"""

from statistics import median

import networkx as nx
import numpy as np
import pytest
from measuring import one_core, seconds

import dagnet

TICKS = 6


class Brain:
    """Who sends to whom, through how many synapses; the first neurons see, the last ones are read."""

    def __init__(self, neurons=3_350, edges=164_773, types=20, seen=150, read=10, seed=0):
        rng = np.random.default_rng(seed)
        self.neurons, self.seen, self.read, self.types = neurons, seen, read, types
        keys = rng.choice(neurons * (neurons - seen), edges, replace=False)
        self.sources, self.targets = keys // (neurons - seen), seen + keys % (neurons - seen)
        self.counts = rng.geometric(0.3, edges)
        self.type = np.where(np.arange(neurons) < seen, 0, rng.integers(1, types, neurons))
        self.sign = np.where((rng.random(neurons) < 0.3) & (np.arange(neurons) >= seen), -1, 1)
        self.gain = rng.uniform(0.002, 0.02, (types, types))
        self.bias = rng.uniform(-0.1, 0.1, types)

    def graph(self):
        """As dagnet is told of it."""
        graph = nx.DiGraph()
        graph.add_nodes_from(range(self.seen))
        for neuron in range(self.seen, self.neurons):
            kind, sign = int(self.type[neuron]), int(self.sign[neuron])
            bias = float(self.bias[kind])
            graph.add_node(neuron, activation="sigmoid", bias=bias, share=kind, sign=sign)
        ends = self.sources.tolist(), self.targets.tolist(), self.counts.tolist()
        for u, v, count in zip(*ends, strict=True):
            pair, factor = (int(self.type[u]), int(self.type[v])), int(self.sign[u]) * count
            weight = factor * float(self.gain[pair])
            graph.add_edge(u, v, share=pair, factor=factor, weight=weight)
            if u < self.seen:
                graph.edges[u, v]["bounds"] = (0, None)  # light excites
        return graph

    def unrolled(self):
        """Through time: the eyes see at every tick, what is read is read at the last."""
        read = range(self.neurons - self.read, self.neurons)
        return dagnet.unroll(self.graph(), TICKS, inputs=range(self.seen), outputs=read)

    def recurrent(self, X, gain, bias, stored):
        """The same in PyTorch: a product a tick; X is (rows, ticks · seen), tick after tick."""
        import torch

        pair = torch.tensor(self.type[self.sources] * self.types + self.type[self.targets])
        synapses = torch.tensor(self.sign[self.sources] * self.counts).to(gain.dtype)
        ends = torch.tensor(np.stack([self.targets, self.sources]))
        values, size = synapses * gain.reshape(-1)[pair], (self.neurons, self.neurons)
        weights = stored(torch.sparse_coo_tensor(ends, values, size, check_invariants=False))
        b = bias[torch.tensor(self.type[self.seen :])].reshape(-1, 1)
        seen = X.T.reshape(TICKS, self.seen, -1)
        brain = torch.sigmoid(b).expand(-1, X.shape[0])
        for tick in range(1, TICKS):
            terms = weights @ torch.cat([seen[tick - 1], brain])
            brain = torch.sigmoid(terms[self.seen :] + b)
        return brain[-self.read :].T


def examples(brain, rows=64, dtype=np.float64):
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(rows, TICKS * brain.seen)).astype(dtype)
    return X, rng.uniform(size=(rows, brain.read)).astype(dtype)


def compare(brain):
    """Loss and every gradient of dagnet against PyTorch's, float64."""
    import torch

    X, y = examples(brain)
    net = dagnet.Network(brain.unrolled(), loss="squared_error", threads=1)
    gain, bias = (torch.tensor(part, requires_grad=True) for part in (brain.gain, brain.bias))
    read = brain.recurrent(torch.tensor(X), gain, bias, torch.Tensor.coalesce)
    loss = ((read - torch.tensor(y)) ** 2).sum(dim=1).mean()
    loss.backward()
    np.testing.assert_allclose(net(X), read.detach().numpy(), rtol=1e-11)
    gradient = net.gradient(X, y)
    assert gradient.loss == pytest.approx(loss.item(), rel=1e-9)
    scale = gain.grad.abs().max().item()
    seen = set()
    for u, v, count in zip(brain.sources, brain.targets, brain.counts, strict=True):
        pair = int(brain.type[u]), int(brain.type[v])
        if pair not in seen:  # each free parameter once
            seen.add(pair)
            factor = brain.sign[u] * count
            found = gradient.weights[(u, 0), (v, 1)] * factor
            assert found == pytest.approx(float(gain.grad[pair]), rel=1e-9, abs=1e-9 * scale), pair
    kinds = {int(kind): neuron for neuron, kind in enumerate(brain.type) if neuron >= brain.seen}
    for kind, neuron in kinds.items():
        found = gradient.biases[neuron, TICKS - 1]
        assert found == pytest.approx(float(bias.grad[kind]), rel=1e-9, abs=1e-12), kind
    assert len(net.parameters) == len(seen) + len(kinds) <= 500
    return net


def refuse_violations(brain, net):
    """What a neuron sends has its sign, at every tick the same."""
    weights = dict(net.weights)
    for u, v in zip(brain.sources.tolist(), brain.targets.tolist(), strict=True):
        at = [weights[(u, tick), (v, tick + 1)] for tick in range(TICKS - 1)]
        assert at[0] * brain.sign[u] >= 0
        assert at == [at[0]] * len(at)


def test_a_small_brain_learns_as_a_recurrent_net_in_pytorch():
    pytest.importorskip("torch")
    brain = Brain(neurons=120, edges=2_400, types=5, seen=12)
    net = compare(brain)
    X, y = examples(brain)
    net.fit(X, y, epochs=30, learning_rate=0.05, seed=0)
    refuse_violations(brain, net)


def step_of_pytorch(brain, stored):
    """A step of Adam on 64 rows in float32, gains held at 0 or more."""
    import torch

    X, y = map(torch.tensor, examples(brain, dtype=np.float32))
    free = [torch.tensor(part.astype(np.float32), requires_grad=True) for part in (brain.gain, brain.bias)]
    rule = torch.optim.Adam(free)

    def step():
        rule.zero_grad()
        loss = ((brain.recurrent(X, *free, stored) - y) ** 2).sum(dim=1).mean()
        loss.backward()
        rule.step()
        with torch.no_grad():
            free[0].clamp_(min=0)

    return step


@pytest.mark.slow
@one_core()
def test_the_whole_brain_and_how_long_it_takes():
    torch = pytest.importorskip("torch")
    brain = Brain()
    unrolled = brain.unrolled()
    copying = seconds(lambda: nx.DiGraph(unrolled))
    nets = []
    building = min(
        seconds(lambda: nets.append(dagnet.Network(unrolled, dtype="float32", threads=1, seed=0)))
        for _ in range(3)
    )
    net = nets[-1]
    X, y = examples(brain, dtype=np.float32)
    told = {"batch_size": 64, "seed": 0, "progress": False}
    net.fit(X, y, epochs=1, **told)
    forms = {"COO": torch.Tensor.coalesce, "dense": torch.Tensor.to_dense}
    steps = {name: step_of_pytorch(brain, stored) for name, stored in forms.items()}
    times = {name: [] for name in ("dagnet", *steps)}
    for _ in range(5):
        once, more = (seconds(lambda n=n: net.fit(X, y, epochs=n, **told)) for n in (1, 11))
        times["dagnet"].append((more - once) / 10)
        for name, step in steps.items():
            times[name].append(seconds(step))
    took = {name: median(of) for name, of in times.items()}
    print(f"\nfly: {unrolled.size():,} edges; Network {building:.1f} s, nx.DiGraph {copying:.1f} s;", end=" ")
    print(
        f"{len(net.parameters)} parameters; steps of 64 rows, ms:",
        {k: round(1e3 * t, 1) for k, t in took.items()},
    )
    assert building <= 5
    assert min(took["COO"], took["dense"]) >= 15 * took["dagnet"]
    refuse_violations(brain, net)
    compare(brain)
