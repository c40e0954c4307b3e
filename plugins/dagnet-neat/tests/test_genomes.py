"""Genomes drawn as graphs compute what neat-python computes, and take trained weights back."""

import copy
import random

import dagnet_neat
import networkx as nx
import numpy as np
import pytest

import dagnet

neat = pytest.importorskip("neat")
pytestmark = pytest.mark.filterwarnings("ignore:no input reaches output")
OWN = list(neat.activations.ActivationFunctionSet().functions)
AGGREGATIONS = list(neat.aggregations.AggregationFunctionSet().functions)
X = np.random.default_rng(0).normal(size=(5, 2))
THREE = {"num_inputs": 3, "input_keys": [-1, -2, -3], "num_outputs": 2, "output_keys": [0, 1]}


def genomes(config, count, activations=OWN, aggregations=("sum",), **ranges):
    """Genomes of all ages: mutated at random, with disabled connections and idle nodes."""
    settings = config.genome_config
    settings.aggregation_options, settings.aggregation_mutate_rate = list(aggregations), 0.5
    settings.activation_options, settings.activation_mutate_rate = activations, 0.3
    for name, value in ranges.items():
        setattr(settings, name, value)
    random.seed(6)
    for key in range(count):
        genome = neat.DefaultGenome(key)
        genome.configure_new(settings)
        for _ in range(random.randrange(25)):
            genome.mutate(settings)
        for gene in genome.connections.values():
            gene.enabled = random.random() < 0.9
        yield genome


def grown(config, size=6):
    """One genome with hidden nodes."""
    return next(g for g in genomes(config, 100) if len(dagnet_neat.from_genome(g, config)) >= size)


def theirs(genome, config, X):
    net = neat.nn.FeedForwardNetwork.create(genome, config)
    return np.array([net.activate(row) for row in X.tolist()])


def apart(ours, expected):
    return float((np.abs(ours - expected) / np.maximum(1.0, np.abs(expected))).max())


def bits(genome):
    nodes = {key: (gene.bias, gene.response) for key, gene in genome.nodes.items()}
    return nodes, {key: (gene.weight, gene.enabled) for key, gene in genome.connections.items()}


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_five_hundred_random_genomes_activate_alike(config, engine):
    rows = np.random.default_rng(0).normal(size=(5, 3))
    hidden = 0
    for genome in genomes(config, 500, **THREE):
        before = bits(genome)
        graph = dagnet_neat.from_genome(genome, config)
        assert apart(dagnet.Network(graph, engine=engine)(rows), theirs(genome, config, rows)) <= 1e-12
        assert bits(genome) == before
        hidden += len(graph) > 5
    assert hidden > 250


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_five_hundred_random_genomes_with_all_aggregations_activate_alike(config, engine):
    rows, met = np.random.default_rng(0).normal(size=(5, 3)), set()
    ranges = {"response_init_stdev": 1.0, "response_mutate_rate": 0.5, "response_mutate_power": 1.0}
    for genome in genomes(config, 500, aggregations=AGGREGATIONS, **THREE, **ranges):
        before, graph = bits(genome), dagnet_neat.from_genome(genome, config)
        net = dagnet.Network(graph, engine=engine)
        assert apart(net(rows), theirs(genome, config, rows)) <= 1e-12
        met |= {net.topology.aggregation(node) for node in range(net.topology.n_nodes)}
        dagnet_neat.to_genome(net, genome)
        assert bits(genome) == before
    assert met == set(AGGREGATIONS)


def test_a_network_written_back_untrained_leaves_every_bit(config):
    for genome in genomes(config, 50):
        before = bits(genome)
        net = dagnet.Network(dagnet_neat.from_genome(genome, config))
        assert dagnet_neat.to_genome(net, genome) is genome
        assert bits(genome) == before


