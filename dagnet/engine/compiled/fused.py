"""A training step in one call: forward, loss and backward for parts of the rows; what threads do together."""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numba

from dagnet.engine.compiled.caching import INNER
from dagnet.engine.compiled.calls import call_loss
from dagnet.engine.compiled.kernels import load_inputs, load_tile, named_in
from dagnet.engine.compiled.meeting import SHARES, end, number_of, taken, wait
from dagnet.engine.compiled.opened import (
    LINE,
    Reverse,
    State,
    Tile,
    opened,
    opened_call,
    padded,
    rows_of_delta,
    shape_of,
)


@numba.njit(**INNER)
def _first_read(program):
    """The first edge in walking order whose weight is read: of those that leave inputs only if pulled."""
    return 0 if program.pulls_inputs else program.indptr_out[program.n_inputs]


@numba.njit(**INNER)
def _gather(program, theta, weights, first, last):
    """Some weights into walking order, where these are read."""
    first = max(first, _first_read(program))
    some, slots = weights[first:last], program.slots_out[first:last]
    for k in range(len(some)):
        some[k] = theta[slots[k]]


@numba.njit(**INNER)
def _by_slot(program, gradient, biases, into):
    """Derivatives in walking order, and those of units, into slots."""
    n_units, n_learned = len(program.bias_slot), program.n_learned
    for k in range(len(gradient)):
        into[program.slots_out[k]] = gradient[k]
    for unit in range(program.n_inputs, n_units):
        if program.bias_slot[unit] >= 0:
            into[program.bias_slot[unit]] = biases[unit]
    for k in range(n_learned):
        into[len(into) - n_learned + k] = biases[n_units + k]


@numba.njit(**INNER)
def _add(memory, first, last):
    """To the first part's numbers add all others', always in the same order."""
    total = memory[0, first:last]
    for part in range(1, len(memory)):
        more = memory[part, first:last]
        for k in range(len(total)):
            total[k] += more[k]


