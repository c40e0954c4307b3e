"""The command line: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from data.cli_cases import TRAIN, fill, listing, read_numbers, run, write

import dagnet
from dagnet.cli import main

ROOT = Path(__file__).parent.parent
DATA = ROOT / "examples" / "data"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    return tmp_path


# -- the main job ----------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["model.graphml", "model.json", "model.csv", "model.dagnet"])
def test_what_is_written_predicts_on_raw_data(folder, out):
    text = run(*TRAIN, out, "--epochs", 200, "--learning-rate", 0.05)
    for part in (
        "4 nodes, 4 edges, 3 levels, 6 parameters",
        "60 rows; 48 to train, 12 to test",
        "200 epochs",
    ):
        assert part in text
    assert [line.split()[0] for line in text.splitlines()] == [
        "graph", "data", "training", "loss", "train", "test", "written",
    ]  # fmt: skip
    predicted = np.array(read_numbers(run("predict", out, "data.csv"), "sick"))
    rows = list(csv.DictReader((folder / "data.csv").read_text().splitlines()))
    truth = np.array([float(row["sick"]) for row in rows])
    assert ((predicted > 0.5) == truth).mean() > 0.9
    net = dagnet.load(out) if out.endswith("dagnet") else dagnet.Network(dagnet.read_graph(out))
    X = {name: np.array([float(row[name]) for row in rows]) for name in "ab"}
    np.testing.assert_array_equal(net.predict(X)[:, 0], predicted)
    evaluated = run("evaluate", out, "data.csv")
    assert f"{net.evaluate(X, truth):.4f}" in evaluated
    assert f"{((predicted > 0.5) == truth).mean():.4f}" in evaluated
    assert "binary_cross_entropy_with_logits" in run("show", out)


def test_the_scores_are_those_of_an_independent_count(folder):
    metrics = pytest.importorskip("sklearn.metrics")
    run(*TRAIN, "model.dagnet")
    net = dagnet.load("model.dagnet")
    rows = list(csv.DictReader((folder / "data.csv").read_text().splitlines()))
    X = {name: np.array([float(row[name]) for row in rows]) for name in "ab"}
    truth, predicted = np.array([float(row["sick"]) for row in rows]), net.predict(X)[:, 0]
    line = run("evaluate", "model.dagnet", "data.csv").splitlines()[-1].split()
    assert line[-1] == f"{metrics.roc_auc_score(truth, predicted):.4f}"


def test_auc_with_ties_and_r2_equal_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    from dagnet.scores import auc, r2

    generator = np.random.default_rng(0)
    for _ in range(50):
        truth = generator.integers(0, 2, 30)
        truth[:2] = 0, 1
        score = generator.integers(0, 6, 30) / 5
        assert auc(truth, score) == pytest.approx(metrics.roc_auc_score(truth, score), rel=1e-12)
        assert r2(score, truth) == pytest.approx(metrics.r2_score(score, truth), rel=1e-12)
    assert np.isnan(auc(np.ones(3), np.arange(3.0)))


def test_a_real_target_is_regression_and_r2_is_printed(folder):
    nx.write_graphml(nx.DiGraph([("a", "dose"), ("b", "dose")]), folder / "line.graphml")
    text = run(
        "train", "line.graphml", "data.csv", "--target", "dose", "--out", "line.json", "--epochs", 300,
        "--optimizer", "sgd(momentum=0.9)", "--learning-rate", 0.05,
    )  # fmt: skip
    assert "R²" in text
    assert "1.0000" in text.splitlines()[-2]
    net = dagnet.Network(dagnet.read_graph("line.json"))
    np.testing.assert_allclose(net({"a": [1.0, 0.0], "b": [0.0, 1.0]})[:, 0], [2.0, 1.0], atol=1e-6)


@pytest.mark.filterwarnings("default:fit.*mean of y:dagnet.DagnetWarning")  # doses are about -90
def test_several_targets_and_edges_from_csv(folder):
    (folder / "edges.csv").write_text("source,target\na,h\nb,h\nh,sick\nb,dose\n")
    run(
        "train",
        "edges.csv",
        "data.csv",
        "-t",
        "sick",
        "-t",
        "dose",
        "-o",
        "two.json",
        "--loss",
        "squared_error",
    )
    lines = run("predict", "two.json", "data.csv").splitlines()
    assert lines[0] == "sick,dose"
    assert len(lines) == 61


def test_a_constant_input_is_centred_and_not_scaled(folder):
    rows = "".join(f"0.1,{k},{k % 2}\n" for k in range(12))
    Path("constant.csv").write_text(f"a,b,sick\n{rows}")
    assert np.full(12, 0.1).std() > 0
    run("train", "graph.graphml", "constant.csv", "-t", "sick", "-o", "m.json", "--test", 0, "--epochs", 1)
    node = dagnet.read_graph("m.json").nodes["a"]
    assert (node["center"], node["scale"]) == (0.1, 1)


@pytest.mark.filterwarnings("default::dagnet.DagnetWarning")  # shifted, and raw
def test_inputs_are_standardised_on_the_training_rows_only_once(folder):
    run(*TRAIN, "model.json", "--test", 0)
    graph = dagnet.read_graph("model.json")
    a = np.array([float(row["a"]) for row in csv.DictReader((folder / "data.csv").read_text().splitlines())])
    assert graph.nodes["a"]["center"] == pytest.approx(a.mean())
    assert graph.nodes["a"]["scale"] == pytest.approx(a.std())
    write(folder / "shifted.csv", {"a": a + 50, "b": a, "sick": (a > a.mean()).astype(int)})
    run("train", "model.json", "shifted.csv", "-t", "sick", "-o", "again.json")
    assert dagnet.read_graph("again.json").nodes["a"]["center"] == graph.nodes["a"]["center"]
    run(*TRAIN, "raw.json", "--raw")
    assert "center" not in dagnet.read_graph("raw.json").nodes["a"]


def test_same_seed_same_file_other_seed_other_split(folder):
    run(*TRAIN, "one.json", "--epochs", 5)
    run(*TRAIN, "two.json", "--epochs", 5)
    run(*TRAIN, "other.json", "--epochs", 5, "--seed", 1)
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes() != Path("other.json").read_bytes()


def test_validation_early_stopping_and_resume(folder):
    options = ("--validation", 0.2, "--early-stopping", 3, "--learning-rate", 0.5, "--epochs", 200)
    resumable = ("--checkpoint", "run.dagnet", "--resume", "run.dagnet")
    text = run(*TRAIN, "one.json", *options, *resumable)
    assert "39 to train, 9 to validate, 12 to test" in text
    assert "the best was epoch" in text
    assert run(*TRAIN, "two.json", *options, *resumable).splitlines()[3:6] == text.splitlines()[3:6]
    run(*TRAIN, "three.json", *options)
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes() == Path("three.json").read_bytes()
    assert "batch_size" in run(*TRAIN, "four.json", *options, *resumable, "--batch-size", 7, code=1)
    run(*TRAIN, "five.json", "--validation", "data.csv", "--epochs", 3)


def test_predict_writes_a_file_whole(folder):
    run(*TRAIN, "model.dagnet", "--epochs", 2)
    run("predict", "model.dagnet", "data.csv", "--out", "predicted.csv")
    assert Path("predicted.csv").read_text() == run("predict", "model.dagnet", "data.csv")


def test_show_a_graph_and_list_plugins(folder):
    text = run("show", "graph.graphml")
    assert "4 nodes, 4 edges" in text
    assert "plan:" in text
    listed = run("plugins")
    for line in ("activations", "squared_error", "adam", "graphml", "reference"):
        assert line in listed


def test_plugins_check_runs_the_kit():
    assert "activation tanh: passes" in run("plugins", "check", "tanh")
    assert "did you mean 'tanh'" in run("plugins", "check", "tahn", code=1)


@pytest.mark.parametrize("command", ["", "train", "predict", "evaluate", "show", "plugins"])
def test_help_names_every_option_with_a_text(command):
    text = run(*command.split(), "--help")
    assert "Usage: " in text
    for name, item in main.commands.items():
        if name == command:
            assert all(option.help for option in item.params if option.param_type_name == "option")


# -- bad input -------------------------------------------------------------------------------


def bad_csv(folder, text):
    (folder / "bad.csv").write_text(text, encoding="utf-8")
    return run("train", "edges.csv", "bad.csv", "--target", "sick", "--out", "never.json", code=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,sick\n1,2,0\n3,four,1\n", "line 3 (row 2), column 'b' must be a finite number, got 'four'"),
        ("a,b,sick\n1,2,0\n3,,1\n", "line 3 (row 2), column 'b': the value is missing"),
        ("a,b,sick\n1,2,0\n3,NaN,1\n", "column 'b': the value is missing"),
        ("a,b,sick\n1,2,0\n3,inf,1\n", "column 'b' must be a finite number, got 'inf'"),
        ("a,b,sick\n1,2,0\n3,1_0,1\n", "column 'b' must be a finite number, got '1_0'"),
        ("a,b,sick\n1,2,no\n3,1,1\n", "column 'sick' must be a finite number, got 'no'"),
        ("a,b,sick\n1,2,no\n3,1,yes\n", "--test 0 for none"),
        ("a,b,sick\n1,2,0\n3,4\n", "line 3 must be 3 cells long, as the header, got 2"),
        ("a,a,sick\n1,2,0\n", "the column 'a' is there more than once"),
        ("a,bb,sick\n1,2,0\n", "no column for the node 'b'"),
        ("a,b\n1,2\n", "has no column 'sick'"),
        ("a,b,sick\n", "has a header but no rows"),
        ("", "is empty"),
        ("a|b|sick\n1|2|0\n", "must be separated by commas, semicolons or tabs"),
        ('a,b,sick\n1,"2,0\n', "line"),
        ("a,b,sick\n1,2,1\n3,1,1\n2,2,1\n", "the target 'sick' is 1 in every row"),
        ("a,b,sick\n1,2,1\n", "the target 'sick' is 1 in every row"),
        ("a,b,sick\n1,2,1\n3,4,0\n", "--test 0 for none"),
    ],
)
def test_bad_data_is_named_by_row_and_column(folder, text, message):
    assert message in bad_csv(folder, text)
    assert not Path("never.json").exists()


def test_bytes_that_are_no_text_are_refused(folder):
    (folder / "bad.csv").write_bytes(b"a,b,sick\n\xff,2,0\n")
    assert "must be text in UTF-8" in run(
        "train", "edges.csv", "bad.csv", "-t", "sick", "-o", "x.json", code=1
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("g.graphml", "<graphml><graph"),
        ("g.graphml", "{}"),
        ("g.json", "[1, 2"),
        ("g.json", "<graphml/>"),
        ("g.csv", "from,to\na,b\n"),
        ("g.dagnet", "not a model"),
        ("g.txt", "a b"),
        ("g", "a b"),
        ("g.csv", "source,target\na,sick\nsick,a\n"),
    ],
)
def test_a_bad_graph_is_refused_without_a_traceback(folder, name, content):
    Path(name).write_text(content)
    assert run("train", name, "data.csv", "-t", "sick", "-o", "x.json", code=1).startswith("Error: ")
    assert not Path("x.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--target", "sik"], 1, "no node 'sik'; did you mean 'sick'?"),
        (["--target", "note"], 1, "no node 'note'; known: h, sick; name the node as the column"),
        (["--target", "h"], 1, "no column 'h'"),
        (["--target", "sick", "--epochs", "0"], 1, "epochs must be a whole number of 1 or more, got 0"),
        (["--target", "sick", "--epochs", "2.5"], 2, "'2.5' is not a valid integer"),
        (["--target", "sick", "--batch-size", "-1"], 1, "batch_size"),
        (["--target", "sick", "--learning-rate", "0"], 1, "learning_rate"),
        (["--target", "sick", "--learning-rate", "nan"], 1, "learning_rate"),
        (["--target", "sick", "--optimizer", "adamm"], 1, "did you mean 'adam'"),
        (["--target", "sick", "--loss", "squared_eror"], 1, "did you mean 'squared_error'"),
        (["--target", "sick", "--activation", "tanhh"], 1, "tanh"),
        (["--target", "sick", "--test", "1.5"], 1, "--test"),
        (["--target", "sick", "--validation", "nan"], 1, "--validation"),
        (["--target", "sick", "--validation", "nowhere.csv"], 1, "nowhere.csv"),
        (["--target", "sick", "--early-stopping", "0"], 1, "patience"),
        (["--target", "sick", "--seed", "-1"], 1, "seed"),
        (["--target", "sick", "--threads", "0"], 1, "threads"),
        (["--target", "sick", "--resume", "nowhere.dagnet"], 1, "nowhere.dagnet"),
        (["--target", "sick", "--checkpoint", "no/where.dagnet"], 1, "no such folder"),
        (["--targt", "sick"], 2, "No such option"),
        ([], 1, "no column for the node"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_options(folder, arguments, code, message):
    (folder / "edges.csv").write_text("source,target\na,h\nb,h\nh,sick\nh,other\n" if not arguments else
                                      (folder / "edges.csv").read_text())  # fmt: skip
    assert message in run("train", "edges.csv", "data.csv", *arguments, "--out", "x.json", code=code)
    assert not Path("x.json").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("no/where.json", "No such file or directory"),
        ("data.csv", "which is also DATA"),
        ("model.png", "no format that can be read back"),
        ("model", "no format that can be read back"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_training(folder, monkeypatch, out, message):
    monkeypatch.setattr(dagnet.Network, "fit", lambda *_, **__: pytest.fail("trained"))
    before = listing()
    assert message in run(*TRAIN, out, code=1)
    assert listing() == before


def test_nothing_is_left_behind_by_a_run_that_fails(folder):
    before = listing()
    wild = ("--optimizer", "sgd", "--learning-rate", 1e300, "--loss", "squared_error")
    assert "became" in run(*TRAIN, "x.json", *wild, code=1)
    assert listing() == before


def test_a_graph_without_weights_predicts_nothing(folder):
    for command in ("predict", "evaluate"):
        said = run(command, "graph.graphml", "data.csv", code=1)
        assert "graph.graphml: the edge 'a' → 'h' has no weight; dagnet train writes a graph" in said


def test_an_input_cannot_be_learned(folder):
    said = run("train", "graph.graphml", "data.csv", "--target", "a", "--out", "m.dagnet", code=1)
    assert "--target: nothing leads to the node 'a'; choose one that has parents" in said


def test_missing_files_are_named(folder):
    assert "nowhere.csv: No such file" in run("train", "edges.csv", "nowhere.csv", "-o", "x.json", code=1)
    assert "nowhere.json: No such file" in run("show", "nowhere.json", code=1)


@pytest.mark.parametrize("missing", ["refuse", "median"])
def test_words_of_an_input_with_categories_are_learned(folder, missing):
    lines = [f"{word},{k % 7},{int(word == 'mid')}" for k, word in enumerate(["low", "mid", "high"] * 20)]
    (folder / "words.csv").write_text("\n".join(["colour,size,sick", *lines, ""]))
    graph = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
      <key id="c" for="node" attr.name="categories" attr.type="string"/><graph edgedefault="directed">
      <node id="colour"><data key="c">["low", "mid", "high"]</data></node><node id="size"/><node id="sick"/>
      <edge source="colour" target="sick"/><edge source="size" target="sick"/></graph></graphml>"""
    (folder / "words.graphml").write_text(graph)
    options = ("--epochs", 100, "--learning-rate", 0.1, "--missing", missing)
    text = run("train", "words.graphml", "words.csv", "-t", "sick", "-o", "out.json", *options)
    assert "1.0000" in text
    assert dagnet.read_graph("out.json").nodes["colour"]["categories"] == ["low", "mid", "high"]
    predicted = np.array(read_numbers(run("predict", "out.json", "words.csv"), "sick"))
    assert (predicted > 0.5).tolist() == [False, True, False] * 20
    (folder / "other.csv").write_text("colour,size,sick\nmdi,1,0\n,1,0\n")
    for command in (
        ("predict", "out.json", "other.csv"),
        ("train", "words.graphml", "other.csv", "-o", "o.json"),
    ):
        said = run(*command, code=1)
        assert (
            "line 2 (row 1), column 'colour' must be one of its categories low, mid, high, got 'mdi'" in said
        )


