"""The picture of an importance: dots, intervals and bars are its numbers."""

import networkx as nx
import numpy as np
import pytest
from dagnet_matplotlib import plot_importance
from matplotlib.figure import Figure

import dagnet
from dagnet.errors import DataError


@pytest.fixture(scope="module")
def found():
    graph = nx.DiGraph()
    for name, column in (("h1", 0), ("h2", 1), ("twin", 1), ("$h$", 2)):
        graph.add_node(name, activation="tanh")
        graph.add_edges_from([(f"x{column}", name), (name, "y")])
    X = np.random.default_rng(0).normal(size=(60, 3))
    return dagnet.importance(graph, X, X[:, 0], seeds=3, shuffles=199, epochs=3, learning_rate=0.05)


def drawn(ax):
    dots = {}
    for line in ax.lines:
        for x, y in zip(*line.get_data(), strict=True):
            dots[int(y)] = x, line.get_markerfacecolor()
    return [dots[row] for row in sorted(dots)]


def test_dots_intervals_and_bars_are_the_numbers(found):
    ax = plot_importance(found)
    frame = found.to_frame().sort_values("mean", ascending=False, kind="stable")
    texts = [text.get_text() for text in ax.get_yticklabels()]
    assert [text.removesuffix(" *") for text in texts] == list(frame.index)
    assert {text for text in texts if text.endswith(" *")} == {"h2 *", "twin *"}
    assert [x for x, _ in drawn(ax)] == pytest.approx(list(frame["mean"]))
    blue = [fill != "white" for _, fill in drawn(ax)]
    assert blue == list(frame["p_adjusted"] <= 0.05)
    assert any(blue)
    assert not all(blue)
    null = found.under_null[:, [list(found.names).index(name) for name in frame.index]]
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert np.allclose(bars, np.quantile(null, [0.025, 0.975], axis=0).T)
    ends = [segment[:, 0] for segment in ax.collections[0].get_segments()]
    assert np.allclose(ends, np.column_stack([np.maximum(frame["low"], 0), frame["high"]]))
    ax.figure.canvas.draw()


def test_the_largest_only_and_on_given_axes(found):
    figure = Figure(figsize=(4, 3))
    ax = figure.subplots()
    assert plot_importance(found, ax, most=2) is ax
    assert len(ax.get_yticks()) == 2
    assert ax.get_title(loc="left") == "Importance: the 2 largest of 7 nodes, 3 seeds"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("found",), "found must be what dagnet.importance returned"),
        ((None, "ax"), "ax must be matplotlib Axes"),
    ],
)
def test_bad_input(found, arguments, message):
    given = [found if argument is None else argument for argument in arguments]
    with pytest.raises(DataError, match=message):
        plot_importance(*given)
    with pytest.raises(DataError, match="most must be a whole number of 1 or more"):
        plot_importance(found, most=0)
