"""Genomes of neat-python to graphs, trained weights back into them, and networks as genomes of their own."""

import math
from typing import Any

import networkx as nx

import dagnet
from dagnet_neat.graphs import AGGREGATIONS, OWN, Connection, Node, alone, carried, drawn

__all__ = ["from_genome", "to_genome"]

ALIKE = {"identity": "identity", "relu": "relu"}
"""dagnet's activations that are NEAT's of some name, too."""


def from_genome(genome: Any, config: Any) -> "nx.DiGraph[Any]":
    """Draw a genome: the graph whose network is ``neat.nn.FeedForwardNetwork.create(genome, config)``.

    Parameters
    ----------
    genome
        A ``neat.DefaultGenome`` of feed-forward networks; it is read, never changed.
    config
        Its ``neat.Config``.

    Returns
    -------
    nx.DiGraph
        Nodes are named by NEAT's keys: inputs −1, −2 …, outputs 0, 1 …  Disabled connections
        and nodes that no output needs are left out.

    Raises
    ------
    GraphError
        For custom aggregations, and custom activations that are not registered; all of them at once.
    DataError
        For a configuration of recurrent networks.

    Examples
    --------
    ``net = dagnet.Network(dagnet_neat.from_genome(winner, config))``
    """
    settings = config.genome_config
    if not settings.feed_forward:
        mend = "set feed_forward = True and evolve anew"
        raise dagnet.DataError(f"config must be of feed-forward networks, got feed_forward = False; {mend}")
    connections = [
        Connection(key[0], key[1], gene.weight) for key, gene in genome.connections.items() if gene.enabled
    ]
    nodes = [_node(key, gene, settings) for key, gene in genome.nodes.items()]
    return drawn(settings.input_keys, settings.output_keys, nodes, connections)


def _node(key: int, gene: Any, settings: Any) -> Node:
    activation, own = _resolved(gene.activation, settings.activation_defs, "activation")
    aggregation, plain = _resolved(gene.aggregation, settings.aggregation_function_defs, "aggregation")
    custom = [kind for kind, known in (("activation", own), ("aggregation", plain)) if not known]
    return Node(key, gene.bias, gene.response, activation, aggregation, tuple(custom))


def _resolved(name: str, functions: Any, kind: str) -> tuple[str, bool]:
    """neat-python's own name for a function, and whether it is its own: a name can be given anew."""
    function = functions.get(name)
    if getattr(function, "__module__", None) == f"neat.{kind}s":
        return function.__name__.removesuffix(f"_{kind}"), True
    return name, False


def to_genome(net: Any, genome: Any) -> Any:
    """Write a network's weights and biases into the genome that it was drawn from, or into an empty one.

    A weight of the graph is response · w (into a product the first one alone), so the gene's w becomes
    weight/response.  Responses stay as they are, except where that quotient is not finite (a response
    of 0): such a node's response becomes 1, or −1 where it was below 0.  Genes that did not move keep
    their bits.  What the network lacks (disabled connections, nodes that no output needs), keys and the
    fitness stay as they are.

    Parameters
    ----------
    net
        A :class:`dagnet.Network` of the graph that :func:`from_genome` returned.
    genome
        The genome; it is changed.  ``copy.deepcopy`` it before to keep it.  Into one without genes,
        ``neat.DefaultGenome(7)``, any network of nodes of one unit is written whose functions NEAT has:
        inputs become −1, −2 …, outputs 0, 1 …, all other nodes the numbers after these, unless the
        network's nodes are named so already.

    Returns
    -------
    genome
        The same object.

    Raises
    ------
    DataError
        If the network has a node or an edge that the genome lacks; then nothing is changed.
    GraphError
        For an empty genome: with all that NEAT cannot say.
    """
    if not genome.nodes and not genome.connections:
        return _filled(net, genome)
    lacking = [key for key in net.biases if key not in genome.nodes]
    lacking += [edge for edge in net.weights if edge not in genome.connections]
    if lacking:
        mend = "give the genome that from_genome drew this network from"
        raise dagnet.DataError(f"genome must have a gene for {lacking[0]!r}, got none; {mend}")
    parents: dict[Any, dict[Any, float]] = {}
    for edge in genome.connections:  # in their order, by which a product's response is carried
        if edge in net.weights:
            parents.setdefault(edge[1], {})[edge] = net.weights[edge]
    for key, bias in net.biases.items():
        gene, entering = genome.nodes[key], parents.get(key, {})
        beside = alone(gene.aggregation, gene.response, len(entering))
        if gene.bias + beside != bias:
            gene.bias = bias - beside
        _write_weights(genome, gene, entering)
    return genome


def _write_weights(genome: Any, gene: Any, weights: dict[Any, float]) -> None:
    """The weights into one node, ``gene``, by their edges."""
    genes = genome.connections
    factors = dict(zip(weights, carried(gene.aggregation, gene.response, len(weights)), strict=True))
    moved = {edge: weight for edge, weight in weights.items() if factors[edge] * genes[edge].weight != weight}
    if not all(factors[edge] and math.isfinite(weight / factors[edge]) for edge, weight in moved.items()):
        gene.response = -1.0 if gene.response < 0 else 1.0
        moved = weights
        factors = dict(zip(weights, carried(gene.aggregation, gene.response, len(weights)), strict=True))
    for edge, weight in moved.items():
        genes[edge].weight = weight / factors[edge]


# -- a genome of its own --------------------------------------------------------------


def _filled(net: Any, genome: Any) -> Any:
    """Write a whole network into an empty genome; see :func:`dagnet_neat.to_genome`."""
    import neat  # noqa: PLC0415 - all else here does without

    topology = net.topology
    activations = [_neats(str(activation)) for activation in topology.activations]
    computed = [node for node in range(topology.n_nodes) if not topology.is_input[node]]
    problems: list[str] = []
    if topology.center.any() or (topology.scale != 1).any():
        mend = "leave center and scale out, and scale X"
        problems.append(f"inputs must not be standardised, NEAT's are not; {mend}")
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
