"""What people ask of a picture: sizes as journals ask, no text over another, colours that say numbers."""

import itertools
import re
import xml.etree.ElementTree as ET

import networkx as nx
import numpy as np
import pytest
from data.strategies import dags, network, rows_for, seeds
from hypothesis import given, settings

import dagnet
from dagnet.drawing import laid_out
from dagnet.drawing.marks import GROUPS, INK, PAPER, number_colour

SVG = "{http://www.w3.org/2000/svg}"
UNITS = {"mm": 72 / 25.4, "in": 72, "pt": 1}


def random_network(n, degree, inputs, window, seed=0):
    """Names are tuples, as people who make graphs by program have them."""
    rng, graph = np.random.default_rng(seed), nx.DiGraph()
    graph.add_nodes_from(("h", v) for v in range(inputs))
    for v in range(inputs, n):
        for parent in np.unique(rng.integers(max(0, v - window), v, degree)).tolist():
            graph.add_edge(("h", parent), ("h", v))
    return dagnet.Network(graph, seed=0, activation="tanh")


def deep_network(levels=100, seed=0):
    rng, graph, names = np.random.default_rng(seed), nx.DiGraph(), ["x1", "x2", "x3"]
    for level in range(1, levels):
        before, here = names[-3:], [f"l{level}n{k}" for k in range(3)]
        graph.add_edges_from((before[rng.integers(3)], node) for node in here)
        graph.add_edges_from((names[rng.integers(len(names))], node) for node in here)
        names += here
    return dagnet.Network(graph, seed=0, activation="tanh")


@pytest.fixture(scope="module")
def textbook():
    net = dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=3)
    net.biases["h11"] = 0.31
    return net


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 2)), rng.normal(size=40)


def view(drawing):
    """Left, top, width and height in the picture's units, and how many points one of these is."""
    root = ET.fromstring(drawing.svg)
    number, unit = re.fullmatch(r"([\d.]+)(mm)?", root.get("width")).groups()
    left, top, width, height = map(float, root.get("viewBox").split())
    return root, (left, top, width, height), float(number) * (UNITS["mm"] if unit else 0.75) / width


def boxes_of(page):
    return [text.box for text in (*page.names, *page.numbers)]


def overlapping(boxes):
    return [
        (a, b)
        for a, b in itertools.combinations(boxes, 2)
        if a[0] < b[2] - 1e-9 and b[0] < a[2] - 1e-9 and a[1] < b[3] - 1e-9 and b[1] < a[3] - 1e-9
    ]


def fills(drawing):
    """The fill of each node by its name."""
    root = ET.fromstring(drawing.svg)
    nodes = next(g for g in root.iter(f"{SVG}g") if g.get("class") == "nodes")
    return {g[0].text.split(" (")[0]: g[1].get("fill") for g in nodes}


# -- sizes -------------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["85 mm", "3.3 in", "170mm", "240 pt"])
@pytest.mark.parametrize("sizes", [[2, 2, 1], [10, 20, 12, 3]])
def test_a_picture_is_as_wide_as_asked_and_its_text_is_legible(sizes, width):
    net = dagnet.Network(dagnet.layered(sizes), seed=0)
    drawing = net.draw(
        width=width, title="A title that is much too long for one line of such a column, and goes on"
    )
    root, (left, top, wide, high), points = view(drawing)
    number, unit = re.fullmatch(r"([\d.]+) ?(\w+)", width).groups()
    assert points * wide == pytest.approx(float(number) * UNITS[unit], abs=0.05)
    texts = list(root.iter(f"{SVG}text"))
    assert {net.outputs[0], net.inputs[0]} <= {text.text for text in texts}
    for text in texts:
        assert float(text.get("font-size")) * points >= 4.99, text.text
        assert left <= float(text.get("x")) <= left + wide
        assert top <= float(text.get("y")) <= top + high


@pytest.mark.parametrize("width", [None, "85 mm", "180 mm"])
@pytest.mark.parametrize(
    "net", [random_network(45, 4, 8, 20), random_network(300, 4, 30, 80), deep_network()], ids=str
)
def test_no_text_hides_another_or_leaves_the_picture(net, width):
    page = laid_out(net, width=width)
    assert overlapping(boxes_of(page)) == []
    _, (left, top, wide, high), _ = view(net.draw(width=width))
    for box in boxes_of(page):
        assert left <= box[0] < box[2] <= left + wide, box
        assert top <= box[1] < box[3] <= top + high
    discs = zip(page.x.tolist(), page.y.tolist(), page.radii.tolist(), strict=True)
    beside = [text.box for text in page.names if text.under]
    assert not [
        1
        for x, y, r in discs
        for a in beside
        if a[0] < x + r and x - r < a[2] and a[1] < y + r and y - r < a[3]
    ]


