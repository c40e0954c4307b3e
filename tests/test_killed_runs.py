"""Runs that are killed with SIGKILL end, taken up again, with the bits of those that never were."""

import json
import pathlib
import subprocess
import sys

import pytest
from data.killed_runs import EPOCHS, network, result, train

import dagnet
from dagnet.storage import container, load_checkpoint


def _in_a_process(folder, kills, seed, timeout):
    script = pathlib.Path(__file__).with_name("data") / "killed_runs.py"
    command = [sys.executable, str(script), str(folder), str(kills), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_at_each_step_of_writing(tmp_path):
    assert _in_a_process(tmp_path, 0, 0, timeout=120)["wrong"] == []


def test_ten_times_killed_at_random(tmp_path):
    report = _in_a_process(tmp_path, 10, 0, timeout=240)
    assert report["wrong"] == []
    assert report["kills"] >= 10


@pytest.mark.slow
def test_hundreds_of_times_killed_at_random_with_every_optimizer_and_two_threads(tmp_path):
    report = _in_a_process(tmp_path, 300, 1, timeout=1800)
    assert report["wrong"] == []
    assert report["kills"] >= 300
    assert report["finished"] >= 2 * len(dagnet.optimizers())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_in_four_parts_on_so_many_threads(tmp_path, threads):
    truth = result(*train(None, "adam", threads))
    for epochs in (1, 4, 5, EPOCHS):
        # The network's own start is forgotten, but for the first part.
        net = network(seed=epochs - 1, threads=threads)
        net, history = train(tmp_path / "run", "adam", threads, net=net, epochs=epochs)
    assert result(net, history) == truth


def test_a_disk_that_fills_up_amid_a_write_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run"
    train(path, "adam", epochs=2)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(container.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        train(path, "adam")
    monkeypatch.undo()
    assert load_checkpoint(path)["epoch"] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    assert result(*train(path, "adam")) == result(*train(None, "adam"))
