"""The inspector driven in a real browser: what is lit is read back, nothing is asked of any network."""

import json
import shutil
import time

import networkx as nx
import numpy as np
import pytest

import dagnet

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="chromium and chromedriver are not installed (apt-get install chromium chromium-driver)",
)
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1500,950"),
)
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Viewer:
    """One open page."""

    def __init__(self, driver, path):
        self.driver = driver
        driver.get_log("browser"), driver.get_log("performance")
        start = time.perf_counter()
        driver.get(path.as_uri())
        self.settle()
        self.seconds = time.perf_counter() - start

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def ask(self, what, *arguments):
        return self.js(f"return dagnet.{what}(...arguments)", *arguments)

    def settle(self, limit=30):
        end = time.perf_counter() + limit
        while self.js("return dagnet.busy() || !dagnet.state.drawn"):
            assert time.perf_counter() < end, "the page never came to rest"
            time.sleep(0.02)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()
        self.settle()

    def click_at(self, place):
        canvas = self.find("#canvas").rect
        x, y = place[0] - canvas["x"] - canvas["width"] / 2, place[1] - canvas["y"] - canvas["height"] / 2
        chain = ActionChains(self.driver).move_to_element_with_offset(
            self.find("#canvas"), round(x), round(y)
        )
        chain.click().perform()
        self.settle()

    def panel(self):
        return self.find("#panel").text

    def check_quiet(self):
        """No console error, and no request but for the page itself."""
        assert [entry for entry in self.driver.get_log("browser") if entry["level"] != "INFO"] == []
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        # The browser's own first tab (chrome://) may still be loading when a test begins.
        assert {url.split(":")[0] for url in asked} <= {"file", "data", "chrome"}


def open_page(browser, folder, net, X=None, y=None):
    path = folder / "model.html"
    net.export(path, X, y)
    return Viewer(browser, path)


@pytest.fixture
def textbook(browser, tmp_path):
    net = dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=3)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    viewer = open_page(browser, tmp_path, net, X, X[:, 0] * X[:, 1])
    viewer.net, viewer.X, viewer.y = net, X, X[:, 0] * X[:, 1]
    yield viewer
    viewer.check_quiet()


def test_clicking_a_node_lights_its_chain_and_what_it_feeds(textbook):
    textbook.click_at(textbook.ask("at", "h21"))
    assert textbook.ask("chosen") == "h21"
    assert set(textbook.ask("lit")) == {"x1", "x2", "h11", "h12", "h21", "eta"}
    want = {*textbook.net.ancestry.parent_chain("h21"), ("h21", "eta")}
    assert set(map(tuple, textbook.ask("litEdges"))) == want
    text = textbook.panel()
    forward = textbook.net.forward(textbook.X)
    assert f"{forward['h21'][0]:.5g}".rstrip("0") in text.replace("−", "-")
    assert "sigmoid" in text
    textbook.press(Keys.ESCAPE)
    assert textbook.ask("chosen") is None
    assert textbook.ask("lit") == []


def test_clicking_an_edge_lights_the_nodes_with_that_weight_in_their_chain(textbook):
    for edge in (("x1", "h11"), ("h12", "h22"), ("h21", "eta")):
        textbook.click_at(textbook.js("const [x, y] = dagnet.middle(...arguments); return [x, y]", *edge))
        if textbook.ask("chosen") != list(edge):  # crossing lines: the middle belongs to two
            textbook.ask("selectEdge", *edge)
        assert tuple(textbook.ask("chosen")) == edge
        assert set(textbook.ask("lit")) == set(textbook.net.ancestry.nodes_with(edge))
    textbook.ask("selectEdge", "x1", "h11")
    row = textbook.net.gradient(textbook.X[:1], textbook.y[:1]).weights["x1", "h11"]
    whole = textbook.net.gradient(textbook.X, textbook.y).weights["x1", "h11"]
    text = textbook.panel().replace("−", "-")
    assert f"{row:.6g}" in text
    assert f"{whole:.6g}" in text
    assert "4 NODES" in text.upper()


