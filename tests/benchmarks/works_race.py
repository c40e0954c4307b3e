"""Forward and backward through irregular networks: dagnet, C, PyTorch, JAX, kpnn2, connex."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from . import connex_remote, graphs, subject
from .graphs import Missing, Wiring
from .limit import LimitC
from .measure import measure
from .peers_jax import JaxChain, JaxLevels
from .peers_kpnn2 import Kpnn2
from .peers_torch import (
    BlockedBags,
    Chain,
    Compiled,
    Levelwise,
    MaskedLinear,
    embedding_bag,
    gather_bmm,
    gather_index_add,
    sparse_mm,
)
from .peers_torch_function import HandWrittenBags, HandWrittenBmm
from .work import DAGNET, Conditions, Entry, Outcome, race, ready

TORCH, FUNCTION = "PyTorch autograd", "PyTorch hand-written Function"
ENGINE = "torch_engine"
KEPT, BEST = "C, all values and deltas kept", "C, fused"
CHEAP = ("relu", "identity", "leaky_relu", "relu6", "hard_tanh", "hard_sigmoid", "hard_swish", "softsign")
DEAR = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus")


def ours(wiring: Wiring, rows: int, conditions: Conditions) -> list[Entry]:
    X, y = wiring.data(rows)
    threads = conditions.threads
    entries = [
        Entry("dagnet", DAGNET, lambda: subject.RawStep(wiring, X, y, threads)),
        Entry("dagnet net.gradient(X, y)", "public", lambda: subject.PublicGradient(wiring, X, y, threads)),
    ]
    if threads > 1:
        entries.append(Entry("dagnet, one thread", "one thread", lambda: subject.RawStep(wiring, X, y, 1)))
    return entries


def limits(wiring: Wiring, rows: int, conditions: Conditions) -> list[Entry]:
    """The hand-written C, with tiles of 64 and 32 rows, as little as a step and a gradient have to do."""
    X, y = wiring.data(rows)
    return [
        Entry(
            f"{family}, tiles of {tile}",
            family,
            partial(LimitC, wiring, X, y, tile=tile, keep=family == KEPT, threads=conditions.threads),
        )
        for family in (KEPT, BEST)
        for tile in (64, 32)
    ]


def torch_entries(wiring: Wiring, rows: int, conditions: Conditions) -> list[Entry]:
    X, y = wiring.data(rows)
    idioms = {
        "gather + bmm": gather_bmm,
        "gather + index_add": gather_index_add,
        "embedding_bag": embedding_bag,
        "torch.sparse.mm": sparse_mm,
    }
    entries = [
        Entry(f"PyTorch, {name}", TORCH, partial(Levelwise, wiring, X, y, idiom))
        for name, idiom in idioms.items()
    ]

    def compiled() -> Compiled:
        if not conditions.compile:
            raise Missing("takes minutes to compile a graph; ask for it with --compile")
        return Compiled(wiring, X, y, gather_bmm)

    return [
        *entries,
        Entry("PyTorch, embedding_bag in blocks of 8 levels", TORCH, partial(BlockedBags, wiring, X, y)),
        Entry("PyTorch, masked linear", TORCH, partial(MaskedLinear, wiring, X, y)),
        Entry("PyTorch, torch.compile of gather + bmm", TORCH, compiled),
        Entry(
            "dagnet, engine 'torch'",
            ENGINE,
            partial(subject.RawStep, wiring, X, y, conditions.threads, "torch"),
        ),
        Entry("Function: embedding_bag both ways", FUNCTION, partial(HandWrittenBags, wiring, X, y)),
        Entry("Function: gather + bmm, index_add", FUNCTION, partial(HandWrittenBmm, wiring, X, y)),
    ]


def others(wiring: Wiring, rows: int, conditions: Conditions) -> list[Entry]:
    X, y = wiring.data(rows)
    return [
        Entry("JAX jit, segment_sum", "JAX", partial(JaxLevels, wiring, X, y)),
        Entry("JAX jit, equal degrees", "JAX", partial(JaxLevels, wiring, X, y, equal=True)),
        Entry("kpnn2", "kpnn2", partial(Kpnn2, wiring, X, y)),
        Entry("connex", "connex", partial(connex_remote.Connex, wiring, X, y, conditions)),
    ]


def everyone(wiring: Wiring, rows: int, conditions: Conditions) -> list[Entry]:
    return [
        entry for group in (ours, limits, torch_entries, others) for entry in group(wiring, rows, conditions)
    ]


def _irregular(rows: int, conditions: Conditions) -> Outcome:
    wiring = graphs.random_dag()
    outcome = race(f"irregular, {rows} rows", wiring, rows, everyone(wiring, rows, conditions), conditions)
    outcome.at_most(KEPT, 1.5)
    outcome.at_most(BEST, 1.5)
    outcome.at_least(TORCH, 12)
    outcome.at_least(FUNCTION, 5)
    outcome.at_most(FUNCTION, 1.3, subject=ENGINE)
    for peer in ("kpnn2", "JAX", "connex"):
        outcome.at_least(peer, 25)
    if conditions.threads > 1:
        outcome.at_least("one thread", 1.6)
    return outcome


def irregular(conditions: Conditions) -> Outcome:
    """10,000 computed nodes, 100,000 edges, 64 rows."""
    return _irregular(64, conditions)


def wide(conditions: Conditions) -> Outcome:
    """The same, 256 rows."""
    return _irregular(256, conditions)


def activations(conditions: Conditions) -> Outcome:
    """The same graph, each node one of eight activations at random."""
    outcome = Outcome("irregular, 64 rows, eight activations at random")
    wiring = graphs.random_dag()
    X, y = wiring.data(64)
    pick = np.random.default_rng(0).integers(8, size=wiring.n_nodes)
    mixes = {
        "dagnet, all relu": wiring,
        "dagnet, eight cheap ones": replace(wiring, activation=tuple(CHEAP[k] for k in pick)),
        "dagnet, eight with tanh, sigmoid, gelu, …": replace(wiring, activation=tuple(DEAR[k] for k in pick)),
    }
    families = ("relu", "cheap", "dear")
    entries = [
        Entry(name, family, partial(subject.RawStep, mix, X, y, conditions.threads))
        for family, (name, mix) in zip(families, mixes.items(), strict=True)
    ]
    contenders = ready(entries, outcome, lambda step: step.fault())
    outcome.timings = measure(contenders, conditions.seconds)
    outcome.notes += [f"cheap: {', '.join(CHEAP)}", f"with: {', '.join(DEAR)}"]
    outcome.at_most("relu", 1.5, subject="cheap")
    outcome.at_most("relu", 2.5, subject="dear")
    return outcome


def deep(conditions: Conditions) -> Outcome:
    """2,000 nodes over 200 levels, 12,000 edges, 32 rows."""
    wiring = graphs.deep_dag()
    outcome = race("deep and narrow, 32 rows", wiring, 32, everyone(wiring, 32, conditions), conditions)
    outcome.at_least(TORCH, 25)
    return outcome


def chain(conditions: Conditions) -> Outcome:
    """A chain of 100,000 nodes, 32 rows."""
    wiring = graphs.chain(10_000 if conditions.quick else 100_000)
    X, y = wiring.data(32)
    entries = [
        *ours(wiring, 32, conditions),
        *limits(wiring, 32, conditions),
        Entry("PyTorch, addcmul + relu a node", TORCH, partial(Chain, wiring, X, y)),
        Entry("JAX jit, lax.scan", "JAX scan", partial(JaxChain, wiring, X, y)),
    ]
    outcome = race("chain, 32 rows", wiring, 32, entries, conditions)
    outcome.at_least(TORCH, 25)
    return outcome


def reactome(conditions: Conditions) -> Outcome:
    """Proteins → pathways → root, 256 rows."""
    try:
        wiring = graphs.reactome()
    except Missing as reason:
        outcome = Outcome("Reactome, 256 rows")
        outcome.skipped.append(("all", str(reason)))
        return outcome
    outcome = race("Reactome, 256 rows", wiring, 256, everyone(wiring, 256, conditions), conditions)
    outcome.at_least("kpnn2", 20)
    outcome.at_least("PyTorch, masked linear", 20)
    return outcome
