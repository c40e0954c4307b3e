"""``dagnet train --distributed``: the files of one process, from the first of several; killed, resumed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from dagnet_torch import distributed
from data.cli_cases import TRAIN, fill, run

import dagnet
from dagnet.cli import main

MANY = "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "dagnet"
ARGUMENTS = [*TRAIN, "two.dagnet", "--distributed", "--blocks", "8", "--threads", "1", "--validation", "0.2"]


def start(folder, *more):
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, *MANY, *map(str, (*ARGUMENTS, *more))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in distributed.TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    fill(tmp_path)
    return tmp_path


def train_alone(epochs, *more):
    arguments = [word for word in ARGUMENTS if word != "--distributed"]
    arguments[arguments.index("two.dagnet")] = "one.dagnet"
    return run(*arguments, "--epochs", epochs, "--checkpoint", "one", *more)


def assert_same_files(folder):
    for two, one in (("two.dagnet", "one.dagnet"), ("two", "one")):
        assert (folder / two).read_bytes() == (folder / one).read_bytes()


def test_the_first_of_two_writes_the_bits_of_one_and_says_it_once(folder):
    out, err = start(folder, "--epochs", 12, "--checkpoint", "two", "--json").communicate(timeout=300)
    said, alone = (json.loads(text) for text in (out, train_alone(12, "--json")))
    differ = {name for name in alone if said[name] != alone[name]}
    assert differ <= {"seconds", "compiling_seconds", "written"}
    assert "Warning" not in err
    assert_same_files(folder)
    names = {file.name for file in folder.iterdir()}
    assert names - {"graph.graphml", "data.csv", "edges.csv"} == {"two.dagnet", "two", "one.dagnet", "one"}


def of_rank(parent, rank):
    """The process that torchrun started as a rank."""
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for child in children:
        if f"RANK={rank}".encode() in pathlib.Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(children)


@pytest.mark.skipif(not pathlib.Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_a_killed_rank_ends_the_command_and_resume_goes_on_to_the_same_bits(folder):
    more = "--epochs", 60, "--checkpoint", "two", "--resume", "two"
    process = start(folder, *more)
    while not (folder / "two").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(of_rank(process.pid, 1), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "local_rank: 1" in err
    assert "written" not in out
    assert not (folder / "two.dagnet").exists()
    again = start(folder, *more)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    train_alone(60)
    assert_same_files(folder)


@pytest.mark.skipif(not pathlib.Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_ctrl_c_stops_all_at_one_batch_and_the_first_writes(folder):
    process = start(folder, "--epochs", 10**6, "--checkpoint", "two")
    while not (folder / "two").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    words = [line.split()[0] for line in out.splitlines()]
    assert words == ["graph", "data", "training", "loss", "train", "validation", "test", "written"]
    assert "stopped by Ctrl-C" in out
    assert dagnet.load(folder / "two.dagnet").targets == ("sick",)


def test_what_all_refuse_ends_the_command_before_anything_is_written(folder):
    process = start(folder, "--blocks", 3)
    out, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Error: blocks must be a multiple of the number of processes, 2, got 3" in err
    assert out == ""
    assert not (folder / "two.dagnet").exists()


@pytest.mark.filterwarnings("default::dagnet.DagnetWarning")
def test_without_torchrun_it_warns_and_trains_alone(folder):
    distributed.processes.cache_clear()
    done = CliRunner().invoke(main, [*ARGUMENTS, "--epochs", "12", "--checkpoint", "two"])
    distributed.processes.cache_clear()
    assert done.exit_code == 0, done.output
    assert done.stderr.count("this process was not started by torchrun, and trains alone") == 1
    train_alone(12)
    assert_same_files(folder)


@pytest.mark.parametrize("given", [["-"], ["data.csv", "--validation", "-"]])
def test_standard_input_is_refused_since_one_alone_could_read_it(folder, given):
    arguments = ["train", "graph.graphml", *given, "--target", "sick", "--out", "two.dagnet", "--distributed"]
    said = run(*arguments, code=1)
    assert "DATA must be a file that each process of --distributed can read, got - (standard input)" in said
    assert not (folder / "two.dagnet").exists()
