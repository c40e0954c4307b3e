"""What scalar code needs below arithmetic: the bits of floats, and choices without branches."""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba's protocol for intrinsics
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["float_bits", "from_bits", "pick", "truncated"]


@intrinsic
def float_bits(typingctx, number):
    """The bits of a float as an integer of its size."""
    result = types.int32 if number == types.float32 else types.int64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(sig.return_type.bitwidth))

    return result(number), codegen


@intrinsic
def from_bits(typingctx, bits):
    """The float whose bits an integer of its size holds."""
    result = types.float32 if bits == types.int32 else types.float64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType() if bits == types.int32 else ir.DoubleType())

    return result(bits), codegen


@intrinsic
def truncated(typingctx, number):
    """The whole part of a float as an integer of its size."""
    result = types.int32 if number == types.float32 else types.int64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fptosi(args[0], ir.IntType(sig.return_type.bitwidth))

    return result(number), codegen


@intrinsic
def pick(typingctx, condition, a, b):
    """``a if condition else b`` as a select: no branch."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        truth = args[0] if args[0].type.width == 1 else builder.trunc(args[0], ir.IntType(1))
        return builder.select(truth, args[1], args[2])

    return a(types.boolean, a, a), codegen
