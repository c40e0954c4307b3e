"""Processes that torchrun starts on this machine: equal to one, refused by rank, killed and resumed."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import runs_together
from dagnet_torch import distributed

import dagnet

SCRIPT = pathlib.Path(__file__).with_name("runs_together.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def torchrun(n, *arguments, **environment):
    """What n processes print, and how they ended."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
    command += [str(SCRIPT), *map(str, arguments)]
    own = {**ENVIRONMENT, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=own)


@pytest.fixture(scope="module")
def alone():
    """Each case in one process, without blocks and with eight."""
    return {
        f"{name} {blocks} {what}": value
        for name in runs_together.CASES
        for blocks in (None, 8)
        for what, value in runs_together.train(name, blocks).items()
    }


def assert_equal(folder, n, alone):
    for rank in range(n):
        found = np.load(folder / f"rank{rank}.npz")
        assert set(found) == set(alone)
        for name, one in alone.items():
            if " 8 " in name:
                assert np.array_equal(found[name], one), name
            else:
                single = name.startswith("clipped")
                np.testing.assert_allclose(found[name], one, rtol=1e-5 if single else 1e-10, err_msg=name)


def test_four_processes_are_one_after_fifty_steps(tmp_path, alone):
    done = torchrun(4, "equal", tmp_path)
    assert done.returncode == 0, done.stderr
    assert_equal(tmp_path, 4, alone)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return torchrun(2, "all", folder), folder


def test_two_processes_are_one_after_fifty_steps(two, alone):
    done, folder = two
    assert done.returncode == 0, done.stderr
    assert_equal(folder, 2, alone)


def test_the_first_alone_writes_and_shows_and_all_stop_where_any_does(two):
    done, folder = two
    loads = [np.load(folder / f"others{rank}.npz") for rank in range(2)]
    assert [len(one["stopped"]) for one in loads] == [1, 1]  # amid the second epoch, by rank 1's clock
    assert [len(one["alone"]) for one in loads] == [2, 3]
    assert len((folder / "log.csv").read_text().splitlines()) == 2
    names = {file.name for file in folder.iterdir()}
    assert names == {"rank0.npz", "rank1.npz", "others0.npz", "others1.npz", "log.csv", "shared.dagnet"}
    assert done.stderr.count("  0%|") == 1  # the bar as it begins


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("graph", "DataError: fit: rank 1 differs from rank 0 in"),
        ("graph", "the graph's dropout of nodes"),
        ("shape", "rank 1 differs from rank 0 in X's shape ((239, 5), not (240, 5)); the data ("),
        (
            "settings",
            "rank 1 differs from rank 0 in batch_size (17, not 16); learning_rate (1.1, not 0.1); start",
        ),
        ("seed", "rank 1 differs from rank 0 in the order of rows (fit's seed)"),
        ("start", "rank 1 differs from rank 0 in the parameters (Network's seed)"),
        (
            "blocks",
            "DataError: blocks must be a multiple of the number of processes, 2, got 3; or leave it out",
        ),
        ("version", "rank 1 differs from rank 0 in dagnet's version (9.9, not 0.1.0)"),
        ("coupled", "DataError: fit: the loss 'spread' couples rows, which several cannot share"),
        ("drift", "GroupError: fit: rank 1 has no longer the parameters of rank 0; callbacks must"),
    ],
)
def test_ranks_that_differ_are_refused_in_all(two, what, said):
    for rank in range(2):
        assert said in str(np.load(two[1] / f"others{rank}.npz")[f"refused {what}"])


def kill_and_resume(folder, batch):
    """Rank 1 is killed amid a step; the others end, and a second run ends with the bits of one alone."""
    touched = folder.parent / f"{folder.name} killed"
    done = torchrun(2, "killed", folder, 1, batch, KILLED=str(touched))
    assert time.time() - touched.stat().st_mtime < 60
    assert done.returncode != 0
    assert "rank      : 1 (local_rank: 1)\n  exitcode  : -9" in done.stderr
    assert not (folder / "end.npz").exists()
    assert {file.name for file in folder.iterdir()} <= {"run.dagnet", "log.csv"}
    again = torchrun(2, "killed", folder, 1, -1)
    assert again.returncode == 0, again.stderr
    return np.load(folder / "end.npz")


def test_a_killed_rank_ends_the_other_and_the_run_goes_on_to_the_same_bits(tmp_path, alone):
    end = kill_and_resume(tmp_path, 23)
    for what in ("vector", "loss"):
        assert np.array_equal(end[what], alone[f"normalises 8 {what}"])
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + runs_together.EPOCHS


@pytest.mark.slow
@pytest.mark.parametrize("run", range(20))
def test_twenty_killed_runs(tmp_path, alone, run, pytestconfig):
    if "slow" not in (pytestconfig.getoption("markexpr") or ""):
        pytest.skip("twenty runs take minutes: run with -m slow")
    batch = int(np.random.default_rng(run).integers(1, 50))
    end = kill_and_resume(tmp_path, batch)
    for what in ("vector", "loss"):
        assert np.array_equal(end[what], alone[f"normalises 8 {what}"])


def three(folder, **more):
    """Without torchrun, which would end them: three processes by the environment alone."""
    place = {"WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 900)}
    command = [sys.executable, str(SCRIPT), "killed", str(folder), "1", "13", "6"]
    for rank in range(3):
        own = {**ENVIRONMENT, **place, "RANK": str(rank), "LOCAL_RANK": str(rank), **more}
        yield subprocess.Popen(command, env=own, stderr=subprocess.PIPE, text=True)


def test_who_is_left_names_the_rank_that_is_gone(tmp_path):
    runs = list(three(tmp_path))
    said = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [1, -signal.SIGKILL, 1]
    for rank in (0, 2):
        gone = f"of 3 processes rank 1 (process {runs[1].pid} on "
        assert gone in said[rank]
        assert f"is gone, so rank {rank} stops; start all again, with resume= to go on" in said[rank]


@pytest.mark.slow
def test_a_rank_that_no_longer_answers_ends_the_others_within_a_minute(tmp_path, pytestconfig):
    if "slow" not in (pytestconfig.getoption("markexpr") or ""):
        pytest.skip("it takes most of a minute: run with -m slow")
    touched = tmp_path.parent / f"{tmp_path.name} killed"
    runs = list(three(tmp_path, FROZEN="1", KILLED=str(touched)))
    try:
        said = [runs[rank].communicate(timeout=120)[1] for rank in (0, 2)]
        assert time.time() - touched.stat().st_mtime < 60
        assert runs[1].poll() is None
    finally:
        runs[1].kill()
        runs[1].communicate()
    assert all(f"rank 1 (process {runs[1].pid} on " in one for one in said)


BEATS = """
import dagnet_torch.distributed, numpy
dagnet_torch.distributed.BEAT = 0
dagnet_torch.distributed.processes().sum(numpy.zeros(1))
"""


def test_a_process_ends_well_amid_a_beat():
    place = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    for trial in range(4):  # without waiting for the beats half of them abort
        own = {**ENVIRONMENT, **place, "MASTER_PORT": str(28500 + os.getpid() % 900 + trial)}
        done = subprocess.run(
            [sys.executable, "-c", BEATS], env=own, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch):
    for name in distributed.TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    distributed.processes.cache_clear()
    net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    with pytest.warns(dagnet.DagnetWarning, match="was not started by torchrun, and trains alone"):
        history = net.fit([[1.0], [2.0]], [1.0, 2.0], epochs=2, distributed=True)
    assert history.epochs == 2
    distributed.processes.cache_clear()
