"""What ``fit`` costs before it computes: a call for one step, new values of a parameter, a cold cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import subject
from .measure import Contender, Timing, measure
from .peers_torch import need_torch, torch
from .work import DAGNET, Conditions, Entry, Outcome, ready

SIZES, ROWS = (3, 5, 1), 32
VALUES = 50
SWEEPS = {  # name: loss and activation, each with the value's place
    "huber": ("huber(delta={})", "relu"),
    "leaky_relu": ("squared_error", "leaky_relu(negative_slope={})"),
}
PHASES = {
    "numpy": "import numpy",
    "networkx": "import networkx",
    "numba": "import numba",
    "dagnet": "import dagnet",
    "build": "build the network",
    "build kernels": "  of it the engine's own kernels",
    "build functions": "  of it activation, loss and optimizer",
    "build rest": "  of it the rest",
    "fit": "the first fit",
    "fit kernels": "  of it the engine's own kernels",
    "fit functions": "  of it activation, loss and optimizer",
    "fit rest": "  of it the rest",
    "again": "the second fit",
    "whole": "all of it",
}


def tiny_data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, SIZES[0]), dtype=np.float32)
    return X, rng.standard_normal((ROWS, SIZES[-1]), dtype=np.float32)


class OneStep:
    """``net.fit(X, y, epochs=1, batch_size=len(X))``."""

    def __init__(self, threads: int, *, bare: bool = False) -> None:
        self.net, (self.X, self.y) = subject.layered(SIZES, threads), tiny_data()
        self.bare = subject.BareSteps(self.net, self.X, self.y, ROWS, 1e-3) if bare else None

    def __call__(self) -> Any:
        if self.bare is not None:
            return self.bare()
        return subject.fit(self.net, self.X, self.y, epochs=1, batch_size=ROWS)


class TorchStep:
    """The same step as it is written in PyTorch."""

    def __init__(self) -> None:
        need_torch()
        first, last = torch.nn.Linear(*SIZES[:2]), torch.nn.Linear(*SIZES[1:])
        self.model = torch.nn.Sequential(first, torch.nn.ReLU(), last)
        self.X, self.y = map(torch.tensor, tiny_data())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)

    def __call__(self) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = ((self.model(self.X) - self.y) ** 2).sum() / ROWS
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


def one_step(conditions: Conditions) -> Outcome:
    """A call of ``fit`` for one step of a 3-5-1 network; and the same with one value after another.

    Sweeps run in a process of their own that begins with an empty cache of machine code and has
    fitted once before the clock starts: each value builds a network and takes one step.
    """
    outcome = Outcome("one step of a 3-5-1 network a call of fit", unit="µs", ratios=False)
    outcome.notes.append(f"{ROWS} rows, Adam, float32")
    entries = [
        Entry("net.fit(X, y, epochs=1, batch_size=len(X))", DAGNET, partial(OneStep, conditions.threads)),
        Entry("the bare step and Adam's move", "bare", partial(OneStep, conditions.threads, bare=True)),
        Entry("PyTorch: one step with fused Adam", "PyTorch", TorchStep),
    ]
    outcome.timings = measure(ready(entries, outcome, lambda _: None), conditions.seconds)
    median, least = (outcome.fastest(DAGNET, what) for what in ("median", "minimum"))
    outcome.check("ms a call", median, 0.45, at_least=False)
    outcome.checks[-1].by_least = least
    values = 5 if conditions.quick else VALUES
    for name, (loss, activation) in SWEEPS.items():
        found = _in_process(outcome, name, SWEEP, loss, activation, values, conditions.threads)
        if found is None:
            continue
        seconds, again, megabytes = found["seconds"], found["again"], found["megabytes"] / values
        text = f"{name}, {values} values: build and one step"
        outcome.timings += [
            Timing(Contender(text, one_step, name), [1e3 * second for second in seconds]),
            Timing(
                Contender(f"{text}, again", one_step, f"{name} again"), [1e3 * second for second in again]
            ),
        ]
        outcome.notes.append(
            f"{name}, {values} values: {sum(seconds):.2f} s in all, the same again {sum(again):.3f} s, "
            f"resident memory grew by {megabytes:.2f} MB a value"
        )
        outcome.check(f"{name}: MB a value", megabytes, 1.0, at_least=False)
    return outcome


def cold(conditions: Conditions) -> Outcome:
    """A new process to the end of its first fit, with no machine code on disk and with all of it.

    Numba's compilations, and its loading of what was compiled, are timed where they enter: all on the
    way to a C function or an optimizer's rule is that function's, the others are the engine's kernels.
    The first to be compiled pays for Numba's own start, which imports SciPy.  ("import dagnet" leaves
    Numba to the first network; here it is imported before, to have a line of its own.)
    """
    outcome = Outcome("a new process to its first fit: what the seconds are made of", unit="s", ratios=False)
    times: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    for _ in range(1 if conditions.quick else 3):
        with tempfile.TemporaryDirectory(prefix="dagnet-cold-", ignore_cleanup_errors=True) as folder:
            for cache in ("cold", "warm"):
                found = _process(COLD, folder, conditions.threads)
                if isinstance(found, str):
                    outcome.skipped.append((cache, found))
                    return outcome
                times[cache].append(found["seconds"])
                if cache == "cold":
                    longest = found["longest"]
    for cache, text in (("cold", "empty cache"), ("warm", "full cache")):
        for phase, what in PHASES.items():
            samples = [1e3 * found[phase] for found in times[cache]]
            outcome.timings.append(Timing(Contender(f"{text}: {what}", cold, f"{cache} {phase}"), samples))
    outcome.notes.append("compiled longest: " + ", ".join(f"{name} {s:.2f} s" for name, s in longest))
    return outcome


def _in_process(outcome: Outcome, name: str, program: str, *arguments: Any) -> Any:
    """What a program prints, or None, and the reason among what was skipped."""
    with tempfile.TemporaryDirectory(prefix="dagnet-sweep-", ignore_cleanup_errors=True) as folder:
        found = _process(program, folder, *arguments)
    if isinstance(found, str):
        outcome.skipped.append((name, found))
        return None
    return found


def _process(program: str, cache: str, *arguments: Any) -> Any:
    """A program's last line as JSON, machine code kept in ``cache``; or, a string, why there is none."""
    env = dict(os.environ) | {"NUMBA_CACHE_DIR": str(Path(cache) / "machine-code")}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[-1][:300] if lines else "ended without a word"
    return json.loads(done.stdout.splitlines()[-1])


