"""Activation histograms: the bars are numpy's counts of net.forward's values."""

import networkx as nx
import numpy as np
import pytest
from dagnet_matplotlib import activation_histograms
from matplotlib.figure import Figure

import dagnet
from dagnet.errors import DataError

X = np.random.default_rng(0).normal(size=(200, 2))


@pytest.fixture
def net():
    return dagnet.Network(dagnet.layered([2, 3, 1], activation="sigmoid"), seed=0)


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_bars_count_the_values(net):
    hidden = net.nodes[2]
    (ax,) = activation_histograms(net, X, nodes=[hidden])
    w = net.weights
    z = net.biases[hidden] + sum(w[p, hidden] * X[:, i] for i, p in enumerate(net.inputs))
    values = 1 / (1 + np.exp(-z))
    counts, _ = np.histogram(values, 30)
    assert [bar.get_height() for bar in ax.patches] == counts.tolist()


def test_without_names_hidden_and_output_nodes_are_chosen(net):
    assert len(activation_histograms(net, X)) == 4
    many = dagnet.Network(dagnet.layered([2, 40, 40, 1]), seed=0)
    axes = activation_histograms(many, X)
    assert len(axes) == 12
    assert axes[-1].get_title().startswith(f"{many.outputs[0]} ")
    two = Figure().subplots(1, 2)
    assert activation_histograms(many, X, axes=two) == list(two)


def test_given_axes_left_over_are_blanked(net):
    grid = Figure().subplots(2, 2)
    assert activation_histograms(net, X, nodes=list(net.nodes[2:5]), axes=grid) == grid.flat[:3].tolist()
    assert not grid[1, 1].axison
    lone = Figure().subplots()
    assert activation_histograms(net, X, nodes=net.outputs, axes=lone) == [lone]


def test_dead_nodes_and_values_that_are_not_finite_are_said():
    net = dagnet.Network(dagnet.layered([1, 2, 1], activation="relu"), seed=0)
    dead, wild = net.nodes[1:3]
    net.biases[dead], net.weights[net.inputs[0], wild] = -1e3, 1e200
    axes = activation_histograms(net, [[0.5], [1e200], [0.25]], nodes=[wild, net.inputs[0]])
    assert words(axes[0]) == ["1 of 3 not finite"]
    (ax,) = activation_histograms(net, [[0.0], [1.0]], nodes=[dead])
    assert words(ax) == ["always 0"]
    axes[0].figure.canvas.draw()


def test_the_widest_values_are_told_in_words():
    net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    (ax,) = activation_histograms(net, [[-1.7e308], [1.7e308]], nodes=net.inputs)
    assert words(ax) == ["-1.7e+308 to 1.7e+308"]


def test_names_are_data():
    net = dagnet.Network(nx.DiGraph([("$x$", "$\\frac{\n")]), seed=0)
    axes = activation_histograms(net, [[0.0], [1.0]], nodes=list(net.nodes))
    axes[0].figure.canvas.draw()
    assert [ax.get_title() for ax in axes] == ["$x$", "$\\frac{\\n · identity"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"net": None}, "net must be a dagnet.Network, got None"),
        ({"nodes": "h1"}, r"nodes must be a list of node names, got 'h1'; write nodes=\['h1'\]"),
        ({"nodes": []}, "nodes must be 1 to 60 names, got 0"),
        ({"nodes": ["h"] * 61}, "1 to 60 names, got 61"),
        ({"nodes": ["x11"]}, "no node 'x11' in the graph; did you mean"),
        ({"axes": 3}, "axes must be an array of matplotlib Axes, or None, got 3"),
        ({"axes": []}, "axes must be one or more Axes"),
        ({"axes": [None]}, "axes must be matplotlib Axes"),
        ({"axes": Figure().subplots(), "nodes": ["x1", "x2"]}, "axes must be 2 or more, got 1"),
        ({"X": [[1.0]]}, "X"),
    ],
)
def test_wrong_arguments_are_refused(net, arguments, words):
    with pytest.raises(DataError, match=words):
        activation_histograms(**{"net": net, "X": X, **arguments})
