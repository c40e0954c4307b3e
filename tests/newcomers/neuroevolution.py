"""A neuroevolutionist's afternoon: evolve a topology, train its weights, take them back.

neat-python is not needed: genomes are what it has, keys, genes and a configuration, in namespaces of the
same attributes.  The genome's own evaluation, recursive and one row at a time, is the second way.
"""

import copy
import json
import math
import random
import tempfile
from pathlib import Path
from types import SimpleNamespace

import dagnet_neat
import networkx as nx
import numpy as np

import dagnet

ROWS = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
XOR = [0.0, 1.0, 1.0, 0.0]
INPUTS, OUTPUT = [-1, -2], 0
FUNCTIONS = {  # as NEAT defines them
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, 5.0 * z)))),
    "tanh": lambda z: math.tanh(max(-60.0, min(60.0, 2.5 * z))),
    "relu": lambda z: max(z, 0.0),
    "gauss": lambda z: math.exp(-5.0 * max(-3.4, min(3.4, z)) ** 2),
    "identity": lambda z: z,
}


# ── Evolution ─────────────────────────────────────────────────────────────────────────────


def node(key, activation):
    return SimpleNamespace(
        key=key,
        bias=random.gauss(0.0, 0.5),
        response=random.choice([1.0, 1.0, 0.5, -2.0]),
        activation=activation,
        aggregation="sum",
    )


def connection(parent, child, weight):
    return SimpleNamespace(key=(parent, child), weight=weight, enabled=True)


def newborn(key):
    links = {(parent, OUTPUT): connection(parent, OUTPUT, random.gauss(0.0, 1.0)) for parent in INPUTS}
    return SimpleNamespace(key=key, fitness=None, nodes={OUTPUT: node(OUTPUT, "sigmoid")}, connections=links)


def enabled(genome):
    return [gene for gene in genome.connections.values() if gene.enabled]


def mutated(genome, key):
    child = copy.deepcopy(genome)
    child.key, child.fitness = key, None
    for gene in child.connections.values():
        gene.weight += random.gauss(0.0, 0.4)
    for gene in child.nodes.values():
        gene.bias += random.gauss(0.0, 0.3)
    what = random.random()
    if what < 0.3:
        split = random.choice(enabled(child))
        split.enabled, new = False, max(child.nodes) + 1
        child.nodes[new] = node(new, random.choice(list(FUNCTIONS)))
        parent, below = split.key
        child.connections[parent, new] = connection(parent, new, 1.0)
        child.connections[new, below] = connection(new, below, split.weight)
    elif what < 0.6:
        parent, below = random.choice([*INPUTS, *child.nodes]), random.choice(list(child.nodes))
        graph = nx.DiGraph(list(child.connections))
        if (
            parent != below
            and parent != OUTPUT
            and not (below in graph and nx.has_path(graph, below, parent))
        ):
            child.connections.setdefault((parent, below), connection(parent, below, random.gauss(0.0, 1.0)))
    return child


def activate(genome, row):
    """act(bias + response · Σ w·x), asked from the output backwards."""
    known = dict(zip(INPUTS, row, strict=True))

    def value(key):
        if key not in known:
            gene = genome.nodes[key]
            total = sum(link.weight * value(link.key[0]) for link in enabled(genome) if link.key[1] == key)
            known[key] = FUNCTIONS[gene.activation](gene.bias + gene.response * total)
        return known[key]

    return value(OUTPUT)


def error(genome):
    return sum((activate(genome, row) - y) ** 2 for row, y in zip(ROWS, XOR, strict=True)) / len(ROWS)


