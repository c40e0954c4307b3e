"""The kit: each check fails on a plugin that breaks it, and declared failures are strict."""

import subprocess
import sys
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest
from data import broken_functions, broken_machines

import dagnet
from dagnet import Activation, PluginError
from dagnet.testing import (
    check_activation,
    check_engine,
    check_exporter,
    check_initializer,
    check_loss,
    check_optimizer,
    checks_of,
    outcomes,
    parametrize_with_checks,
)
from dagnet.testing.outcomes import judge

pytest_plugins = ["pytester"]

BROKEN = {
    "activation": broken_functions.ACTIVATIONS,
    "loss": broken_functions.LOSSES,
    "initializer": broken_functions.INITIALIZERS,
    "optimizer": broken_machines.OPTIMIZERS,
    "engine": broken_machines.ENGINES,
    "exporter": broken_machines.EXPORTERS,
}
WHOLE = {
    "activation": dagnet.activations()["tanh"],
    "loss": dagnet.losses()["squared_error"],
    "initializer": dagnet.initializers()["he_uniform"],
    "optimizer": broken_machines.Descent,
    "engine": broken_machines.BrokenEngine(),
    "exporter": dagnet.exporters()["json"],
}
CASES = [
    pytest.param(item, name, id=f"{kind}-{name}-{number}")
    for kind, checks in BROKEN.items()
    for name, items in checks.items()
    for number, item in enumerate(items)
]


@pytest.mark.parametrize("kind", BROKEN)
def test_every_check_is_broken_by_some_plugin(kind):
    assert set(BROKEN[kind]) == {check.__name__ for check in checks_of(WHOLE[kind])}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_the_broken_ones_are_made_of_is_whole(kind):
    assert [str(outcome) for outcome in outcomes(WHOLE[kind]) if not outcome.passed] == []


@pytest.mark.parametrize(("item", "name"), CASES)
def test_a_check_fails_on_a_plugin_that_breaks_it(item, name):
    checks = [check for check in checks_of(item) if check.__name__ == name]
    (outcome,) = judge(item, checks)
    assert outcome.problem is not None
    assert not outcome.passed
    assert not outcome.problem.startswith("raised"), outcome.problem


def test_the_message_names_plugin_check_numbers_and_the_way_out():
    relu = Activation("my_relu", lambda z: np.maximum(z, 0), lambda z, a: (z > 0).astype(z.dtype))
    with pytest.raises(AssertionError) as caught:
        check_activation(relu)
    text = str(caught.value)
    assert text.startswith("activation 'my_relu' fails 2 checks:\n")
    assert (
        "check_the_derivative_is_the_functions: at z = 0 its derivative says 0, central differences say 0.5; "
        "is there a kink? Declare it with kinks=[…]" in text
    )
    assert "check_it_can_be_pickled: it cannot be pickled" in text
    assert "top level of a module" in text


def test_a_derived_derivative_passes():
    """The kink of np.maximum is a half, as the central difference across it is."""
    reason = {"check_it_can_be_pickled": "it is a lambda"}
    check_activation(Activation("my_relu", lambda z: np.maximum(z, 0)), expected_failures=reason)
    check_activation(Activation("cube", lambda z: z**3), expected_failures=reason)


def test_every_front_takes_names_and_objects():
    check_activation("leaky_relu(negative_slope=0.5)")
    check_loss("huber(delta=2.0)")
    check_initializer("normal(0.0, 0.5)")
    check_optimizer("sgd(learning_rate=0.1, momentum=0.9)")
    check_optimizer(dagnet.optimizers()["adam"])
    check_engine("reference")
    check_exporter("graphml", reader=nx.read_graphml)


def test_what_is_no_such_plugin_is_refused():
    with pytest.raises(PluginError, match=r"tanhh.*did you mean 'tanh'"):
        check_activation("tanhh")
    with pytest.raises(PluginError, match="engine"):
        check_engine("no_such_engine")
    with pytest.raises(PluginError, match=r"check_optimizer\(\): the argument must be an optimizer"):
        check_optimizer(dagnet.losses()["poisson"])
    with pytest.raises(PluginError, match=r"a plugin to check must be"):
        checks_of(3)