def test_names_that_have_no_room_are_counted_in_the_picture():
    net = random_network(300, 4, 30, 80)
    root, _, points = view(net.draw(width="85 mm"))
    texts = list(root.iter(f"{SVG}text"))
    (note,) = [text.text for text in texts if "no room" in text.text]
    missing = int(re.match(r"\d+", note)[0])
    names = {str(node) for node in net.nodes}
    written = [text for text in texts if text.text in names]
    assert note == f"{missing} of 300 names have no room at 5 pt."
    assert len(written) == 300 - missing > 40
    assert not [text.text for text in texts if "…" in text.text]
    assert all(float(text.get("font-size")) * points == pytest.approx(5, abs=0.01) for text in written)


def test_names_are_as_large_as_asked_or_as_all_have_room(textbook):
    assert laid_out(textbook, width="85 mm").font * 0.75 == pytest.approx(7)
    assert laid_out(textbook, width="85 mm", font_size=6).font * 0.75 == pytest.approx(6)
    assert laid_out(textbook, font_size=12).font * 0.75 == pytest.approx(12)
    assert laid_out(random_network(300, 4, 30, 80)).font * 0.75 >= 5


@settings(deadline=None, derandomize=True, max_examples=30)
@given(graph=dags(), seed=seeds)
def test_every_network_fits_the_width(graph, seed):
    net = network(graph, seed=seed)
    drawing = net.draw(rows_for(net, rows=3, seed=seed)[0], color="value", size="value", width="85 mm")
    root, (_, _, wide, _), points = view(drawing)
    assert points * wide == pytest.approx(85 * UNITS["mm"], abs=0.05)
    assert overlapping(boxes_of(laid_out(net, width="85 mm"))) == []
    assert sum(" (" in title.text for title in root.iter(f"{SVG}title")) >= len(net.nodes)


# -- what is drawn where ------------------------------------------------------------------


def test_outputs_stand_in_the_last_column():
    graph = nx.DiGraph(
        [("a", "b"), ("b", "c"), ("c", "d"), ("a", "early"), ("d", "y"), ("d", "z"), ("y", "z")]
    )
    net = dagnet.Network(graph, outputs=["early", "y", "z"], seed=0)
    page = laid_out(net)
    x = dict(zip(net.nodes, page.layout.x.tolist(), strict=True))
    assert x["early"] == x["z"] == max(x.values())
    assert x["y"] == x["z"] - 1  # it feeds one
    assert "early (output, identity, level 1)" in net.draw().svg


def test_of_many_edges_the_strongest_are_drawn():
    net = random_network(300, 4, 30, 80)
    sizes = {edge: abs(weight) for edge, weight in net.weights.items()}
    for top, asked in ((150, {}), (40, {"top_edges": 40}), (0, {"top_edges": 0})):
        root = ET.fromstring(net.draw(**asked).svg)
        drawn = [title.text.split(": ")[0] for title in root.iter(f"{SVG}title") if "→" in title.text]
        best = sorted(sizes, key=sizes.get)[len(sizes) - top :]
        assert sorted(drawn) == sorted(f"{a} → {b}" for a, b in best)
        (faint,) = [path for path in root.iter(f"{SVG}path") if path.get("class") == "faint"]
        assert faint.get("d").count("M") == len(sizes) - top
        assert f"{len(sizes) - top:,} weaker edges" in [text.text for text in root.iter(f"{SVG}text")]


def test_a_hundred_levels_are_no_wider_than_a_screen():
    drawing = deep_network().draw()
    assert drawing.width < 1_450
    assert "150" not in drawing.svg.split("<desc>")[0]
    assert drawing.svg.count("<title>") == 1 + 300 + 150


def test_small_networks_have_their_weights_and_biases_as_numbers(textbook):
    for asked in ({}, {"width": "85 mm"}):
        texts = re.findall(r"<text [^>]*>([^<]*)</text>", textbook.draw(**asked).svg)
        for weight in textbook.weights.values():
            assert f"{weight:.3g}".replace("-", "−") in texts
        assert "b 0.31" in texts
        assert texts.count("b 0") == 4


