"""P-NET: what is altered in a gene, genes, and five levels of Reactome's pathways, with a head a level.

Elmarakeby et al. (2021), https://doi.org/10.1038/s41586-021-03922-4: tanh; the head of a level reads it
before dropout, 0.5 of genes and 0.1 of pathways; losses weigh the more the nearer to the top; the
prediction is the mean of all heads'.
"""

from itertools import product
from statistics import median

import networkx as nx
import numpy as np
import pytest
from measuring import one_core, seconds
from reactome import published_network, times

import dagnet
from dagnet.hashing import kept, step_key

ALTERED = ("mutation", "amplification", "deletion")
WEIGHTS = [2, 7, 20, 54, 148, 400]
DROPOUT = [0.5, 0.1, 0.1, 0.1, 0.1]
L2 = [0.001, 0.002, 0.003, 0.004, 0.005, 0.006]
CLASS_WEIGHT = {0: 0.75, 1: 1.5}


def drawn(maps):
    """The network of tables from genes to pathways, and from pathways to those above them."""
    graph = nx.DiGraph()
    genes = maps[0].index
    graph.add_edges_from(((gene, what), (0, gene)) for gene, what in product(genes, ALTERED))
    for level, table in enumerate(maps, start=1):
        for below in table.index:
            before, after = (level - 1, below), ("kept", level - 1, below)
            graph.add_node(after, activation="identity", bias=False, dropout=DROPOUT[level - 1])
            graph.add_edge(before, after, weight=1.0, trainable=False, l2=0.0)
        for below, above in zip(*np.nonzero(table.to_numpy()), strict=True):
            graph.add_edge(("kept", level - 1, table.index[below]), (level, table.columns[above]))
    values = [node for node in graph if isinstance(node[0], int)]
    nx.set_node_attributes(graph, dict.fromkeys(values, "tanh"), "activation")
    for level, name in values:
        for parent in graph.pred[level, name]:
            graph.edges[parent, (level, name)]["l2"] = L2[level]
        graph.add_edge((level, name), f"head {level}", l2=L2[level])
    for level, weight in enumerate(WEIGHTS):
        graph.add_node(f"head {level}", loss_weight=weight, target="head 5")
    del graph.nodes["head 5"]["target"]
    return graph


def network(maps, **told):
    inputs = list(product(maps[0].index, ALTERED))
    outputs = [f"head {level}" for level in range(len(WEIGHTS))]
    loss = "binary_cross_entropy_with_logits"
    return dagnet.Network(drawn(maps), inputs=inputs, outputs=outputs, loss=loss, seed=0, **told)


def tables(proteins):
    """Five levels; the sixth leads to the root, which P-NET leaves out."""
    return published_network(proteins, n_layers=5).connectivity_matrices[:-1]


def examples(maps, rows=100, dtype=np.float64):
    rng = np.random.default_rng(1)
    X = (rng.random((rows, len(maps[0]) * len(ALTERED))) < 0.2).astype(dtype)
    return X, rng.integers(0, 2, (rows, 1)).astype(dtype)


def masked(maps, dtype, seed=0):
    """P-NET in PyTorch: dense layers times masks."""
    import torch

    class PNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            genes = len(maps[0])
            self.diagonal = torch.nn.Parameter(torch.randn(genes, len(ALTERED)) * 0.5)
            self.shift = torch.nn.Parameter(torch.randn(genes) * 0.1)
            self.lines = torch.nn.ModuleList(torch.nn.Linear(*table.shape) for table in maps)
            widths = [genes, *(table.shape[1] for table in maps)]
            self.heads = torch.nn.ModuleList(torch.nn.Linear(width, 1) for width in widths)
            self.drops = torch.nn.ModuleList(map(torch.nn.Dropout, DROPOUT))
            for level, table in enumerate(maps):
                self.register_buffer(f"mask{level}", torch.tensor(table.to_numpy(np.float64).T))

        def weights(self, level):
            return self.lines[level].weight * getattr(self, f"mask{level}")

        def forward(self, X):
            genes = X.reshape(len(X), -1, len(ALTERED))
            value = torch.tanh((genes * self.diagonal).sum(dim=2) + self.shift)
            answers = [self.heads[0](value)]
            for level, (line, drop) in enumerate(zip(self.lines, self.drops, strict=True)):
                z = torch.nn.functional.linear(drop(value), self.weights(level), line.bias)
                value = torch.tanh(z)
                answers.append(self.heads[level + 1](value))
            return answers

        def loss(self, X, y):
            rows = torch.where(y > 0, CLASS_WEIGHT[1], CLASS_WEIGHT[0])
            logits = torch.nn.functional.binary_cross_entropy_with_logits
            total = L2[0] * (self.diagonal**2).sum()
            for level, answer in enumerate(self(X)):
                loss = logits(answer, y, reduction="none")
                total = total + WEIGHTS[level] * (rows * loss).sum() / rows.sum()
                total = total + L2[level] * (self.heads[level].weight ** 2).sum()
            return total + sum(L2[k + 1] * (self.weights(k) ** 2).sum() for k in range(len(maps)))

    torch.manual_seed(seed)
    return PNet().to(dtype)