@numba.njit(**INNER)
def _gather_together(program, theta, weights, together):
    """Weights into walking order; ``together``: the meeting, number of the pass, this thread, threads."""
    (meeting, number, own, parts), n = together, len(program.slots_out)
    pieces = SHARES * parts + 1
    for k in range(pieces):
        piece = (SHARES * own + k) % pieces
        if taken(meeting, number, parts + piece):
            _gather(program, theta, weights, n * piece // pieces, n * (piece + 1) // pieces)
            end(meeting, number, parts + piece, 0.0)
    wait(meeting, number, parts, parts + pieces)


@numba.njit(**INNER)
def _collect(program, memory, begins, into, share):
    """A share of all parts' derivatives into slots, or, ``apart``, of what they found by slot.

    ``memory`` (parts, numbers); ``begins``: where in it begin derivatives in walking order and those of
    units, where these end, and where those by slot begin, or 0; ``share``: which of how many.
    """
    (walked, biases, stop, apart), (piece, pieces), last = begins, share, len(memory) - 1
    if apart:
        for part in range(1, len(memory)):
            found = memory[part, apart : apart + len(into)]
            for k in range(len(into) * piece // pieces, len(into) * (piece + 1) // pieces):
                into[k] += found[k]
    elif piece == pieces - 1:
        _add(memory, biases, stop)
        _by_slot(program, memory[0, :0], memory[0, biases:stop], into)
    else:
        n, pieces = len(program.slots_out), pieces - 1
        places = program.slots_out[n * piece // pieces : n * (piece + 1) // pieces]
        first = walked + n * piece // pieces
        _add(memory[:last], first, first + len(places))
        total, more = memory[0, first:], memory[last, first:]
        for k in range(len(places)):  # while numbers of the last part come, those before them are written
            into[places[k]] = total[k] + more[k]


@numba.njit(**INNER)
def _collect_together(program, memory, begins, into, together):
    """All parts' derivatives into slots, see :func:`_collect` and :func:`_gather_together`."""
    meeting, number, own, parts = together
    pieces = SHARES * parts + 1
    for k in range(pieces):
        piece = (SHARES * own + k) % pieces
        if taken(meeting, number, parts + pieces + piece):
            _collect(program, memory, begins, into, (piece, pieces))
            end(meeting, number, parts + pieces + piece, 0.0)
    wait(meeting, number, parts + pieces, parts + 2 * pieces)


@numba.njit(**INNER)
def _begins(program, shape):
    """Where in a part's memory begin weights, derivatives of them and of units, and these end.

    ``shape``: of :func:`dagnet.engine.compiled.opened.shape_of`.
    """
    (over, _, weights), walked = shape, padded(len(program.slots_out))
    biases = weights + (2 if program.writes_slots and not over else 1) * walked
    return weights, biases - walked, biases, biases + len(program.bias_slot) + program.n_learned


@numba.njit(**INNER)
def _rows_of(program, memory, lanes):
    """Where a tile's a, δ, z and targets are; δ begins where values do if it is written over them."""
    n = len(program.bias_slot)
    pre = (n + rows_of_delta(program)) * lanes
    wanted = pre + program.n_pre * lanes
    deltas = memory[(0 if program.overwrites else n * lanes) : pre]
    return (
        memory[: n * lanes],
        deltas,
        memory[pre:wanted],
        memory[wanted : wanted + len(program.outputs) * lanes],
    )


@numba.njit(**INNER)
def load_inputs_of(program, theta, given, state, tile, fresh):
    """A tile's inputs into its memory, which may have none yet."""
    load_inputs(given, state.values, tile, (fresh or len(program.rates) > 0, True))


@numba.njit(**INNER)
def leave_inputs(program, walk, given, state, tile):
    """What is absent in the places of a tile's inputs."""
    load_inputs(given, state.values, tile, (False, False))


def walking(module: str, forward: Any, backward: Any, load: Any, leave: Any) -> Any:
    """A kernel for a part of the rows, from those of a tile and what loads and leaves inputs."""

    def walk_part(program, call, memory, walk):
        """Forward, loss and backward in a tile's memory; their loss.  ``call``: of :func:`opened_call`."""
        loss, (part, parts, lanes), (given, targets, factor) = call
        values, deltas, pre, wanted = _rows_of(program, memory, lanes)
        state, n_steps = State(values, deltas, pre), len(program.runs)
        outputs = program.outputs, program.outputs_begun, len(program.outputs)
        total, walked = 0.0, program.n_inputs if program.walks_to_inputs else 0
        for number in range(part, (len(factor) + lanes - 1) // lanes, parts):
            first = number * lanes
            there = min(lanes, len(factor) - first)
            tile = Tile(0, 0, lanes, lanes, there, first)
            here = wanted, factor[first : first + there]
            load(program, walk.theta, given, state, tile, number == part)
            forward(program, walk.theta, state, tile, 0, n_steps)
            for k in range(len(program.zeroed)):
                state.deltas[program.zeroed[k] * lanes : (program.zeroed[k] + 1) * lanes] = 0
            load_tile(targets[first : first + there], here[0], 0, lanes, lanes)
            total += call_loss(loss, state, tile, outputs, here)
            backward(program, walk, state, tile, (0, n_steps), (0, walked))
            leave(program, walk, given, state, tile)
        return total

    return numba.njit(**INNER)(named_in(module, walk_part))


@numba.njit(**INNER)
def _walk_apart(program, call, memory, places, walk_part):
    """Forward, loss and backward for a part of the rows, from weights as given to derivatives by slot.

    ``places``: theta; where derivatives by slot go; whether threads share the work on weights, which then
    stand in this place in walking order, and derivatives stay as they were found.
    """
    (_, (_, parts, lanes), rows), (theta, found, shares), n = call, places, len(program.slots_out)
    shape = over, inside, _ = shape_of(program, len(found), lanes, len(rows[2]), parts)
    at, walked, biases, stop = _begins(program, shape)
    weights = memory[at : at + n]
    if not (over or program.writes_slots):
        weights = found[:n]  # which is written when the walk is over
    if program.writes_slots:
        found[:] = 0
    memory[walked : walked + (_first_read(program) if over else n)] = 0
    memory[biases:stop] = 0
    if not shares:
        _gather(program, theta, weights, 0, n)
    walk = Reverse(weights, memory[walked : walked + n], memory[biases:stop], theta, found)
    room = memory
    if inside:
        room = found[-found.ctypes.data % LINE // found.itemsize :]
    lost = walk_part(program, call, room, walk)
    if not shares:
        _by_slot(program, walk.gradient, walk.bias_gradient, found)
    return lost


@numba.njit(**INNER)
def whole_pass(table, theta, walk_part):
    """Forward, loss and backward of all parts that nobody else is at; the loss of all rows.

    ``table`` is one of :func:`dagnet.engine.compiled.opened.call_table`; ∂/∂theta goes to ``into`` (slots,).
    Few weights each part brings into walking order for itself, and finds derivatives by slot in a vector of
    its own: what several write between each other travels to and fro between cores.  Of many weights, which
    leave the cache anyway, each thread does some for all.
    """
    program, (loss, (own, parts, lanes, shares), rows, places) = opened(table), opened_call(table, theta)
    memory, into, meeting = places
    number, apart = number_of(meeting), 0 if shares else memory.shape[1] - padded(len(into))
    together, total = (meeting, number, own, parts), 0.0
    if shares:
        _gather_together(program, theta, into, together)
    for k in range(parts):
        part = (own + k) % parts
        if taken(meeting, number, part):
            found = into if shares or part == 0 else memory[part, apart : apart + len(into)]
            call, given = (loss, (part, parts, lanes), rows), (theta, found, shares)
            total = _walk_apart(program, call, memory[part], given, walk_part)
            end(meeting, number, part, total)
    if parts == 1:
        return total
    shape = shape_of(program, len(into), lanes, len(rows[2]), parts)
    _, walked, biases, stop = _begins(program, shape)
    total = wait(meeting, number, 0, parts)
    _collect_together(program, memory, (walked, biases, stop, apart), into, together)
    return total
