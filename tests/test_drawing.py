"""Layouts that can be counted, and pictures that strict XML readers open."""

import itertools
import re
import time
import xml.etree.ElementTree as ET

import networkx as nx
import numpy as np
import pytest
from data.strategies import dags, network, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnet
from dagnet.drawing import Drawing, Sketch, draw_sketch, edge_strengths, group, layered_layout
from dagnet.drawing.layout import _isotonic, count_crossings, order_levels, proper_graph
from dagnet.drawing.marks import curve, cut_end
from dagnet.drawing.sketch import COLUMNS
from dagnet.markup import node_labels

RELAXED = settings(deadline=None, derandomize=True, max_examples=100)
SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def levelled(draw, most=14):
    """(nodes, sources, targets, levels) of a random graph."""
    n = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(seeds))
    parents = [
        rng.choice(v, size=int(rng.integers(0, min(v, 4) + 1)), replace=False) if v else [] for v in range(n)
    ]
    levels = np.zeros(n, np.int64)
    for v in range(n):
        levels[v] = 1 + max((levels[p] for p in parents[v]), default=-1)
    pairs = [(int(p), v) for v in range(n) for p in parents[v]]
    sources, targets = np.array(pairs, np.int64).reshape(-1, 2).T
    return n, sources, targets, levels


def random_dag(n, degree, inputs, seed=0, window=None):
    rng = np.random.default_rng(seed)
    pairs, levels = [], np.zeros(n, np.int64)
    for v in range(inputs, n):
        parents = np.unique(rng.integers(0 if window is None else max(0, v - window), v, degree))
        pairs += [(p, v) for p in parents]
        levels[v] = 1 + levels[parents].max()
    sources, targets = np.array(pairs).T
    return n, sources, targets, levels


# -- layout ------------------------------------------------------------------------------


@RELAXED
@given(levelled())
def test_crossings_are_counted_right(graph):
    _, sources, targets, levels = graph
    proper = proper_graph(levels, sources, targets, max_bends=10_000)
    order = np.random.default_rng(0).permutation(len(proper.bend))
    order = order[np.argsort(np.searchsorted(proper.bounds, order, "right"), kind="stable")]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    heads = np.repeat(np.arange(len(order)), proper.parents.degrees())
    segments = list(zip(place[proper.parents.neighbours], place[heads], strict=True))
    level = np.searchsorted(proper.bounds, place[heads], "right")
    want = sum(
        level[i] == level[j] and (a[0] - b[0]) * (a[1] - b[1]) < 0
        for (i, a), (j, b) in itertools.combinations(enumerate(segments), 2)
    )
    assert count_crossings(proper, order) == want


@RELAXED
@given(levelled())
def test_ordering_never_adds_crossings_and_places_keep_their_distance(graph):
    n, sources, targets, levels = graph
    proper = proper_graph(levels, sources, targets, max_bends=10_000)
    order = order_levels(proper)
    assert sorted(order) == list(range(len(proper.bend)))
    assert count_crossings(proper, order) <= count_crossings(proper, np.arange(len(order)))
    layout = layered_layout(*graph)
    assert layout.x.tolist() == levels.tolist()
    for level in range(levels.max() + 1):
        rows = np.sort(layout.y[levels == level])
        assert (np.diff(rows) > 1 - 1e-9).all()
    for edge in range(len(sources)):
        x = layout.bend_x[layout.bend_ptr[edge] : layout.bend_ptr[edge + 1]]
        assert (np.diff([levels[sources[edge]], *x, levels[targets[edge]]]) > 0).all()
    assert n == len(layout.y)


def test_a_tree_and_a_ladder_have_no_crossings():
    tree = nx.balanced_tree(2, 5, create_using=nx.DiGraph)
    shuffled = nx.relabel_nodes(
        tree, dict(zip(tree, np.random.default_rng(0).permutation(len(tree)), strict=True))
    )
    nodes = sorted(shuffled)
    depth = nx.single_source_shortest_path_length(
        shuffled, next(v for v in nodes if not shuffled.in_degree(v))
    )
    sources, targets = np.array(list(shuffled.edges)).T
    assert layered_layout(len(nodes), sources, targets, [depth[v] for v in nodes]).crossings == 0
    layout = layered_layout(8, [0, 1, 2, 3, 4, 5, 0], [2, 3, 4, 5, 6, 7, 6], [0, 0, 1, 1, 2, 2, 3, 3])
    assert layout.crossings == 0


def test_a_fully_connected_layer_keeps_the_given_order():
    sizes = (5, 4, 3)
    starts = np.cumsum((0, *sizes))
    pairs = [
        pair
        for a in range(2)
        for pair in itertools.product(range(starts[a], starts[a + 1]), range(starts[a + 1], starts[a + 2]))
    ]
    sources, targets = np.array(pairs).T
    layout = layered_layout(12, sources, targets, np.repeat(range(3), sizes))
    for a in range(3):
        assert (np.diff(layout.y[starts[a] : starts[a + 1]]) > 0).all()