def read(net, maps, model):
    """Put PyTorch's numbers into the network, by name."""
    weights, biases = {}, {}
    genes = maps[0].index
    of_genes = zip(genes, model.diagonal.tolist(), model.shift.tolist(), strict=True)
    for gene, altered, bias in of_genes:
        biases[0, gene] = bias
        weights.update((((gene, what), (0, gene)), w) for what, w in zip(ALTERED, altered, strict=True))
    for level, table in enumerate(maps, start=1):
        line = model.lines[level - 1]
        biases.update(((level, name), b) for name, b in zip(table.columns, line.bias.tolist(), strict=True))
        there = line.weight.detach().numpy()
        for below, above in zip(*np.nonzero(table.to_numpy()), strict=True):
            edge = ("kept", level - 1, table.index[below]), (level, table.columns[above])
            weights[edge] = there[above, below]
    for level, head in enumerate(model.heads):
        biases[f"head {level}"] = head.bias.item()
        names = genes if level == 0 else maps[level - 1].columns
        for name, w in zip(names, head.weight[0].tolist(), strict=True):
            weights[(level, name), f"head {level}"] = w
    net.weights.update(weights)
    net.biases.update(biases)


@pytest.fixture(scope="module")
def maps():
    pytest.importorskip("torch")
    return tables(60)


def test_predictions_are_the_mean_of_all_heads(maps):
    import torch

    model, net = masked(maps, torch.float64).eval(), network(maps)
    read(net, maps, model)
    X, _ = examples(maps)
    with torch.no_grad():
        probabilities = torch.sigmoid(torch.cat(model(torch.tensor(X)), dim=1)).mean(dim=1)
    np.testing.assert_allclose(net.predict(X).mean(axis=1), probabilities.numpy(), rtol=1e-9)


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_a_step_is_that_of_masked_layers_with_the_same_dropout(maps, engine):
    """Weights of heads, classes and penalties of levels; the gradient is what a step of rate 0.001 moves."""
    import torch

    model, net = masked(maps, torch.float64), network(maps, engine=engine)
    read(net, maps, model)
    X, y = examples(maps)
    key = step_key(int(np.random.default_rng(9).integers(2**63)), 0)
    for level, table in enumerate(maps):
        nodes = [net.topology.index["kept", level, name] for name in table.index]
        mask = kept(key, net.topology.unit_starts[nodes], len(X), DROPOUT[level]).T
        model.drops[level] = times(torch.tensor(mask / (1 - DROPOUT[level])))
    rule = torch.optim.SGD(model.parameters(), lr=0.001)
    loss = model.loss(torch.tensor(X), torch.tensor(y))
    loss.backward()
    rule.step()
    step = {"batch_size": len(X), "optimizer": "sgd", "learning_rate": 0.001, "shuffle": False}
    history = net.fit(X, y, epochs=1, class_weight=CLASS_WEIGHT, seed=9, **step)
    assert history["loss"][0] == pytest.approx(loss.item(), rel=1e-6)
    learned = network(maps)
    read(learned, maps, model)
    np.testing.assert_allclose(net.parameters, learned.parameters, rtol=1e-8, atol=1e-9)


@pytest.mark.slow
@one_core()
def test_a_step_at_size():
    torch = pytest.importorskip("torch")
    maps, rows = tables(3_000), 64
    net, model = network(maps, dtype="float32", threads=1), masked(maps, torch.float32)
    rule = torch.optim.Adam(model.parameters())
    X, y = examples(maps, 20 * rows, np.float32)
    X_there, y_there = torch.tensor(X[:rows]), torch.tensor(y[:rows])

    def step():
        rule.zero_grad()
        model.loss(X_there, y_there).backward()
        rule.step()

    def steps(count):
        told = {"batch_size": rows, "class_weight": CLASS_WEIGHT, "seed": 0, "progress": False}
        net.fit(X[: count * rows], y[: count * rows], epochs=1, **told)

    steps(1)
    step()
    both = [(seconds(lambda: steps(20)) - seconds(lambda: steps(1)), seconds(step)) for _ in range(7)]
    mine, theirs = (1e3 * median(column) for column in zip(*both, strict=True))
    mine /= 19
    print(f"\nP-NET, levels {[len(maps[0]), *(table.shape[1] for table in maps)]}, {rows} rows:", end=" ")
    print(f"{mine:.2f} ms; PyTorch {theirs:.1f} ms, {theirs / mine:.0f} ×")
    assert theirs >= 20 * mine
