"""BINN: proteins, pathways and four levels of their parents, each normalised over the batch.

Hartman et al. (2023), https://doi.org/10.1038/s41467-023-41146-4; the network of the package ``binn`` itself.
"""

import copy

import networkx as nx
import numpy as np
import pytest
from reactome import published_network, times

import dagnet
from dagnet.hashing import kept, step_key

TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


def drawn(connectivity, dropout):
    """A level is a linear map, batch normalisation, dropout and then tanh: two nodes a pathway."""
    graph = nx.DiGraph()
    for level, matrix in enumerate(connectivity[:-1]):  # the last leads to the root, which BINN leaves out
        for pathway in matrix.columns:
            z, value = ("z", level, pathway), (level, pathway)
            graph.add_node(z, activation="identity", normalization="batch", dropout=dropout)
            graph.add_node(value, activation="tanh", bias=False)
            graph.add_edge(z, value, weight=1.0, trainable=False)
        for child, pathway in zip(*np.nonzero(matrix.to_numpy()), strict=True):
            below = matrix.index[child] if level == 0 else (level - 1, matrix.index[child])
            graph.add_edge(below, ("z", level, matrix.columns[pathway]))
    top = [(level, pathway) for pathway in matrix.columns]
    graph.add_edges_from((value, answer) for value in top for answer in ("no", "yes"))
    return graph


def read(net, model):
    """Put PyTorch's numbers into the network, by name."""
    for level, matrix in enumerate(model.connectivity_matrices[:-1]):
        line, norm = (getattr(model.layers, f"{part}_{level}") for part in ("Layer", "BatchNorm"))
        weights = line.weight_orig.detach().numpy()
        for target, pathway in enumerate(matrix.columns):
            z = ("z", level, pathway)
            net.biases[z] = line.bias[target].item()
            for source in np.flatnonzero(matrix.to_numpy()[:, target]):
                below = matrix.index[source] if level == 0 else (level - 1, matrix.index[source])
                net.weights[below, z] = weights[target, source]
            for name, of in statistics(norm).items():
                net.node_parameters[z, name] = of[target].item()
    top = [(level, pathway) for pathway in matrix.columns]
    for k, answer in enumerate(("no", "yes")):
        net.biases[answer] = model.layers.Output.bias[k].item()
        for value, weight in zip(top, model.layers.Output.weight[k].tolist(), strict=True):
            net.weights[value, answer] = weight


def statistics(norm):
    return {
        "scale": norm.weight,
        "shift": norm.bias,
        "mean": norm.running_mean,
        "variance": norm.running_var,
    }


@pytest.fixture(scope="module")
def model():
    """BINN's network in float64, after some training of its own."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = published_network(60, dropout=0.3).double()
    rule = torch.optim.Adam(model.parameters(), lr=0.01)
    X, y = examples(model, seed=1)
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(model(torch.tensor(X)), torch.tensor(y))
        rule.zero_grad()
        loss.backward()
        rule.step()
    return model


def examples(model, rows=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, len(model.inputs))), rng.integers(0, 2, rows)


def network(model, dropout):
    net = dagnet.Network(
        drawn(model.connectivity_matrices, dropout),
        inputs=model.inputs,
        outputs=["no", "yes"],
        loss="cross_entropy",
        seed=0,
    )
    read(net, model)
    return net


def test_predictions_are_those_of_the_published_network(model):
    import torch

    model.eval()
    net, (X, _) = network(model, dropout=0.3), examples(model)
    with torch.no_grad():
        np.testing.assert_allclose(net(X), model(torch.tensor(X)).numpy(), **TOLERANCE)


def compare_step(net, model, X, y, *, dropout, **told):
    """A step of gradient descent in both: loss, every parameter, and the running statistics."""
    import torch

    model.train()
    rule = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = torch.nn.functional.cross_entropy(model(torch.tensor(X)), torch.tensor(y))
    loss.backward()
    rule.step()
    step = {"batch_size": len(X), "optimizer": "sgd", "learning_rate": 0.1, "shuffle": False}
    history = net.fit(X, y, epochs=1, **step, **told)
    assert history["loss"][0] == pytest.approx(loss.item(), rel=1e-9)
    learned = network(model, dropout)
    np.testing.assert_allclose(net.parameters, learned.parameters, **TOLERANCE)
    for z in [node for node in net.nodes if node[0] == "z"]:
        for name in ("mean", "variance"):
            found, wanted = (one.node_parameters[z, name] for one in (net, learned))
            assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6), (z, name)


def test_a_training_step_without_dropout_is_that_of_the_published_network(model):
    import torch

    model = copy.deepcopy(model)
    for level in range(model.n_layers):
        setattr(model.layers, f"Dropout_{level}", torch.nn.Identity())
    compare_step(network(model, dropout=0.0), model, *examples(model), dropout=0.0)


def test_a_training_step_with_the_same_dropout_is_that_of_the_published_network(model):
    """Dropout comes before tanh: PyTorch's layers are given the masks that dagnet draws."""
    import torch

    model = copy.deepcopy(model)
    net, (X, y) = network(model, dropout=0.3), examples(model)
    key = step_key(int(np.random.default_rng(9).integers(2**63)), 0)
    for level, matrix in enumerate(model.connectivity_matrices[:-1]):
        nodes = [net.topology.index["z", level, pathway] for pathway in matrix.columns]
        mask = torch.tensor(kept(key, net.topology.unit_starts[nodes], len(X), 0.3).T / 0.7)
        setattr(model.layers, f"Dropout_{level}", times(mask))
    compare_step(net, model, X, y, dropout=0.3, seed=9)
