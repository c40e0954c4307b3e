"""The formula of every message, and its robustness."""

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.errors import GraphError, Verbatim, did_you_mean, expected, shorten


def test_the_formula():
    assert expected("x", "a number", "a") == "x must be a number, got 'a'"
    assert expected("x", "a number", "a", "drop it") == "x must be a number, got 'a'; drop it"
    assert expected("x", "2-D", Verbatim("shape (3,)")) == "x must be 2-D, got shape (3,)"


class Silent:
    def __repr__(self):
        raise RuntimeError


class Loud:
    def __repr__(self):
        return "line\n   line"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ("a" * 99, "'" + "a" * 58 + "…"),
        (Silent(), "<Silent>"),
        ((Silent(), 1), "(<Silent>, 1)"),
        (Loud(), "line line"),
        pytest.param(10**5000, "<int>", id="huge"),
        ([Silent()], "<list>"),
    ],
)
def test_values_are_shown_on_one_short_line(value, text):
    assert shorten(value) == text


def test_suggestions():
    known = ["relu", "leaky_relu", "tanh"]
    assert did_you_mean("Relu", known) == "; did you mean 'relu'?"
    assert did_you_mean("leakyrelu", known) == "; did you mean 'leaky_relu'?"
    assert did_you_mean("sin", known) == ""
    assert did_you_mean("sin", known, listed=2) == "; known: relu, leaky_relu and 1 more"
    assert did_you_mean("sin", known, listed=5) == "; known: relu, leaky_relu, tanh"
    assert did_you_mean("sin", [], listed=5) == ""
    assert did_you_mean(("a", 2), [("a", 1), 3], listed=5) == "; did you mean ('a', 1)?"
    assert did_you_mean(Silent(), (name for name in "ab"), listed=1) == "; known: a and 1 more"


def test_ten_problems_are_shown():
    error = GraphError([f"problem {k}" for k in range(12)])
    assert str(error).splitlines()[0] == "the graph has 12 problems:"
    assert "problem 9" in str(error)
    assert "problem 10" not in str(error)
    assert str(error).endswith("… and 2 more")
    assert str(GraphError(["problem"] * 10)).count("\n") == 10
    assert str(GraphError(["one"])) == "one"


def test_names_of_numpy_are_shown_as_the_numbers_that_they_are():
    net = dagnet.Network(
        nx.DiGraph([(np.int64(51), np.int64(7)), (np.int64(51), (np.int64(7), "b"))]), seed=0
    )
    with pytest.raises(KeyError, match="known: 51"):
        net.weights[51, 8]
    texts = [
        net.formula(7),
        net.trace((51, 7), [1.0], [1.0, 1.0]),
        dagnet.check_gradient(net, [[1]], [[1, 1]]),
    ]
    assert "int64" not in "".join(map(str, texts))
