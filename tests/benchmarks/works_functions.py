"""What an activation costs: nanoseconds an element, and a network of sines beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from . import graphs, subject
from .measure import measure
from .work import DAGNET, Conditions, Entry, Outcome, race, ready
from .works_race import FUNCTION, TORCH, ours, torch_entries

ROWS = 64
BUILT_IN = ("sin", "cos", "atan", "gelu", "tanh")
BOUNDS = dict.fromkeys(("sin", "cos", "atan", "snake", "gelu"), 4.0)  # ns; tanh is there to compare with


def functions(conditions: Conditions) -> Outcome:
    """A step of the irregular graph with one activation everywhere, against the same with relu.

    The figure is (time - time with relu) / (hidden units x rows): what function and derivative cost
    together, and the memory for pre-activations where the derivative reads them.
    """
    outcome = Outcome(f"irregular, {ROWS} rows, one activation everywhere")
    wiring = graphs.random_dag(n_computed=2_000) if conditions.quick else graphs.random_dag()
    X, y = wiring.data(ROWS)
    activations: dict[str, Callable[[], Any]] = {
        "relu": lambda: "relu",
        **{name: partial(str, name) for name in BUILT_IN},
        "snake": subject.snake,
    }

    def step(activation: Callable[[], Any]) -> subject.RawStep:
        return subject.RawStep(replace(wiring, activation=activation()), X, y, conditions.threads)

    entries = [
        Entry(f"dagnet, all {name}", name, partial(step, activation))
        for name, activation in activations.items()
    ]
    contenders = ready(entries, outcome, lambda call: call.fault())
    outcome.timings = measure(contenders, conditions.seconds)
    hidden = wiring.n_nodes - wiring.n_inputs - len(wiring.outputs)
    nanosecond = hidden * ROWS * 1e-6  # what a nanosecond an element comes to, in milliseconds
    figures = []
    for name in activations:
        more = outcome.beyond(name, "relu")
        if name in BOUNDS:
            text = f"{name}: ns an element beyond relu's"
            outcome.check_beyond(text, name, "relu", lambda _: nanosecond, BOUNDS[name])
        elif more is not None and name != "relu":
            figures.append(f"{name}: {more / nanosecond:.2f} ns an element beyond relu's")
    outcome.notes += [f"{hidden:,} hidden units x {ROWS} rows, forward and backward, float32", *figures]
    return outcome


def sines(conditions: Conditions) -> Outcome:
    """The irregular graph, every hidden node a sine, beside all that PyTorch has for it."""
    wiring = graphs.random_dag(n_computed=2_000) if conditions.quick else graphs.random_dag()
    wiring = replace(wiring, activation="sin")
    entries = [*ours(wiring, ROWS, conditions), *torch_entries(wiring, ROWS, conditions)]
    outcome = race(f"irregular, {ROWS} rows, all sines", wiring, ROWS, entries, conditions)
    for peer in (TORCH, FUNCTION):
        outcome.at_most(peer, 1.0, subject=DAGNET)
    return outcome
