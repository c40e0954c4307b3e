"""The command line as a program of its own: Ctrl-C, exit codes, streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data.cli_cases import TRAIN, fill, run

import dagnet
from dagnet.storage import load_checkpoint

ROOT = Path(__file__).parent.parent
DATA = ROOT / "examples" / "data"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    return tmp_path


SLOW_START = """
import os, signal, sys
import dagnet
from dagnet.cli import main

class Press(dagnet.Callback):
    def on_batch_begin(self, run):
        if (run.epoch, run.batch) == (3, 2):
            os.kill(os.getpid(), signal.SIGINT)

fit = dagnet.Network.fit
def pressed(self, *data, callbacks, **settings):
    return fit(self, *data, callbacks=[*callbacks, Press()], **settings)
dagnet.Network.fit = pressed
main(sys.argv[1:])
"""


def program(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
    )


def test_ctrl_c_stops_at_the_end_of_the_batch_and_writes_what_was_learned(folder):
    job = program(
        "-c",
        SLOW_START,
        *TRAIN,
        "model.json",
        "--epochs",
        10**6,
        "--batch-size",
        8,
        "--checkpoint",
        "run.dagnet",
    )
    assert job.returncode == 0, job.stderr
    assert "2 epochs" in job.stdout
    assert "stopped by Ctrl-C" in job.stdout
    assert "written   model.json" in job.stdout
    snapshot = load_checkpoint("run.dagnet")
    assert (snapshot["epoch"], snapshot["batch"]) == (2, 2)
    np.testing.assert_array_equal(
        dagnet.Network(dagnet.read_graph("model.json")).parameters, snapshot["parameters"]
    )


def test_the_handler_for_ctrl_c_is_given_back(folder):
    before = signal.getsignal(signal.SIGINT)
    run(*TRAIN, "model.json", "--epochs", 2)
    assert signal.getsignal(signal.SIGINT) is before


def test_it_runs_as_a_module_on_the_shipped_data(folder):
    job = program(
        "-m", "dagnet", "train", DATA / "breast_cancer.graphml", DATA / "breast_cancer.csv",
        "--target", "malignant", "--learning-rate", 0.01, "--l2", 0.001, "--out", "trained.graphml",
    )  # fmt: skip
    assert job.returncode == 0, job.stderr
    assert job.stderr == ""  # no terminal, no bar
    test = next(line.split() for line in job.stdout.splitlines() if line.startswith("test"))
    assert float(test[2]) > 0.95
    bad = program("-m", "dagnet", "show", "nowhere.json")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert program("-m", "dagnet", "no-such-command").returncode == 2


WRONG = """
import sys
import dagnet
from dagnet.cli import main

square = dagnet.activations()["square"].function
dagnet.register(dagnet.Activation("wrong", square, lambda z, a: z, surrogate=True))
main(sys.argv[1:])
"""


def test_a_plugin_that_fails_the_kit_is_named_with_the_check():
    job = program("-c", WRONG, "plugins", "check", "wrong", "tanh")
    assert job.returncode == 1
    assert "check_the_derivative_is_the_functions" in job.stdout
    assert "activation tanh: passes" in job.stdout


def test_warnings_are_one_line_on_standard_error(folder):
    (folder / "odd.json").write_text(
        '{"directed": true, "nodes": [{"id": "a"}, {"id": "h", "activaton": "tanh"}, {"id": "sick"}],'
        ' "edges": [{"source": "a", "target": "h"}, {"source": "h", "target": "sick"}]}'
    )
    job = program("-m", "dagnet", "show", "odd.json")
    assert job.returncode == 0
    assert job.stderr.startswith("Warning: ")
    assert "activaton" in job.stderr
    assert len(job.stderr.splitlines()) == 1


def test_an_error_inside_the_loss_says_when(folder):
    wild = ("--loss", "binary_cross_entropy", "--learning-rate", 0.5)
    job = program("-m", "dagnet", *TRAIN, "x.json", *wild)
    assert job.returncode == 1
    assert "epoch 1, batch" in job.stderr
    assert "sigmoid" in job.stderr


@pytest.mark.parametrize("several", [["--distributed"], ["--blocks", "8"]])
def test_what_several_processes_need_is_said_before_anything_is_read(folder, several, monkeypatch):
    monkeypatch.setitem(sys.modules, "dagnet_torch", None)
    monkeypatch.setitem(sys.modules, "dagnet_torch.sharing", None)
    (folder / "data.csv").write_text("not read")
    assert "needs dagnet-torch" in run(*TRAIN, "model.dagnet", *several, code=1)
    assert not (folder / "model.dagnet").exists()
    run("importance", "graph.graphml", "data.csv", *several, code=2)
