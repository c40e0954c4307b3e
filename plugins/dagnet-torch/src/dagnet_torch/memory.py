"""How much memory a walk takes, and what fits on a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from dagnet.errors import DataError

if TYPE_CHECKING:
    from dagnet.plan import Plan
    from dagnet_torch.walks import Program

ARRAYS = 4
"""Numbers a unit and row: z, a, δ, ∂L/∂a; those that operations make come and go, step by step."""
VECTORS = 8
"""Numbers a slot: parameters, derivatives, their square in double precision, the optimizer's vectors."""
INDICES = 6
"""Whole numbers of 8 bytes an edge."""


def free_bytes(device: Any) -> int:
    """What is free on a card, PyTorch's own reserve included."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def is_card(device: Any) -> bool:
    """Whether a device has a memory of its own, which ends."""
    return bool(device.type == "cuda")


def needed_bytes(program: Program, rows: int, data: int = 0, moves: int = 0) -> int:
    """For a walk of so many rows both ways, and so many numbers of data beside it.

    ``moves`` is how many numbers a parameter the optimizer's rule makes.
    """
    plan, size = program.plan, program.place.dtype.itemsize
    each = ARRAYS * plan.n_units + program.makes + plan.n_inputs + 4 * len(plan.outputs)
    return size * (each * rows + moves * plan.n_parameters + data) + _fixed(plan, size)


def _fixed(plan: Plan, size: int) -> int:
    """Bytes of a network alone, before there are rows."""
    return size * VECTORS * plan.n_slots + 8 * INDICES * plan.n_weights


def check_network(plan: Plan, place: Any) -> None:
    """Refuse a network for which a card has no memory, before there is anything of it."""
    if is_card(place.device) and (needed := _fixed(plan, place.dtype.itemsize)) > free_bytes(place.device):
        what = f"{plan.n_weights:,} weights need {_worded(needed)}, and {_worded(free_bytes(place.device))}"
        raise DataError(f"engine 'torch' on {place.device}: {what} are free; {_else(place)}")


def check_room(program: Program, rows: int, data: int = 0, moves: int = 0) -> None:
    """Refuse, before anything is allocated, what a card has no memory for.

    Raises
    ------
    DataError
        Saying how much is needed and free, and for how many rows it would do.
    """
    device = program.place.device
    if not is_card(device):
        return
    needed, free = needed_bytes(program, rows, data, moves), free_bytes(device)
    if needed <= free:
        return
    each = needed_bytes(program, 1) - needed_bytes(program, 0)
    fit = max(0, (free - needed_bytes(program, 0, data, moves)) // each)
    what = f"{rows:,} rows at once" + (f" and {data:,} numbers of data" if data else "")
    must = f"engine 'torch' on {device}: {what} need {_worded(needed)}, and {_worded(free)} are free"
    mend = f"{fit:,} rows would fit: make batch_size smaller" if fit else "not even one row fits"
    raise DataError(f"{must}; {mend}, or {_else(program.place)}")


def ran_out(place: Any, error: Exception) -> DataError:
    """The refusal where the estimate was too low, or where others took what was free."""
    first, free = str(error).partition(". GPU")[0], _worded(free_bytes(place.device))
    what = f"engine 'torch' on {place.device}: no memory is left ({first}; {free} free)"
    return DataError(f"{what}; make batch_size smaller, ask for fewer rows at once, or {_else(place)}")


def _else(place: Any) -> str:
    single = "" if place.dtype == torch.float32 else "write dtype='float32', or "
    return f"{single}use device='cpu'"


def _worded(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.1f} MiB"
