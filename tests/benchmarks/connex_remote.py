"""connex wants Python 3.12 or later and so may need an interpreter of its own, kept on a pipe.

Run as a script by that interpreter it is the far end: it builds the network from a file of arrays and makes
one step for each line that it reads.  Turns still alternate; only the process is another one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

if __name__ != "__main__":
    from .graphs import Missing, Wiring
    from .oracle import Answer
    from .work import Conditions


class Connex:
    """A step of connex in the interpreter that ``--connex PYTHON`` names."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, conditions: Conditions) -> None:
        if conditions.connex is None:
            raise Missing("name a Python ≥ 3.12 that has it: --connex PATH/python")
        if conditions.quick:
            raise Missing("compiles for about a minute: not with --quick")
        self._folder = Path(tempfile.mkdtemp(prefix="dagnet-connex-"))
        np.savez(
            self._folder / "network.npz",
            X=X,
            y=y,
            sources=wiring.sources,
            targets=wiring.targets,
            weights=wiring.weights,
            biases=wiring.biases,
            n_inputs=wiring.n_inputs,
            outputs=wiring.outputs,
        )
        self._process = subprocess.Popen(
            [conditions.connex, __file__, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self._folder / "errors").open("w"),
            text=True,
        )
        self._ask("")

    def _ask(self, order: str) -> str:
        pipe = self._process
        if order:
            pipe.stdin.write(order + "\n")
            pipe.stdin.flush()
        reply = pipe.stdout.readline().strip()
        if not reply:
            lines = (self._folder / "errors").read_text().splitlines()
            raise Missing(f"connex: {lines[-1][:200] if lines else 'its process ended without a word'}")
        return reply

    def __call__(self) -> None:
        self._ask("step")

    def answer(self) -> Answer:
        self._ask("answer")
        found = np.load(self._folder / "answer.npz")
        return Answer(float(found["loss"]), found["weights"], found["biases"])


def places(model: Any, affine: Any, edges: list[tuple[int, int]]) -> list[tuple[int, tuple[int, ...]]]:
    """Of each edge: the batch, and the index in the batch's weights, in the layout that connex chose."""
    from connex._model import _unique_positions_by_batch

    topology, found = model.topology, []
    unique = _unique_positions_by_batch(topology)
    for edge in edges:
        batch, row, column = topology.edge_position[edge]
        if affine.sparse_batches[batch]:
            found.append((batch, (topology.edge_linear_position[edge][1],)))
        elif affine.matmul_batches[batch]:
            found.append((batch, (row, unique[batch][edge[0]])))
        else:
            found.append((batch, (row, column)))
    return found


def far_end(folder: Path) -> None:
    """Build, say so, then obey: ``step`` makes a step, ``answer`` writes loss and gradient to a file."""
    import connex
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import networkx as nx

    given = np.load(folder / "network.npz")
    edges = list(zip(given["sources"].tolist(), given["targets"].tolist(), strict=True))
    n_inputs, n_nodes = int(given["n_inputs"]), len(given["biases"])
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n_nodes))
    graph.add_edges_from(edges)
    spec = connex.GraphSpec(graph, inputs=list(range(n_inputs)), outputs=given["outputs"].tolist())
    model = connex.NeuralDAG(spec, ops=connex.ops.default_ops(activation=jax.nn.relu))
    which = next(k for k, op in enumerate(model.ops) if isinstance(op, connex.ops.HybridEdgeAffine))
    affine = model.ops[which]
    where = places(model, affine, edges)
    rows = {}
    for (source, node), (batch, _) in zip(edges, where, strict=True):
        rows[node] = batch, model.topology.edge_position[source, node][1]
    weights, biases = ([np.array(a) for a in part] for part in (affine.weights, affine.biases))
    for (batch, index), weight in zip(where, given["weights"], strict=True):
        weights[batch][index] = weight
    for node, (batch, row) in rows.items():
        biases[batch][row] = given["biases"][node]
    model = eqx.tree_at(
        lambda m: (m.ops[which].weights, m.ops[which].biases),
        model,
        (tuple(map(jnp.asarray, weights)), tuple(map(jnp.asarray, biases))),
    )
    X, y = jnp.asarray(given["X"]), jnp.asarray(given["y"])

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def step(model: Any, X: Any, y: Any) -> Any:
        return ((model.batched(X) - y) ** 2).sum() / len(X)

    jax.block_until_ready(step(model, X, y)[0])
    print("ready", flush=True)
    for order in sys.stdin:
        loss, gradient = step(model, X, y)
        jax.block_until_ready(gradient.ops[which].weights)
        if order.strip() == "answer":
            found = gradient.ops[which]
            dW, db = ([np.asarray(a) for a in part] for part in (found.weights, found.biases))
            bias_gradient = np.zeros(n_nodes)
            for node, (batch, row) in rows.items():
                bias_gradient[node] = db[batch][row]
            flat = np.array([dW[batch][index] for batch, index in where])
            np.savez(folder / "answer.npz", loss=float(loss), weights=flat, biases=bias_gradient)
        print("done", flush=True)


if __name__ == "__main__":
    far_end(Path(sys.argv[1]))