def test_the_row_can_be_chosen(textbook):
    textbook.ask("selectEdge", "x1", "h11")
    textbook.find("#row-after").click()
    row = textbook.find("#row")
    assert row.get_attribute("value") == "2"
    value = textbook.net.gradient(textbook.X[1:2], textbook.y[1:2]).weights["x1", "h11"]
    assert f"{value:.6g}" in textbook.panel().replace("−", "-")
    row.clear()
    row.send_keys("40", Keys.ENTER)
    assert "ROW 40" in textbook.panel().upper()


def test_search_finds_by_name(textbook):
    textbook.press("/")
    assert textbook.js("return document.activeElement.id") == "search"
    textbook.press("h2")
    assert [item.text.split()[0] for item in textbook.driver.find_elements(By.CSS_SELECTOR, "#found li")] == [
        "h21",
        "h22",
    ]
    textbook.press(Keys.ARROW_DOWN, Keys.ENTER)
    assert textbook.ask("chosen") == "h22"
    textbook.press("/")
    textbook.press("zzz")  # what was there is selected, and so replaced
    assert "no node" in textbook.find("#found").text
    textbook.press(Keys.ESCAPE)


def test_the_slider_hides_small_weights(textbook):
    assert textbook.ask("shown") == 10
    sizes = np.sort(np.abs(list(textbook.net.weights.values())))
    textbook.js(
        "const s = document.getElementById('threshold'); s.value = 700; s.dispatchEvent(new Event('input'))"
    )
    assert textbook.ask("shown") == (sizes >= 0.49 * sizes[-1]).sum()
    assert str((sizes >= 0.49 * sizes[-1]).sum()) in textbook.find("#threshold-text").text


def test_keys_move_zoom_and_walk(textbook):
    textbook.find("#canvas").click()
    textbook.press(Keys.ESCAPE)
    before = textbook.js("return {...dagnet.view}")
    textbook.press("+")
    assert textbook.js("return dagnet.view.k") > before["k"]
    textbook.press(Keys.ARROW_LEFT)
    textbook.press("f")
    after = textbook.js("return {...dagnet.view}")
    assert after == pytest.approx(before)
    textbook.js("document.getElementById('canvas').focus()")
    textbook.press(Keys.ENTER)
    assert textbook.ask("chosen") == "x1"
    textbook.press(Keys.ARROW_DOWN)
    assert textbook.ask("chosen") == "x2"
    textbook.press(Keys.ARROW_RIGHT)
    first = textbook.ask("chosen")
    assert first in {"h11", "h12"}
    textbook.press("e")
    assert first in textbook.ask("chosen")
    textbook.press("]")
    assert textbook.js("return dagnet.state.row") == 1
    assert "row 2" in textbook.js("return document.getElementById('spoken').textContent") or textbook.ask(
        "chosen"
    )
    textbook.press(Keys.ESCAPE)
    assert textbook.ask("chosen") is None


def test_the_wheel_zooms_where_the_pointer_is_and_dragging_moves(textbook):
    before = textbook.ask("at", "h11")
    canvas = textbook.find("#canvas")
    box = canvas.rect
    origin = (before[0] - box["x"] - box["width"] / 2, before[1] - box["y"] - box["height"] / 2)
    ActionChains(textbook.driver).move_to_element_with_offset(canvas, *map(round, origin)).perform()
    scroll = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(canvas, *map(round, origin))
    ActionChains(textbook.driver).scroll_from_origin(scroll, 0, -200).perform()
    textbook.settle()
    assert textbook.ask("at", "h11") == pytest.approx(before, abs=2)
    place = textbook.js("return dagnet.view.x")
    chain = ActionChains(textbook.driver).move_to_element_with_offset(canvas, 0, 250).click_and_hold()
    chain.move_by_offset(80, -20).release().perform()
    assert textbook.js("return dagnet.view.x") == pytest.approx(place + 80, abs=1)


def test_modes_and_themes(textbook):
    for mode in ("Value", "Gradient"):
        next(
            b for b in textbook.driver.find_elements(By.CSS_SELECTOR, "#colour button") if b.text == mode
        ).click()
        textbook.settle()
        assert "row 1" in textbook.find("#legend").text
    textbook.ask("width", "gradient")
    assert "∂loss/∂weight" in textbook.find("#legend").text
    light = textbook.js("return getComputedStyle(document.body).backgroundColor")
    textbook.find("#theme").click()
    textbook.settle()
    assert textbook.js("return getComputedStyle(document.body).backgroundColor") != light
    textbook.find("#theme").click()


