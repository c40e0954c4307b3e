"""Outcomes as tables and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .work import Check, Outcome

Results = list[tuple[str, int, Outcome]]
PACKAGES = ("numpy", "numba", "torch", "jax", "kpnn2", "neat-python", "networkx")


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _threads(n: int) -> str:
    return "one thread" if n == 1 else f"{n} threads"


def print_outcome(name: str, threads: int, outcome: Outcome) -> None:
    """Median, least, ratio to dagnet (the first line), processors kept busy, seconds to get ready."""
    print(f"\n## {name}: {outcome.title} ({_threads(threads)})")
    for note in outcome.notes:
        print(f"   {note}")
    factor = {"µs": 1e3, "ms": 1.0, "s": 1e-3}[outcome.unit]
    width = max((len(t.contender.name) for t in outcome.timings), default=0)
    if outcome.timings:
        heads = f"{'median ' + outcome.unit:>11} {'least ' + outcome.unit:>11} {'ratio':>8}"
        print(f"   {'':{width}}  {heads} {'cpus':>5} {'ready s':>8}")
    for t in outcome.timings:
        ratio = _number(t.median / outcome.timings[0].median) if outcome.ratios else ""
        times = f"{_number(t.median * factor):>11} {_number(t.minimum * factor):>11} {ratio:>8}"
        print(f"   {t.contender.name:{width}}  {times} {t.cores:>5.1f} {t.contender.before:>8.2f}")
    if any(0 < t.cores < 0.9 for t in outcome.timings):
        print("   the machine was busy with something else: long calls suffer most; trust the least times")
    for who, reason in outcome.skipped:
        print(f"   skipped: {who}: {reason}")
    for check in outcome.checks:
        print(f"   {_verdict(check)}")


def _verdict(check: Check) -> str:
    word = {True: "reached", False: "MISSED ", None: "no figure"}[check.met]
    value = "" if check.value is None else f" = {check.value:.2f}"
    if check.by_least is not None:
        value += f", {check.by_least:.2f} by least times"
    return f"{word}  {check.text}{value}  (target {'≥' if check.at_least else '≤'} {check.bound:g})"


def print_summary(results: Results) -> None:
    """All targets in a list."""
    print("\n## Targets")
    for name, threads, outcome in results:
        for check in outcome.checks:
            print(f"   {name:12} {_threads(threads):11} {_verdict(check)}")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def as_json(results: Results) -> dict[str, Any]:
    """Everything: milliseconds, and the samples' spread."""
    return {"machine": machine(), "works": [_work(*result) for result in results]}


def _work(name: str, threads: int, outcome: Outcome) -> dict[str, Any]:
    base = outcome.timings[0].median if outcome.timings else None
    return {
        "name": name,
        "title": outcome.title,
        "threads": threads,
        "notes": outcome.notes,
        "contenders": [
            {
                "name": t.contender.name,
                "family": t.contender.family,
                "median_ms": t.median,
                "least_ms": t.minimum,
                "quartiles_ms": statistics.quantiles(t.samples, n=4) if len(t.samples) > 1 else None,
                "samples": len(t.samples),
                "ratio": t.median / base if outcome.ratios else None,
                "cpus": t.cores,
                "ready_s": t.contender.before,
            }
            for t in outcome.timings
        ],
        "skipped": [{"name": who, "reason": reason} for who, reason in outcome.skipped],
        "targets": [
            {
                "what": c.text,
                "value": c.value,
                "by_least_times": c.by_least,
                "bound": c.bound,
                "at_least": c.at_least,
                "reached": c.met,
            }
            for c in outcome.checks
        ],
    }
