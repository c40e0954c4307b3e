"""Damaged files are refused, whatever the damage, in little time and memory."""

import json
import os
import subprocess
import sys
import time
import tracemalloc
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from data.safe_files import (
    mutated,
    parted,
    put_together,
    sealed,
    small_network,
    taken_apart,
    typed,
)

import dagnet
from dagnet.storage import load_checkpoint, save_checkpoint
from dagnet.storage.container import read


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.dagnet"
    small_network().save(path)
    return path


def _refused(path, match="dagnet"):
    with pytest.raises(dagnet.FormatError, match=match):
        dagnet.load(path)


def test_a_file_that_grows_while_it_is_read_is_refused(saved, monkeypatch):
    now = saved.stat()
    before = SimpleNamespace(st_mode=now.st_mode, st_size=now.st_size - 8)
    monkeypatch.setattr(os, "fstat", lambda _: before)
    _refused(saved, "it grows while it is read")


def test_one_flipped_bit_anywhere_is_refused(saved):
    data = bytearray(saved.read_bytes())
    rng = np.random.default_rng(0)
    for place in range(len(data)):
        bit = 1 << int(rng.integers(8))
        data[place] ^= bit
        saved.write_bytes(data)
        _refused(saved)
        data[place] ^= bit


def test_a_file_cut_at_any_byte_is_refused(saved):
    data = saved.read_bytes()
    for length in range(len(data)):
        saved.write_bytes(data[:length])
        _refused(saved)


@pytest.mark.parametrize("tail", [b"\0", b" ", b"x" * 8, b"\0" * 10**6])
def test_a_tail_is_refused_sealed_or_not(saved, tail):
    data = saved.read_bytes()
    saved.write_bytes(data + tail)
    _refused(saved, "SHA-256")
    saved.write_bytes(sealed(parted(data)[0], parted(data)[1] + tail))
    _refused(saved, "belong to no tensor")


@pytest.mark.parametrize("length", [100 * 10**9, 2**63, 2**64 - 1, 10**8 + 1])
def test_a_giant_header_is_refused_before_it_is_read(saved, length):
    data = saved.read_bytes()
    saved.write_bytes(length.to_bytes(8, "little") + data[8:])
    os.truncate(saved, 200 * 10**9)  # a file with a hole: the size is no protection
    tracemalloc.start()
    _refused(saved, "the header cannot be")
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"{}", b"\0" * 7, b"\0" * 8, b"\x02\0\0\0\0\0\0\0{}"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "n").write_bytes(content)
    _refused(tmp_path / "n", "no intact dagnet file")


def test_a_folder_is_named(tmp_path):
    with pytest.raises(OSError) as caught:
        dagnet.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "n").write_bytes(pickle.dumps(Bomb()))
    _refused(tmp_path / "n")
    assert not (tmp_path / "ran").exists()


def test_a_strangers_safetensors_file_is_refused(tmp_path):
    import safetensors.numpy

    safetensors.numpy.save_file({"weights": np.zeros(3)}, tmp_path / "n")
    _refused(tmp_path / "n", "does not begin as dagnet's files do")


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "n")
    _refused(tmp_path / "n", "no ordinary file|not an ordinary file")


def test_no_such_file_and_a_folder_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        dagnet.load(tmp_path / "n")
    with pytest.raises(IsADirectoryError):
        dagnet.load(tmp_path)
    with pytest.raises(dagnet.DataError, match="path must be the name of a file"):
        dagnet.load(3)


def _edit_document(path, change):
    entries, document, tensors = taken_apart(path.read_bytes())
    change(document)
    path.write_bytes(put_together(entries, document, tensors))


def test_a_newer_format_says_so(saved):
    _edit_document(saved, lambda document: document.update(format=2, more=1))
    _refused(
        saved, "written by a newer dagnet: it has format 2 and this dagnet reads format 1; upgrade dagnet"
    )


def test_the_wrong_kind_of_file_says_which_it_is(saved, tmp_path):
    with pytest.raises(dagnet.FormatError, match=r"must be a checkpoint, got .*model.*dagnet\.load"):
        load_checkpoint(saved)
    save_checkpoint(tmp_path / "c", {})
    _refused(tmp_path / "c", "must be a model.*checkpoint.*resume")


