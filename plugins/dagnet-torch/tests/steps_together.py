"""How long a step takes alone, shared, and its reduction: ``torchrun --nproc-per-node 2 steps_together.py``.

10,000 nodes, 100,000 edges; each process has one thread.  Medians and the fastest of the rounds, which go
by turns; ``sgd``, float32, and float64 where ``float64`` is said.
"""

import statistics
import sys
import time

import numpy as np
from dagnet_torch.distributed import processes

import dagnet

NODES, EDGES, INPUTS, ROUNDS = 10_000, 100_000, 500, 7


def network(dtype):
    rng = np.random.default_rng(0)
    targets = np.sort(rng.integers(INPUTS, NODES, EDGES))
    sources = (rng.random(EDGES) * targets).astype(int)
    pairs = np.unique(np.stack([sources, targets]), axis=1)
    return dagnet.Network.from_arrays(*pairs, activation="tanh", seed=0, threads=1, dtype=dtype)


class Times(dagnet.Callback):
    def __init__(self):
        self.begun, self.found = 0.0, []

    def on_batch_begin(self, run):
        self.begun = time.perf_counter()

    def on_gradient(self, run, flat):
        self.found.append(time.perf_counter() - self.begun)


def steps(net, rows, **more):
    """Seconds from the begin of a batch to its gradient, reduced where several share it."""
    rng, times = np.random.default_rng(1), Times()
    X, y = rng.normal(size=(rows, len(net.inputs))), rng.normal(size=(rows, len(net.outputs)))
    net.fit(X, y, epochs=12, batch_size=rows, optimizer="sgd", seed=0, callbacks=[times], **more)
    return times.found[2:]


def reductions(group, array):
    found = []
    for _ in range(12):
        group.sum(np.zeros(1))
        begun = time.perf_counter()
        group.sum(array)
        found.append(time.perf_counter() - begun)
    return found[2:]


def main(dtype):
    group, net = processes(), network(dtype)
    if group.rank == 0:
        sys.stdout.write(f"{group.size} processes, {dtype}, {net}\n")
        sys.stdout.write(
            "rows  alone ms (least)   shared ms (least)   with blocks=8   reduction ms (least)\n"
        )
    for rows in (64, 256, 1024, 4096):
        alone, shared, blocks, reduced = [], [], [], []
        for _ in range(ROUNDS):
            if group.rank == 0:
                alone += steps(net, rows)
            vector = group.gather(net.vector)[0]
            net.vector[:] = vector
            shared += steps(net, rows, distributed=True)
            blocks += steps(net, rows, distributed=True, blocks=8)
            reduced += reductions(group, net.vector)
        if group.rank == 0:
            said = [
                f"{1e3 * statistics.median(one):7.2f} ({1e3 * min(one):.2f})"
                for one in (alone, shared, blocks, reduced)
            ]
            sys.stdout.write(f"{rows:5}  {'  '.join(said)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "float32")
