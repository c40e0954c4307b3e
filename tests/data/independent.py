"""An evaluation of a graph written directly on NetworkX, with exact derivatives.

It shares nothing with dagnet but the graph.  All functions accept complex numbers: an imaginary
step of 1e-30 in a parameter gives the derivative to the last bit, without cancellation.
Where a function has kinks, its real part decides.
"""

import networkx as nx
import numpy as np

STEP = 1e-30


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _softplus(z, beta=1.0):
    return np.log(1 + np.exp(beta * z)) / beta


def _where(condition, a, b):
    return np.where(condition, a, b)


ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "softplus": lambda z: _where(z.real > 20, z, _softplus(z)),  # the threshold is part of its definition
    "softplus(beta=2.0)": lambda z: _where(2 * z.real > 20, z, _softplus(z, 2.0)),
    "silu": lambda z: z * _sigmoid(z),
    "gelu(approximate='tanh')": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "softsign": lambda z: z / (1 + _where(z.real < 0, -z, z)),
    "sin": np.sin,
    "gaussian": lambda z: np.exp(-z * z),
    "atan": np.arctan,
    "square": lambda z: z * z,
    "log_sigmoid": lambda z: -_softplus(-z),
    "mish": lambda z: z * np.tanh(_softplus(z)),
    "relu": lambda z: _where(z.real > 0, z, 0),
    "leaky_relu": lambda z: _where(z.real > 0, z, 0.01 * z),
    "leaky_relu(negative_slope=0.2)": lambda z: _where(z.real > 0, z, 0.2 * z),
    "elu(alpha=0.5)": lambda z: _where(z.real > 0, z, 0.5 * (np.exp(z) - 1)),
    "hard_tanh": lambda z: _where(z.real > 1, 1, _where(z.real < -1, -1, z)),
}


def _huber(o, t, delta=1.0):
    d = _where((o - t).real < 0, t - o, o - t)
    return _where(d.real <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


LOSSES = {
    "squared_error": lambda o, t: (o - t) ** 2,
    "absolute_error": lambda o, t: _where((o - t).real < 0, t - o, o - t),
    "huber(delta=0.5)": lambda o, t: _huber(o, t, 0.5),
    "huber": _huber,
    "binary_cross_entropy_with_logits": lambda o, t: _softplus(o) - o * t,
    "poisson": lambda o, t: np.exp(o) - o * t,
    "cross_entropy": lambda o, t: t * (np.log(np.exp(o).sum(axis=1, keepdims=True)) - o),
}


def _best(terms, choose):
    """Of those that tie the mean, so that they share a step evenly."""
    best = terms.real == choose(terms.real, axis=2)[..., None]
    return np.where(best, terms, 0).sum(axis=2) / best.sum(axis=2)


AGGREGATIONS = {
    "sum": lambda terms: terms.sum(axis=2),
    "mean": lambda terms: terms.mean(axis=2),
    "product": lambda terms: terms.prod(axis=2),
    "max": lambda terms: _best(terms, np.max),
    "min": lambda terms: _best(terms, np.min),
}
"""Of (rows, units, terms)."""


class Evaluation:
    """A graph with its weights and biases by name; ``values`` and ``sums`` hold a and z by node."""

    def __init__(self, graph, weights, biases, *, hidden="relu"):
        self.graph, self.weights, self.biases, self.hidden = graph, weights, biases, hidden
        said = graph.graph["dagnet"]
        self.inputs, self.outputs, self.loss_name = said["inputs"], said["outputs"], said["loss"]

    def units(self, node):
        return self.graph.nodes[node].get("units", 1)

    def activation(self, node):
        default = self.hidden if self.graph.in_degree(node) and node not in self.outputs else "identity"
        return ACTIVATIONS[self.graph.nodes[node].get("activation") or default]

    def run(self, X, *, weight_steps=(), bias_step=None, sum_step=None, input_step=None):
        """Values of the outputs, (rows, output units); the steps are (where, array) to add."""
        self.values, self.sums = {}, {}
        weight_steps = dict(weight_steps)
        column = 0
        for node in self.inputs:
            data = X[:, column : column + self.units(node)].astype(complex)
            if input_step is not None and column <= input_step[1] < column + self.units(node):
                data[input_step[0], input_step[1] - column] += 1j * STEP
            attributes = self.graph.nodes[node]
            self.values[node] = self.sums[node] = (data - attributes.get("center", 0)) / attributes.get(
                "scale", 1
            )
            column += self.units(node)
        for node in nx.topological_sort(self.graph):
            if node in self.values:
                continue
            z = np.zeros((len(X), self.units(node)), complex)
            if node in self.biases:
                z = z + np.asarray(self.biases[node])
            if bias_step is not None and bias_step[0] == node:
                z[:, bias_step[1]] += 1j * STEP
            terms = []
            for parent in self.graph.predecessors(node):
                W = np.asarray(self.weights[parent, node]).reshape(self.units(node), self.units(parent))
                if (parent, node) in weight_steps:
                    W = W + 1j * STEP * weight_steps[parent, node]
                terms.append(self.values[parent][:, None, :] * W)
            if terms:
                z = z + AGGREGATIONS[self.graph.nodes[node].get("aggregation", "sum")](
                    np.concatenate(terms, 2)
                )
            if sum_step is not None and sum_step[0] == node:
                z[sum_step[1], sum_step[2]] += 1j * STEP
            self.sums[node], self.values[node] = z, self.activation(node)(z) + 0j
        return np.concatenate([self.values[node] for node in self.outputs], axis=1)

    def loss(self, X, y, sample_weight=None, **steps):
        """Σwℓ/Σw, complex where there is a step."""
        outputs = self.run(X, **steps)
        y = np.asarray(y)
        if self.loss_name == "cross_entropy":
            y = np.eye(outputs.shape[1])[y]
        rows = LOSSES[self.loss_name](outputs, y.reshape(outputs.shape)).sum(axis=1)
        weights = np.ones(len(rows)) if sample_weight is None else np.asarray(sample_weight)
        return (rows * weights).sum() / weights.sum()

    def derivative(self, X, y, sample_weight=None, **steps):
        return self.loss(X, y, sample_weight, **steps).imag / STEP

    def alike(self, edge):
        """The edges that are one weight with this one."""
        key = self.graph.edges[edge].get("share")
        return (
            [edge]
            if key is None
            else [e for e in self.graph.edges if self.graph.edges[e].get("share") == key]
        )

    def weight_gradient(self, edge, X, y, sample_weight=None):
        shape = (self.units(edge[1]), self.units(edge[0]))
        result = np.zeros(shape)
        for place in np.ndindex(shape):
            unit = np.zeros(shape)
            unit[place] = 1
            steps = [(other, unit) for other in self.alike(edge)]
            result[place] = self.derivative(X, y, sample_weight, weight_steps=steps)
        return result

    def bias_gradient(self, node, X, y, sample_weight=None):
        steps = [(node, unit) for unit in range(self.units(node))]
        return np.array([self.derivative(X, y, sample_weight, bias_step=step) for step in steps])

    def delta(self, node, X, y, sample_weight=None):
        """∂loss/∂z, (rows, units)."""
        result = np.zeros((len(X), self.units(node)))
        for row, unit in np.ndindex(result.shape):
            result[row, unit] = self.derivative(X, y, sample_weight, sum_step=(node, row, unit))
        return result

    def input_gradient(self, X, y, sample_weight=None):
        result = np.zeros(X.shape)
        for place in np.ndindex(X.shape):
            result[place] = self.derivative(X, y, sample_weight, input_step=place)
        return result