def test_an_ontology_is_turned_round_and_fitted_to_the_data(folder):
    (folder / "terms.txt").write_text("GO:1\tGO:2\tdefault\nGO:2\ta\tgene\nGO:1\tb\tgene\nGO:1\tz\tgene\n")
    command = ("train", "terms.txt", "cells.csv", "-t", "GO:1", "-o", "out.graphml", "--epochs", 3)
    header, *rows = (folder / "data.csv").read_text().splitlines()
    (folder / "cells.csv").write_text("\n".join([header.replace("sick", "GO:1"), *rows, ""]))
    assert "nothing leads to the node 'GO:1'" in run(*command, code=1)
    text = run(*command, "--prepare")
    assert "Prepared graph: 4 nodes, 3 edges, turned round" in text
    assert "left out: no column leads there  1  z" in text
    assert dagnet.read_graph("out.graphml").edges["a", "GO:2"]["type"] == "gene"
    assert json.loads(run(*command, "--prepare", "--json"))["nodes"] == 4
    assert "GO:9" in run(*command[:4], "GO:9", *command[5:], "--prepare", code=1)


# -- importance ------------------------------------------------------------------------------

ASKED = (
    "importance",
    "graph.graphml",
    "data.csv",
    "--target",
    "sick",
    "--seeds",
    3,
    "--shuffles",
    4,
    "--epochs",
    5,
)