@pytest.mark.filterwarnings("default:fit.*out of reach:dagnet.DagnetWarning")
@pytest.mark.parametrize("aggregations", [["sum"], AGGREGATIONS])
def test_a_trained_network_written_back_activates_alike(config, aggregations):
    smooth = ["sigmoid", "tanh", "gauss"]
    for genome in genomes(config, 50, smooth, aggregations, response_init_stdev=1.0):
        net = dagnet.Network(dagnet_neat.from_genome(genome, config))
        responses = [gene.response for gene in genome.nodes.values()]
        idle = {key: gene.weight for key, gene in genome.connections.items() if key not in net.weights}
        net.fit(X, X[:, 0] * X[:, 1], epochs=20, learning_rate=0.05, seed=0, progress=False)
        dagnet_neat.to_genome(net, genome)
        assert apart(net(X), theirs(genome, config, X)) <= 1e-12
        assert [gene.response for gene in genome.nodes.values()] == responses
        assert {key: genome.connections[key].weight for key in idle} == idle


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("response", [0.0, -0.0, -5e-324, -2.0, 0.5])
def test_any_response_of_any_aggregation_can_be_trained_and_written_back(config, aggregation, response):
    genome = grown(config)
    for gene in genome.nodes.values():
        gene.aggregation, gene.response, gene.activation = aggregation, response, "tanh"
    net = dagnet.Network(dagnet_neat.from_genome(genome, config))
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12
    for edge in list(net.weights):
        net.weights[edge] += 0.5
    for node in net.biases:
        net.biases[node] -= 0.25
    dagnet_neat.to_genome(net, genome)
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12


def test_a_product_of_nothing_is_one(config):
    genome = grown(config)
    for connection in genome.connections.values():
        connection.enabled = False
    genome.nodes[0].aggregation, genome.nodes[0].response = "product", -0.75
    net = dagnet.Network(dagnet_neat.from_genome(genome, config))
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12
    net.biases[0] += 0.3
    dagnet_neat.to_genome(net, genome)
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12


def test_a_network_of_ones_own_becomes_a_genome(config):
    graph = nx.DiGraph([("b", "h"), ("a", "h"), ("a", "k"), ("h", "k"), ("k", "out"), ("b", "out")])
    graph.add_node("h", activation="neat_tanh", aggregation="max")
    graph.add_node("k", activation="relu", aggregation="median", bias=0.3)
    net = dagnet.Network(graph, inputs=["a", "b"], seed=0)
    genome = dagnet_neat.to_genome(net, neat.DefaultGenome(7))
    assert genome.key == 7
    assert set(genome.nodes) == {0, 1, 2}
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12
    again = dagnet.Network(dagnet_neat.from_genome(genome, config))
    assert apart(net(X), again(X)) <= 1e-12
    assert set(dagnet_neat.to_genome(again, neat.DefaultGenome(8)).connections) == set(genome.connections)
    genome.mutate(config.genome_config)


def test_what_neat_cannot_say_becomes_no_genome():
    graph = nx.DiGraph([("a", "h"), ("h", "y")])
    graph.add_node("a", center=1.0)
    graph.add_node("h", activation="tanh", units=2)
    empty = neat.DefaultGenome(7)
    with pytest.raises(dagnet.GraphError) as caught:
        dagnet_neat.to_genome(dagnet.Network(graph), empty)
    problems = "".join(caught.value.problems)
    for text in ("must not be standardised", "units must be 1 in NEAT, got 2", "activation must be one of"):
        assert text in problems
    assert not empty.nodes
    assert not empty.connections


def test_a_response_of_zero_becomes_one_once_its_weights_have_moved(config):
    genome = grown(config)
    genome.nodes[0].response = 0.0
    net = dagnet.Network(dagnet_neat.from_genome(genome, config))
    before = bits(genome)
    dagnet_neat.to_genome(net, genome)
    assert bits(genome) == before
    for edge in list(net.weights):
        net.weights[edge] += 0.5
    dagnet_neat.to_genome(net, genome)
    assert genome.nodes[0].response == 1.0
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12


