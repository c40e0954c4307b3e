"""Calling machine code by its address."""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba's protocol for intrinsics
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def data_pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The pointer to an array's first element."""
    return context.make_array(array_type)(context, builder, array).data


def _call(builder: Any, address: Any, arguments: list[Any], result: Any = None) -> Any:
    function_type = ir.FunctionType(result or ir.VoidType(), [argument.type for argument in arguments])
    return builder.call(builder.inttoptr(address, function_type.as_pointer()), arguments)


@intrinsic
def call_elementwise(typingctx, address, numbers, array, start, n):
    """Call the function at ``address`` with (``numbers``, pointer to ``array[start]``, n)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.gep(data_pointer(context, builder, sig.args[2], args[2]), [args[3]])
        _call(builder, args[0], [args[1], pointer, args[4]])
        return context.get_dummy_value()

    return types.void(address, numbers, array, start, n), codegen


@intrinsic
def call_slope(typingctx, address, numbers, pre, values, deltas, place, start, n):
    """Call the function at ``address`` with pointers into z (at ``place``), a and δ (at ``start``), and n."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pre = builder.gep(data_pointer(context, builder, sig.args[2], args[2]), [args[5]])
        rest = [builder.gep(data_pointer(context, builder, sig.args[i], args[i]), [args[6]]) for i in (3, 4)]
        _call(builder, args[0], [args[1], pre, *rest, args[7]])
        return context.get_dummy_value()

    return types.void(address, numbers, pre, values, deltas, place, start, n), codegen


@intrinsic
def call_loss(typingctx, loss, state, base, places, targets, factor, first, deltas, n):
    """Call a loss, (address, numbers), for ``n`` rows of a tile that begins at ``base``; its result."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def pointer(number: int, offset: Any = None) -> Any:
            start = data_pointer(context, builder, sig.args[number], args[number])
            return start if offset is None else builder.gep(start, [offset])

        address, numbers = (builder.extract_value(args[0], k) for k in (0, 1))
        n_units = context.make_array(sig.args[3])(context, builder, args[3]).nitems
        arrays = [pointer(1, args[2]), pointer(3), pointer(4), pointer(5, args[6]), pointer(7, args[2])]
        return _call(builder, address, [numbers, *arrays, n_units, args[8]], ir.DoubleType())

    return types.float64(loss, state, base, places, targets, factor, first, deltas, n), codegen