def _ramp(z):
    return np.interp(z, [0.0, 1.0], [0.0, 1.0])


def _step(z, a):
    return ((z > 0) & (z < 1)).astype(z.dtype)


def _every_kind(seed=0):
    """All activations and aggregations that come with dagnet, units, learned numbers, a scaled input."""
    graph, rng = nx.DiGraph(), np.random.default_rng(seed)
    graph.add_nodes_from(["x1", "x2", "x3"])
    graph.nodes["x1"].update(center=2.0, scale=3.0)
    names = ["x1", "x2", "x3"]
    for place, name in enumerate(sorted(dagnet.activations())):
        node = f"{name} {place}"
        for parent in rng.choice(len(names[-6:]), 2, replace=False):
            graph.add_edge(names[-6:][parent], node, weight=float(rng.normal()) * 0.4)
        graph.nodes[node].update(activation=name, bias=float(rng.normal()) * 0.3)
        graph.nodes[node]["aggregation"] = ["sum", "mean", "product", "max", "min"][place % 5]
        names.append(node)
    graph.add_edges_from((name, "wide") for name in names[-4:])
    graph.nodes["wide"].update(units=3, activation="tanh")
    graph.add_edges_from([("wide", "y"), ("wide", "z"), (names[-1], "y")])
    graph.nodes["y"]["activation"] = "prelu"
    return dagnet.Network(graph, outputs=["y", "z"], seed=seed)


def test_do_in_the_page_is_do_in_python(browser, tmp_path):
    net, rng = _every_kind(), np.random.default_rng(1)
    X = rng.normal(size=(5, 3))
    viewer = open_page(browser, tmp_path, net, X)
    asked = [node for node in net.nodes if net.topology.units[net.topology.index[node]] == 1]
    for row in (0, 3):
        viewer.js("document.getElementById('row').value = arguments[0] + 1", row)
        viewer.js("document.getElementById('row').dispatchEvent(new Event('change'))")
        for node in asked:
            assert viewer.ask("why", node) == ""
            value = float(rng.normal())
            viewer.ask("do", node, value)
            want = net.forward(X[row : row + 1], do={node: value})
            for other in net.nodes:
                assert viewer.ask("value", other) == pytest.approx(
                    np.ravel(want[other]), rel=1e-6, abs=1e-6
                ), (
                    node,
                    other,
                )
            viewer.ask("do", node, None)
    viewer.ask("do", asked[0], 1.0)
    viewer.ask("do", asked[5], -1.0)
    want = net.forward(X[3:4], do={asked[0]: 1.0, asked[5]: -1.0})
    assert viewer.ask("value", "z") == pytest.approx(np.ravel(want["z"]), rel=1e-6)
    viewer.ask("do", asked[0], None)
    viewer.ask("do", asked[5], None)
    assert viewer.ask("value", "z") == np.ravel(net.forward(X[3:4])["z"]).tolist()
    viewer.check_quiet()


