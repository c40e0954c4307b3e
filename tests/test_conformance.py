"""The built-in plugins pass the kit that strangers' plugins are tested with."""

import csv
import io
import json

import networkx as nx
import pytest
from data.activation_forms import NAMES, VARIANTS, bound

import dagnet
from dagnet.testing import check_exporter, parametrize_with_checks


@parametrize_with_checks([*dagnet.activations().values(), *map(bound, VARIANTS[len(NAMES) :])])
def test_activations(check):
    check()


@parametrize_with_checks([*dagnet.losses().values(), dagnet.losses()["huber"].bind(delta=0.3)])
def test_losses(check):
    check()


@parametrize_with_checks(dagnet.initializers().values())
def test_initializers(check):
    check()


@parametrize_with_checks(dagnet.optimizers().values())
def test_optimizers(check):
    check()


@parametrize_with_checks(dagnet.engines().values())
def test_engines(check):
    check()


@parametrize_with_checks(dagnet.exporters().values())
def test_exporters(check):
    check()


def from_csv(stream):
    graph = nx.DiGraph()
    for row in csv.DictReader(io.TextIOWrapper(stream, "utf-8")):
        if row.get("source") and row.get("target"):
            graph.add_edge(row["source"], row["target"], weight=float(row["weight"]))
    return graph


READERS = {
    "graphml": nx.read_graphml,
    "json": lambda stream: nx.node_link_graph(json.load(stream), edges="edges"),
    "csv": from_csv,
    "gexf": nx.read_gexf,
    "cytoscape": lambda stream: nx.cytoscape_graph(json.load(stream)),
}


@pytest.mark.parametrize("name", [name for name in READERS if name in dagnet.exporters()])
def test_other_programs_read_what_dagnet_writes(name):
    check_exporter(name, reader=READERS[name])
