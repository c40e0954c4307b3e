"""Training runs that are killed, in processes of their own.

Run as a program: ``python killed_runs.py FOLDER KILLS SEED``.  One process imports dagnet once
and forks every run; the runs are SIGKILLed at random moments and taken up again until they end.
"""

import json
import os
import pathlib
import signal
import sys
import time

import networkx as nx
import numpy as np

import dagnet
from dagnet.storage import load_checkpoint

EPOCHS = 12


def network(seed=0, extra=False, threads=1, dtype="float64"):
    """Units, shared and frozen weights, standardised inputs."""
    graph = nx.DiGraph()
    graph.add_node("a", center=0.5, scale=2.0)
    graph.add_node("b")
    graph.add_node("h", units=40, activation="tanh")
    graph.add_edges_from([("a", "h"), ("b", "h")])
    for name in "pqrs":
        graph.add_edge("h", name, **({"share": "k"} if name in "pq" else {}))
        graph.add_edge(name, "y", trainable=name != "r")
    if extra:
        graph.add_edge("a", "y")
    return dagnet.Network(graph, seed=seed, threads=threads, dtype=dtype)


def rows(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(96, 2))
    return X, np.sin(X.sum(axis=1)), rng.uniform(0.5, 2, 96)


def train(path, optimizer, threads=1, net=None, data=None, epochs=EPOCHS, **changes):
    """One run, from the start or from the file; the network and its history."""
    net = network(threads=threads) if net is None else net
    X, y, weight = rows() if data is None else data
    batch_size = 96 if optimizer == "lbfgs" else 20
    settings = {"batch_size": batch_size, "seed": 5, "optimizer": optimizer} | changes
    callbacks = [
        dagnet.LearningRateSchedule("on_plateau(factor=0.5, patience=2)", warm_up=2),
        dagnet.EarlyStopping(patience=EPOCHS),
    ]
    if path is not None:
        callbacks.append(dagnet.Checkpoint(path))
    history = net.fit(
        X,
        y,
        epochs=epochs,
        sample_weight=weight,
        validation_data=(X[:30], y[:30]),
        callbacks=callbacks,
        progress=False,
        resume=path,
        **settings,
    )
    return net, history


def result(net, history):
    """Parameters and history as bits."""
    columns = {name: np.array(column).tobytes().hex() for name, column in history.items()}
    return {"parameters": net.parameters.tobytes().hex(), **columns}


def _forked(work):
    """Run ``work`` in a process of its own; its id."""
    process = os.fork()
    if process:
        return process
    try:
        work()
        os._exit(0)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)


def _run_to_file(path, outcome, optimizer, threads):
    def work():
        outcome.write_text(json.dumps(result(*train(path, optimizer, threads))))

    return work


def kill_often(folder, kills, seed):
    """Kill runs until ``kills`` hit; what went wrong, as sentences."""
    rng, wrong, hits, finished = np.random.default_rng(seed), [], 0, 0
    optimizers = sorted(dagnet.optimizers())
    cases = [(optimizer, threads) for threads in (1, 2) for optimizer in optimizers]
    truths = {}
    while hits < kills or (kills > 100 and finished < len(cases)):
        case = cases[finished % len(cases)]
        if case not in truths:
            truths[case] = _uninterrupted(folder, *case)
        truth, seconds = truths[case]
        path, outcome = folder / "run.dagnet", folder / "outcome"
        path.unlink(missing_ok=True)
        outcome.unlink(missing_ok=True)
        for _ in range(1000):
            process = _forked(_run_to_file(path, outcome, *case))
            # As long as there are kills to come, most runs are; then the run may end.
            if hits < kills:
                time.sleep(rng.uniform(0, 1.1) * seconds)
                os.kill(process, signal.SIGKILL)
            status = os.waitpid(process, 0)[1]
            if os.WIFSIGNALED(status):
                hits += 1
                _check(path, case, wrong)
            elif status:
                wrong.append(f"{case}: a run failed")
            else:
                break
        if not outcome.exists() or json.loads(outcome.read_text()) != truth:
            wrong.append(f"{case}: the resumed run ended otherwise")
        finished += 1
    return {"kills": hits, "finished": finished, "wrong": wrong}


def _uninterrupted(folder, optimizer, threads):
    outcome, path = folder / "truth", folder / "truth.dagnet"
    path.unlink(missing_ok=True)
    began = time.perf_counter()
    os.waitpid(_forked(_run_to_file(path, outcome, optimizer, threads)), 0)
    return json.loads(outcome.read_text()), time.perf_counter() - began


def _check(path, case, wrong):
    try:
        if path.exists():
            load_checkpoint(path)
    except ValueError as error:
        wrong.append(f"{case}: {error}")


def kill_while_writing(folder):
    """A run that is killed at each step of writing its third checkpoint, then taken up again."""
    wrong = []
    path, outcome = folder / "run.dagnet", folder / "outcome"
    truth, _ = _uninterrupted(folder, "adam", 1)
    for step in ("open", "write", "fsync", "replace", "after"):
        path.unlink(missing_ok=True)
        outcome.unlink(missing_ok=True)
        process = _forked(_dying_work(path, step))
        if not os.WIFSIGNALED(os.waitpid(process, 0)[1]):
            wrong.append(f"{step}: not killed")
            continue
        epoch = load_checkpoint(path)["epoch"]
        if epoch != (3 if step == "after" else 2):
            wrong.append(f"{step}: the checkpoint is of epoch {epoch}")
        os.waitpid(_forked(_run_to_file(path, outcome, "adam", 1)), 0)
        if json.loads(outcome.read_text()) != truth:
            wrong.append(f"{step}: the resumed run ended otherwise")
    return {"wrong": wrong}


def _dying_work(path, step):
    """A run that kills itself at one step of writing the third checkpoint."""
    counts = dict.fromkeys(("open", "fsync", "replace"), 0)

    def dying(name, function, *, half=False):
        def call(*arguments, **named):
            counts[name] += 1
            third = counts[name] == (3 if name != "fsync" else 5)  # the file, then its folder
            if third and not half:
                os.kill(os.getpid(), signal.SIGKILL)
            made = function(*arguments, **named)
            if third:
                os.write(made, b"half a file")
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return call

    def work():
        if step in {"open", "write"}:
            opened = os.open

            def only_temporary(name, *arguments):
                if str(name).endswith(".tmp"):
                    return dying("open", opened, half=step == "write")(name, *arguments)
                return opened(name, *arguments)

            os.open = only_temporary
        elif step == "fsync":
            os.fsync = dying("fsync", os.fsync)
        else:
            renamed = pathlib.Path.replace

            def replace(self, target):
                counts["replace"] += 1
                if counts["replace"] == 3 and step == "replace":
                    os.kill(os.getpid(), signal.SIGKILL)
                renamed(self, target)
                if counts["replace"] == 3:
                    os.kill(os.getpid(), signal.SIGKILL)

            pathlib.Path.replace = replace
        train(path, "adam")

    return work


if __name__ == "__main__":
    place, often, start = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    # Compiled code and plugins are loaded once, before the forks; one thread starts no pool.
    for name in dagnet.optimizers() if often else ["adam"]:
        train(place / f"warm-{name}", name, epochs=1)
    report = kill_often(place, often, start) if often else kill_while_writing(place)
    sys.stdout.write(json.dumps(report))