def evolved(generations=60, size=40):
    random.seed(11)
    genomes, key = [newborn(k) for k in range(size)], size
    for _ in range(generations):
        for genome in genomes:
            genome.fitness = -error(genome)
        best = sorted(genomes, key=lambda genome: -genome.fitness)[: size // 3]
        genomes = [*best, *(mutated(random.choice(best), key + k) for k in range(size - len(best)))]
        key += size
    for genome in genomes:
        genome.fitness = -error(genome)
    return genomes


# ── What dagnet makes of it ───────────────────────────────────────────────────────────────


def configuration():
    """What dagnet asks of a ``neat.Config``: keys, and which functions are NEAT's own."""

    def own(kind, names):
        names = {name: f"{name}_{kind}" for name in names}
        return {name: type(there, (), {"__module__": f"neat.{kind}s"}) for name, there in names.items()}

    functions = {
        "activation_defs": own("activation", FUNCTIONS),
        "aggregation_function_defs": own("aggregation", ["sum", "product"]),
    }
    settings = SimpleNamespace(feed_forward=True, input_keys=INPUTS, output_keys=[OUTPUT], **functions)
    return SimpleNamespace(genome_config=settings)


def exported(genome, path):
    """The file that ``neat.export.export_network_json`` writes."""
    nodes = [
        {
            "id": key,
            "type": "output" if key == OUTPUT else "hidden",
            "bias": gene.bias,
            "response": gene.response,
            "activation": {"name": gene.activation, "custom": False},
            "aggregation": {"name": gene.aggregation, "custom": False},
        }
        for key, gene in genome.nodes.items()
    ]
    links = [
        {"from": gene.key[0], "to": gene.key[1], "weight": gene.weight, "enabled": gene.enabled}
        for gene in genome.connections.values()
    ]
    top = {"num_inputs": 2, "num_outputs": 1, "input_keys": INPUTS, "output_keys": [OUTPUT]}
    content = {"format_version": "1.0", "network_type": "feedforward", "metadata": {}, "topology": top}
    path.write_text(json.dumps({**content, "nodes": nodes, "connections": links}))
    return path


def apart(net, genome):
    X = [*ROWS, *np.random.default_rng(3).normal(size=(20, 2)).tolist()]
    return max(abs(ours - activate(genome, row)) for ours, row in zip(net(X)[:, 0], X, strict=True))


def trained_and_taken_back(genome, config):
    """Gradients make it better; the genome evaluates to what the network does."""
    net = dagnet.Network(dagnet_neat.from_genome(genome, config), loss="squared_error")
    before = error(genome)
    assert abs(net.evaluate(ROWS, XOR) - before) < 1e-12
    gradient, edge = net.gradient(ROWS, XOR), next(iter(net.weights))
    response, link = genome.nodes[edge[1]].response, genome.connections[edge]
    losses = []
    for moved in (1e-6, -1e-6):  # by differences of the genome's own evaluation
        link.weight += moved
        losses.append(error(genome))
        link.weight -= moved
    numeric = (losses[0] - losses[1]) / 2e-6
    assert abs(gradient.weights[edge] * response - numeric) < 1e-7, (
        gradient.weights[edge] * response,
        numeric,
    )

    net.fit(ROWS, XOR, epochs=300, batch_size=4, learning_rate=0.01, callbacks=[dagnet.EarlyStopping(300)])
    champion = dagnet_neat.to_genome(net, copy.deepcopy(genome))
    after = error(champion)
    assert after < before, (before, after)
    assert abs(after - net.evaluate(ROWS, XOR)) < 1e-9
    assert apart(net, champion) < 1e-9
    idle = genome.connections.keys() - net.edges
    assert all(champion.connections[key].weight == genome.connections[key].weight for key in idle)
    assert {key: gene.enabled for key, gene in champion.connections.items()} == {
        key: gene.enabled for key, gene in genome.connections.items()
    }
    print(f"genome {genome.key}: {len(net.nodes)} nodes, error {before:.3g} evolved, {after:.3g} trained")
    return champion


def main(folder):
    if "neat_sigmoid" not in dagnet.activations():  # only on the path, not installed
        dagnet.register(dagnet_neat)
    config, genomes = configuration(), evolved()
    assert any(len(genome.nodes) > 2 for genome in genomes)
    for genome in genomes:
        net = dagnet.Network(dagnet_neat.from_genome(genome, config))
        read = dagnet.Network(dagnet_neat.from_json(exported(genome, folder / "genome.json")))
        assert net.inputs == tuple(INPUTS)
        assert net.outputs == (OUTPUT,)
        assert apart(net, genome) < 1e-12
        assert apart(read, genome) < 1e-12
        needed = nx.ancestors(nx.DiGraph([gene.key for gene in enabled(genome)]), OUTPUT) | {OUTPUT, *INPUTS}
        assert set(net.nodes) == needed, (net.nodes, needed)
    champion = trained_and_taken_back(max(genomes, key=lambda genome: genome.fitness), config)
    again = dagnet.Network(dagnet_neat.from_json(exported(champion, folder / "champion.json")))
    assert apart(again, champion) < 1e-12
    again.save(folder / "champion.dagnet")
    assert apart(dagnet.load(folder / "champion.dagnet"), champion) < 1e-12

    champion.nodes[OUTPUT].aggregation = "product"
    assert dagnet_neat.from_genome(champion, config).nodes[OUTPUT]["aggregation"] == "product"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