HEADER_EDITS = {
    "a repeated key": lambda h: h.replace('"sources":{', '"sources":{"dtype":"I32",'),
    "a repeated tensor": lambda h: h.replace('"center":', '"scale":'),
    "repeated metadata": lambda h: h.replace('},"share"', '},"__metadata__":{"dagnet":"x"},"share"'),
    "NaN": lambda h: h.replace('"shape":[4]', '"shape":[NaN]'),
    "a float": lambda h: h.replace('"shape":[4]', '"shape":[4.0]'),
    "an exponent": lambda h: h.replace('"shape":[4]', '"shape":[4e0]'),
    "a negative shape": lambda h: h.replace('"shape":[4]', '"shape":[-4]'),
    "an overflowing shape": lambda h: h.replace('"shape":[4]', f'"shape":[{2**62},4]'),
    "a scalar": lambda h: h.replace('"shape":[4]', '"shape":[]'),
    "a wrong dtype": lambda h: h.replace('"dtype":"I32"', '"dtype":"U32"', 1),
    "an unknown dtype": lambda h: h.replace('"dtype":"I32"', '"dtype":"BF16"', 1),
    "an overlap": lambda h: h.replace('"data_offsets":[32,', '"data_offsets":[31,'),
    "a gap": lambda h: h.replace('"data_offsets":[32,', '"data_offsets":[33,'),
    "huge offsets": lambda h: h.replace('"data_offsets":[32,', f'"data_offsets":[{2**70},'),
    "more metadata": lambda h: h.replace('"__metadata__":{', '"__metadata__":{"a":"b",'),
    "a byte order mark": lambda h: "\ufeff" + h,
    "text after the header": lambda h: h.rstrip() + "x",
    "a tab after the header": lambda h: h.rstrip() + "\t",
    "lone surrogates": lambda h: h.replace('"share_keys', '\\ud800"share_keys'),
    "raw surrogates": lambda h: h.replace("share_keys", "\ud800"),
    "nested brackets": lambda h: h.rstrip()[:-1] + ',"x":' + "[" * 10**5 + "]" * 10**5 + "}",
    "an endless number": lambda h: h.replace('"shape":[4]', '"shape":[' + "9" * 10**5 + "]"),
}


@pytest.mark.parametrize("edit", HEADER_EDITS)
def test_a_sealed_file_with_a_bad_header_is_refused(saved, edit):
    header, tensors = parted(saved.read_bytes())
    changed = HEADER_EDITS[edit](header)
    assert changed != header
    saved.write_bytes(sealed(changed, tensors))
    _refused(saved)


DOCUMENT_EDITS = {
    "a repeated key": lambda d: d.replace('"dtype":', '"dtype":"float64","dtype":'),
    "an unknown key": lambda d: d.replace('"dtype":', '"more":1,"dtype":'),
    "spaces": lambda d: d.replace('"dtype":', '"dtype": '),
    "an escape": lambda d: d.replace('"x"', '"\\u0078"'),
    "another dtype": lambda d: d.replace("float64", "float16"),
    "the other dtype": lambda d: d.replace("float64", "float32"),
    "capitals": lambda d: d.replace("4004000000000000", "4004000000000000".replace("4", "A")),
    "bare NaN": lambda d: d.replace('["f","4004000000000000"]', "NaN"),
    "a float name": lambda d: d.replace('["f","4004000000000000"]', "2.5"),
    "a short float": lambda d: d.replace("4004000000000000", "4004"),
    "a small big integer": lambda d: d.replace('["f","4004000000000000"]', '["i","7fffffffffffffff"]'),
    "surrogates that are none": lambda d: d.replace('"x"', '["s","78"]'),
    "bytes that are none": lambda d: d.replace('"x"', '["b","7g"]'),
    "a list for an attribute's name": lambda d: d.replace(
        '"users":[[],[]', '"users":[[],[[["l",[]],[0],[1]]]'
    ),
    "a list for a name": lambda d: d.replace('"x"', '["l",[]]'),
    "an unknown tag": lambda d: d.replace('"x"', '["q",1]'),
    "more in a tag": lambda d: d.replace('["f","4004000000000000"]', '["f","4004000000000000",1]'),
    "deep tuples": lambda d: d.replace('"x"', '["t",[' * 101 + "]]" * 101),
    "very deep tuples": lambda d: d.replace('"x"', '["t",[' * 10**5 + "]]" * 10**5),
    "a name twice": lambda d: d.replace('"x"', '"y"'),
    "one name as 1 and as true": lambda d: d.replace('"x"', "1"),
    "fewer names": lambda d: d.replace('"x",', ""),
    "names by number": lambda d: d.replace('"nodes":[', '"nodes":10000000000000000000,"no":['),
    "no activation": lambda d: d.replace('"activations":[', '"activations":[],"no":['),
    "a parameter twice": lambda d: d.replace('[["alpha",', '[["alpha",0],["alpha",'),
    "a parameter that is no number": lambda d: d.replace('"alpha",["f","3fe0000000000000"]', '"alpha","x"'),
    "another activation": lambda d: d.replace('"name":"relu"', '"name":"tanh"').replace('"elu"', '"celu"'),
    "another name": lambda d: d.replace('"x"', '"w"'),
    "another key": lambda d: d.replace('"share_keys":["k"]', '"share_keys":["k","l"]'),
    "no key": lambda d: d.replace('"share_keys":["k"]', '"share_keys":[]'),
    "weights named by a number": lambda d: d.replace('"weight_name":"weight"', '"weight_name":1'),
    "a loss of two outputs": lambda d: d.replace('"format":1', '"format":1 '),
}


