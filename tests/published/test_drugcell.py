"""DrugCell: a neural module for each term of the Gene Ontology, and a head for each.

Kuenzi et al. (2020), https://doi.org/10.1016/j.ccell.2020.09.014, and before it DCell, Ma et al. (2018),
https://doi.org/10.1038/nmeth.4627: six units a term, batch normalisation after tanh, and of every term a
guess at the response, whose loss has the weight 0.2.
"""

import copy
from statistics import median

import networkx as nx
import numpy as np
import pytest
from measuring import one_core, seconds

import dagnet

torch = pytest.importorskip("torch")
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}
UNITS, WEIGHT, DRUG = 6, 0.2, {"drug 1": 20, "drug 2": 10, "drug 3": 6}


# -- the drawing -----------------------------------------------------------------------------


def drugcell(path, fingerprint):
    """The network of a file whose lines are ``term  term  default`` and ``term  gene  gene``."""
    graph = nx.DiGraph()
    for line in path.read_text().splitlines():
        term, below, kind = line.split()
        if kind == "gene":
            graph.add_edges_from([(below, (term, below)), ((term, below), term)])
            graph.nodes[term, below]["activation"] = "identity"
        else:
            graph.add_edge(below, term)
    terms = [node for node in graph if isinstance(node, str) and graph.in_degree(node)]
    root = next(term for term in terms if not graph.out_degree(term))
    for term in terms:
        add_module(graph, term, UNITS)
    graph.add_node("drug", units=fingerprint)
    graph.add_edges_from([("drug", "drug 1"), ("drug 1", "drug 2"), ("drug 2", "drug 3")])
    for layer, units in DRUG.items():
        add_module(graph, layer, units)
    graph.add_edges_from([(root, "final"), ("drug 3", "final")])
    add_module(graph, "final", UNITS)
    del graph.nodes["response of final"]["target"], graph.nodes["response of final"]["loss_weight"]
    return graph


def add_module(graph, node, units):
    """tanh, batch normalisation, and a head that guesses what the whole network is to say."""
    graph.add_node(node, units=units, activation="tanh", normalization="batch")
    graph.add_edges_from([(node, f"guess of {node}"), (f"guess of {node}", f"response of {node}")])
    graph.nodes[f"guess of {node}"]["activation"] = "tanh"
    graph.add_node(f"response of {node}", loss_weight=WEIGHT, target="response of final")


# -- the data --------------------------------------------------------------------------------