def test_importance_is_that_of_the_library(folder):
    text = run(*ASKED, "--out", "table.csv", "--learning-rate", 0.05)
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    data = list(csv.DictReader((folder / "data.csv").read_text().splitlines()))
    X = np.array([[float(row[name]) for name in "ab"] for row in data])
    graph = nx.read_graphml(folder / "graph.graphml")
    for name, column in zip("ab", X.T, strict=True):
        graph.nodes[name].update(center=column.mean(), scale=column.std())
    found = dagnet.importance(
        graph, X, [float(row["sick"]) for row in data], seeds=3, shuffles=4, epochs=5, learning_rate=0.05,
        loss="binary_cross_entropy_with_logits",
    )  # fmt: skip
    assert [row.pop("node") for row in rows] == list(found.names)
    numbers = [[float(number) for number in row.values()] for row in rows]
    np.testing.assert_allclose(numbers, np.column_stack(list(found.columns.values())), rtol=1e-9)
    assert max(map(len, text.splitlines())) <= 110
    assert len(text.splitlines()) <= 30
    methods = " ".join(text.split("Importance of ")[1].split())
    for part in (
        "3 nodes was found with dagnet", "NumPy 2", "3 random starts (seeds 0 to 2; ", "epochs=5",
        "learning_rate=0.05", "(deeplift) over 60 rows",
        "empty cells: refuse; inputs standardised by the rows that are learned from",
        "loss=binary_cross_entropy_with_logits",
        "4 averages of as many networks, each with the rows of the labels permuted",
        "p = (1 + k)/(1 + 4)", "Benjamini and Hochberg, 1995", "(0 here) were judged as groups",
    ):  # fmt: skip
        assert part in methods
    assert "written   table.csv" in text


