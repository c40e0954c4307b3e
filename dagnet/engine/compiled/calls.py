"""Calls of machine code by its address, (address, numbers), from kernels."""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba's protocol for intrinsics
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dagnet.engine.compiled.microkernels import named, pointer
from dagnet.engine.compiled.vectors import I64, MOST_LEARNED, MOST_NUMBERS


def _call(builder: Any, called: Any, arguments: list[Any], result: Any = None) -> Any:
    """Call a function, (address, numbers), with its numbers and some arguments."""
    address, numbers = (builder.extract_value(called, k) for k in (0, 1))
    arguments = [numbers, *arguments]
    function_type = ir.FunctionType(result or ir.VoidType(), [argument.type for argument in arguments])
    return builder.call(builder.inttoptr(address, function_type.as_pointer()), arguments)


@intrinsic
def call_elementwise(typingctx, called, array, start, n):
    """A function of n numbers from ``array[start]`` on, in place."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(pointer(context, builder, sig.args[1], args[1]), [args[2]])
        _call(builder, args[0], [place, args[3]])
        return context.get_dummy_value()

    return types.void(called, array, start, n), codegen


@intrinsic
def call_slope(typingctx, called, state, kept, start, n):
    """A slope: n numbers z from ``state.pre[kept]`` on, a and δ from ``start`` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        state = named(context, builder, sig.args[1], args[1])
        places = ((state.pre, args[2]), (state.values, args[3]), (state.deltas, args[3]))
        _call(builder, args[0], [*(builder.gep(array, [place]) for array, place in places), args[4]])
        return context.get_dummy_value()

    return types.void(called, state, kept, start, n), codegen


@intrinsic
def own_numbers(typingctx, called, theta, slot, m):
    """A function with numbers of which the first m stand from ``theta[slot]`` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        double = ir.DoubleType()
        room = cgutils.alloca_once(builder, double, size=I64(MOST_NUMBERS))
        given = builder.inttoptr(builder.extract_value(args[0], 1), double.as_pointer())
        learned = pointer(context, builder, sig.args[1], args[1])
        for k in range(MOST_NUMBERS):
            number = builder.load(builder.gep(given, [I64(k)]))
            if k < MOST_LEARNED:
                is_own = builder.icmp_signed("<", I64(k), args[3])
                place = builder.select(is_own, builder.add(args[2], I64(k)), args[2])
                own = builder.load(builder.gep(learned, [place]))
                own = own if own.type == double else builder.fpext(own, double)
                number = builder.select(is_own, own, number)
            builder.store(number, builder.gep(room, [I64(k)]))
        return builder.insert_value(args[0], builder.ptrtoint(room, I64), 1)

    return called(called, theta, slot, m), codegen


@intrinsic
def call_learning(typingctx, called, state, sums, place, kept, start, n):
    """A slope as :func:`call_slope`'s, that adds what it finds for numbers to ``sums[place]`` and on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        state = named(context, builder, sig.args[1], args[1])
        found = pointer(context, builder, sig.args[2], args[2])
        places = ((state.pre, args[4]), (state.values, args[5]), (state.deltas, args[5]), (found, args[3]))
        _call(builder, args[0], [*(builder.gep(array, [place]) for array, place in places), args[6]])
        return context.get_dummy_value()

    return types.void(called, state, sums, place, kept, start, n), codegen


@intrinsic
def call_loss(typingctx, called, state, tile, outputs, rows):
    """A loss of a tile's rows (targets, factors); its result."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        state, tile = (named(context, builder, sig.args[k], args[k]) for k in (1, 2))
        units = context.make_array(sig.args[3])(context, builder, args[3])
        given = [builder.extract_value(args[4], k) for k in (0, 1)]
        wanted, factor = (pointer(context, builder, sig.args[4].types[k], given[k]) for k in (0, 1))
        values, deltas = (builder.gep(array, [tile.base]) for array in (state.values, state.deltas))
        arguments = [values, units.data, tile.stride, wanted, factor, deltas, units.nitems, tile.there]
        return _call(builder, args[0], arguments, ir.DoubleType())

    return types.float64(called, state, tile, outputs, rows), codegen
