"""A unit at a time, in registers: its sum and activation, and back its pull, slope and bias's derivative.

One call runs any number of levels whose units have the same activation: nothing is decoded between two
units, and no number goes through memory between a sum and its activation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from dagnet.adjacency import run_ends
from dagnet.arrays import Array
from dagnet.engine.compiled.alike import BACK, FORTH, Way
from dagnet.engine.compiled.caching import module_digest
from dagnet.engine.compiled.generation import (
    DOUBLE,
    I64,
    Machine,
    Values,
    calculate,
    compiled,
    function_in,
    known_numbers,
    lowered,
    numbers_of,
    once,
)
from dagnet.engine.compiled.masks import Dropout
from dagnet.engine.compiled.microkernels import Rows, by_width, number_of, pulled, summed
from dagnet.engine.compiled.opened import UNITS
from dagnet.engine.compiled.vectors import ELEMENTS, Vector
from dagnet.formula import Formula
from dagnet.plan import ACTIVATE, DROP, SPARSE

BYTE = ir.IntType(8)
WAYS = ("indptr", "sources", "bias_slot", "indptr_out", "children", "begun", "needs_delta")
PROGRAM = (*WAYS, "alike", "unit_hashes", "key")
WALK = ("theta", "weights", "gradient", "bias_gradient")
STATE, TILE = ("values", "deltas"), ("base", "stride", "lanes", "there", "row")
"""What is handed over, in this order, behind the numbers and before the first unit and the last + 1."""
WRITTEN_OVER = ("weights", "gradient", "values", "deltas")
"""Of these the second may be the first, and the fourth the third."""


class Kind(NamedTuple):
    """Of code: its dtype, the bits of a unit's number, the widths of tiles, whether it drops values.

    ``normalizes``: whether the plan has moments over rows, by way of which some units have a derivative;
    ``joins``: whether units that are alike go on together.
    """

    dtype: Any
    bits: int
    widths: tuple[int, ...]
    drops: bool = False
    normalizes: bool = False
    joins: bool = False


def unit_code(formulas: tuple[Formula, ...], kind: Kind) -> Machine:
    """``forth`` and ``back`` of units.

    ``formulas``: an activation's and its slope's; without them sums alone, and back ∂L/∂a alone.
    """
    key = ("units", *(formula.content for formula in formulas), kind)
    return once(key, lambda: _machine(lowered(*formulas) if formulas else None, kind))


def _machine(formula: Formula | None, kind: Kind) -> Machine:
    kinds = _kinds(ELEMENTS[np.dtype(kind.dtype).name], ir.IntType(kind.bits))

    def written() -> ir.Module:
        module = ir.Module()
        for name, write in (("forth", _forth), ("back", _back)):
            _, builder, function = function_in(name, ir.VoidType(), kinds, module)
            for array, argument in zip((*PROGRAM, *WALK, *STATE), function.args[1:], strict=False):
                if array in WRITTEN_OVER:
                    argument.attributes.discard("noalias")
            _by_width(builder, function.args, formula, kind, write)
        return module

    content = repr((formula and (formula.arguments, formula.ops, formula.results), str(kinds), kind))
    code = compiled(written, content + module_digest(__name__))
    return Machine(code.address("forth"), numbers_of(formula) if formula else (), code, code.address("back"))


def _kinds(element: ir.Type, unit: ir.Type) -> list[ir.Type]:
    names = ("sources", "children", "begun", "bias_slot")
    kinds = dict.fromkeys(names, unit) | {"needs_delta": BYTE, "alike": BYTE}
    kinds |= {"indptr": I64, "indptr_out": I64, "unit_hashes": I64, "key": I64}
    arrays = (kinds.get(name, element).as_pointer() for name in (*PROGRAM, *WALK, *STATE))
    return [DOUBLE.as_pointer(), *arrays, *[I64] * (len(TILE) + 2)]


def _by_width(
    builder: Any, given: Any, formula: Formula | None, kind: Kind, write: Callable[..., None]
) -> None:
    numbers, *rest = given
    spaces = []
    for names in (PROGRAM, WALK, STATE, TILE):
        spaces.append(SimpleNamespace(**dict(zip(names, rest, strict=False))))
        rest = rest[len(names) :]
    program, walk, state, tile = spaces
    for name in STATE:  # so that edges add no base to their units' places
        setattr(state, name, builder.gep(getattr(state, name), [tile.base]))
    tile.base = I64(0)

    def body(lanes: int) -> None:
        emit = Rows(builder, state, tile, lanes)
        known = known_numbers(formula, numbers, None, emit) if formula else {}
        dropout = None
        if formula and kind.drops:  # by a rate whose numbers stand behind the formula's
            rate = builder.gep(numbers, [I64(len(numbers_of(formula)))])
            dropout = Dropout(emit, program.key, tile.row, rate)
        write(emit, (formula, dropout, kind), known, (program, walk), rest)

    by_width(builder, number_of(state.values), tile.lanes, body, kind.widths)
    builder.ret_void()


def _result(emit: Rows, formula: Formula, number: int, values: dict[int, Vector]) -> Vector:
    """One of a formula's results; ``values`` has what it reads."""
    result = formula.results[number]
    needed = Formula(formula.arguments, formula.ops, (result,)).needed()
    calculate(formula, needed, values, emit)
    return values[result].to_number()


