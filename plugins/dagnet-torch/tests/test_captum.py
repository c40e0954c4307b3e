"""DeepLIFT and integrated gradients are Captum's on the same network, written out in PyTorch by hand.

The rules agree where nodes add up their terms and activations are elementwise.
"""

import networkx as nx
import numpy as np
import pytest

import dagnet

torch = pytest.importorskip("torch")
captum = pytest.importorskip("captum.attr")

FUNCTIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
FUNCTIONS |= {"softplus": torch.nn.Softplus, "elu": torch.nn.ELU, "leaky_relu": torch.nn.LeakyReLU}


class ByHand(torch.nn.Module):
    """Node by node: a = g(Σ w·a + b).  Each node has a module of its own, as Captum's rule wants."""

    def __init__(self, graph, net):
        super().__init__()
        self.order = [node for node in nx.topological_sort(graph) if graph.in_degree(node)]
        self.parents = {node: list(graph.predecessors(node)) for node in self.order}
        self.inputs, self.output = list(net.inputs), net.outputs[0]
        said = {node: graph.nodes[node].get("activation") for node in self.order}
        own = {node: FUNCTIONS[word]() if word else torch.nn.Identity() for node, word in said.items()}
        self.functions = torch.nn.ModuleDict(own)
        self.sums = torch.nn.ModuleDict({node: torch.nn.Linear(len(self.parents[node]), 1) for node in own})
        for node, layer in self.sums.items():
            weights = [[float(net.weights[parent, node]) for parent in self.parents[node]]]
            layer.weight.data = torch.tensor(weights, dtype=torch.float64)
            layer.bias.data = torch.tensor([float(net.biases[node])], dtype=torch.float64)

    def forward(self, x):
        a = {name: x[:, place : place + 1] for place, name in enumerate(self.inputs)}
        for node in self.order:
            terms = torch.cat([a[parent] for parent in self.parents[node]], dim=1)
            a[node] = self.functions[node](self.sums[node](terms))
        return a[self.output]


def skipping(seed, words):
    """Twelve hidden nodes, edges that skip levels among them, each with an activation drawn by lot."""
    rng, graph = np.random.default_rng(seed), nx.DiGraph()
    for k in range(12):
        before = [f"x{j}" for j in range(4)] + [f"h{j}" for j in range(k)]
        graph.add_node(f"h{k}", activation=str(rng.choice(words)))
        graph.add_edges_from((str(parent), f"h{k}") for parent in rng.choice(before, 3, replace=False))
    graph.add_edges_from(
        (f"h{k}", "y") for k in range(12) if rng.random() < 0.5 or not graph.out_degree(f"h{k}")
    )
    return graph


def both(seed, words=tuple(FUNCTIONS)):
    graph = skipping(seed, words)
    net = dagnet.Network(graph, seed=seed)
    rng = np.random.default_rng(seed + 100)
    for node in net.biases:
        net.biases[node] = rng.normal()
    X, start = rng.normal(size=(2, 7, len(net.inputs)))
    module = ByHand(graph, net)
    assert np.allclose(module(torch.tensor(X)).detach().numpy(), net(X), rtol=1e-12, atol=1e-12)
    return net, module, X, start


@pytest.mark.filterwarnings("ignore:.*hooks:UserWarning")
@pytest.mark.parametrize("seed", range(5))
def test_deeplift(seed):
    net, module, X, start = both(seed)
    truth = captum.DeepLift(module).attribute(torch.tensor(X, requires_grad=True), torch.tensor(start))
    found = net.attribute(X, baseline=start)
    assert np.allclose(
        np.column_stack([found[name] for name in net.inputs]), truth.detach(), rtol=1e-8, atol=1e-10
    )
    assert found.error < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_integrated_gradients(seed):
    """To single precision, in which Captum keeps the places of its steps."""
    net, module, X, start = both(seed)
    truth = captum.IntegratedGradients(module).attribute(
        torch.tensor(X), torch.tensor(start), n_steps=30, method="gausslegendre"
    )
    found = net.attribute(X, method="integrated_gradients(steps=30)", baseline=start)
    assert np.allclose(np.column_stack([found[name] for name in net.inputs]), truth, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_hidden_nodes_have_captums_conductance(seed):
    net, module, X, start = both(seed, ("tanh", "sigmoid", "softplus"))
    found = net.attribute(X, method="integrated_gradients(steps=50)", baseline=start)
    for node in ("h0", "h5", "h11"):
        truth = captum.LayerConductance(module, module.functions[node]).attribute(
            torch.tensor(X), torch.tensor(start), n_steps=2000, method="riemann_trapezoid"
        )
        assert np.allclose(found[node], truth[:, 0].detach(), rtol=2e-3, atol=2e-4)
