"""A plan as a program listing: one line a step."""

from __future__ import annotations

from typing import Any

from dagnet.plan.frozen import ACTIVATE, DENSE, KINDS, PlanData

HEAD, TAIL = 40, 10


def list_plan(plan: PlanData) -> str:
    """See ``str(plan)``; a long program shows its first and last steps and counts the rest."""
    lines = [_title(plan)]
    if plan.n_inputs:
        lines.append(f"{'':>6}  input     {_range(0, plan.n_inputs)}")
    steps, n = plan.steps, len(plan.steps)
    shown = range(n) if n <= HEAD + TAIL else [*range(HEAD), *range(n - TAIL, n)]
    for number in shown:
        if n > HEAD + TAIL and number == n - TAIL:
            lines.append(f"{'':>6}  … {n - HEAD - TAIL:,} more steps …")
        lines.append(f"{number:>6}  {_step(plan, steps[number])}")
    lines.append(f"{'':>6}  output    {_units(plan)}")
    lines += [f"{'':>6}  note      {name}: {note}" for name, note in plan.notes.items()]
    return "\n".join(lines)


def _title(plan: PlanData) -> str:
    weights, tied = plan.n_weights, "" if plan.tie is None else f", {plan.n_parameters:,} parameters"
    walked, found = int(plan.needs_delta.sum()), int(plan.needs_gradient.sum())
    return (
        f"plan: {plan.n_units:,} units, {weights:,} weights, {plan.n_slots - weights:,} biases, "
        f"{len(plan.steps):,} steps{tied}, the reverse walk enters {walked:,} units for {found:,} derivatives"
    )


def _range(start: int, n: int) -> str:
    return f"u{start}" if n == 1 else f"u{start}…u{start + n - 1}"


def _units(plan: PlanData) -> str:
    units = plan.outputs.tolist()
    if len(units) > 1 and units == list(range(units[0], units[0] + len(units))):
        return _range(units[0], len(units))
    more = f", … {len(units) - 12} more" if len(units) > 12 else ""
    return ", ".join(f"u{unit}" for unit in units[:12]) + more


def _step(plan: PlanData, step: Any) -> str:
    target, n_target = int(step["target"]), int(step["n_target"])
    head = f"{KINDS[step['kind']]:<9} {_range(target, n_target):<16}"
    if step["kind"] == ACTIVATE:
        activation = plan.activations[step["what"]]
        note = plan.notes.get(str(activation))
        return f"{head} = {activation}" + (f"   [{note.split(':')[0]}]" if note else "")
    biases = int((plan.bias_slot[target : target + n_target] >= 0).sum())
    bias = f" + {biases} bias{'es' if biases != 1 else ''}" if biases else ""
    if step["kind"] == DENSE:
        n_source = int(step["n_source"])
        where = "gathered" if step["what"] else _range(int(step["source"]), n_source)
        return f"{head} = W[{n_target}×{n_source}] @ {where}{bias}"
    nonzeros = int(step["n_source"])
    return f"{head} = {nonzeros:,} weight{'s' if nonzeros != 1 else ''}{bias}"