def test_do_in_the_page_passes_what_is_normalised_and_sets_single_units(browser, tmp_path):
    rng, graph = np.random.default_rng(2), nx.DiGraph()
    said = ["batch", "batch(before_activation=True)", "layer", "layer(before_activation=True)"]
    graph.add_edges_from([("x1", "wide"), ("x2", "wide"), ("x2", "h"), ("wide", "h")])
    graph.nodes["wide"].update(units=3, activation="tanh")
    graph.nodes["x1"].update(center=1.0, scale=2.0)
    for place, word in enumerate(said):
        node = f"n{place}"
        graph.add_edges_from([("wide", node), ("h", node), (node, "y"), (node, "z")])
        graph.nodes[node].update(units=1 + 2 * place // 2, normalization=word, activation="tanh")
    graph.add_edge("n1", "n2")
    graph.nodes["z"].update(units=2, normalization="batch")
    net = dagnet.Network(graph, outputs=["y", "z"], seed=0)
    X = rng.normal(size=(30, 2))
    net.fit(X, rng.normal(size=(30, 3)), epochs=5, progress=False, seed=0)
    viewer = open_page(browser, tmp_path, net, X[:4])

    def check(do):
        want = net.forward(X[:1], do=do)
        for other in net.nodes:
            value = viewer.ask("value", other)
            assert value == pytest.approx(np.ravel(want[other]), rel=1e-6, abs=1e-6), (do, other)

    row = net.forward(X[:1])
    for node in net.nodes:
        assert viewer.ask("why", node) == ""
        units = int(net.topology.units[net.topology.index[node]])
        for unit in range(units):
            value = rng.normal()
            column = np.array(row[node], float).reshape(1, units)
            if node in net.inputs:  # as in X
                column = X[:1, [net.inputs.index(node)]].copy()
            column[0, unit] = value
            viewer.ask("do", node, value, unit)
            check({node: column if units > 1 else column[:, 0]})
            viewer.ask("do", node, None, unit)
    viewer.ask("do", "x1", 0.7)
    viewer.ask("do", "wide", -0.4, 1)  # its other units follow x1
    column = net.forward(X[:1], do={"x1": 0.7})["wide"].copy()
    column[0, 1] = -0.4
    check({"x1": 0.7, "wide": column})
    viewer.ask("do", "x1", None)
    viewer.ask("do", "wide", None, 1)
    check({})
    viewer.ask("select", "wide")
    for unit in ("1", "2"):
        viewer.press(Keys.ARROW_DOWN) if unit == "2" else viewer.find("#do-unit").send_keys(Keys.ARROW_DOWN)
        assert viewer.find("#do-unit").get_attribute("value") == unit  # and it keeps the focus
    typed(viewer, "0.25")
    assert "do(wide[2] = 0.25)" in viewer.panel().lower()
    column = row["wide"].copy()
    column[0, 2] = 0.25
    check({"wide": column})
    viewer.find("#do-undo").click()
    check({})
    viewer.check_quiet()


def test_dragging_the_slider_of_a_node_changes_what_it_feeds(textbook):
    textbook.click_at(textbook.ask("at", "h11"))
    slider = textbook.find("#do")
    before = textbook.ask("value", "eta")
    ActionChains(textbook.driver).drag_and_drop_by_offset(slider, 40, 0).perform()
    textbook.settle()
    value = float(textbook.find("#do").get_attribute("value"))
    want = textbook.net.forward(textbook.X[:1], do={"h11": value})
    assert textbook.ask("value", "eta") == pytest.approx(want["eta"], rel=1e-6)
    assert textbook.ask("value", "eta") != before
    assert f"{want['eta'][0]:.5g}".rstrip("0") in textbook.find("#do-outcome").text.replace("−", "-")
    assert "do(h11 = " in textbook.panel().lower()
    number = textbook.find("#do-number")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("0.25", Keys.TAB)
    textbook.settle()
    want = textbook.net.forward(textbook.X[:1], do={"h11": 0.25})
    assert textbook.ask("value", "eta") == pytest.approx(want["eta"], rel=1e-6)
    textbook.ask("colour", "value")
    assert "do(h11 = 0.25)" in textbook.find("#legend").text
    textbook.find("#do-undo").click()
    assert textbook.ask("value", "eta") == before


def typed(viewer, text):
    number = viewer.find("#do-number")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys(text, Keys.ENTER)
    viewer.settle()
    return viewer.find("#do-number").get_attribute("value")


def test_the_number_that_is_typed_stands(browser, tmp_path):
    net = dagnet.Network(dagnet.layered([3, 4, 2], activation="tanh"), seed=0)
    X = np.random.default_rng(0).normal(size=(5, 3))
    viewer = open_page(browser, tmp_path, net, X)
    viewer.ask("select", "h11")
    for text in ("-700", "0.123456789", "250000"):
        assert typed(viewer, text) == text
        want = net.forward(X[:1], do={"h11": float(text)})
        assert viewer.ask("value", "y1") == pytest.approx(want["y1"], rel=1e-6)
    slider = viewer.find("#do")
    value, most = (float(slider.get_attribute(name)) for name in ("value", "max"))
    assert value == pytest.approx(most)  # the nearest that it reaches
    assert typed(viewer, Keys.BACKSPACE) == "250000"
    viewer.ask("select", "h12")
    viewer.ask("select", "h11")
    assert viewer.find("#do-number").get_attribute("value") == "250000"
    viewer.check_quiet()


def test_a_mean_of_units_says_that_it_is_one(browser, tmp_path):
    graph = nx.DiGraph([("x", "h"), ("h", "wide"), ("h", "y"), ("wide", "z")])
    graph.nodes["wide"]["units"] = 3
    net = dagnet.Network(graph, outputs=["wide", "y", "z"], seed=0)
    X = np.ones((2, 1))
    viewer = open_page(browser, tmp_path, net, X)
    viewer.ask("select", "h")
    typed(viewer, "2")
    rows = [row.text for row in viewer.find("#do-outcome").find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert [row.split(" mean of 3 units")[0] for row in rows if "mean of 3 units" in row] == ["wide"]
    assert len(rows) == 3
    mean = net.forward(X[:1], do={"h": 2.0})["wide"].mean()
    assert float(rows[0].split()[-1].replace("−", "-")) == pytest.approx(mean, rel=1e-4)
    viewer.ask("select", "z")
    assert "wide mean of 3 units" in viewer.panel()
    viewer.check_quiet()


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"activation": dagnet.Activation("own", _ramp, derivative=_step)}, "has no formula: "),
        (
            {"aggregation": dagnet.Aggregation("rms", lambda terms: np.sqrt(np.mean(terms**2, axis=0)))},
            "has the aggregation rms",
        ),
    ],
)
def test_where_the_page_cannot_calculate_it_says_why(browser, tmp_path, attributes, words):
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["y"].update(attributes)
    viewer = open_page(browser, tmp_path, dagnet.Network(graph, seed=0), np.ones((2, 1)))
    viewer.ask("select", "h")
    assert words in viewer.find("#do-why").text
    assert not viewer.find("#do").is_enabled()
    viewer.ask("select", "y")
    assert viewer.find("#do").is_enabled()
    viewer.check_quiet()


