"""Faults of the files that machine code is kept in: each is a miss, and none is met twice."""

import os
import subprocess
import sys

GATHER = """
import numpy as np
from dagnet.engine.compiled.kernels import gather
for dtype in ("float32", "float64", "int32", "int64", "uint32", "uint64"):
    into = np.zeros(2, dtype)
    gather(np.array([1, 2, 3], dtype), np.array([2, 0]), into)
    assert into.tolist() == [3, 1]
print(sum(gather.stats.cache_hits.values()), "loaded,", sum(gather.stats.cache_misses.values()), "compiled")
"""


def gather(place):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GATHER],
        env={**os.environ, "NUMBA_CACHE_DIR": str(place)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_damaged_file_is_compiled_anew_and_written_over(tmp_path):
    assert gather(tmp_path) == "0 loaded, 6 compiled"
    truncated, empty, garbled, flipped, missing, taken = files = sorted(tmp_path.rglob("*.nb[ci]"))
    whole = truncated.read_bytes()
    truncated.write_bytes(whole[: len(whole) // 2])
    empty.write_bytes(b"")
    garbled.write_bytes(bytes(byte ^ 0x55 for byte in garbled.read_bytes()))
    code = bytearray(flipped.read_bytes())
    code[len(code) // 2] ^= 1  # in the machine code, which runs whatever it says
    flipped.write_bytes(code)
    missing.unlink()
    taken.unlink()
    taken.mkdir()  # can neither be read nor written over
    assert gather(tmp_path) == "0 loaded, 6 compiled"
    assert gather(tmp_path) == "5 loaded, 1 compiled"
    assert sorted(tmp_path.rglob("dagnet-*")) == files, "nothing half-written is left"
