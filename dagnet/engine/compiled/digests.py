"""BLAKE2b of many short texts at once (Saarinen and Aumasson, RFC 7693), eight in the lanes of a vector."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from dagnet.adjacency import offsets
from dagnet.arrays import Array
from dagnet.engine.compiled.caching import module_digest
from dagnet.engine.compiled.generation import Code, compiled, function_in
from dagnet.engine.compiled.vectors import I64, Emitter

LANES, WORDS, PORTION = 8, 16, 4096
"""Texts of a vector; words of 8 bytes that are hashed at once; texts that are laid out at once."""
SIZE, ROUNDS = 8, 12
START = (
    0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
    0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
)  # fmt: skip
ORDERS = (
    "0123456789ABCDEF", "EA489FD61C02B753", "B8C052FDAE367194", "7931DCBE265A40F8", "905724AFE1BC683D",
    "2C6A0B834D75FE19", "C51FED4A0763928B", "DB7EC13950F4862A", "6FE9B308C2D714A5", "A2847615FB9E3CD0",
)  # fmt: skip
QUARTERS = [(k, 4 + (k + s) % 4, 8 + (k + 2 * s) % 4, 12 + (k + 3 * s) % 4) for s in (0, 1) for k in range(4)]
"""The columns of the state, a square of 4 × 4 words, and its diagonals."""


def digests(names: Sequence[str]) -> Array | None:
    """(names,) the 64 bits of "s" and each name by BLAKE2b; None where one is too long for this code."""
    text = np.frombuffer(("s" + "s".join(names)).encode("utf-8", "surrogatepass"), np.uint8)
    starts = offsets(np.fromiter(map(len, names), np.int64, len(names)) + 1)
    if starts[-1] < len(text):  # letters of several bytes
        starts = np.append(((text & 0xC0) != 0x80).nonzero()[0], len(text))[starts]
    sizes, most = np.diff(starts), 8 * WORDS
    if sizes.max() > most or not _is_right():
        return None
    result = np.empty(len(names), np.uint64)
    for first in range(0, len(names), PORTION):
        part = slice(first, first + PORTION)
        stop = min(first + PORTION, len(names))
        result[part] = _hashed(text[starts[first] : starts[stop]], sizes[part])
    return result


def _hashed(text: Array, sizes: Array) -> Array:
    """(texts,) from their bytes, one text after the other, and (texts,) how many each has."""
    n, width = len(sizes), -(-int(sizes.max()) // 8)
    padded = -(-n // LANES) * LANES
    words, lengths = np.zeros((WORDS, padded), np.uint64), np.zeros(padded, np.uint64)
    spread, lengths[:n] = np.zeros((n, 8 * width), np.uint8), sizes
    spread[np.arange(8 * width) < sizes[:, None]] = text
    words[:width, :n] = spread.view("<u8").T
    result = np.empty(padded, np.uint64)
    _function()(words.ctypes.data, lengths.ctypes.data, result.ctypes.data, padded)
    return result[:n]


@cache
def _is_right() -> bool:
    """Whether texts of every length have the digests that Python's library finds."""
    texts = [bytes(range(255, 255 - size, -1)) for size in range(8 * WORDS + 1)]
    found = _hashed(np.frombuffer(b"".join(texts), np.uint8), np.array([*map(len, texts)]))
    return found.astype("<u8").tobytes() == b"".join(
        hashlib.blake2b(text, digest_size=SIZE).digest() for text in texts
    )


@cache
def _code() -> Code:
    return compiled(_written, "digests" + module_digest(__name__))


@cache
def _function() -> Any:
    kinds = [ctypes.c_void_p] * 3 + [ctypes.c_int64]
    return ctypes.CFUNCTYPE(None, *kinds)(_code().address("digests"))


def _written() -> ir.Module:
    """``digests(words, lengths, result, n)``: word k of text i is ``words[k n + i]``; n in eights."""
    module, builder, function = function_in("digests", ir.VoidType(), [*[I64.as_pointer()] * 3, I64])
    (words, lengths, result, n), kind = function.args, ir.VectorType(I64, LANES)

    def vector_at(pointer: Any, place: Any) -> Any:
        return builder.bitcast(builder.gep(pointer, [place]), kind.as_pointer())

    def in_all(number: int) -> Any:
        return ir.Constant(kind, [number] * LANES)

    def turned(value: Any, by: int) -> Any:
        return builder.or_(builder.lshr(value, in_all(by)), builder.shl(value, in_all(64 - by)))

    def body(first: Any, _: Any) -> list[Any]:
        places = (builder.add(first, builder.mul(n, I64(k))) for k in range(WORDS))
        message = [builder.load(vector_at(words, place), align=8) for place in places]
        head = START[0] ^ 0x01010000 ^ SIZE
        v = [in_all(number) for number in (head, *START[1:], *START[:6], START[6] ^ (2**64 - 1), START[7])]
        v[12] = builder.xor(v[12], builder.load(vector_at(lengths, first), align=8))
        for order in (*ORDERS, *ORDERS)[:ROUNDS]:
            for k, (a, b, c, d) in enumerate(QUARTERS):
                for at, (one, other) in enumerate(((32, 24), (16, 63)), 2 * k):
                    v[a] = builder.add(builder.add(v[a], v[b]), message[int(order[at], 16)])
                    v[d] = turned(builder.xor(v[d], v[a]), one)
                    v[c] = builder.add(v[c], v[d])
                    v[b] = turned(builder.xor(v[b], v[c]), other)
        found = builder.xor(builder.xor(v[0], v[8]), in_all(head))
        builder.store(found, vector_at(result, first), align=8)
        return []

    Emitter(builder, np.float64, LANES).loop(n, LANES, [], body)
    builder.ret_void()
    return module
