"""The textbook's network: hand-written formulas, dagnet, and difference quotients agree."""

import importlib.util
import random
from pathlib import Path

import pytest

import dagnet

EXAMPLE = Path(__file__).parents[1] / "examples" / "textbook.py"


@pytest.fixture(scope="module")
def textbook():
    spec = importlib.util.spec_from_file_location("textbook", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights(textbook, seed):
    draw = random.Random(seed)
    return [{node: draw.uniform(-1, 1) for node in textbook.W0} for _ in range(3)]


@pytest.mark.parametrize("seed", [None, *range(10)])
def test_forward_by_hand_and_by_dagnet_agree(textbook, seed):
    W = (textbook.W0, textbook.W1, textbook.W2) if seed is None else weights(textbook, seed)
    net = textbook.network(*W)
    values = net.forward([[textbook.x1, textbook.x2]])
    for node, by_hand in textbook.forward(*W).items():
        assert values[node][0] == pytest.approx(by_hand, rel=1e-12, abs=1e-12)
    assert net.evaluate([[textbook.x1, textbook.x2]], [textbook.Y]) == pytest.approx(
        textbook.loss(*W), rel=1e-12
    )


@pytest.mark.parametrize("seed", [None, *range(10)])
def test_the_derivative_for_x1_to_h11_agrees_three_ways(textbook, seed):
    W = (textbook.W0, textbook.W1, textbook.W2) if seed is None else weights(textbook, seed)
    net = textbook.network(*W)
    X, y = [[textbook.x1, textbook.x2]], [textbook.Y]
    derivative = net.gradient(X, y).weights["x1", "h11"]
    by_hand = textbook.by_the_chain_rule(*W)
    assert derivative == pytest.approx(by_hand, rel=1e-12)
    assert net.trace(("x1", "h11"), X[0], textbook.Y).value == pytest.approx(by_hand, rel=1e-12)
    # What a quotient of losses near 1e4 can resolve: 2e-16 · 1e4 / 1e-5, and some.
    assert derivative == pytest.approx(textbook.by_differences(*W), rel=1e-6, abs=2e-6)


def test_the_trace_names_the_chapter_s_factors(textbook):
    net = textbook.network(textbook.W0, textbook.W1, textbook.W2)
    text = str(net.trace(("x1", "h11"), [textbook.x1, textbook.x2], textbook.Y))
    for factor in ("∂L/∂eta", "∂eta/∂h21", "∂eta/∂h22", "∂h21/∂h11", "∂h22/∂h11", "∂h11/∂w"):
        assert factor in text


def test_the_gradient_check_never_fails_on_the_textbook_s_network():
    for seed in range(200):
        net = dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=seed)
        check = dagnet.check_gradient(net, [[2.0, 3.0]], [100.0])
        assert check.passed, check


def test_the_example_runs_and_ends_at_the_target(textbook, capsys):
    textbook.main()
    printed = capsys.readouterr().out
    assert "gradient check: passed" in printed
    assert printed.rstrip().endswith("eta = 100.000000, Y = 100")