def test_importance_of_a_trained_model_begins_anew(folder):
    run(*TRAIN, "model.dagnet")
    of_model = json.loads(
        run(*[part if part != "graph.graphml" else "model.dagnet" for part in ASKED], "--json")
    )
    of_graph = json.loads(run(*ASKED, "--json", "--loss", "binary_cross_entropy_with_logits"))
    assert set(of_model) == {"nodes", "twins", "chains", "collinear", "stability", "methods"}
    assert set(of_model["nodes"]) == {"a", "b", "h"}
    for node, columns in of_model["nodes"].items():  # standardised on all rows or on those that trained it
        assert columns["mean"] == pytest.approx(of_graph["nodes"][node]["mean"], rel=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "data.csv"), "--out must be a file of its own, got data.csv, which is also DATA"),
        (("--out", "graph.graphml"), "which is also GRAPH"),
        (("--seeds", 0), "seeds must be a whole number of 1 or more, got 0"),
        (("--shuffles", -3), "shuffles must be a whole number of 1 or more, got -3"),
        (("--method", "lime"), "no attribution is called 'lime'"),
        (("--of", "nobody"), "of: no node 'nobody'"),
        (("--out", "no/where.csv"), "no/where.csv"),
    ],
)
def test_importance_refuses_and_writes_nothing(folder, arguments, message):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert message in run(*ASKED, *arguments, code=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_importance_without_labels_in_some_rows(folder):
    rows = (folder / "data.csv").read_text().splitlines()
    column = rows[0].split(",").index("sick")
    cells = rows[3].split(",")
    cells[column] = ""
    (folder / "data.csv").write_text("\n".join([*rows[:3], ",".join(cells), *rows[4:]]))
    assert "the value is missing" in run(*ASKED, code=1)
    assert "59 rows" not in run(*ASKED, "--missing", "skip")
    assert "59 rows" in run(*ASKED, "--missing", "drop")
