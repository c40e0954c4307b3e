"""What an engine must do, one check a sentence; the reference engine is the specification.

An engine that raises ``Unsupported`` for a network is not asked about it any more; it must run
at least one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Engine, Runner, ThreeCalls, Unsupported
from dagnet.plan import Plan
from dagnet.registry import engines, find_optimizer, losses
from dagnet.testing.graphs import networks
from dagnet.testing.outcomes import must, same_bits

TOLERANCE = {np.dtype("float64"): 1e-11, np.dtype("float32"): 1e-4}
ROWS = (1, 7, 130)
DOUBLE = ("float64",)


@dataclass(frozen=True, eq=False)
class Case:
    """A plan, and numbers to run it on."""

    name: str
    plan: Plan
    theta: Array
    inputs: Array
    pull: Array

    def __str__(self) -> str:
        return f"{self.name}, {len(self.inputs)} rows, {self.theta.dtype}"

    def runner(self, engine: Engine, threads: int = 1) -> Runner:
        """The engine, prepared for the plan."""
        return engine.prepare(self.plan, dtype=self.theta.dtype, threads=threads)

    def run(self, engine: Engine, rows: slice = slice(None), threads: int = 1) -> dict[str, Array]:
        """Everything that an engine has to say; δ where the plan asks for it, else 0."""
        runner = self.runner(engine, threads)
        state = runner.forward(self.theta, self.inputs[rows])
        slots = np.full(self.plan.n_slots, np.nan, self.theta.dtype)
        runner.backward(self.theta, state, self.pull[rows], into=slots)
        units = np.arange(self.plan.n_units)
        entered = self.plan.needs_delta[:, None]
        return {
            "outputs": state.outputs,
            "values": state.value(units),
            "pre-activations": state.pre_activation(units),
            "δ": np.where(entered, state.delta(units), 0),
            "derivatives by slot": slots,
        }


def _cases(
    engine: Engine,
    rows: tuple[int, ...] = ROWS,
    dtypes: tuple[str, ...] = ("float64", "float32"),
    cut: Callable[[Plan], Plan] = Plan.everywhere,
) -> Iterator[Case]:
    """The cases that the engine runs; unless cut, every derivative and every δ is asked for."""
    found, refusal = cut is not Plan.everywhere, ""
    for dtype in dtypes:
        for name, net in networks(dtype):
            plan = cut(net.layout.plan)
            theta = net.layout.theta(net.vector)
            theta = theta.copy() if plan.slot_ids is None else theta[plan.slot_ids]
            for n in rows:
                rng = np.random.default_rng(n)
                inputs = rng.normal(size=(n, plan.n_inputs)).astype(dtype)
                case = Case(name, plan, theta, inputs, rng.normal(size=(n, len(plan.outputs))).astype(dtype))
                try:
                    case.runner(engine)
                except Unsupported as error:
                    refusal = f": {error}"
                    continue
                found = True
                yield case
    must(found, f"it runs none of the networks{refusal}")


def _compare(engine: Engine, case: Case, *parts: str) -> dict[str, Array]:
    """What the engine says, once the parts, by default all, are like the reference engine's."""
    ours, right = case.run(engine), case.run(engines()["reference"])
    for part in parts or right:
        mine, truth = ours[part], right[part]
        must(mine.shape == truth.shape, f"its {part} have shape {mine.shape}, not {truth.shape}, in {case}")
        must(mine.dtype == truth.dtype, f"its {part} are {mine.dtype}, not {truth.dtype}, in {case}")
        off, allowed = _distance(mine, truth)
        must(off <= allowed, f"its {part} are off by {off:.1e}, in {case}")
    return ours


def _distance(mine: Array, truth: Array) -> tuple[float, float]:
    """How far numbers are from the true ones, and how far they may be for their size and precision."""
    allowed = TOLERANCE[truth.dtype] * max(1.0, float(np.abs(truth).max(initial=0)))
    return float(np.abs(mine - truth).max(initial=0)), allowed


def check_it_says_its_name_priority_and_whether_it_can_run(engine: Engine) -> None:
    """An identifier, a number, and a reason or None."""
    must(isinstance(engine.name, str) and engine.name.isidentifier(), "its name must be an identifier")
    must(isinstance(engine.priority, (int, float)), "its priority must be a number")
    reason = engine.unavailable()
    must(reason is None or (isinstance(reason, str) and reason), "unavailable() must say why, or None")
    must(reason is None, f"it cannot run here, so nothing can be checked: {reason}")


