"""Networks that neat-python exported as JSON."""

import json

import dagnet_neat
import pytest
from test_genomes import OWN, X, apart, genomes, grown, neat, theirs

import dagnet

export = pytest.importorskip("neat.export")
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow", "ignore:no input reaches output")


def exported(genome, config, path):
    export.export_network_json(neat.nn.FeedForwardNetwork.create(genome, config), str(path))
    return path


def test_a_file_gives_the_network_of_its_genome(config, tmp_path):
    for genome in genomes(config, 50, activations=OWN):
        net = dagnet.Network(dagnet_neat.from_json(exported(genome, config, tmp_path / "net.json")))
        assert net.inputs == (-1, -2)
        assert apart(net(X), theirs(genome, config, X)) <= 1e-12
        drawn = dagnet.Network(dagnet_neat.from_genome(genome, config))
        assert dict(net.weights) == dict(drawn.weights)
        assert dict(net.biases) == dict(drawn.biases)


def test_a_connection_that_is_not_enabled_is_left_out(config, tmp_path):
    path = exported(grown(config), config, tmp_path / "net.json")
    data = json.loads(path.read_text())
    first = data["connections"][0]
    first["enabled"] = False
    path.write_text(json.dumps(data))
    assert (first["from"], first["to"]) not in dagnet_neat.from_json(path).edges


def broken(change):
    def apply(data):
        change(data)
        return json.dumps(data)

    return apply


DAMAGE = {
    "JSON": lambda data: json.dumps(data)[:-9],
    "feedforward": broken(lambda d: d.update(network_type="ctrnn")),
    "format_version": broken(lambda d: d.update(format_version="2.0")),
    "'topology'": broken(lambda d: d.pop("topology")),
    "nodes must be a list": broken(lambda d: d.update(nodes={})),
    "node 0: bias": broken(lambda d: d["nodes"][0].update(bias="1")),
    "node 0: response": broken(lambda d: d["nodes"][0].update(response=float("nan"))),
    "node 0: id": broken(lambda d: d["nodes"][0].update(id="a")),
    "different ids": broken(lambda d: d["nodes"].append(d["nodes"][0])),
    "node 0 must be an object": broken(lambda d: d["nodes"].insert(0, 3)),
    "node 0: activation": broken(lambda d: d["nodes"][0].update(activation={"name": 3})),
    "connection 0: weight": broken(lambda d: d["connections"][0].update(weight=None)),
    "connection 0 must be an object": broken(lambda d: d["connections"][0].pop("to")),
    "differ in their ends": broken(lambda d: d["connections"].append(d["connections"][0])),
}


@pytest.mark.parametrize("place", DAMAGE)
def test_damage_is_refused_with_its_place(config, tmp_path, place):
    path = exported(grown(config), config, tmp_path / "net.json")
    path.write_text(DAMAGE[place](json.loads(path.read_text())))
    with pytest.raises(dagnet.FormatError, match=rf"net\.json.*{place}"):
        dagnet_neat.from_json(path)


INTO_AN_INPUT = {"from": -1, "to": -1, "weight": 1.0, "enabled": True}
UNSAYABLE = {
    "node 0 must have a gene": lambda d: d.update(nodes=[n for n in d["nodes"] if n["id"] != 0]),
    "node -1 must have a gene": lambda d: d.update(connections=[INTO_AN_INPUT, {**INTO_AN_INPUT, "to": 0}]),
    "got 'sigmoid'; give": lambda d: d["nodes"][0].update(activation={"name": "sigmoid", "custom": True}),
    "got 'sum'; set": lambda d: d["nodes"][0].update(aggregation={"name": "sum", "custom": True}),
}


@pytest.mark.parametrize("message", UNSAYABLE)
def test_what_no_graph_can_say_is_refused_by_name(config, tmp_path, message):
    path = exported(grown(config), config, tmp_path / "net.json")
    path.write_text(broken(UNSAYABLE[message])(json.loads(path.read_text())))
    with pytest.raises(dagnet.GraphError, match=message):
        dagnet_neat.from_json(path)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        dagnet_neat.from_json(tmp_path / "none.json")
