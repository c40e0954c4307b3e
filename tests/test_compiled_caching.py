"""Faults of the files that machine code is kept in: each is a miss, and none is met twice."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba")

from dagnet.engine.compiled import caching

GATHER = """
import numpy as np
from dagnet.engine.compiled.kernels import gather
for dtype in ("float32", "float64", "int32", "int64", "uint32", "uint64"):
    into = np.zeros(2, dtype)
    gather(np.array([1, 2, 3], dtype), np.array([2, 0]), into)
    assert into.tolist() == [3, 1]
print(sum(gather.stats.cache_hits.values()), "loaded,", sum(gather.stats.cache_misses.values()), "compiled")
"""


FIT = """
import hashlib
import numpy as np
import dagnet
from dagnet.engine.compiled import generation

made, kept = [], generation.kept_object
generation.kept_object = lambda content, make: kept(content, lambda: made.append(content) or make())
net = dagnet.Network(dagnet.layered([2, 3, 1], activation="tanh"), seed=0, threads=1)
X = np.random.default_rng(0).normal(size=(40, 2))
few = net(X[:2])
net.fit(X, X[:, 0] * X[:, 1], epochs=3, seed=0, progress=False)
print(len(made), hashlib.sha256(few.tobytes() + net(X).tobytes()).hexdigest())
"""


def started(program, place):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.strip()


def gather(place):
    return printed(started(GATHER, place))


@pytest.fixture
def keep(monkeypatch, tmp_path):
    """Object code of a content; and whether it had to be made."""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))

    def keep(content):
        made = []
        found = caching.kept_object(content, lambda: made.append(content) or content.encode() * 9)
        assert found == content.encode() * 9
        return bool(made)

    return keep


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


@pytest.mark.parametrize("damage", ["cut short", "empty", "flipped", "gone"])
def test_damaged_object_code_is_made_anew_and_written_over(keep, tmp_path, damage):
    assert keep("x * 2")
    (file,) = tmp_path.rglob("dagnet-*.obj")
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        flipped = whole[:-1] + bytes([whole[-1] ^ 1])
        file.write_bytes({"cut short": whole[:-5], "empty": b"", "flipped": flipped}[damage])
    assert keep("x * 2")
    assert not keep("x * 2")
    assert file.read_bytes() == whole


def test_an_edited_formula_is_another_file_and_the_newest_are_kept(keep, tmp_path, monkeypatch):
    assert keep("x * 2")
    assert keep("x * 3")
    assert not keep("x * 2")
    monkeypatch.setattr(caching, "MOST_OBJECTS", 2)
    for file in tmp_path.rglob("dagnet-*.obj"):
        os.utime(file, (1, 1))
    assert keep("x * 4")
    assert len(list(tmp_path.rglob("dagnet-*.obj"))) == 2
    assert not keep("x * 4")


def test_where_nothing_can_be_written_object_code_is_made_each_time(keep, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no locator available")

    monkeypatch.setattr(caching.FunctionCache, "__init__", refuse)
    assert keep("x * 2")
    assert keep("x * 2")
    assert not list(tmp_path.iterdir())


def test_processes_that_compile_at_once_and_one_that_loads_find_the_same_numbers(tmp_path):
    cold = [printed(process).split() for process in [started(FIT, tmp_path) for _ in range(2)]]
    made, numbers = printed(started(FIT, tmp_path)).split()
    assert made == "0"
    assert {found for _, found in cold} == {numbers}
    assert all(file.name.startswith("dagnet-") for file in tmp_path.rglob("*") if file.is_file())
