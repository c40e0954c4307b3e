"""A graph, its data, and how to run the command line, for the tests of it."""

from __future__ import annotations

import csv
from pathlib import Path

import networkx as nx
import numpy as np
from click.testing import CliRunner

from dagnet.cli import main


def fill(folder):
    """A small graph and its data."""
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("h", "sick"), ("b", "sick")])
    graph.nodes["h"]["activation"] = "tanh"
    nx.write_graphml(graph, folder / "graph.graphml")
    (folder / "edges.csv").write_text("source,target\na,h\nb,h\nh,sick\nb,sick\n")
    generator = np.random.default_rng(0)
    a, b = generator.normal(5, 3, 60), generator.normal(-100, 20, 60)
    sick = (a + b / 20 + generator.normal(0, 0.5, 60) > 0).astype(int)
    write(folder / "data.csv", {"a": a, "note": ["x"] * 60, "b": b, "sick": sick, "dose": a * 2 + b})


def write(path, columns):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def read_numbers(text, column):
    return [float(row[column]) for row in csv.DictReader(text.splitlines())]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stdout if code == 0 else result.stderr


def listing():
    return sorted(place.name for place in Path().iterdir())


TRAIN = ("train", "graph.graphml", "data.csv", "--target", "sick", "--out")