def test_an_independent_reader_that_finds_something_else_fails():
    def deaf(stream):
        return nx.DiGraph([("x1", "h1")])

    def roundly(stream):
        graph = nx.read_graphml(stream)
        nx.set_edge_attributes(graph, 0.5, "weight")
        return graph

    with pytest.raises(AssertionError, match="an independent reader finds the nodes"):
        check_exporter("graphml", reader=deaf)
    with pytest.raises(AssertionError, match=r"an independent reader finds the weight 0\.5"):
        check_exporter("graphml", reader=roundly)


def test_an_optimizer_that_overrides_step_need_not_be_elementwise():
    names = [check.__name__ for check in checks_of(broken_machines.Scribbles)]
    assert "check_the_result_does_not_depend_on_how_the_vector_is_split" not in names
    assert "check_it_goes_downhill" in names


class TestExpectedFailures:
    cube = Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2)
    reason: ClassVar = {"check_it_can_be_pickled": "it is a lambda"}

    def test_a_declared_failure_passes(self):
        check_activation(self.cube, expected_failures=self.reason)

    def test_a_declared_failure_that_does_not_come_fails(self):
        with pytest.raises(AssertionError, match=r"passes, but was to fail: it is a lambda"):
            check_activation("tanh", expected_failures=self.reason)

    def test_an_unknown_check_is_refused(self):
        with pytest.raises(PluginError, match=r"no check 'check_it_can_be_pickeld' here; did you mean"):
            check_activation(self.cube, expected_failures={"check_it_can_be_pickeld": "typed badly"})

    @pytest.mark.parametrize("reason", ["", "  ", None, True])
    def test_a_failure_needs_a_reason(self, reason):
        with pytest.raises(PluginError, match="must be a reason"):
            check_activation(self.cube, expected_failures={"check_it_can_be_pickled": reason})

    def test_by_plugin(self):
        with pytest.raises(PluginError, match=r"no plugin 'cubee' here; did you mean 'cube'"):
            parametrize_with_checks([self.cube], expected_failures={"cubee": self.reason})
        with pytest.raises(PluginError, match="no check"):
            parametrize_with_checks([self.cube], expected_failures={"cube": {"check_nothing": "why"}})


MODULE = """
import numpy as np
import dagnet
from dagnet.testing import parametrize_with_checks

def square(outputs, targets):
    return ((outputs - targets) ** 2).sum(axis=1)

cube = dagnet.Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2)
wrong = dagnet.Activation("wrong", lambda z: z**2, lambda z, a: z, surrogate=True)
mine = dagnet.Loss("mine", square)
"""
REASON = '{"check_it_can_be_pickled": "a lambda"}'


class TestParametrized:
    def run(self, pytester, test, *arguments):
        pytester.makepyfile(MODULE + test)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly", *arguments)

    def test_one_test_a_check_with_readable_ids(self, pytester):
        test = f"""
@parametrize_with_checks([cube, mine], expected_failures={{"cube": {REASON}}})
def test_conformance(check):
    check()
"""
        result = self.run(pytester, test, "-v")
        passed = len(checks_of(TestExpectedFailures.cube)) + len(checks_of(WHOLE["loss"])) - 1
        result.assert_outcomes(passed=passed, xfailed=1)
        result.stdout.fnmatch_lines(
            ["*::test_conformance?cube-check_the_derivative_is_the_functions? PASSED*"]
        )
        result.stdout.fnmatch_lines(["*::test_conformance?mine-check_the_gradient_is_the_values? PASSED*"])

    def test_failures_show_and_undeclared_ones_fail(self, pytester):
        test = """
@parametrize_with_checks([wrong])
def test_conformance(check, plugin):
    assert plugin is wrong
    check()
"""
        result = self.run(pytester, test)
        result.assert_outcomes(passed=len(checks_of(TestExpectedFailures.cube)) - 2, failed=2)
        result.stdout.fnmatch_lines(["*at z = -30 its derivative says -30, central differences say -60*"])

    def test_declared_failures_are_strict(self, pytester):
        test = f"""
@parametrize_with_checks([mine], expected_failures={REASON})
def test_conformance(check):
    check()
"""
        result = self.run(pytester, test)
        result.assert_outcomes(passed=len(checks_of(WHOLE["loss"])) - 1, failed=1)
        result.stdout.fnmatch_lines(["*XPASS(strict)*a lambda*"])


def test_the_kit_needs_no_pytest_until_it_is_asked_for():
    code = (
        "import dagnet.testing as kit, sys; kit.check_activation('tanh'); assert 'pytest' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
