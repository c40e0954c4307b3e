"""The picture of a network: what stands on the axes, and what is refused."""

import matplotlib as mpl
import networkx as nx
import numpy as np
import pytest
from dagnet_matplotlib import draw
from dagnet_matplotlib.lettering import plain
from matplotlib.collections import PatchCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import dagnet
from dagnet.drawing import FAINT, NEGATIVE, NEUTRAL, POSITIVE, laid_out, layered_layout
from dagnet.errors import DataError


@pytest.fixture
def net():
    """Three edges, of weights 2, -1 and 0."""
    graph = nx.DiGraph()
    graph.add_edge("a", "h", weight=2.0)
    graph.add_edge("b", "h", weight=-1.0)
    graph.add_edge("h", "out", weight=0.0)
    return dagnet.Network(graph)


def lines(ax):
    return next(c for c in ax.collections if isinstance(c, PathCollection))


def words(ax):
    return [text.get_text() for text in ax.texts]


def render(ax):
    ax.figure.canvas.draw()


def test_width_is_size_and_colour_is_sign(net):
    drawn = lines(draw(net))
    found = dict(zip(map(to_hex, drawn.get_edgecolors()), drawn.get_linewidths(), strict=True))
    assert set(found) == {POSITIVE, NEGATIVE, NEUTRAL}
    assert found[POSITIVE] > found[NEGATIVE] > found[NEUTRAL]
    zero = found[NEUTRAL]
    assert found[NEGATIVE] - zero == pytest.approx((found[POSITIVE] - zero) / 2)


def test_names_weights_and_key_are_written(net):
    shown = words(draw(net, title="A $title$"))
    assert {"a", "b", "h", "out", "2", "−1", "0", "input", "positive weight", "negative weight"} <= set(shown)
    assert "input" not in words(draw(net, legend=False))
    assert draw(net, title="A $title$").get_title() == "A $title$"


def test_nodes_stand_where_the_layout_puts_them(net):
    ax = draw(net)
    topology = net.topology
    layout = layered_layout(topology.n_nodes, topology.sources, topology.targets, topology.level)
    columns = {name: next(t for t in ax.texts if t.get_text() == name).get_position()[0] for name in "ah"}
    levels = dict(zip(net.nodes, layout.x, strict=True))
    assert (columns["a"] < columns["h"]) == (levels["a"] < levels["h"])
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    assert left < columns["a"]
    assert right > columns["h"]
    assert bottom > top


def test_names_are_data():
    names = ["$x_1$", r"$\frac{$", "a\nb", "\ud800", "\U0010fffd", "{}", "x" * 10_000, "\u202eabc"]
    graph = nx.DiGraph([(name, "y$") for name in names])
    ax = draw(dagnet.Network(graph, seed=0), title="_^ $")
    render(ax)
    shown = words(ax)
    assert {"$x_1$", r"$\frac{$", r"a\nb", r"\ud800", r"\U0010fffd", "y$"} <= set(shown)
    assert not any(text.get_parse_math() for text in ax.texts)
    assert max(map(len, shown)) < 100


def test_given_axes_are_filled_and_no_others(net):
    figure = Figure(figsize=(8, 3))
    left, right = figure.subplots(1, 2)
    assert draw(net, left) is left
    assert not right.collections
    assert len(figure.axes) == 2
    small = Figure(figsize=(1.0, 1.0)).subplots()
    shown = words(draw(net, small))
    assert "out" not in shown  # no room
    assert max(lines(small).get_linewidths()) < max(lines(left).get_linewidths())


def test_text_stays_within_the_figure():
    names = ["mean of something wide", "WWWWWWWWWWWW", "iiii"]
    graph = nx.DiGraph([(name, f"target of {name}") for name in names])
    ax = draw(dagnet.Network(graph, seed=0))
    render(ax)
    width, height = ax.figure.canvas.get_width_height()
    for text in ax.texts:
        box = text.get_window_extent()
        assert min(box.x0, box.y0) >= 0, text.get_text()
        assert (box.x1 <= width, box.y1 <= height) == (True, True), text.get_text()


def test_numbers_do_not_hide_each_other():
    ax = draw(dagnet.Network(dagnet.layered([2, 3, 2]), seed=1))
    render(ax)
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text().lstrip("−")[:2] in ("0.", "1.", "2.")]
    assert len(boxes) == 12
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not overlaps


def test_large_networks_are_drawn_as_an_overview():
    net = dagnet.Network(dagnet.layered([100, 200, 3]), seed=0)
    shown = words(draw(net))
    assert any(text.startswith("100 inputs") for text in shown)
    assert any("too many to draw" in text for text in shown)
    shown = words(draw(net, X=np.ones((2, 100)), color="value"))
    assert any(text.startswith("value, mean of 2 rows, mean of a box's nodes") for text in shown)


