"""The compiled engine: Numba kernels for irregular parts, BLAS for dense ones.

Nothing here imports Numba before a network is prepared, so that ``import dagnet`` stays fast.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from dagnet.arrays import Array
from dagnet.contracts import Engine, Optimizer
from dagnet.hookspecs import hookimpl
from dagnet.plan import Plan

__all__ = ["CompiledEngine", "dagnet_engines"]


@cache
def _unavailable() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed; pip install numba"
    try:
        import numba  # noqa: F401, PLC0415 - only to see whether it can be imported
    except Exception as error:  # noqa: BLE001 - numba raises what it likes where it cannot run
        return f"numba cannot be imported: {error}"
    return None


class CompiledEngine:
    """Machine code that is generic over plans: a new network compiles nothing."""

    name = "compiled"
    priority = 100

    def unavailable(self) -> str | None:
        """Why the engine cannot run here, or None."""
        return _unavailable()

    def prepare(self, plan: Plan, *, dtype: Any, threads: int) -> Any:
        """A runner for the plan."""
        from dagnet.engine.compiled.runner import CompiledRunner  # noqa: PLC0415 - imports numba

        return CompiledRunner(plan, dtype, threads)

    def fused_step(self, optimizer: Optimizer, *, dtype: Any, threads: int) -> Callable[..., None] | None:
        """The optimizer's update as one pass over the flat vector, where its rule compiles."""
        from dagnet.engine.compiled.functions import fused_step  # noqa: PLC0415 - imports numba

        return fused_step(optimizer, dtype, threads)

    def digests(self, names: Sequence[str]) -> Array | None:
        """Many names' :func:`dagnet.topology.name_keys`, (names,); None where it cannot find them."""
        from dagnet.engine.compiled.digests import digests  # noqa: PLC0415 - imports numba

        return digests(names)


@hookimpl
def dagnet_engines() -> Iterable[Engine]:
    """The compiled engine."""
    return [CompiledEngine()]