SWEEP = f"""
import gc, json, sys
from time import perf_counter
from tests.benchmarks import subject
from tests.benchmarks.works_scale import resident
from tests.benchmarks.works_start import tiny_data
loss, activation, values, threads = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4])
X, y = tiny_data()

def one(value):
    start = perf_counter()
    net = subject.layered({SIZES}, threads, loss=loss.format(value), activation=activation.format(value))
    subject.fit(net, X, y, epochs=1, batch_size=len(X))
    return perf_counter() - start

one(0.5)
gc.collect()
before, swept = resident()["now"], [0.1 + k / 101 for k in range(values)]
seconds = [one(value) for value in swept]
gc.collect()
megabytes = (resident()["now"] - before) / 1e6
print(json.dumps(dict(seconds=seconds, megabytes=megabytes, again=[one(value) for value in swept])))
"""

COLD = f"""
import json, sys
from time import perf_counter
threads, seconds, compiled, depth = int(sys.argv[1]), {{}}, [], [0]
begin = perf_counter()

def timed(name, call):
    start = perf_counter()
    result = call()
    seconds[name] = perf_counter() - start
    return result

def watch(kind, what):
    plain = kind.compile
    def compile(self, *arguments):
        depth[0] += 1
        start = perf_counter()
        try:
            return plain(self, *arguments)
        finally:
            depth[0] -= 1
            if not depth[0]:
                compiled.append((*what(self), perf_counter() - start))
    kind.compile = compile

def rule_or_kernel(dispatcher):
    function = dispatcher.py_func
    where = "functions" if function.__module__.endswith("activations") else "kernels"
    return where, function.__name__

for name in ("numpy", "networkx", "numba"):
    timed(name, lambda: __import__(name))
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
watch(CFunc, lambda function: ("functions", function.__name__))
watch(Dispatcher, rule_or_kernel)
timed("dagnet", lambda: __import__("dagnet"))
from tests.benchmarks import subject
from tests.benchmarks.works_start import tiny_data
X, y = tiny_data()
net = timed("build", lambda: subject.layered({SIZES}, threads))
fit = lambda: subject.fit(net, X, y, epochs=1, batch_size=len(X))
before = len(compiled)
timed("fit", fit)
for phase, done in (("build", compiled[:before]), ("fit", compiled[before:])):
    seconds[f"{{phase}} rest"] = seconds[phase]
    for where in ("kernels", "functions"):
        seconds[f"{{phase}} {{where}}"] = sum(taken for kind, _, taken in done if kind == where)
        seconds[f"{{phase}} rest"] -= seconds[f"{{phase}} {{where}}"]
timed("again", fit)
seconds["whole"] = sum(seconds[name] for name in ("numpy", "networkx", "numba", "dagnet", "build", "fit"))
longest = sorted(((name, taken) for _, name, taken in compiled), key=lambda pair: -pair[1])[:8]
print(json.dumps(dict(seconds=seconds, longest=longest)))
"""
