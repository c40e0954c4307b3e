"""``python -m tests.benchmarks``: every piece of work in a process of its own, once a thread count."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from .report import as_json, print_outcome, print_summary
from .work import Conditions, Outcome

# name: (module, function); in the order of the table
WORKS = {
    "irregular": ("works_race", "irregular"),
    "wide": ("works_race", "wide"),
    "activations": ("works_race", "activations"),
    "functions": ("works_functions", "functions"),
    "sines": ("works_functions", "sines"),
    "losses": ("works_losses", "losses"),
    "derived": ("works_losses", "derived"),
    "deep": ("works_race", "deep"),
    "chain": ("works_race", "chain"),
    "layered": ("works_layered", "layered"),
    "reactome": ("works_race", "reactome"),
    "single": ("works_small", "single"),
    "population": ("works_small", "population"),
    "small_fit": ("works_small", "small_fit"),
    "build": ("works_scale", "build"),
    "memory": ("works_scale", "memory"),
    "scaling": ("works_scale", "scaling"),
    "first": ("works_scale", "first"),
    "one_step": ("works_start", "one_step"),
    "cold": ("works_start", "cold"),
    "block": ("works_cliffs", "block"),
    "pathway": ("works_cliffs", "pathway"),
    "terms": ("works_cliffs", "terms"),
    "few_rows": ("works_cliffs", "few_rows"),
    "batch_of_one": ("works_cliffs", "batch_of_one"),
    "two_threads": ("works_cliffs", "two_threads"),
    "small_world": ("works_cliffs", "small_world"),
    "hub": ("works_cliffs", "hub"),
    "pnet": ("works_cliffs", "pnet"),
    "many_rows": ("works_cliffs", "many_rows"),
    "sharing": ("works_many", "sharing"),
    "large": ("works_many", "large"),
    "huge": ("works_many", "huge"),
    "sparse": ("works_many", "sparse"),
    "one_after_the_other": ("works_many", "one_after_the_other"),
    "gpu": ("works_gpu", "gpu"),
}


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKS, metavar="NAME", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--threads", choices=["1", "all", "both"], default="both")
    parser.add_argument("--quick", action="store_true", help="smaller, shorter, rougher")
    parser.add_argument("--compile", action="store_true", help="torch.compile too (minutes a graph)")
    parser.add_argument("--connex", metavar="PYTHON", help="an interpreter ≥ 3.12 that has connex")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything there as well")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def environment(threads: int) -> dict[str, str]:
    """Set before anything is imported: how many threads the BLAS, OpenMP and XLA may use."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
    env = dict(os.environ) | dict.fromkeys(names, str(threads))
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # they choose kernels that are not the fastest
        env.pop(name, None)
    if threads == 1:
        env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    env["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Large pages for whatever is allocated: several contenders in one process scatter the heap, and
    # without them PyTorch's many tensors cost up to 1.5 times what they cost in a process of their own.
    env.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    return env


def run_one(name: str, file: Path, conditions: Conditions) -> None:
    """In the child: do the work, leave the outcome in the file."""
    import importlib
    import warnings

    warnings.filterwarnings("ignore")
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(conditions.threads)
        torch.manual_seed(0)
    module, function = WORKS[name]
    outcome = getattr(importlib.import_module(f".{module}", __package__), function)(conditions)
    for timing in outcome.timings:
        timing.contender.call = None  # networks stay behind
    file.write_bytes(pickle.dumps(outcome))


def run_child(name: str, threads: int, options: argparse.Namespace) -> Outcome:
    """One piece of work in a process of its own; a crash is an outcome, too."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome"
        command = [sys.executable, "-m", __package__, "--one", name, str(file)]
        command += ["--threads", "1" if threads == 1 else "all"]
        command += [flag for flag in ("--quick", "--compile") if getattr(options, flag[2:])]
        command += ["--connex", options.connex] if options.connex else []
        done = subprocess.run(command, env=environment(threads), check=False)
        if file.exists():
            return pickle.loads(file.read_bytes())
        outcome = Outcome(name)
        outcome.skipped.append(("all", f"its process ended with {done.returncode}; see above"))
        return outcome


def main() -> None:
    options = parsed()
    if options.one:
        threads = 1 if options.threads == "1" else processors()
        name, file = options.one
        run_one(name, Path(file), Conditions(threads, options.quick, options.compile, options.connex))
        return
    counts = {"1": [1], "all": [processors()], "both": sorted({1, processors()})}[options.threads]
    results = []
    for threads in counts:
        for name in options.only or WORKS:
            outcome = run_child(name, threads, options)
            print_outcome(name, threads, outcome)
            results.append((name, threads, outcome))
            if options.json:  # after each, so that an interrupted run leaves what it had
                options.json.write_text(json.dumps(as_json(results), indent=1, ensure_ascii=False))
    print_summary(results)


if __name__ == "__main__":
    main()