def test_the_same_graph_gives_the_same_layout():
    graph = random_dag(200, 3, 10)
    one, two = layered_layout(*graph), layered_layout(*graph)
    assert one.y.tobytes() == two.y.tobytes()
    assert one.bend_y.tobytes() == two.bend_y.tobytes()


@given(st.lists(st.integers(-50, 50), max_size=12), seeds)
@RELAXED
def test_isotonic_regression_is_the_nearest(values, seed):
    rng = np.random.default_rng(seed)
    wanted, weights = np.array(values, float), rng.uniform(0.1, 3, len(values))
    fitted = np.asarray(_isotonic(wanted, weights))
    assert (np.diff(fitted) >= -1e-12).all()
    cost = (weights * (fitted - wanted) ** 2).sum()
    for _ in range(20):
        other = np.sort(rng.uniform(-55, 55, len(values)))
        mixed = fitted + rng.uniform(0, 1) * (other - fitted)
        assert (weights * (mixed - wanted) ** 2).sum() >= cost - 1e-9


def test_five_thousand_nodes_are_laid_out_within_seconds():
    graph = random_dag(5_000, 10, 100)
    start = time.perf_counter()
    layout = layered_layout(*graph)
    assert time.perf_counter() - start < 5  # about 0.2 s on one core
    assert layout.direct
    assert layout.crossings == -1


def test_refusals():
    with pytest.raises(dagnet.DataError, match="levels must be 2 whole numbers"):
        layered_layout(2, [0], [1], [0, 1, 2])
    with pytest.raises(dagnet.DataError, match="lower to a higher level"):
        layered_layout(2, [0], [1], [1, 1])


def test_curves_stay_between_their_points_and_can_be_cut():
    x, y = np.array([0.0, 1, 2, 4]), np.array([0.0, 3, 3, -1])
    pieces = curve(x, y)
    for p0, p1, p2, p3 in pieces:
        assert min(p0[1], p3[1]) - 1e-9 <= min(p1[1], p2[1])
        assert max(p1[1], p2[1]) <= max(p0[1], p3[1]) + 1e-9
    cut, direction = cut_end(pieces, 0.5)
    assert np.hypot(4 - cut[-1][3][0], -1 - cut[-1][3][1]) == pytest.approx(0.5, abs=1e-5)
    assert np.hypot(*direction) == pytest.approx(1)


# -- pictures ----------------------------------------------------------------------------


def shapes(drawing):
    root = ET.fromstring(drawing.svg)
    titles = [title.text for title in root.iter(f"{SVG}title")]
    return root, titles


@settings(deadline=None, derandomize=True, max_examples=60)
@given(graph=dags(), seed=seeds)
def test_every_network_can_be_drawn(graph, seed):
    net = network(graph, seed=seed)
    drawing = net.draw(title="<&>")
    _, titles = shapes(drawing)
    assert titles[0] == "<&>"
    assert len(titles) == 1 + len(net.nodes) + len(net.edges)
    assert "nan" not in drawing.svg.lower().replace("nant", "")
    assert drawing.width > 0


def test_the_textbook_network():
    drawing = dagnet.Network(dagnet.layered([2, 2, 2, 1]), seed=0).draw(title="A network")
    root, titles = shapes(drawing)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"x1", "x2", "h11", "h12", "h21", "h22", "eta", "A network", "input", "hidden (relu)"} <= set(
        texts
    )
    assert sum("→" in title for title in titles) == 10
    assert len([t for t in texts if re.fullmatch(r"[−-]?\d+(\.\d+)?", t)]) == 10  # weights beside lines
    assert drawing._repr_svg_() == drawing.svg == str(drawing)
    assert isinstance(drawing, Drawing)
    assert repr(drawing).startswith("<Drawing: ")


def test_colours_by_sign_and_widths_by_size(tmp_path):
    names, roles = ["a", "b", "c"], ["input", "input", "output"]
    weights = np.array([2.0, -1.0])
    sketch = Sketch(names, roles, np.array([0, 0, 1]), np.array([0, 1]), np.array([2, 2]), weights)
    drawing = draw_sketch(sketch, legend=False)
    found = re.findall(r'<title>(. → .): .*?stroke="(#\w+)" stroke-width="([\d.]+)"', drawing.svg)
    assert [(edge, colour) for edge, colour, _ in found] == [("b → c", "#d55e00"), ("a → c", "#0072b2")]
    assert float(found[0][2]) < float(found[1][2])
    drawing.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text("utf-8") == drawing.svg


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf, 0.0, 1e308, 5e-324])
def test_odd_weights_can_be_drawn(weight):
    sketch = Sketch(
        "ab", ["input", "output"], np.array([0, 1]), np.array([0]), np.array([1]), np.array([weight])
    )
    _, titles = shapes(draw_sketch(sketch))
    assert len(titles) == 4