def write_hierarchy(path, terms, genes, seed=0):
    """A random one: each term but the root has one to three parents, leaves have genes."""
    rng = np.random.default_rng(seed)
    lines = []
    for term in range(1, terms):
        depth = rng.integers(max(0, term // 6 - 20), term // 2 + 1, rng.integers(1, 4))
        lines += [f"GO:{parent} GO:{term} default" for parent in np.unique(depth)]
    inner = {line.split()[0] for line in lines}
    for term in range(terms):
        count = rng.integers(2, 8) if f"GO:{term}" not in inner else rng.integers(0, 3)
        lines += [f"GO:{term} gene{gene} gene" for gene in rng.choice(genes, count, replace=False)]
    path.write_text("\n".join(lines))


def network(tmp_path, terms, genes, fingerprint, **told):
    write_hierarchy(tmp_path / "ontology.txt", terms, genes)
    graph = drugcell(tmp_path / "ontology.txt", fingerprint)
    return dagnet.Network(graph, loss="squared_error", seed=0, **told)


def examples(net, rows, dtype=np.float64):
    rng = np.random.default_rng(1)
    columns = int(net.topology.units[net.topology.is_input].sum())
    return rng.normal(size=(rows, columns)).astype(dtype), rng.normal(size=(rows, 1)).astype(dtype)


# -- module by module in PyTorch ---------------------------------------------------------------


class DrugCell(torch.nn.Module):
    """As published: a loop over terms, whose inputs are concatenated."""

    def __init__(self, graph, inputs):
        super().__init__()
        self.inputs, self.graph = inputs, graph
        self.units = {node: said.get("units", 1) for node, said in graph.nodes(data=True)}
        self.order = [node for node in nx.topological_sort(graph) if graph.in_degree(node)]
        self.parents = {node: list(graph.pred[node]) for node in self.order}
        self.names = {node: f"m{k}" for k, node in enumerate(self.order)}
        for node in self.order:
            width = sum(self.units[parent] for parent in self.parents[node])
            self.add_module(self.names[node], torch.nn.Linear(width, self.units[node]))
            if "normalization" in graph.nodes[node]:
                self.add_module(self.names[node] + "n", torch.nn.BatchNorm1d(self.units[node]))

    def parts(self, node):
        return getattr(self, self.names[node]), getattr(self, self.names[node] + "n", None)

    def forward(self, X):
        widths = [self.units[node] for node in self.inputs]
        value = dict(zip(self.inputs, X.split(widths, dim=1), strict=True))
        for node in self.order:
            linear, norm = self.parts(node)
            value[node] = linear(torch.cat([value[parent] for parent in self.parents[node]], 1))
            if isinstance(node, str) and not node.startswith("response"):
                value[node] = torch.tanh(value[node])
            if norm is not None:
                value[node] = norm(value[node])
        return {node: value[node] for node in self.order if not self.graph.out_degree(node)}

    def loss(self, X, y):
        mse = torch.nn.functional.mse_loss
        return sum(
            mse(guess, y) * (1 if head == "response of final" else WEIGHT)
            for head, guess in self.forward(X).items()
        )


def numbers(net, model, of=lambda parameter: parameter):
    """(what dagnet calls it, PyTorch's array) of all that learns; ``of`` chooses numbers or gradients."""
    for node in model.order:
        linear, norm = model.parts(node)
        widths = [model.units[parent] for parent in model.parents[node]]
        yield net.biases, node, of(linear.bias)
        for parent, block in zip(model.parents[node], of(linear.weight).split(widths, dim=1), strict=True):
            yield net.weights, (parent, node), block
        if norm is not None:
            yield net.node_parameters, (node, "scale"), of(norm.weight)
            yield net.node_parameters, (node, "shift"), of(norm.bias)


def transcribed(net):
    """The network in PyTorch, with dagnet's numbers."""
    dtype = getattr(torch, str(net.dtype))
    model = DrugCell(net.to_networkx(), net.inputs).to(dtype)
    with torch.no_grad():
        for view, name, array in numbers(net, model):
            array.copy_(torch.as_tensor(np.asarray(view[name])).reshape(array.shape))
    return model


def compare(net):
    """Predictions and gradients with running statistics, and a step with those of the batch."""
    X, y = examples(net, rows=50)
    told = {"epochs": 1, "batch_size": 50, "optimizer": "sgd", "shuffle": False}
    net.fit(X, y, learning_rate=1e-3, **told)  # running statistics of its own
    model = transcribed(net)
    with torch.no_grad():
        for node in model.order:
            if (norm := model.parts(node)[1]) is not None:
                norm.running_mean.copy_(torch.as_tensor(net.node_parameters[node, "mean"]))
                norm.running_var.copy_(torch.as_tensor(net.node_parameters[node, "variance"]))
    model.eval()
    loss = model.loss(torch.tensor(X), torch.tensor(y))
    loss.backward()
    gradient = net.gradient(X, y)
    assert gradient.loss == pytest.approx(loss.item(), rel=1e-9)
    found = {"bias": gradient.biases, "weight": gradient.weights, "node parameter": gradient.node_parameters}
    checked = 0
    for view, name, array in numbers(net, model, of=lambda parameter: parameter.grad):
        got = np.asarray(found[view.what][name]).reshape(array.shape)
        np.testing.assert_allclose(got, array.numpy(), err_msg=str(name), **TOLERANCE)
        checked += array.numel()
    assert checked == len(net.parameters)
    model.train()
    model.zero_grad()
    loss = model.loss(torch.tensor(X), torch.tensor(y))
    loss.backward()
    before = net.parameters.copy()
    history = net.fit(X, y, learning_rate=1.0, **told)
    assert history["loss"][0] == pytest.approx(loss.item(), rel=1e-9)
    after = copy.deepcopy(net)
    net.parameters[:] = before
    now = {"bias": after.biases, "weight": after.weights, "node parameter": after.node_parameters}
    for view, name, array in numbers(net, model, of=lambda parameter: parameter.grad):
        step = (np.asarray(view[name]) - np.asarray(now[view.what][name])).reshape(array.shape)
        np.testing.assert_allclose(step, array.numpy(), err_msg=str(name), **TOLERANCE)


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_loss_and_every_gradient_are_those_of_the_published_modules(tmp_path, engine):
    compare(network(tmp_path, terms=40, genes=60, fingerprint=30, engine=engine))


@pytest.mark.slow
def test_they_are_at_two_thousand_terms(tmp_path):
    compare(network(tmp_path, terms=2_000, genes=3_000, fingerprint=2_048))


def test_the_drawing_is_short():
    import inspect

    lines = "".join(map(inspect.getsource, (drugcell, add_module))).splitlines()
    assert len(lines) <= 40


def test_every_term_has_a_head_that_learns_the_response(tmp_path):
    net = network(tmp_path, terms=40, genes=60, fingerprint=30)
    X, y = examples(net, rows=60)
    history = net.fit(X, y, epochs=5, batch_size=20, seed=0)
    assert len(net.heads) == 40 + len(DRUG) + 1
    total = sum(
        history[f"loss[{head}]"][-1] * (1 if head == "response of final" else WEIGHT) for head in net.heads
    )
    assert history["loss"][-1] == pytest.approx(total, rel=1e-6)


@pytest.mark.slow
@one_core()
@pytest.mark.parametrize(("rows", "least"), [(64, 100), (256, 40)])
def test_a_step_of_two_thousand_terms(tmp_path, rows, least):
    net = network(tmp_path, terms=2_000, genes=3_000, fingerprint=2_048, dtype="float32", threads=1)
    model = transcribed(net)
    rule = torch.optim.Adam(model.parameters())
    X, y = examples(net, 10 * rows, np.float32)
    X_there, y_there = torch.tensor(X[:rows]), torch.tensor(y[:rows])

    def backward():
        rule.zero_grad()
        model.loss(X_there, y_there).backward()

    def steps(count):
        some = slice(count * rows)
        net.fit(X[some], y[some], epochs=1, batch_size=rows, seed=0, progress=False)

    steps(1)
    backward()
    times = []
    for _ in range(5):
        mine = (seconds(lambda: steps(10)) - seconds(lambda: steps(1))) / 9
        times.append((mine, seconds(backward), seconds(rule.step)))
    mine, gradient, update = (1e3 * median(column) for column in zip(*times, strict=True))
    ratio = (gradient + update) / mine
    print(f"\nDrugCell, {len(net.heads):,} heads, {len(net.parameters):,} parameters, {rows} rows:", end=" ")
    print(f"{mine:.1f} ms; PyTorch {gradient:.0f} + {update:.0f} (Adam) ms, {ratio:.0f} ×")
    assert ratio >= least