def test_weights_that_the_page_lacks_are_not_guessed(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("dagnet.formats.inspector.MAX_ELEMENTS", 1)
    graph = nx.DiGraph([("x", "wide"), ("x", "h"), ("wide", "y"), ("h", "y"), ("h", "z")])
    graph.nodes["wide"]["units"] = 2  # y has one unit itself
    viewer = open_page(browser, tmp_path, dagnet.Network(graph, seed=0), np.ones((2, 1)))
    assert viewer.ask("why", "h") == "The weights of y, which it feeds, are too many for this page."
    assert viewer.ask("why", "z") == ""
    viewer.check_quiet()


def test_categories_have_no_slider(browser, tmp_path):
    graph = nx.DiGraph([("x", "y")])
    graph.nodes["x"].update(categories=["red", "blue"], dropout=0.5)
    viewer = open_page(browser, tmp_path, dagnet.Network(graph, seed=0), {"x": ["red", "blue"]})
    viewer.ask("select", "x")
    assert "x has categories: net.forward(X, do=…) sets them" in viewer.find("#do-why").text
    assert "categories, dropout 0.5" in viewer.panel()
    viewer.check_quiet()


def curve_of(viewer):
    """The points of the curve that the panel draws, as (z, a): its axes say where both are 0."""
    path = viewer.find("#panel svg.plot .curve").get_attribute("d")
    pieces = [piece for piece in path.replace("L", " L").replace("M", " M").split(" ") if piece]
    places = np.array(list(zip((p[1:] for p in pieces[::2]), pieces[1::2], strict=True)), float)
    axis = viewer.find("#panel svg.plot .axis").get_attribute("d")  # M0 {y}H330M{x} 0V120
    zero = float(axis.split("H")[0].split(" ")[1])
    return (places[:, 0] / 330 - 0.5) * 12, zero - places[:, 1], path.count("M")


def test_a_curve_without_a_formula_is_drawn_by_points(browser, tmp_path):
    graph = nx.DiGraph([("x", "h"), ("h", "y"), ("y", "z")])
    graph.nodes["h"].update(activation=dagnet.Activation("ramp", _ramp, derivative=_step))
    graph.nodes["y"].update(activation="tanh")
    net = dagnet.Network(graph, seed=0)
    assert net.topology.activations[net.topology.activation_of[net.topology.index["h"]]].formula is None
    viewer = open_page(browser, tmp_path, net, np.ones((2, 1)))
    for node, function in {"h": _ramp, "y": np.tanh}.items():
        viewer.ask("select", node)
        z, a, pieces = curve_of(viewer)
        assert z == pytest.approx(np.linspace(-6, 6, 121), abs=0.01)
        scale = a[-1] / function(6.0)
        assert a / scale == pytest.approx(function(z), abs=0.02)
        assert pieces == 1
    viewer.check_quiet()


def test_attributions_are_a_colour(browser, tmp_path):
    net = dagnet.Network(dagnet.layered([2, 3, 2], activation="tanh"), seed=0)
    X = np.random.default_rng(0).normal(size=(4, 2))
    viewer = open_page(browser, tmp_path, net, X)
    viewer.ask("colour", "attribution")
    assert "contribution to y1, row 1" in viewer.find("#legend").text
    assert viewer.ask("attribution", "h11") == pytest.approx(net.attribute(X, "y1")["h11"][0], rel=1e-6)
    of = viewer.find("#of")
    of.send_keys(Keys.ARROW_DOWN)
    viewer.settle()
    assert viewer.ask("attribution", "h11") == pytest.approx(net.attribute(X, "y2")["h11"][0], rel=1e-6)
    viewer.ask("select", "h11")
    assert "to y2" in viewer.panel()
    viewer.check_quiet()


def test_a_notebooks_cell_shows_the_inspector(browser, tmp_path):
    net = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), seed=0)
    X = np.ones((3, 2))
    (tmp_path / "cell.html").write_text(f"<!doctype html>{net.show(X)._repr_html_()}", "utf-8")
    browser.get_log("browser"), browser.get_log("performance")
    browser.get((tmp_path / "cell.html").as_uri())
    browser.switch_to.frame(0)
    try:
        viewer = Viewer.__new__(Viewer)
        viewer.driver = browser
        viewer.settle()
        assert set(viewer.ask("names")) == set(map(str, net.nodes))
        viewer.ask("do", "h11", 0.5)
        want = net.forward(X[:1], do={"h11": 0.5})
        assert viewer.ask("value", "eta") == pytest.approx(want["eta"], rel=1e-6)
    finally:
        browser.switch_to.default_content()
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    with pytest.raises(dagnet.DataError, match="height must be a whole number from 100"):
        net.show(X, height=3)
    with pytest.raises(dagnet.DataError, match="y is given without X"):
        net.show(y=[1.0])