def test_the_network_and_pyplot_are_left_alone(net):
    plt = pytest.importorskip("matplotlib.pyplot")
    before = net.parameters.copy()
    draw(net)
    assert np.array_equal(before, net.parameters)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"net": nx.DiGraph()}, "draw.*net must be a dagnet.Network, got"),
        ({"ax": "left"}, "draw.*ax must be matplotlib Axes.*got 'left'; pass one of"),
        ({"ax": Figure()}, "ax must be matplotlib Axes"),
        ({"ax": Figure().add_subplot(projection="polar")}, "straight x and y"),
        ({"title": 7}, "title must be text, got 7"),
        ({"color": "valeu"}, "draw.*color must be 'value'"),
        ({"width": "85"}, "width must be a number and its unit"),
        ({"ax": Figure().subplots(), "width": "85 mm"}, "width must be None on axes that are given"),
    ],
)
def test_wrong_arguments_are_refused(net, arguments, words):
    with pytest.raises(DataError, match=words):
        draw(**{"net": net, **arguments})


def test_colours_and_rims_are_those_of_net_draw(net):
    X = np.array([[1.0, 2.0], [0.5, -4.0]])
    page = laid_out(net, X, color="value", size="value")
    ax = draw(net, None, X, color="value", size="value")
    nodes = next(c for c in ax.collections if isinstance(c, PatchCollection))
    assert list(map(to_hex, nodes.get_facecolors())) == [page.fill(node) for node in range(4)]
    shapes = [path.get_extents() for path in nodes.get_paths()]
    assert [box.width / 2 for box in shapes][1::2] == pytest.approx(page.radii[1::2], rel=1e-3)
    dashed = [style[1] is not None for style in nodes.get_linestyles()]
    assert dashed == [page.rim(node)[2] for node in range(4)]
    assert any(dashed)
    assert any(text.startswith("value, mean of 2 rows, ") for text in words(ax))


def test_what_is_highlighted_is_painted(net):
    ax = draw(net, highlight="a")
    assert "3 other edges" in words(ax)
    assert "h" not in words(ax)
    lit = draw(net, highlight=("a", "h"))
    assert to_hex(lines(lit).get_edgecolors()[0]) == FAINT
    assert "1 other edge" in words(lit)


@pytest.mark.parametrize("width", ["85 mm", "3.3 in"])
@pytest.mark.parametrize("sizes", [[2, 2, 1], [10, 20, 12, 3]])
def test_a_picture_is_as_wide_as_asked_and_its_text_is_legible(sizes, width):
    ax = draw(dagnet.Network(dagnet.layered(sizes), seed=0), width=width)
    render(ax)
    inches = 85 / 25.4 if "mm" in width else 3.3
    assert ax.figure.get_figwidth() == pytest.approx(inches, abs=0.01)
    assert min(text.get_fontsize() for text in ax.texts) >= 4.99
    across, down = ax.figure.canvas.get_width_height()
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= across + 1, text.get_text()
        assert -1 <= box.y0 < box.y1 <= down + 1, text.get_text()


@pytest.mark.parametrize(
    "name",
    [
        "W" * 120,
        "\U0010fffd" * 12,
        "i" * 120,
        ("input_with_a_long_name_" * 6)[:120],
        "input with spaces " * 7,
    ],
)
def test_a_name_that_has_no_room_is_left_out_and_counted(name):
    graph = nx.DiGraph([(name, "h"), ("b", "h"), ("h", "out"), ("out", f"target of {name}")])
    ax = draw(dagnet.Network(graph, seed=0), X=np.ones((3, 2)), color="value", width="85 mm")
    render(ax)
    across, _ = ax.figure.canvas.get_width_height()
    assert ax.figure.get_figwidth() == pytest.approx(85 / 25.4, abs=0.01)
    for text in ax.texts:
        box = text.get_window_extent()
        assert (box.x0 >= 0, box.x1 <= across) == (True, True), text.get_text()
    written = {"b", "h", "out", plain(name)[:8]} & {text[:8] for text in words(ax)}
    missing = [text for text in words(ax) if "no room" in text]
    assert len(written) == 4 or missing, words(ax)


def test_a_minus_is_one_where_the_font_has_it(net):
    assert "−1" in words(draw(net))
    with mpl.rc_context({"font.family": ["cmr10"]}):
        assert plain("−1 → α") == r"-1 \u2192 \u03b1"


def test_a_word_that_draw_does_not_know_is_refused_by_its_name(net):
    with pytest.raises(DataError, match=r"^dagnet_matplotlib.draw\(\): .* 'colour'; did you mean 'color'\?$"):
        draw(net, colour="value")
    with pytest.raises(DataError, match=r"no argument 'zzz'; known: color, size, .*top_edges$"):
        draw(net, zzz=1)


def test_names_are_as_large_as_asked(net):
    sizes = {text.get_text(): text.get_fontsize() for text in draw(net, font_size=9).texts}
    assert sizes["out"] == pytest.approx(9)