@pytest.mark.parametrize("edit", DOCUMENT_EDITS)
def test_a_sealed_file_with_a_bad_document_is_refused(saved, edit):
    entries, _, tensors = taken_apart(saved.read_bytes())
    document = entries["__metadata__"]["dagnet"]
    changed = DOCUMENT_EDITS[edit](document)
    assert changed != document
    entries["__metadata__"]["dagnet"] = changed
    saved.write_bytes(sealed(json.dumps(entries, separators=(",", ":"), ensure_ascii=False), tensors))
    _refused(saved)


TENSOR_EDITS = {
    "a cycle": ("targets", 0, np.int32(0)),
    "a node out of range": ("targets", 0, np.int32(9)),
    "a negative node": ("sources", 0, np.int32(-1)),
    "an edge twice": ("sources", 1, np.int32(0)),
    "an input with parents": ("inputs", 0, np.int32(2)),
    "an input twice": ("inputs", 0, np.int32(1)),
    "an output out of range": ("outputs", 0, np.int32(77)),
    "no units": ("units", 0, np.int32(0)),
    "too many units": ("units", 2, np.int32(2**31 - 1)),
    "units that do not fit": ("units", 0, np.int32(2)),
    "an activation out of range": ("activation_of", 2, np.int32(3)),
    "an input with an activation": ("activation_of", 0, np.int32(1)),
    "an input with a bias": ("has_bias", 0, np.bool_(True)),
    "a truth value of 2": ("has_bias", 0, np.uint8(2)),
    "other truths": ("edge_trainable", 0, np.bool_(False)),
    "a group out of range": ("share", 2, np.int64(1)),
    "a group below none": ("share", 2, np.int64(-2)),
    "a group of other shapes": ("share", 0, np.int64(0)),
    "a weight of NaN": ("weights", 0, np.float64(np.nan)),
    "an infinite bias": ("biases", 2, np.float64(np.inf)),
    "a bias of a node that has none": ("biases", 0, np.float64(1)),
    "shared weights that differ": ("weights", 4, np.float64(0.125)),
    "a scale of 0": ("scale", 0, np.float64(0)),
    "a center of NaN": ("center", 0, np.float64(np.nan)),
    "another center": ("center", 0, np.float64(2)),
}


@pytest.mark.parametrize("edit", TENSOR_EDITS)
def test_a_sealed_file_with_a_bad_tensor_is_refused(saved, edit):
    name, place, value = TENSOR_EDITS[edit]
    header, tensors = parted(saved.read_bytes())
    start = json.loads(header)[name]["data_offsets"][0] + place * value.itemsize
    saved.write_bytes(sealed(header, tensors[:start] + value.tobytes() + tensors[start + value.itemsize :]))
    _refused(saved)