def test_outputs_stand_in_the_last_column(browser, tmp_path):
    graph = nx.DiGraph([("a", "b"), ("b", "c"), ("a", "early")])
    viewer = open_page(browser, tmp_path, dagnet.Network(graph, seed=0))
    assert viewer.ask("at", "early")[0] == viewer.ask("at", "c")[0]
    viewer.check_quiet()


def test_every_control_has_a_name(textbook):
    nameless = textbook.js(
        "return [...document.querySelectorAll('button, input, canvas, select')]"
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).map(e => e.id)"
    )
    assert nameless == []


def test_names_are_labels(browser, tmp_path):
    names = [HOSTILE, "\u202eabc", "\x00\x1f", "\ud800", "🦆 שלום", "x" * 10_000, 7, "7", ("a", b"\xff")]
    graph = nx.DiGraph([(name, "end") for name in names])
    net = dagnet.Network(graph, seed=0)
    viewer = open_page(browser, tmp_path, net, np.ones((2, len(names))), np.ones(2))
    assert viewer.ask("names")[0] == HOSTILE
    viewer.ask("select", HOSTILE)
    assert HOSTILE in viewer.panel()
    for name in viewer.ask("names"):
        viewer.ask("select", name)
    viewer.press("/")
    viewer.press("onerror")
    assert viewer.find("#found li").text.startswith(HOSTILE)
    viewer.press(Keys.ESCAPE)
    assert viewer.js("return document.images.length") == 0
    viewer.check_quiet()


def test_units_shared_weights_and_history(browser, tmp_path):
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("h", "v"), ("v", "y")])
    graph.nodes["v"].update(units=3, activation="tanh")
    for edge in (("a", "h"), ("b", "h")):
        graph.edges[edge].update(share="k", weight=0.5)
    net = dagnet.Network(graph, seed=0)
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.zeros(20)
    net.history = net.fit(X, y, epochs=3, progress=False, seed=0)
    viewer = open_page(browser, tmp_path, net, X, y)
    assert "TRAINING" in viewer.panel().upper()
    viewer.ask("select", "v")
    assert "3 units" in viewer.panel()
    viewer.ask("selectEdge", "h", "v")
    assert "3 × 1" in viewer.panel()
    viewer.ask("selectEdge", "a", "h")
    assert "shared by 2 edges" in viewer.panel()
    total = net.gradient(X[:1], y[:1]).weights["a", "h"]
    assert f"{total:.6g}" in viewer.panel().replace("−", "-")
    viewer.check_quiet()


