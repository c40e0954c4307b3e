"""A network of dagnet's as a genome of its own."""

from typing import Any

import dagnet
from dagnet_neat.graphs import AGGREGATIONS, OWN

__all__ = ["filled"]

ALIKE = {"identity": "identity", "relu": "relu"}
"""dagnet's activations that are NEAT's of some name, too."""


def filled(net: Any, genome: Any) -> Any:
    """Write a whole network into an empty genome; see :func:`dagnet_neat.to_genome`."""
    import neat  # noqa: PLC0415 - all else here does without

    topology = net.topology
    activations = [_neats(str(activation)) for activation in topology.activations]
    computed = [node for node in range(topology.n_nodes) if not topology.is_input[node]]
    problems = _standardised(net)
    for node in range(topology.n_nodes):
        problems += _problems(net, node, activations)
    if problems:
        raise dagnet.GraphError(problems)
    keys = _keys(net)
    for node in computed:
        gene = genome.nodes[keys[node]] = neat.genes.DefaultNodeGene(keys[node])
        gene.bias, gene.response, gene.time_constant = net.biases.get(topology.nodes[node], 0.0), 1.0, 1.0
        gene.activation = activations[topology.activation_of[node]]
        gene.aggregation = topology.aggregation(node)
    ends = zip(topology.sources.tolist(), topology.targets.tolist(), strict=True)
    for innovation, (edge, (source, target)) in enumerate(zip(net.edges, ends, strict=True), 1):
        key = (keys[source], keys[target])
        gene = genome.connections[key] = neat.genes.DefaultConnectionGene(key, innovation=innovation)
        gene.weight, gene.enabled = net.weights[edge], True
    return genome


def _neats(name: str) -> str:
    """What NEAT calls an activation, or nothing."""
    return name.removeprefix("neat_") if name in OWN and name.startswith("neat_") else ALIKE.get(name, "")


def _standardised(net: Any) -> list[str]:
    topology = net.topology
    if not topology.center.any() and (topology.scale == 1).all():
        return []
    return ["inputs must not be standardised, NEAT's are not; leave center and scale out, and scale X"]


def _problems(net: Any, node: int, activations: list[str]) -> list[str]:
    topology, problems = net.topology, []
    where, name = f"node {topology.nodes[node]!r}", str(topology.activations[topology.activation_of[node]])
    if topology.units[node] > 1:
        problems.append(f"{where}: units must be 1 in NEAT, got {topology.units[node]}")
    if topology.is_input[node]:
        if topology.is_output[node]:
            problems.append(f"{where} must not be input and output in NEAT; put a node between the two")
        return problems
    if not activations[topology.activation_of[node]]:
        must = f"one of {', '.join(sorted([*ALIKE, *(name for name in OWN if name.startswith('neat_'))]))}"
        problems.append(f"{where}: activation must be {must}, got {name!r}")
    if topology.aggregation(node) not in AGGREGATIONS:
        must = f"one of {', '.join(AGGREGATIONS)}"
        problems.append(f"{where}: aggregation must be {must}, got {topology.aggregation(node)!r}")
    return problems


def _keys(net: Any) -> list[int]:
    """NEAT's key of each node."""
    topology = net.topology
    inputs, outputs = topology.inputs.tolist(), topology.outputs.tolist()
    named = [topology.nodes[node] for node in (*inputs, *outputs)]
    wanted = [*range(-1, -1 - len(inputs), -1), *range(len(outputs))]
    if named == wanted and all(type(name) is int for name in topology.nodes):
        return list(topology.nodes)
    keys = dict(zip((*inputs, *outputs), wanted, strict=True))
    for node in range(topology.n_nodes):
        keys.setdefault(node, len(keys) - len(inputs))
    return [keys[node] for node in range(topology.n_nodes)]