def test_many_edges_become_few_paths():
    n, sources, targets, levels = random_dag(600, 4, 30)
    sketch = Sketch(
        range(n), ["hidden"] * n, levels, sources, targets, np.random.default_rng(0).normal(size=len(sources))
    )
    root, _ = shapes(draw_sketch(sketch))
    faint = [path for path in root.iter(f"{SVG}path") if path.get("class") == "faint"]
    assert len(faint) == 1
    assert faint[0].get("d").count("M") == len(sources) - 150
    assert sum("→" in title.text for title in root.iter(f"{SVG}title")) == 150


def test_a_large_network_is_summarised_and_says_so():
    sizes = (784, 64, 10)
    net = dagnet.Network(dagnet.layered(sizes), seed=0)
    drawing = net.draw()
    assert len(drawing.svg) < 10_000
    root, _ = shapes(drawing)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"784 inputs", "64 relu", "10 outputs", "50,176", "640"} <= set(texts)
    assert any(text.startswith("858 nodes and 50,816 edges are too many") for text in texts)


def test_groups_count_every_node_and_edge():
    n, sources, targets, levels = random_dag(3_000, 5, 50)
    roles = np.where(levels == 0, "input", "hidden").tolist()
    sketch = Sketch(range(n), roles, levels, sources, targets, np.ones(len(sources)), ["relu"] * n)
    groups = group(sketch)
    column = levels * COLUMNS // (levels.max() + 1)
    assert groups.weights.sum() == (column[sources] < column[targets]).sum()
    sizes = [int(re.match(r"[\d,]+", name)[0].replace(",", "")) for name in groups.names]
    assert sum(sizes) == n
    assert (groups.levels[groups.sources] < groups.levels[groups.targets]).all()


def test_one_number_for_a_matrix():
    graph = nx.DiGraph([("a", "b")])
    graph.nodes["a"]["units"] = 2
    graph.edges["a", "b"]["weight"] = [[3.0, -4.0]]
    net = dagnet.Network(graph)
    assert edge_strengths(net, net.parameters) == pytest.approx([-np.sqrt(12.5)])


def test_labels_are_distinct_and_visible():
    names = ["a", "a\n", 1, "1", "", " ", "\x00", "\u202e", "\ud800", ("a", 1)]
    labels = node_labels(names)
    assert len(set(labels)) == len(names)
    assert all(label.isprintable() and label.strip() for label in labels)


def test_numpys_names_are_labelled_as_the_numbers_that_they_equal():
    names = [np.int64(7), "7", np.str_("gene"), (np.int64(1), np.str_("a")), np.float64(0.5), np.True_]
    assert node_labels(names) == ["7 (int64)", "7", "gene", "(1, 'a')", "0.5", "True"]


def _labels(svg):
    return [found for found in re.findall(r"<text [^>]*>([^<]*)</text>", svg) if not found.startswith("−")]


def test_columns_with_room_are_labelled_beside_one_that_has_none():
    """Pathways keep their names where there are too many genes for theirs."""
    graph = nx.DiGraph([(f"gene {k}", f"pathway {k % 10}") for k in range(200)])
    graph.add_edges_from([(f"pathway {k}", "root") for k in range(10)])
    labels = _labels(dagnet.Network(graph, seed=0).draw(legend=False).svg)
    assert sorted(labels) == sorted([*(f"pathway {k}" for k in range(10)), "root"])


def test_a_column_has_its_names_in_its_nodes_or_beside_them():
    graph = nx.DiGraph([(name, "out") for name in (1, 2, 3, 40_000, 50_000)])
    svg = dagnet.Network(graph, seed=0).draw(legend=False).svg
    anchors = dict(re.findall(r'text-anchor="(\w+)"[^>]*>(\d+)</text>', svg.replace("\n", "")))
    assert set(anchors) == {"end"}, anchors


def test_numbers_on_lines_stand_on_paper_and_have_a_minus():
    """A line that shows between two digits reads as a colon."""
    graph = nx.DiGraph([("a", "b"), ("c", "b")])
    graph.edges["a", "b"]["weight"], graph.edges["c", "b"]["weight"] = -1.5, 2.0
    svg = dagnet.Network(graph).draw().svg
    assert re.findall(r'<rect [^>]*height="10"[^>]*/><text [^>]*>([^<]*)</text>', svg.replace("\n", "")) == [
        "−1.5",
        "2",
    ]