def _found(
    emit: Rows, joins: tuple[Any, Way] | None, place: Any, span: list[Any], find: Callable[..., list[Vector]]
) -> Vector:
    """What ``find(units)`` gives for a unit: by itself, or with those like it.

    The first of these that the walk comes to finds it for all; the others' is kept in their places.
    """
    if joins is None:
        return find([place])[0]
    (alike, way), builder, (first, last) = joins, emit.builder, span
    array = getattr(emit.state, way.kept)
    mark = builder.and_(builder.lshr(emit.at(alike, place), I64(way.shift)), I64(15))
    begin = builder.sub(place, builder.mul(builder.sub(mark, I64(1)), I64(way.step)))
    units = [builder.add(begin, I64(k * way.step)) for k in range(way.n)]
    ends = units[:: way.step]
    whole = builder.and_(builder.icmp_signed(">=", ends[0], first), builder.icmp_signed("<", ends[-1], last))
    blocks = [builder.append_basic_block(name) for name in ("alone", "together", "kept", "found")]
    switch = builder.switch(builder.select(whole, mark, I64(0)), blocks[2])
    ways = []
    for number, block in enumerate(blocks[:3]):
        builder.position_at_end(block)
        if number < 2:
            switch.add_case(I64(number), block)
            value, *others = find(units if number else [place])
        else:
            value, others = emit.load(emit.place(array, place)), []
        for unit, other in zip(units[1:], others, strict=False):
            emit.store(other, emit.place(array, unit))
        ways.append((value.value, builder.block))
        builder.branch(blocks[3])
    builder.position_at_end(blocks[3])
    found = builder.phi(emit.type)
    for value, block in ways:
        found.add_incoming(value, block)
    return Vector(emit, found)


def _forth(emit: Rows, code: tuple[Any, ...], known: Values, arrays: Any, span: list[Any]) -> None:
    (program, walk), (first, last), (formula, dropout, kind) = arrays, span, code
    there, joins = emit.first(emit.tile.there), (program.alike, FORTH) if kind.joins else None

    def unit(k: Any) -> None:
        place = emit.builder.add(first, k)
        total = _found(emit, joins, place, span, lambda units: summed(emit, program, walk.theta, units))
        if formula:
            total = emit.select(there, _result(emit, formula, 0, {**known, 0: total}), 0.0)
        if dropout:
            total = dropout.drop(total, emit.at(program.unit_hashes, place))
        emit.store(total, emit.place(emit.state.values, place))

    emit.for_units(emit.builder.sub(last, first), unit)