def test_a_loss_that_the_outputs_do_not_fit_is_refused(tmp_path):
    path = tmp_path / "n"
    dagnet.Network(dagnet.layered([2, 1])).save(path)
    _edit_document(path, lambda document: document["loss"].update(name="cross_entropy"))
    _refused(path, "needs at least 2 output units, got 1")


def _outcome(path, load):
    """How a damaged file was taken: its time and memory are bounded in any case."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    began = time.process_time()
    try:
        result = load(path)
    except dagnet.FormatError:
        result = "refused"
    except dagnet.PluginError as error:
        assert "not registered here" in str(error) or "no parameter" in str(error)  # noqa: PT017
        result = "missing"
    assert time.process_time() - began < 1
    assert tracemalloc.get_traced_memory()[1] - before < 200 * 10**6
    return result


def _fuzz(folder, count, seed):
    """Damage files in ``count`` ways: all are refused, or they are right in another way."""
    rng = np.random.default_rng(seed)
    model, checkpoint, path = (folder / name for name in ("model", "checkpoint", "damaged"))
    small_network().save(model)
    save_checkpoint(checkpoint, {"a": np.arange(3.0), "n": [1, None, 2**70, {"x": np.float32(1), "y": 0.5}]})
    accepted = 0
    tracemalloc.start()
    for number in range(count):
        original, load = [(model, dagnet.load), (checkpoint, load_checkpoint)][number % 4 == 3]
        good = original.read_bytes()
        bad = mutated(rng, good)
        path.write_bytes(bad)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dagnet.DagnetWarning)
            result = _outcome(path, load)
        if result == "missing":
            assert _plugins(bad) != _plugins(good)
        elif result != "refused" and bad != good:
            accepted += 1
            if load is load_checkpoint or _plugins(bad) == _plugins(good):
                _check_other_way(path, result)
    tracemalloc.stop()
    return accepted


def _plugins(data):
    document = taken_apart(data)[1]
    return document["loss"], document["activations"]


def _check_other_way(path, result):
    """What was taken is exactly what would be written."""
    kind = "checkpoint" if isinstance(result, dict) else "model"
    before = read(path, kind)
    if kind == "checkpoint":
        save_checkpoint(path, result)
    else:
        result.save(path)
    after = read(path, kind)
    zero = b"0" * 64
    documents = [
        content.document.replace(json.loads(content.document)["sha256"].encode(), zero)
        for content in (before, after)
    ]
    assert documents[0] == documents[1]
    assert {k: typed(np.array(v)) for k, v in before.tensors.items()} == {
        k: typed(np.array(v)) for k, v in after.tensors.items()
    }


def test_a_thousand_damaged_files(tmp_path):
    assert _fuzz(tmp_path, 1000, seed=0) < 200


@pytest.mark.slow
def test_twenty_thousand_damaged_files(tmp_path):
    assert _fuzz(tmp_path, 24_000, seed=1) < 4800


@pytest.mark.slow
def test_memory_stays_within_bounds_for_the_whole_process(tmp_path):
    """The operating system's own count, on the files that ask for the most."""
    code = """
import resource, sys, dagnet
from dagnet.storage import load_model
dagnet.activations(); load_model(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    try: dagnet.load(path)
    except dagnet.FormatError: pass
    else: raise SystemExit("taken: " + path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    small_network().save(tmp_path / "good")
    header, tensors = parted((tmp_path / "good").read_bytes())
    files = []
    for number, text in enumerate(
        [
            header.replace('\\"x\\"', '[\\"t\\",[' * 10**5 + "]]" * 10**5),
            header.replace('\\"x\\"', "null," * 10**6 + "null"),
            header.replace('\\"nodes\\":[', f'\\"nodes\\":{2**62},\\"no\\":['),
            header.replace('"shape":[4]', f'"shape":[{2**39}]'),
            header + " " * 3 * 10**7,
        ]
    ):
        files.append(tmp_path / f"bad{number}")
        files[-1].write_bytes(sealed(text, tensors))
    (tmp_path / "sparse").write_bytes((50 * 10**6).to_bytes(8, "little") + header.encode())
    os.truncate(tmp_path / "sparse", 10**12)
    files = [str(file) for file in [tmp_path / "good", *files]]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200_000
