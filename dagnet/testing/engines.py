"""What an engine must do, one check a sentence; the reference engine is the specification.

An engine that raises ``Unsupported`` for a network is not asked about it any more; it must run
at least one of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Engine, Unsupported
from dagnet.errors import DataError
from dagnet.network import Network
from dagnet.plan import Plan
from dagnet.registry import engines, find_optimizer, losses
from dagnet.testing.copies import same_bits
from dagnet.testing.graphs import networks
from dagnet.testing.outcomes import Check, must

__all__ = ["CHECKS"]

Array = NDArray[Any]
TOLERANCE = {"float64": 1e-11, "float32": 1e-4}
ROWS = (1, 7, 130)


@dataclass(frozen=True, eq=False)
class Case:
    """A plan, and numbers to run it on."""

    name: str
    plan: Plan
    theta: Array
    inputs: Array
    pull: Array

    @property
    def dtype(self) -> str:
        """The precision of all of them."""
        return str(self.theta.dtype)

    def run(self, engine: Engine, rows: slice = slice(None), threads: int = 1) -> dict[str, Array]:
        """Everything that an engine has to say; δ where the plan asks for it, else 0."""
        runner = engine.prepare(self.plan, dtype=self.theta.dtype, threads=threads)
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


def _case(name: str, net: Network, rows: int, plan: Plan | None = None) -> Case:
    rng = np.random.default_rng(rows)
    plan = net.layout.plan if plan is None else plan
    inputs = rng.normal(size=(rows, plan.n_inputs)).astype(net.dtype)
    pull = rng.normal(size=(rows, len(plan.outputs))).astype(net.dtype)
    return Case(name, plan, net.theta().copy(), inputs, pull)


def _cases(
    engine: Engine, rows: tuple[int, ...] = ROWS, dtypes: Any = ("float64", "float32")
) -> Iterator[Case]:
    """The cases that the engine runs; every derivative and every δ is asked for."""
    found, refusal = False, ""
    for dtype in dtypes:
        for name, net in networks(dtype):
            for n in rows:
                case = _case(name, net, n, net.layout.plan.everywhere())
                try:
                    engine.prepare(case.plan, dtype=case.theta.dtype, threads=1)
                except Unsupported as error:
                    refusal = f": {error}"
                    continue
                found = True
                yield case
    must(found, f"it runs none of the networks{refusal}")


def _reference() -> Engine:
    return engines()["reference"]


def _compare(case: Case, ours: dict[str, Array], right: dict[str, Array], parts: tuple[str, ...]) -> None:
    for part in parts:
        mine, truth = ours[part], right[part]
        place = f"{case.name}, {len(case.inputs)} rows, {case.dtype}"
        must(mine.shape == truth.shape, f"its {part} have shape {mine.shape}, not {truth.shape}, in {place}")
        must(mine.dtype == truth.dtype, f"its {part} are {mine.dtype}, not {truth.dtype}, in {place}")
        allowed = TOLERANCE[case.dtype] * max(1.0, float(np.abs(truth).max(initial=0)))
        off = np.abs(mine - truth).max(initial=0)
        must(off <= allowed, f"its {part} are off by {off:.1e}, in {place}")


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
        parts = ("pre-activations", "values", "outputs")
        _compare(case, case.run(engine), case.run(_reference()), parts)


def check_the_backward_pass_agrees_with_the_reference(engine: Engine) -> None:
    """δ and the derivatives; what ``into`` held before is overwritten."""
    for case in _cases(engine):
        _compare(case, case.run(engine), case.run(_reference()), ("δ", "derivatives by slot"))


def check_what_is_not_asked_for_is_zero(engine: Engine) -> None:
    """Derivatives of a restricted plan: those wanted are right, all others 0."""
    for name, net in networks("float64"):
        wanted = np.zeros(net.layout.plan.n_slots, bool)
        wanted[:: max(2, len(wanted) // 3)] = True
        case = _case(name, net, 5, net.layout.plan.restrict(parameters=wanted))
        try:
            ours = case.run(engine)
        except Unsupported:
            continue
        _compare(case, ours, case.run(_reference()), ("derivatives by slot", "δ"))
        unwanted = ours["derivatives by slot"][~case.plan.needs_gradient]
        must((unwanted == 0).all(), f"derivatives that nobody asked for are not 0, in {name}")


def check_parts_of_a_network_run_on_their_own(engine: Engine) -> None:
    """A plan cut down to some units: what these read of the others become its inputs."""
    for name, net in networks("float64"):
        mask = np.zeros(net.layout.plan.n_units, bool)
        mask[net.layout.plan.outputs] = True
        mask[net.layout.plan.n_inputs + 1 :: 2] = True
        plan = net.layout.plan.restrict(units=mask)
        case = _case(name, net, 5, plan)
        slots = plan.slot_ids if plan.slot_ids is not None else np.arange(plan.n_slots)
        case = Case(name, plan, case.theta[slots], case.inputs, case.pull)
        try:
            ours = case.run(engine)
        except Unsupported:
            continue
        _compare(case, ours, case.run(_reference()), tuple(ours))


def check_rows_do_not_depend_on_each_other(engine: Engine) -> None:
    """Some rows alone have the outputs that they have among others."""
    for case in _cases(engine, rows=(130,), dtypes=("float64",)):
        together = case.run(engine)["outputs"]
        for rows in (slice(0, 1), slice(3, 70), slice(127, 130)):
            alone = case.run(engine, rows)["outputs"]
            near = alone.shape == together[rows].shape and np.allclose(
                alone, together[rows], rtol=1e-11, atol=1e-11
            )
            must(near, f"outputs of a row depend on the rows beside it, in {case.name}")


def check_the_same_call_gives_the_same_bits(engine: Engine) -> None:
    """Twice on one machine."""
    for case in _cases(engine, rows=(7,)):
        first, again = case.run(engine), case.run(engine)
        for part, values in first.items():
            must(same_bits(values, again[part]), f"its {part} differ from call to call, in {case.name}")


def check_the_arguments_are_not_written(engine: Engine) -> None:
    """Neither parameters, nor inputs, nor what is pulled back."""
    for case in _cases(engine, rows=(7,), dtypes=("float64",)):
        before = case.theta.copy(), case.inputs.copy(), case.pull.copy()
        case.run(engine)
        for what, now, then in zip(
            ("parameters", "inputs", "output gradient"),
            (case.theta, case.inputs, case.pull),
            before,
            strict=True,
        ):
            must(same_bits(now, then), f"it writes to the {what}, in {case.name}")


def check_results_belong_to_the_caller(engine: Engine) -> None:
    """No later call on other rows changes them, unless their state is given away by ``reuse``."""
    for case in _cases(engine, rows=(7,), dtypes=("float64",)):
        runner = engine.prepare(case.plan, dtype=case.theta.dtype, threads=1)
        state = runner.forward(case.theta, case.inputs)
        units = np.arange(case.plan.n_units)
        held = state.outputs, state.value(units), state.pre_activation(units)
        kept = [values.copy() for values in held]
        runner.forward(case.theta, case.inputs * 2 + 1)
        runner.backward(case.theta, state, case.pull, into=np.zeros(case.plan.n_slots, case.theta.dtype))
        same = all(same_bits(now, then) for now, then in zip(held, kept, strict=True))
        must(same, f"a later call changed earlier results, in {case.name}")


def check_memory_given_away_and_states_not_kept_change_nothing(engine: Engine) -> None:
    """``reuse`` and ``keep=False`` give the outputs that a plain call gives."""
    for case in _cases(engine, rows=(7,)):
        runner = engine.prepare(case.plan, dtype=case.theta.dtype, threads=1)
        plain = runner.forward(case.theta, case.inputs).outputs
        lean = runner.forward(case.theta, case.inputs, keep=False).outputs
        must(same_bits(plain, lean), f"keep=False gives other outputs, in {case.name}")
        used = runner.forward(case.theta, case.inputs[:3] + 1)
        must(
            same_bits(plain, runner.forward(case.theta, case.inputs, reuse=used).outputs),
            f"reuse gives other outputs, in {case.name}",
        )


def check_several_threads_may_call_it(engine: Engine) -> None:
    """At once, one runner, different rows."""
    case = next(iter(_cases(engine, rows=(130,), dtypes=("float64",))))
    runner = engine.prepare(case.plan, dtype=case.theta.dtype, threads=1)
    batches = [case.inputs + shift for shift in range(4)]
    right = [runner.forward(case.theta, batch).outputs for batch in batches]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            try:
                same = same_bits(runner.forward(case.theta, batches[number]).outputs, right[number])
            except Exception:  # noqa: BLE001 - any failure counts
                same = False
            if not same:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    must(
        not wrong,
        f"called from {len(threads)} threads at once, {len(wrong)} of {20 * len(threads)} calls fail",
    )


def check_several_threads_of_its_own_agree(engine: Engine) -> None:
    """``threads=2`` gives what one thread gives, up to rounding."""
    for case in _cases(engine, rows=(130,), dtypes=("float64",)):
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
        runner = engine.prepare(case.plan, dtype=case.theta.dtype, threads=1)
        for loss in losses().values():
            if len(case.plan.outputs) < loss.minimum_outputs or loss.outputs != "real":
                continue  # these outputs are any numbers
            fused = runner.fused_gradient(loss)
            where = f"with {loss.name} in {case.name}, {len(case.inputs)} rows, {case.dtype}"
            targets, factor = _targets(case), np.linspace(0.5, 1.5, len(case.inputs)).astype(case.dtype)
            right, state = np.empty_like(case.theta), runner.forward(case.theta, case.inputs)
            try:
                loss.refuse_outside(state.outputs)
            except DataError:
                continue
            pull = (loss.row_gradients(state.outputs, targets) * factor[:, None]).astype(case.dtype)
            truth = float(np.dot(loss.row_values(state.outputs, targets).astype(float), factor))
            runner.backward(case.theta, state, pull, into=right)
            found = np.full_like(case.theta, np.nan)
            fused(case.theta, case.inputs[:1] + 1, targets[:1], factor[:1], into=found.copy())  # other rows
            value, bound = fused(case.theta, case.inputs, targets, factor, into=found)
            allowed = TOLERANCE[case.dtype] * max(1.0, float(np.abs(right).max(initial=0)))
            off = np.abs(found - right).max(initial=0)
            must(off <= allowed, f"its fused gradient is off by {off:.1e}, {where}")
            near = np.isclose(value, truth, rtol=TOLERANCE[case.dtype], atol=allowed)
            must(near, f"its fused loss is {value!r}, not {truth!r}, {where}")
            square = float(np.dot(found.astype(float), found))
            must(bound is None or bound >= square * (1 - 1e-5), f"its bound is below the square, {where}")


def _targets(case: Case) -> Array:
    """What every loss takes: one output unit is right in each row."""
    targets = np.zeros((len(case.inputs), len(case.plan.outputs)), case.theta.dtype)
    targets[:, 0] = 1
    return targets


CHECKS: tuple[Check, ...] = (
    check_it_says_its_name_priority_and_whether_it_can_run,
    check_the_forward_pass_agrees_with_the_reference,
    check_the_backward_pass_agrees_with_the_reference,
    check_what_is_not_asked_for_is_zero,
    check_parts_of_a_network_run_on_their_own,
    check_rows_do_not_depend_on_each_other,
    check_the_same_call_gives_the_same_bits,
    check_the_arguments_are_not_written,
    check_results_belong_to_the_caller,
    check_memory_given_away_and_states_not_kept_change_nothing,
    check_several_threads_may_call_it,
    check_several_threads_of_its_own_agree,
    check_a_fused_step_is_the_optimizers,
    check_a_fused_gradient_is_what_the_calls_give,
)