def test_a_genome_that_lacks_an_edge_or_a_node_is_refused_and_left_alone(config):
    genome = grown(config)
    net = dagnet.Network(dagnet_neat.from_genome(genome, config))
    net.parameters += 1.0
    for table in ("nodes", "connections"):
        other = copy.deepcopy(genome)
        del getattr(other, table)[next(iter(net.weights)) if table == "connections" else 0]
        before = bits(other)
        with pytest.raises(dagnet.DataError, match=r"genome must have a gene for .*; give the genome that"):
            dagnet_neat.to_genome(net, other)
        assert bits(other) == before


def test_aggregations_of_ones_own_are_refused_by_name_all_at_once(config):
    genome = grown(config)
    config.genome_config.add_aggregation("mine", lambda terms: 2 * sum(terms))
    for key in genome.nodes:
        genome.nodes[key].aggregation = "mine"
    with pytest.raises(dagnet.GraphError, match="aggregation must be one of sum, product") as caught:
        dagnet_neat.from_genome(genome, config)
    assert len(caught.value.problems) > 1
    assert "got 'mine'; set aggregation_options" in str(caught.value)


@pytest.mark.parametrize("aggregation", ["product", "max", "min", "maxabs", "median", "mean"])
def test_one_parent_makes_any_of_neats_aggregations_a_sum(config, aggregation):
    genome = neat.DefaultGenome(0)
    genome.configure_new(config.genome_config)
    genome.connections[-1, 0].enabled = False
    genome.nodes[0].aggregation = aggregation
    net = dagnet.Network(dagnet_neat.from_genome(genome, config))
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12


def test_a_function_is_known_by_what_it_is_and_not_by_what_a_configuration_calls_it(config):
    genome = grown(config)
    settings = config.genome_config
    settings.add_activation("wave", neat.activations.sin_activation)
    genome.nodes[0].activation = "wave"
    net = dagnet.Network(dagnet_neat.from_genome(genome, config))
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12
    settings.add_activation("sigmoid", lambda z: z / 2)
    genome.nodes[0].activation = "sigmoid"
    with pytest.raises(dagnet.GraphError, match=r"node 0: activation must be .* got 'sigmoid'; give"):
        dagnet_neat.from_genome(genome, config)
    settings.add_aggregation("sum", lambda terms: 2 * sum(terms))
    with pytest.raises(dagnet.GraphError, match="got 'sum'; set"):
        dagnet_neat.from_genome(genome, config)


def test_a_custom_activation_serves_once_it_is_registered(config):
    genome = grown(config)
    config.genome_config.add_activation("halved", lambda z: z / 2)
    genome.nodes[0].activation = "halved"
    with pytest.raises(dagnet.GraphError, match="got 'halved'"):
        dagnet_neat.from_genome(genome, config)
    dagnet.register(dagnet.Activation("neat_halved", lambda z: z / 2), replace=True)
    net = dagnet.Network(dagnet_neat.from_genome(genome, config))
    assert apart(net(X), theirs(genome, config, X)) <= 1e-12


def test_recurrent_configurations_are_refused(config):
    config.genome_config.feed_forward = False
    with pytest.raises(dagnet.DataError, match="feed-forward networks, got feed_forward = False; set"):
        dagnet_neat.from_genome(None, config)


def test_a_population_activates_trains_and_goes_back_as_each_genome_would(config):
    rows, y = np.random.default_rng(0).normal(size=(6, 3)), np.random.default_rng(1).normal(size=(6, 2))
    drawn = {g.key: g for g in genomes(config, 40, ["tanh", "sigmoid", "identity"], AGGREGATIONS, **THREE)}
    graphs = {key: dagnet_neat.from_genome(genome, config) for key, genome in drawn.items()}
    population = dagnet.Population(graphs)
    together = population(rows)
    for key, genome in drawn.items():
        assert apart(together[key], theirs(genome, config, rows)) < 1e-12
    population.fit(rows, y, epochs=3, batch_size=6, learning_rate=0.01)
    for key, genome in drawn.items():
        alone = dagnet.Network(graphs[key])
        alone.fit(rows, y, epochs=3, batch_size=6, learning_rate=0.01)
        dagnet_neat.to_genome(population[key], genome)
        assert apart(alone(rows), theirs(genome, config, rows)) < 1e-9