def test_labels_can_be_chosen(textbook):
    assert not laid_out(textbook, labels=False).names
    assert [text.text for text in laid_out(textbook, labels=["h11", "eta"]).names] == ["h11", "eta"]
    assert [text.text for text in laid_out(textbook, labels={"eta": "risk"}).names] == ["risk"]
    assert "eta (output" in textbook.draw(labels=False).svg  # tooltips stay


# -- colours -------------------------------------------------------------------------------


def lightness(colour):
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_can_be_read_in_grey():
    for end in (1, -1):
        steps = [lightness(number_colour(end * k / 20, 1.0)) for k in range(21)]
        assert (np.diff(steps) < 0).all()
    assert lightness(number_colour(1.0, 1.0)) < lightness(number_colour(-1.0, 1.0)) - 0.2
    assert (np.diff([lightness(colour) for colour in GROUPS]) < -0.01).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_values_and_deltas_are_colours(rows, engine, dtype):
    net = dagnet.Network(
        dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=3, engine=engine, dtype=dtype
    )
    X, y = rows
    forward, gradient = net.forward(X), net.gradient(X, y)
    for word, numbers in (
        ("value", {node: forward[node].mean() for node in net.nodes}),
        ("delta", {node: gradient.delta(node).sum() for node in net.nodes}),
    ):
        most = max(map(abs, numbers.values()))
        drawing = net.draw(X, y, color=word)
        for node, fill in fills(drawing).items():
            assert fill == number_colour(float(numbers[node]), float(most))
        dashed = set(re.findall(r"stroke-dasharray[^>]*><title>(\w+)", drawing.svg))
        assert dashed == {node for node, value in numbers.items() if value < 0}
        assert "mean of 40 rows, −" in drawing.svg


def test_attributions_importances_and_mappings_are_colours_and_sizes(textbook, rows):
    X, y = rows
    found = textbook.attribute(X)
    means = found.mean_absolute()
    drawing = textbook.draw(color=found, size=found)
    assert "mean |contribution| to 'eta', 0 to" in drawing.svg
    assert fills(drawing)["h11"] == number_colour(means["h11"], max(means.values()))
    page = laid_out(textbook, size=found)
    areas = dict(zip(textbook.nodes, (page.radii / page.radius) ** 2, strict=True))
    assert areas["h11"] == pytest.approx(max(0.04, means["h11"] / max(means.values())))
    assert "contribution to 'eta', −" in textbook.draw(color=textbook.attribute(X[:1])).svg
    pandas = pytest.importorskip("pandas")
    series = pandas.Series({"h11": 2.0, "eta": -1.0})
    assert fills(textbook.draw(color=series))["eta"] == number_colour(-1.0, 2.0)
    partly = fills(
        textbook.draw(
            color={
                "h11": 2,
                "h12": np.float32(-1),
            }
        )
    )
    assert partly["h11"] == number_colour(1.0, 1.0)
    assert partly["h12"] == number_colour(-0.5, 1.0)
    assert partly["x1"] == partly["eta"] == PAPER
    judged = dagnet.importance(dagnet.layered([2, 2, 1]), X, y, seeds=2, shuffles=1, epochs=1, progress=False)
    assert "importance, 0 to" in dagnet.Network(dagnet.layered([2, 2, 1]), seed=0).draw(color=judged).svg


def test_the_largest_numbers_are_colours_and_sizes(textbook):
    huge = {"h11": 1e308, "h12": -1e308}
    drawing = textbook.draw(color=huge, size=huge)  # a warning would be an error
    assert fills(drawing)["h11"] == number_colour(1.0, 1.0)
    assert fills(drawing)["h12"] == number_colour(-1.0, 1.0)
    bar = re.findall(r'width="0.320" fill="(#\w+)"', drawing.svg)
    assert bar == [number_colour(share, 1.0) for share in np.linspace(-1, 1, len(bar)).tolist()]
    graph = nx.DiGraph([("a", "b")])
    graph.nodes["a"]["units"] = 2
    graph.edges["a", "b"]["weight"] = [[1.7e308, 1.7e308]]
    assert "positive weight" in dagnet.Network(graph).draw().svg