def _back(emit: Rows, code: tuple[Any, ...], known: Values, arrays: Any, span: list[Any]) -> None:
    (program, walk), (first, last), (formula, dropout, kind) = arrays, span, code
    builder, there = emit.builder, emit.first(emit.tile.there)
    joins = (program.alike, BACK) if kind.joins else None
    mask = emit.mask_where_apart(walk.weights, walk.gradient)

    def unit(k: Any) -> None:
        place, owns = builder.sub(builder.sub(last, k), I64(1)), list[Vector]()

        def pull(units: list[Any]) -> list[Vector]:
            found, owns[:] = pulled(emit, program, walk, units, mask, normalizes=kind.normalizes)
            return found

        # also where δ is not wanted: of weights derivatives are
        found = _found(emit, joins, place, span, pull)
        own = emit.load(emit.place(emit.state.values, place)) if joins else owns[0]
        if dropout:
            gone, own = dropout.restored(own)
        if formula:
            slope = _result(emit, formula, 1, {**known, formula.arguments.index("a"): own})
            wanted = builder.icmp_unsigned("!=", emit.at(program.needs_delta, place), I64(0))
            delta = emit.select(there, found * slope, 0.0)
            if dropout:
                delta = emit.select(gone, 0.0, delta * dropout.scale)
            found = delta.new(builder.select(wanted, delta.value, emit.splat(0.0).value))
            total = builder.gep(walk.bias_gradient, [place])
            builder.store(builder.fadd(builder.load(total), emit.sum(found)), total)
        emit.store(found, emit.place(emit.state.deltas, place))

    emit.for_units(builder.sub(last, first), unit)


# -- which steps run as one --------------------------------------------------------------------


def joined_units(
    steps: Array, codes: Array, fuses: Array, begins: Sequence[int], *, drops: bool
) -> tuple[Array, Array]:
    """Steps as tiles take them, and the number of the first step of each.

    Sums, an activation of all their units and a drop behind it are one, and so are those that follow with
    the same code: UNITS, code, first unit, last unit + 1.  ``fuses``: by ``codes``, which may be; ``begins``:
    where segments do; ``drops``: whether there are any.
    """
    if not len(steps):
        return steps, np.zeros(0, np.int64)
    kind, _, first, last = steps.T
    active = behind = kind == ACTIVATE
    if drops:
        behind = active.copy()
        behind[1:] |= (kind[1:] == DROP) & active[:-1]
    heads = (~behind).nonzero()[0]  # steps, each with the activations and drops behind it
    ends = run_ends(heads, len(steps))
    following = np.minimum(heads + 1, len(steps) - 1)
    # activations stand in the order of units: from the first of the sums to the last, it is all of these
    whole = (first[following] == first[heads]) & (last[ends] == last[heads])
    whole &= (kind[heads] == SPARSE) & active[following]
    segment = None
    if len(begins) > 1:
        segment = np.searchsorted(begins, np.arange(len(steps)), side="right")
        whole &= segment[heads] == segment[ends]
    kept = active.nonzero()[0]
    if np.count_nonzero(whole) == len(whole) and fuses[codes[kept]].all():  # all are one with their sums
        table, joins = steps[kept], np.ones(len(kept), bool)
        table[:, 0], table[:, 1] = UNITS, codes[kept]
    else:
        summed = whole.repeat(ends + 1 - heads)
        fused = active & summed & fuses[codes]
        stays = active | ~summed
        if drops:
            stays[1:] |= (behind & ~active)[1:] & ~fused[:-1]
        kept = stays.nonzero()[0]
        table, joins = steps[kept], fused[kept]
        table[table[:, 0] == SPARSE, 1] = len(fuses)  # the code of sums alone
        table[joins, 0], table[joins, 1] = UNITS, codes[kept[joins]]
        apart = (active & summed & ~fused)[kept]
        if np.count_nonzero(apart):  # an activation apart has sums of its own
            times = 1 + apart
            kept, table, joins = kept.repeat(times), table.repeat(times, axis=0), joins.repeat(times)
            sums = (kept[1:] == kept[:-1]).nonzero()[0]
            table[sums, 0], table[sums, 1] = SPARSE, len(fuses)
    joins[1:] &= joins[:-1] & (table[1:, 1] == table[:-1, 1]) & (table[1:, 2] == table[:-1, 3])
    joins[:1] = False
    if segment is not None:
        joins[1:] &= segment[kept[1:]] == segment[kept[:-1]]
    begun = (~joins).nonzero()[0]
    runs = table[begun]
    runs[:-1, 3], runs[-1:, 3] = table[begun[1:] - 1, 3], table[-1:, 3]
    return runs, kept[begun]
