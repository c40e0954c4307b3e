"""How much memory a walk takes, and what fits on a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from dagnet.errors import DataError

if TYPE_CHECKING:
    from dagnet_torch.walks import Program

ARRAYS = 5
"""Numbers a unit and row: z, a, δ, ∂L/∂a, and what an operation makes of the largest of them."""
VECTORS = 8
"""Numbers a slot: parameters, derivatives, the optimizer's vectors, and what a step makes of them."""
INDICES = 6
"""Whole numbers of 8 bytes an edge."""


def free_bytes(device: Any) -> int:
    """What is free on a card, PyTorch's own reserve included."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def needed_bytes(program: Program, rows: int, data: int = 0) -> int:
    """For a walk of so many rows both ways, and so many numbers of data beside it."""
    plan, size = program.plan, program.place.dtype.itemsize
    return (
        size * (ARRAYS * plan.n_units * rows + VECTORS * plan.n_slots + data) + 8 * INDICES * plan.n_weights
    )


def check_room(program: Program, rows: int, data: int = 0) -> None:
    """Refuse, before anything is allocated, what a card has no memory for.

    Raises
    ------
    DataError
        Saying how much is needed and free, and for how many rows it would do.
    """
    device = program.place.device
    if device.type != "cuda":
        return
    needed, free = needed_bytes(program, rows, data), free_bytes(device)
    if needed <= free:
        return
    each = needed_bytes(program, 1, 0) - needed_bytes(program, 0, 0)
    fit = max(0, (free - needed_bytes(program, 0, data)) // each)
    what = f"{rows:,} rows at once" + (f" and {data:,} numbers of data" if data else "")
    must = f"engine 'torch' on {device}: {what} need {_worded(needed)}, and {_worded(free)} are free"
    mend = f"{fit:,} rows would fit: make batch_size smaller" if fit else "not even one row fits"
    mend += "" if program.place.dtype == torch.float32 else ", or write dtype='float32'"
    raise DataError(f"{must}; {mend}, or use device='cpu'")


def _worded(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.1f} MiB"