@pytest.mark.parametrize("rows", [False, True])
def test_networks_of_one_node_and_without_rows(browser, tmp_path, rows):
    graph = nx.DiGraph()
    graph.add_node("only")
    net = dagnet.Network(graph, outputs=["only"])
    viewer = open_page(browser, tmp_path, net, *((np.ones((1, 1)), np.ones(1)) if rows else ()))
    viewer.ask("select", "only")
    viewer.press("f")
    viewer.check_quiet()


def random_network(n, degree, inputs, window, seed=0):
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(inputs, n), degree)
    low = np.maximum(0, targets - window)
    sources = low + (rng.random(len(targets)) * (targets - low)).astype(int)
    _, first = np.unique(sources * n + targets, return_index=True)
    return dagnet.Network.from_arrays(sources[first], targets[first], seed=0, activation="tanh")


def test_five_thousand_nodes_open_within_three_seconds_and_move(browser, tmp_path, capsys):
    net = random_network(5_000, 10, 100, 300)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, len(net.inputs))), rng.normal(size=(40, len(net.outputs)))
    viewer = open_page(browser, tmp_path, net, X, y)
    name = str(net.nodes[2_500])
    viewer.ask("select", name)
    viewer.settle()
    chain = {str(v) for edge in net.ancestry.parent_chain(2_500) for v in edge}
    fed = {str(v) for v in nx.descendants(net.to_networkx(), 2_500)}
    assert set(viewer.ask("lit")) == chain | fed | {name}
    edge = net.edges[20_000]
    viewer.ask("selectEdge", *map(str, edge))
    viewer.settle()
    assert set(viewer.ask("lit")) == {str(v) for v in net.ancestry.nodes_with(edge)}
    viewer.ask("clear")
    viewer.settle()
    frames = viewer.driver.execute_async_script(
        """const done = arguments[0], times = []; let n = 0, last = performance.now();
        const canvas = document.getElementById("canvas");
        const send = (kind, x) => canvas.dispatchEvent(
          new PointerEvent(kind, {pointerId: 1, clientX: x, clientY: 400, bubbles: true}));
        canvas.setPointerCapture = () => {};
        send("pointerdown", 500);
        const step = () => { const now = performance.now(); times.push(now - last); last = now;
          send("pointermove", 500 + 4 * n);
          if (++n < 40) return requestAnimationFrame(step);
          send("pointercancel", 660); done(times.slice(1)); };
        requestAnimationFrame(step);"""
    )
    viewer.settle()
    timings = viewer.js("return dagnet.timings")
    with capsys.disabled():
        print(
            f"\n5,000 nodes, {len(net.edges):,} edges: opened and drawn in {viewer.seconds:.2f} s "
            f"(data read after {timings['read']:.0f} ms, ready {timings['ready']:.0f} ms); "
            f"moving: median frame {np.median(frames):.0f} ms, worst {max(frames):.0f} ms"
        )
    assert viewer.seconds < 3
    assert np.median(frames) < 50
    viewer.check_quiet()


def test_a_larger_network_is_summarised_with_a_message(browser, tmp_path):
    net = random_network(9_000, 10, 100, 900)
    viewer = open_page(browser, tmp_path, net)
    assert "too many to draw one by one" in viewer.find("#message").text
    viewer.ask("select", viewer.ask("names")[0])
    assert "level" in viewer.panel()
    viewer.check_quiet()


def test_columns_with_room_are_labelled_beside_one_that_has_none(browser, tmp_path):
    """Pathways can be read where there are too many genes for their names."""
    graph = nx.DiGraph([(f"gene {k}", f"pathway {k % 10}") for k in range(200)])
    graph.add_edges_from([(f"pathway {k}", "root") for k in range(10)])
    viewer = open_page(browser, tmp_path, dagnet.Network(graph, seed=0))
    assert set(viewer.ask("labelled")) == {*(f"pathway {k}" for k in range(10)), "root"}
    viewer.check_quiet()
