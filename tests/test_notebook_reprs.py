"""What a notebook shows: one line as repr, a small escaped table as HTML."""

import copy
import pickle

import networkx as nx
import pytest
from data.renderings import HOSTILE, assert_html_is_sound

import dagnet


def things():
    graph = nx.DiGraph()
    graph.add_edges_from((name, "h") for name in HOSTILE)
    graph.add_edge("h", "<b>y</b>")
    net = dagnet.Network(graph, activation="tanh", seed=0)
    X, y = [[0.1] * len(HOSTILE), [0.2] * len(HOSTILE)], [1.0, 0.0]
    yield net
    yield net.plan
    yield net.gradient(X, y)
    yield net.fit(X, y, epochs=30, batch_size=2)
    yield net.ancestry.nodes_with(("h", "<b>y</b>"))
    yield net.ancestry.parent_chain("<b>y</b>")
    yield net.diagnose(X)
    yield dagnet.check_gradient(net, X, y)
    yield dagnet.verify(net, X, y)
    yield net.trace(("h", "<b>y</b>"), X[0], 1.0)
    yield net.trace_all(X[0], 1.0)


def test_repr_is_a_line_and_html_is_sound():
    for thing in things():
        text = thing._repr_html_()
        assert_html_is_sound(text.replace("<pre>", "<div>").replace("</pre>", "</div>"))
        assert "<b>" not in text
        assert "<img" not in text
        assert len(text) < 20_000
        assert len(repr(thing).splitlines()) == 1
        assert len(repr(thing)) < 12_000


def test_ancestry_answers_are_tuples_that_show_a_few():
    net = dagnet.Network(nx.path_graph(100, create_using=nx.DiGraph), seed=0)
    answer = net.ancestry.nodes_with((0, 1))
    assert answer == tuple(range(1, 100))
    assert repr(answer).endswith("… 79 more)")
    assert repr(answer[:3]) == "(1, 2, 3)"
    for twin in (copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert twin == answer


@pytest.mark.parametrize("epochs", [1, 5, 30])
def test_a_history_shows_its_ends(epochs):
    net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    history = net.fit([[1.0]], [1.0], epochs=epochs)
    assert f"{epochs} epoch" in repr(history)
    assert history._repr_html_().count("<tr>") == 1 + min(epochs, 10)
