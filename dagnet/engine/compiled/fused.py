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
from dagnet.engine.compiled.opened import Reverse, State, Tile, opened, opened_call, padded


@numba.njit(**INNER)
def _gather(program, theta, weights, first, last):
    """Some weights into walking order; of edges that leave inputs only where these are pulled."""
    first = max(first, 0 if program.pulls_inputs else program.indptr_out[program.n_inputs])
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
def _begins(program, lanes):
    """Where in a part's memory begin z, targets, weights, derivatives of them and of units, and these end."""
    n_units, walked = len(program.bias_slot), padded(len(program.slots_out))
    wanted = (2 * n_units + program.n_pre) * lanes
    weights = wanted + len(program.outputs) * lanes
    biases = weights + (2 if program.writes_slots else 1) * walked
    return 2 * n_units * lanes, wanted, weights, biases - walked, biases, biases + n_units + program.n_learned


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
        """Forward, loss and backward in a part's memory; their loss.  ``call``: of :func:`opened_call`."""
        loss, (part, parts, lanes), (given, targets, factor) = call
        pre, wanted, end_ = _begins(program, lanes)[:3]
        size, n_steps = len(program.bias_slot) * lanes, len(program.runs)
        state = State(memory[:size], memory[size:pre], memory[pre:wanted])
        total, walked = 0.0, program.n_inputs if program.walks_to_inputs else 0
        walk.gradient[:] = 0
        walk.bias_gradient[:] = 0
        for number in range(part, (len(factor) + lanes - 1) // lanes, parts):
            first = number * lanes
            there = min(lanes, len(factor) - first)
            tile = Tile(0, 0, lanes, lanes, there, first)
            here = memory[wanted:end_], factor[first : first + there]
            load(program, walk.theta, given, state, tile, number == part)
            forward(program, walk.theta, state, tile, 0, n_steps)
            for k in range(len(program.zeroed)):
                state.deltas[program.zeroed[k] * lanes : (program.zeroed[k] + 1) * lanes] = 0
            load_tile(targets[first : first + there], here[0], 0, lanes, lanes)
            total += call_loss(loss, state, tile, (program.outputs, len(program.outputs)), here)
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
    (_, (_, _, lanes), _), (theta, found, shares), n = call, places, len(program.slots_out)
    _, _, at, walked, biases, stop = _begins(program, lanes)
    weights = found[:n]  # which is written when the walk is over
    if program.writes_slots:
        weights = memory[at : at + n]
        found[:] = 0
    if not shares:
        _gather(program, theta, weights, 0, n)
    walk = Reverse(weights, memory[walked : walked + n], memory[biases:stop], theta, found)
    lost = walk_part(program, call, memory, walk)
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
    _, _, _, walked, biases, stop = _begins(program, lanes)
    total = wait(meeting, number, 0, parts)
    _collect_together(program, memory, (walked, biases, stop, apart), into, together)
    return total