def test_nodes_without_a_number_look_and_say_so(textbook):
    drawing = textbook.draw(color={"h11": 2.0, "h12": 0.0}, size={"h11": -4.0})
    assert ">no number (pale rim)</text>" in drawing.svg
    assert ">area: |number|, up to 4, least: no number</text>" in drawing.svg
    assert "nan" not in drawing.svg
    rims = {node: rim for rim, node in re.findall(r'<g stroke="(#\w+)"[^>]*><title>(\w+) \(', drawing.svg)}
    assert {node for node, rim in rims.items() if rim == INK} == {"h11", "h12"}
    said = dict(re.findall(r"<title>(\w+) \([^)]*\)\n(number[^<\n]*)", drawing.svg))
    assert said["h11"] == "number 2"
    assert set(said) == set(textbook.nodes)
    assert {text for node, text in said.items() if node not in {"h11", "h12"}} == {"number: no number"}
    every = textbook.draw(color=dict.fromkeys(textbook.nodes, 1.0), size=dict.fromkeys(textbook.nodes, 1.0))
    assert "no number" not in every.svg
    assert ">area: number, up to 1</text>" in every.svg


def test_the_area_of_an_attribution_has_one_pair_of_bars(textbook, rows):
    found = textbook.attribute(rows[0])
    assert ">area: mean |contribution| to 'eta', up to" in textbook.draw(size=found).svg
    assert "||" not in textbook.draw(size=textbook.attribute(rows[0][:1])).svg


def test_groups_with_long_names_are_told_apart_in_the_legend():
    graph, stem = dagnet.layered([2, 2, 1]), "regulation of the response to stimulus, " * 2
    said = ["one" + stem + "end", "two" + stem + "end", stem + "mid A" + stem, stem + "mid B" + stem]
    for node, kind in zip(graph, said, strict=False):
        graph.nodes[node]["pathway"] = kind
    drawing = dagnet.Network(graph, seed=0).draw(color="pathway", legend=True)
    assert len(set(fills(drawing).values()) - {PAPER}) == len(said)
    key = [
        text
        for kind, _, text in laid_out(dagnet.Network(graph, seed=0), color="pathway").key()
        if kind == "fill"
    ]
    assert key.pop() == "no group"
    assert len(set(key)) == len(said)
    assert all("…" in text and len(text) <= 44 for text in key)


def test_a_node_attribute_is_a_group_each_with_a_colour():
    graph = dagnet.layered([2, 2, 1])
    for node in graph:
        graph.nodes[node]["pathway"] = "A" if node in {"x1", "h11", "eta"} else "B & co"
    del graph.nodes["x2"]["pathway"]
    drawing = dagnet.Network(graph, seed=0).draw(color="pathway")
    found = fills(drawing)
    assert found == {"x1": GROUPS[0], "h11": GROUPS[0], "eta": GROUPS[0], "h12": GROUPS[1], "x2": PAPER}
    assert ">A</text>" in drawing.svg
    assert ">B &amp; co</text>" in drawing.svg
    graph = nx.DiGraph([(f"g{k}", "y") for k in range(12)])
    for k in range(12):
        graph.nodes[f"g{k}"]["kind"] = k
    page = laid_out(dagnet.Network(graph, seed=0), color="kind")
    assert len(page.group_colours) == len(GROUPS)
    assert page.fill(11) == page.group_colours["others"]


def test_what_is_highlighted_is_painted_and_the_rest_is_faint(textbook):
    every = {f"{a} → {b}": (a, b) for a, b in textbook.edges}

    def painted(highlight):
        titles = re.findall(r"<title>(\w+ → \w+)", textbook.draw(highlight=highlight).svg)
        return {every[title] for title in titles}

    assert painted("h21") == set(textbook.ancestry.parent_chain("h21"))
    on = {("x1", "h11"), ("h11", "h21"), ("h11", "h22"), ("h21", "eta"), ("h22", "eta")}
    assert painted(("x1", "h11")) == on
    assert painted(["h21", ("h22", "eta")]) == {*textbook.ancestry.parent_chain("h21"), ("h22", "eta")}
    assert painted(["h21", "h22"]) == painted("h21") | painted("h22")
    svg = textbook.draw(highlight="h21").svg
    assert "4 other edges" in svg
    assert f'stroke="{INK}" stroke-width="3.00"><title>h21' in svg
    assert "eta" not in [text.text for text in laid_out(textbook, highlight="h21").names]


def test_a_shared_weight_is_painted_wherever_it_stands():
    graph = nx.DiGraph([("a", "h"), ("b", "k"), ("h", "y"), ("k", "y")])
    for edge in (("a", "h"), ("b", "k")):
        graph.edges[edge].update(share="s", weight=0.5)
    page = laid_out(dagnet.Network(graph, seed=0), highlight=("a", "h"))
    assert page.shown.all()
    assert page.sketch.lit.all()


