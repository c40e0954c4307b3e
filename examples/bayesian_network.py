"""A network that learns to guess a diagnosis, against the exact posterior of a Bayesian network, CHILD.

CHILD (Spiegelhalter et al., 1993) says how heart disease in newborns leads to findings.  Turned round,
the same graph leads from findings to the disease, and learns from simulated children what Bayes' rule would
say; whoever has all tables can calculate that, so guesses can be checked.  They come with ``pgmpy``:

    pip install --no-deps pgmpy
"""

from __future__ import annotations

import gzip
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

import dagnet

QUESTION = "Disease"
FINDINGS = ("Age", "LVHreport", "LowerBodyO2", "RUQO2", "CO2Report", "XrayReport", "GruntingReport")


class Bayes:
    """Discrete variables, their states, and P(variable | parents), the variable on the last axis."""

    def __init__(self, text: str) -> None:
        self.states = {
            name: [state.strip() for state in states.split(",")]
            for name, states in re.findall(r"variable (\S+) \{\s*type discrete \[ \d+ \] \{ (.*?) \};", text)
        }
        self.parents: dict[str, list[str]] = {}
        self.tables: dict[str, np.ndarray] = {}
        for name, given, body in re.findall(
            r"probability \( (\S+)(?: \| (.*?))? \) \{\n(.*?)\n\}", text, re.DOTALL
        ):
            self.parents[name] = parents = given.split(", ") if given else []
            table = np.empty([len(self.states[one]) for one in (*parents, name)])
            for row in body.splitlines():
                states, numbers = re.fullmatch(r"\s*(?:table|\((.*)\)) (.*);", row).groups()
                place = zip(parents, states.split(", ") if states else [], strict=True)
                table[tuple(self.states[one].index(state) for one, state in place)] = np.fromstring(
                    numbers, sep=","
                )
            self.tables[name] = table
        self.graph = nx.DiGraph(
            (parent, name) for name, parents in self.parents.items() for parent in parents
        )

    def draw(self, n: int, seed: int) -> dict[str, np.ndarray]:
        """Children, as words by variable, parents first."""
        rng, drawn = np.random.default_rng(seed), {}
        for name in nx.topological_sort(self.graph):
            rows = self.tables[name][tuple(drawn[one] for one in self.parents[name])]
            rows = np.broadcast_to(rows, (n, rows.shape[-1]))
            drawn[name] = (rng.random((n, 1)) > rows.cumsum(axis=1)[:, :-1]).sum(axis=1)
        return {name: np.array(self.states[name])[found] for name, found in drawn.items()}

    def posterior(self, question: str, findings: tuple[str, ...]) -> np.ndarray:
        """P(question | findings) for all combinations of findings, from the product of all tables."""
        number = {name: at for at, name in enumerate(self.states)}
        terms: list[Any] = []
        for name, table in self.tables.items():
            terms += [table, [number[one] for one in (*self.parents[name], name)]]
        joint = np.einsum(*terms, [number[one] for one in (*findings, question)], optimize="greedy")
        return joint / joint.sum(axis=-1, keepdims=True)


def child() -> Bayes:
    """The published tables."""
    package = find_spec("pgmpy")
    if package is None or package.origin is None:
        raise SystemExit("this example reads the tables in the package pgmpy: pip install --no-deps pgmpy")
    path = Path(package.origin).parent / "utils" / "example_models" / "child.bif.gz"
    return Bayes(gzip.decompress(path.read_bytes()).decode())


def turned_round(bayes: Bayes) -> nx.DiGraph:
    """From findings, through what they are signs of, to the question: each edge of the original, reversed."""
    graph = bayes.graph.reverse(copy=True)
    graph.remove_nodes_from(set(graph) - {QUESTION} - nx.ancestors(graph, QUESTION))
    for name in graph:
        graph.nodes[name].update({"units": 4} if graph.pred[name] else {"categories": bayes.states[name]})
    graph.nodes[QUESTION].update(units=len(bayes.states[QUESTION]), activation="identity")
    return graph


def directly(bayes: Bayes, hidden: int = 0) -> nx.DiGraph:
    """Every finding straight to the question: a logistic regression; or through one layer of hidden units."""
    graph = nx.DiGraph()
    for finding in FINDINGS:
        graph.add_node(finding, categories=bayes.states[finding])
        graph.add_edge(finding, "layer" if hidden else QUESTION)
    if hidden:
        graph.add_node("layer", units=hidden)
        graph.add_edge("layer", QUESTION)
    graph.add_node(QUESTION, units=len(bayes.states[QUESTION]), activation="identity")
    return graph


def trained(graph: nx.DiGraph, bayes: Bayes, children: dict[str, np.ndarray], epochs: int) -> dagnet.Network:
    """A network of this graph that has learned from these children."""
    labels = np.array([bayes.states[QUESTION].index(word) for word in children[QUESTION]])
    net = dagnet.Network(graph, activation="tanh", loss="cross_entropy", seed=0)
    slower = dagnet.LearningRateSchedule("cosine")
    net.fit(children, labels, epochs=epochs, batch_size=128, learning_rate=0.01, callbacks=[slower], seed=0)
    return net


def main() -> None:
    bayes = child()
    exact = bayes.posterior(QUESTION, FINDINGS)
    unseen = bayes.draw(20_000, seed=1)
    states = [[bayes.states[name].index(word) for word in unseen[name]] for name in FINDINGS]
    truth = exact[tuple(np.array(states))]

    def kl(guess: np.ndarray) -> float:
        return float(np.mean(np.sum(truth * np.log(truth / guess), axis=1)))

    graphs = {
        "CHILD, turned round": turned_round(bayes),
        "one hidden layer of 16": directly(bayes, 16),
        "logistic regression": directly(bayes),
    }
    sizes = {2_000: 60, 20_000: 40, 100_000: 20}
    print(f"mean KL(exact ‖ guess) in nats; the prior alone: {kl(truth.mean(axis=0)):.3f}")
    print(f"{'children to learn from':<24}{'parameters':>12}" + "".join(f"{n:>10,}" for n in sizes))
    for title, graph in graphs.items():
        found = []
        for n, epochs in sizes.items():
            net = trained(graph, bayes, bayes.draw(n, seed=0), epochs)
            found.append(kl(net.predict({name: unseen[name] for name in FINDINGS})))
        print(f"{title:<24}{len(net.parameters):>12}" + "".join(f"{one:>10.4f}" for one in found))
        if title == "CHILD, turned round":
            best = net

    print("\none child:", ", ".join(f"{name} {unseen[name][0]}" for name in FINDINGS))
    guess = best.predict({name: unseen[name][:1] for name in FINDINGS})[0]
    for state, right, found in zip(bayes.states[QUESTION], truth[0], guess, strict=True):
        print(f"  {state:<8} exact {right:.3f}   guess {found:.3f}")


if __name__ == "__main__":
    main()
