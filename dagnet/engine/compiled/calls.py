"""Calls of machine code by its address, (address, numbers), from kernels."""

# ruff: noqa: ANN001, ANN201 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from dagnet.engine.compiled.microkernels import microkernel
from dagnet.engine.compiled.units import PROGRAM, STATE, TILE, WALK
from dagnet.engine.compiled.vectors import I64, MOST_LEARNED, MOST_NUMBERS


def _call(builder: Any, called: list[Any], arguments: list[Any], result: Any = None) -> Any:
    """Call a function, (address, numbers), with its numbers and some arguments."""
    address, *arguments = *called, *arguments
    function_type = ir.FunctionType(result or ir.VoidType(), [argument.type for argument in arguments])
    return builder.call(builder.inttoptr(address, function_type.as_pointer()), arguments)


@microkernel()
def call_elementwise(builder, called, array, start, n):
    """A function of n numbers from ``array[start]`` on, in place."""
    _call(builder, called, [builder.gep(array, [start]), n])


@microkernel()
def call_slope(builder, called, state, kept, start, n):
    """A slope: n numbers z from ``state.pre[kept]`` on, a and δ from ``start`` on."""
    places = (state.pre, kept), (state.values, start), (state.deltas, start)
    _call(builder, called, [*(builder.gep(array, [place]) for array, place in places), n])


@microkernel()
def call_units(builder, called, program, walk, state, tile, span):
    """Units forth, or back: one of :func:`dagnet.engine.compiled.units.unit_code`."""
    spaces = (program, PROGRAM), (walk, WALK), (state, STATE), (tile, TILE)
    _call(builder, called, [*(getattr(space, name) for space, names in spaces for name in names), *span])


@microkernel(lambda called, *_: called)
def own_numbers(builder, called, theta, slot, m):
    """A function with numbers of which the first m stand from ``theta[slot]`` on."""
    double = ir.DoubleType()
    room = cgutils.alloca_once(builder, double, size=I64(MOST_NUMBERS))
    given = builder.inttoptr(called[1], double.as_pointer())
    for k in range(MOST_NUMBERS):
        number = builder.load(builder.gep(given, [I64(k)]))
        if k < MOST_LEARNED:
            is_own = builder.icmp_signed("<", I64(k), m)
            own = builder.load(builder.gep(theta, [builder.select(is_own, builder.add(slot, I64(k)), slot)]))
            own = own if own.type == double else builder.fpext(own, double)
            number = builder.select(is_own, own, number)
        builder.store(number, builder.gep(room, [I64(k)]))
    return [called[0], builder.ptrtoint(room, I64)]


@microkernel()
def call_learning(builder, called, state, sums, places, n):
    """A slope as :func:`call_slope`'s, that adds what it finds for numbers to ``sums[place]`` and on.

    ``places``: place, kept, start.
    """
    place, kept, start = places
    arrays = (state.pre, kept), (state.values, start), (state.deltas, start), (sums, place)
    _call(builder, called, [*(builder.gep(array, [here]) for array, here in arrays), n])


@microkernel(lambda *_: types.float64)
def call_loss(builder, called, state, tile, outputs, rows):
    """A loss of a tile's rows (targets, factors); its result.

    ``outputs``: their units, where their ∂L/∂a goes, and how many they are.
    """
    values, deltas = (builder.gep(array, [tile.base]) for array in (state.values, state.deltas))
    units, begun, n_outputs = outputs
    arguments = [values, units, begun, tile.stride, *rows, deltas, n_outputs, tile.there]
    return _call(builder, called, arguments, ir.DoubleType())