# -- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"color": "valeu"}, "color must be 'value', 'delta', an attribution.*'valeu'; did you mean 'value'"),
        ({"color": 3}, "draw\\(\\): color must be 'value'.*got 3"),
        ({"color": "value"}, "color='value' needs rows: draw.X"),
        ({"color": "delta"}, "color='delta' needs rows and targets"),
        ({"color": {"h9": 1.0}}, "draw\\(\\): color: .*h9"),
        ({"color": {"h11": "much"}}, "color of node 'h11' must be a finite number, got 'much'"),
        ({"size": "activation"}, "size must be 'value', 'delta'.*got 'activation'"),
        ({"highlight": "h9"}, "draw\\(\\): highlight: .*h9"),
        ({"highlight": ("x1", "eta")}, "no node or edge \\('x1', 'eta'\\).*write several as a list"),
        ({"highlight": [("x1", "x2")]}, "no node or edge \\('x1', 'x2'\\)"),
        ({"highlight": ("h11", "h12", "h21")}, "write several as a list"),
        ({"color": {"h11": float("nan")}}, "color of node 'h11' must be a finite number, got nan; leave out"),
        ({"color": {"h11": np.float32("nan")}}, "color of node 'h11' must be a finite number, got nan"),
        ({"size": {"h11": float("inf")}}, "size of node 'h11' must be a finite number, got inf"),
        ({"highlight": ["h11", 3]}, "highlight: .*3"),
        ({"labels": ["nobody"]}, "labels: .*nobody"),
        ({"labels": {"eta": 3}}, "labels of node 'eta' must be text, got 3"),
        ({"labels": 3}, "labels must be True, False, a list of nodes, or a mapping"),
        (
            {"width": 85},
            "width must be a number and its unit .mm, cm, in, pt or px., such as '85 mm', got 85",
        ),
        ({"width": "85 miles"}, "width must be a number and its unit.*'85 miles'"),
        ({"width": "3 mm"}, "width must be from 20 mm to 5 m, got '3 mm'"),
        ({"font_size": 3}, "font_size must be a size in points, 5 or more, got 3"),
        ({"top_edges": -1}, "top_edges must be a whole number of 0 or more, got -1"),
        ({"title": 3}, "title must be text, got 3"),
        ({"y": [0.0]}, "y is given without X"),
    ],
)
def test_what_cannot_be_drawn_is_refused(textbook, asked, words):
    with pytest.raises(dagnet.DataError, match=words):
        textbook.draw(**asked)
    with pytest.raises(TypeError):
        textbook.draw(colour="value")


def test_a_message_lists_names_that_are_long_or_strange_as_they_can_be_read():
    net = dagnet.Network(nx.DiGraph([("a" * 5_000, "short"), ("b\nc", "short")]), seed=0)
    for asked in ({"color": {7.5: 1}}, {"highlight": 3.7}):
        with pytest.raises(dagnet.DataError, match=r"known: .*, short, ") as caught:
            net.draw(**asked)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.png", "x.pdf", "x.docx", "x", "x.svg.gz"])
def test_a_picture_is_saved_as_svg_or_refused(textbook, tmp_path, name):
    drawing = textbook.draw()
    with pytest.raises(
        dagnet.DataError, match=r"save\(\): path must be the name of an .svg file.*net.export"
    ):
        drawing.save(tmp_path / name)
    with pytest.raises(dagnet.DataError, match=r"save\(\): path must be the name of a file"):
        drawing.save(3)
    assert list(tmp_path.iterdir()) == []
    drawing.save(str(tmp_path / "x.SVG"))
    assert (tmp_path / "x.SVG").read_text("utf-8") == drawing.svg