def check_the_forward_pass_agrees_with_the_reference(engine: Engine) -> None:
    """Values, pre-activations and outputs on random and on special networks."""
    for case in _cases(engine):
        _compare(engine, case, "pre-activations", "values", "outputs")


def check_the_backward_pass_agrees_with_the_reference(engine: Engine) -> None:
    """δ and the derivatives; what ``into`` held before is overwritten."""
    for case in _cases(engine):
        _compare(engine, case, "δ", "derivatives by slot")


def check_what_is_not_asked_for_is_zero(engine: Engine) -> None:
    """Derivatives of a restricted plan: those wanted are right, all others 0."""

    def some_slots(plan: Plan) -> Plan:
        wanted = np.zeros(plan.n_slots, bool)
        wanted[:: max(2, len(wanted) // 3)] = True
        return plan.restrict(parameters=wanted)

    for case in _cases(engine, (5,), DOUBLE, some_slots):
        ours = _compare(engine, case, "derivatives by slot", "δ")
        unwanted = ours["derivatives by slot"][~case.plan.needs_gradient]
        must((unwanted == 0).all(), f"derivatives that nobody asked for are not 0, in {case.name}")


def check_parts_of_a_network_run_on_their_own(engine: Engine) -> None:
    """A plan cut down to some units: what these read of the others become its inputs."""

    def some_units(plan: Plan) -> Plan:
        wanted = np.zeros(plan.n_units, bool)
        wanted[plan.outputs] = True
        wanted[plan.n_inputs + 1 :: 2] = True
        return plan.restrict(units=wanted)

    for case in _cases(engine, (5,), DOUBLE, some_units):
        _compare(engine, case)


def check_rows_do_not_depend_on_each_other(engine: Engine) -> None:
    """Some rows alone have the outputs that they have among others."""
    for case in _cases(engine, (130,), DOUBLE):
        together = case.run(engine)["outputs"]
        for rows in (slice(0, 1), slice(3, 70), slice(127, 130)):
            alone, right = case.run(engine, rows)["outputs"], together[rows]
            near = alone.shape == right.shape and np.allclose(alone, right, rtol=1e-11, atol=1e-11)
            must(near, f"outputs of a row depend on the rows beside it, in {case.name}")


def check_the_same_call_gives_the_same_bits(engine: Engine) -> None:
    """Twice on one machine."""
    for case in _cases(engine, (7,)):
        first, again = case.run(engine), case.run(engine)
        for part, values in first.items():
            must(same_bits(values, again[part]), f"its {part} differ from call to call, in {case.name}")


def check_the_arguments_are_not_written(engine: Engine) -> None:
    """Neither parameters, nor inputs, nor what is pulled back."""
    for case in _cases(engine, (7,), DOUBLE):
        given = {"parameters": case.theta, "inputs": case.inputs, "output gradient": case.pull}
        before = {what: array.copy() for what, array in given.items()}
        case.run(engine)
        for what, now in given.items():
            must(same_bits(now, before[what]), f"it writes to the {what}, in {case.name}")


def check_results_belong_to_the_caller(engine: Engine) -> None:
    """No later call on other rows changes them, unless their state is given away by ``reuse``."""
    for case in _cases(engine, (7,), DOUBLE):
        runner = case.runner(engine)
        state = runner.forward(case.theta, case.inputs)
        units = np.arange(case.plan.n_units)
        held = state.outputs, state.value(units), state.pre_activation(units)
        kept = [values.copy() for values in held]
        runner.forward(case.theta, case.inputs * 2 + 1)
        runner.backward(case.theta, state, case.pull, into=np.zeros(case.plan.n_slots, case.theta.dtype))
        must(all(map(same_bits, held, kept)), f"a later call changed earlier results, in {case.name}")


def check_memory_given_away_and_states_not_kept_change_nothing(engine: Engine) -> None:
    """``reuse`` and ``keep=False`` give the outputs that a plain call gives."""
    for case in _cases(engine, (7,)):
        runner = case.runner(engine)
        plain = runner.forward(case.theta, case.inputs).outputs
        lean = runner.forward(case.theta, case.inputs, keep=False).outputs
        must(same_bits(plain, lean), f"keep=False gives other outputs, in {case.name}")
        used = runner.forward(case.theta, case.inputs[:3] + 1)
        again = runner.forward(case.theta, case.inputs, reuse=used).outputs
        must(same_bits(plain, again), f"reuse gives other outputs, in {case.name}")


def check_several_threads_may_call_it(engine: Engine) -> None:
    """At once, one runner, different rows."""
    case = next(_cases(engine, (130,), DOUBLE))
    runner = case.runner(engine)
    batches = [case.inputs + shift for shift in range(4)]
    right = [runner.forward(case.theta, batch).outputs for batch in batches]
    calls = list(range(len(batches))) * 20

    def fails(number: int) -> bool:
        try:
            return not same_bits(runner.forward(case.theta, batches[number]).outputs, right[number])
        except Exception:  # noqa: BLE001 - any failure counts
            return True

    with ThreadPoolExecutor(len(batches)) as threads:
        wrong = sum(threads.map(fails, calls))
    must(not wrong, f"called from {len(batches)} threads at once, {wrong} of {len(calls)} calls fail")


def check_several_threads_of_its_own_agree(engine: Engine) -> None:
    """``threads=2`` gives what one thread gives, up to rounding."""
    for case in _cases(engine, (130,), DOUBLE):
        two, one = case.run(engine, threads=2), case.run(engine)
        for part, values in two.items():
            near = np.allclose(values, one[part], rtol=1e-11, atol=1e-11)
            must(near, f"two threads give other {part} than one, in {case.name}")


def check_a_fused_step_is_the_optimizers(engine: Engine) -> None:
    """Where the engine has one."""
    rng = np.random.default_rng(0)
    for name in ("sgd(learning_rate=0.1, momentum=0.9)", "adam", "adamw", "rmsprop"):
        optimizer = find_optimizer(name)
        fused = engine.fused_step(optimizer, dtype=np.dtype(np.float64), threads=1)
        if fused is None:
            continue
        ours, right = np.linspace(-1, 1, 30), np.linspace(-1, 1, 30)
        mine, truth = optimizer.start(ours), optimizer.start(right)
        for step in (1, 2, 3):
            gradient = rng.normal(size=30)
            fused(ours, gradient, mine, step=step, learning_rate=0.01)
            optimizer.step(right, gradient, truth, step=step, learning_rate=0.01)
        must(np.allclose(ours, right, rtol=1e-12, atol=1e-13), f"its step of {name} is not the optimizer's")


def check_a_fused_gradient_is_what_the_calls_give(engine: Engine) -> None:
    """Loss, gradient, and a bound on the gradient's square."""
    for case in _cases(engine):
        runner = case.runner(engine)
        targets = np.zeros((len(case.inputs), len(case.plan.outputs)), case.theta.dtype)
        targets[:, 0] = 1  # what every loss takes: one output unit is right in each row
        factor = np.linspace(0.5, 1.5, len(case.inputs)).astype(case.theta.dtype)
        for loss in losses().values():
            if len(case.plan.outputs) < loss.minimum_outputs or loss.outputs != "real" or loss.columns != 1:
                continue  # these outputs are any numbers
            fused = runner.fused_gradient(loss)
            where = f"with {loss.name} in {case}"
            right, found = np.empty_like(case.theta), np.full_like(case.theta, np.nan)
            truth, _ = ThreeCalls(runner, loss)(case.theta, case.inputs, targets, factor, into=right)
            fused(case.theta, case.inputs[:1] + 1, targets[:1], factor[:1], into=found.copy())  # other rows
            value, bound = fused(case.theta, case.inputs, targets, factor, into=found)
            off, allowed = _distance(found, right)
            must(off <= allowed, f"its fused gradient is off by {off:.1e}, {where}")
            near = np.isclose(value, truth, rtol=TOLERANCE[found.dtype], atol=allowed)
            must(near, f"its fused loss is {value!r}, not {truth!r}, {where}")
            square = float(np.dot(found.astype(float), found))
            must(bound is None or bound >= square * (1 - 1e-5), f"its bound is below the square, {where}")