def test_a_picture_that_cannot_be_written_leaves_the_old_one(textbook, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.svg"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        textbook.draw().save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# -- overviews ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large():
    net = random_network(2_400, 5, 60, 300)
    rng, graph = np.random.default_rng(1), net.to_networkx()
    for node, place in zip(graph, rng.integers(12, size=len(graph)).tolist(), strict=True):
        if place < 11:
            graph.nodes[node]["pathway"] = f"P{min(place, 1 + place // 3)}"
    return dagnet.Network(graph, seed=0, activation="tanh")


def members(page, net):
    """Boxes by level and kind of node, found without the drawing: their nodes."""
    level = {node: net.topology.level[net.topology.index[node]] for node in net.nodes}
    assert len(page.sketch.member) == len(level)
    boxes = {}
    for node, box in zip(net.nodes, page.sketch.member.tolist(), strict=True):
        boxes.setdefault(box, []).append(node)
    for box, nodes in boxes.items():
        assert page.labels[box].startswith(f"{len(nodes):,} ")
        spread = {level[node] * 12 // (max(level.values()) + 1) for node in nodes if node not in net.outputs}
        ends = {(node in net.inputs, node in net.outputs) for node in nodes}
        assert len(spread) <= len(ends) == 1
    return boxes


@pytest.mark.parametrize("width", [None, "85 mm"])
def test_the_boxes_of_an_overview_have_the_means_of_their_nodes(large, width):
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(6, len(large.inputs))), rng.normal(size=(6, len(large.outputs)))
    page = laid_out(large, X, y, color="value", width=width)
    forward, boxes = large.forward(X), members(page, large)
    assert len(boxes) == len(page.labels) < 60
    want = {box: np.mean([forward[node].mean() for node in nodes]) for box, nodes in boxes.items()}
    assert page.sketch.values == pytest.approx([want[box] for box in sorted(want)], rel=1e-6)
    most = max(map(abs, want.values()))
    for box, mean in want.items():
        assert page.fill(box) == number_colour(mean, most)
        assert page.rim(box)[2] == (mean < 0)
    low, high = (f(forward[node].mean() for node in boxes[0]) for f in (min, max))
    assert page.sketch.notes[0].startswith(f"{len(boxes[0])} nodes from {low:.6g} to {high:.6g}\n")
    texts = [words for kind, _, words in page.key() if kind == "bar"]
    assert texts[0].startswith("value, mean of 6 rows, mean of a box's nodes, −")
    delta = laid_out(large, X, y, color="delta", width=width).sketch.values
    gradient = large.gradient(X, y)
    assert delta[3] == pytest.approx(
        np.mean([6 * gradient.delta(node).mean() for node in boxes[3]]), rel=1e-5
    )
    given = large.attribute(X, large.outputs[0])
    sized = laid_out(large, X, color=given, size=given, width=width).sketch
    mean = np.array([np.mean([np.abs(given[node]).mean() for node in boxes[k]]) for k in sorted(boxes)])
    assert sized.values == pytest.approx(mean, rel=1e-6)
    assert sized.sizes == pytest.approx(mean / mean.max(), rel=1e-6)


def test_what_some_nodes_of_a_box_lack_is_left_out_and_said(large):
    some = {node: float(k) for k, node in enumerate(large.inputs) if k % 2}
    drawing = large.draw(color=some)
    page = laid_out(large, color=some)
    (box,) = np.flatnonzero(~np.isnan(page.sketch.values))
    assert page.sketch.values[box] == pytest.approx(np.mean(list(some.values())))
    assert page.sketch.notes[box].startswith(f"{len(some)} nodes from 1 to ")
    assert f"{len(some)} nodes from 1 to " in drawing.svg
    assert "no number (pale rim)" in drawing.svg


def test_the_groups_of_an_overview_have_boxes_of_their_own(large):
    page = laid_out(large, color="pathway")
    kinds = dict(large.to_networkx().nodes(data="pathway"))
    for box, nodes in members(page, large).items():
        (kind,) = {kinds[node] or "" for node in nodes}
        assert page.fill(box) == (page.group_colours[kind] if kind else PAPER)
    counts = [sum(kind == name for kind in kinds.values()) for name in page.group_colours]
    assert counts == sorted(counts, reverse=True)
    assert [words for kind, _, words in page.key() if kind == "fill"] == [*page.group_colours, "no group"]
    assert "\nP1\n" in large.draw(color="pathway").svg
    graph = large.to_networkx()
    for k, node in enumerate(graph):
        graph.nodes[node]["pathway"] = f"many {k % 40}"
    page = laid_out(dagnet.Network(graph, seed=0), color="pathway")
    assert list(page.group_colours)[-1] == "others"
    assert len(page.group_colours) == len(GROUPS)
    assert len(page.labels) < 12 * 4 * len(GROUPS)


def test_an_overview_lights_no_chains(large):
    assert "are too many to draw one by one" in large.draw().svg
    assert {*laid_out(large, labels=False).labels} == {""}
    with pytest.raises(dagnet.DataError, match="top_edges: 2,400 nodes are drawn as an overview"):
        large.draw(top_edges=40)
    with pytest.raises(dagnet.DataError, match="highlight: 2,400 nodes are drawn as an overview"):
        large.draw(highlight=large.nodes[0])
    with pytest.raises(dagnet.DataError, match="color must be 'value'"):
        large.draw(color=3)
