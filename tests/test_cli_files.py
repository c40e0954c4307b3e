"""The files of the command line: inputs that stay, tables in many forms, words, gaps, results as JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner
from data.cli_cases import TRAIN, fill, listing, run, write

import dagnet
from dagnet.cli import main, training
from dagnet.cli.applying import scores
from dagnet.cli.files import open_graph, open_network
from dagnet.cli.tables import harmless


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    return tmp_path


def rows(text):
    return list(csv.DictReader(text.splitlines()))


def contents():
    return {name: Path(name).read_bytes() for name in listing()}


# -- no input is written to ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "data.csv", "--out", "x.json"], "must be a file of its own, got data.csv"),
        (["--checkpoint", "graph.graphml", "--out", "x.json"], "which is also GRAPH; name another file"),
        (["--checkpoint", "./link.csv", "--out", "x.json"], "which is also DATA"),
        (["--checkpoint", "hard.csv", "--out", "x.json"], "which is also DATA"),
        (["--checkpoint", "m.dagnet", "--out", "x.json"], "--checkpoint must be a new file or a checkpoint"),
        (["--checkpoint", "edges.csv", "--out", "x.json"], "--checkpoint must be a new file or a checkpoint"),
        (["--checkpoint", "new.dagnet", "--out", "./new.dagnet"], "which is also --out"),
        (["--out", "graph.graphml"], "which is also GRAPH"),
        (["--out", "data.csv"], "--out must be a file of its own, got data.csv, which is also DATA"),
        (["--validation", "more.csv", "--out", "more.csv"], "which is also --validation"),
        (["--resume", "run.dagnet", "--out", "run.dagnet"], "which is also --resume"),
    ],
    ids=str,
)  # fmt: skip
def test_train_writes_to_no_input(folder, arguments, message):
    run(*TRAIN, "m.dagnet", "--epochs", 1, "--checkpoint", "run.dagnet")
    Path("link.csv").symlink_to("data.csv")
    os.link("data.csv", "hard.csv")
    before = contents()
    assert message in run("train", "graph.graphml", "data.csv", "-t", "sick", *arguments, code=1)
    assert contents() == before


@pytest.mark.parametrize("out", ["data.csv", "m.dagnet"])
def test_predict_writes_to_no_input(folder, out):
    run(*TRAIN, "m.dagnet", "--epochs", 1)
    before = contents()
    assert "--out must be a file of its own" in run("predict", "m.dagnet", "data.csv", "-o", out, code=1)
    assert contents() == before


def test_a_checkpoint_replaces_a_checkpoint(folder):
    run(*TRAIN, "m.dagnet", "--epochs", 1, "--checkpoint", "run.dagnet")
    first = Path("run.dagnet").read_bytes()
    run(*TRAIN, "m.dagnet", "--epochs", 2, "--checkpoint", "run.dagnet")
    assert Path("run.dagnet").read_bytes() != first


# -- tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators(folder, separator):
    text = Path("data.csv").read_text().replace(",", separator)
    Path("other.csv").write_text(text, encoding="utf-8-sig")
    run(*TRAIN, "one.json", "--epochs", 2)
    run("train", "graph.graphml", "other.csv", "-t", "sick", "-o", "two.json", "--epochs", 2)
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()


def test_a_decimal_comma_is_named(folder):
    Path("comma.csv").write_text("a;b;sick\n1,5;2;0\n1;2;1\n")
    said = run("train", "edges.csv", "comma.csv", "-t", "sick", "-o", "x.json", code=1)
    assert "column 'a' must be a finite number, got '1,5'; a decimal comma must be a point" in said


def test_what_people_save_is_read_or_its_mend_is_told(folder):
    text = Path("data.csv").read_text()
    empty = text.replace(",", ", ").replace("\n", ",,\r\n")  # columns that a spreadsheet takes for used
    Path("blanks.csv").write_text("\r\n" + empty, newline="")
    run("train", "edges.csv", "data.csv", "-t", "sick", "-o", "one.json", "--epochs", 2)
    run("train", "edges.csv", "blanks.csv", "-t", "sick", "-o", "two.json", "--epochs", 2)
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()
    Path("latin.csv").write_bytes(text.replace("a", "ä").encode("latin-1"))
    assert "save it as UTF-8" in run("predict", "one.json", "latin.csv", code=1)


def test_standard_input(folder):
    run(*TRAIN, "m.dagnet", "--epochs", 2)
    expected = run("predict", "m.dagnet", "data.csv")
    text = Path("data.csv").read_text()
    train = [*TRAIN[:2], "-", *TRAIN[3:], "x.json"]
    for command in (
        ["predict", "m.dagnet", "-"],
        ["predict", "m.dagnet", "-", "-o", "-"],
        ["evaluate", "m.dagnet", "-"],
        train,
    ):
        result = CliRunner().invoke(main, command, input=text)
        assert result.exit_code == 0, result.output
        assert result.stdout == expected or "standard input: 60 rows" in result.stdout
    assert not Path("-").exists()
    result = CliRunner().invoke(main, ["predict", "m.dagnet", "-"], input="a\n")
    assert "standard input has a header but no rows" in result.stderr


def in_words(yes, no):
    found = rows(Path("data.csv").read_text())
    said = [yes if row["sick"] == "1" else no for row in found]
    write(Path("words.csv"), {**{name: [row[name] for row in found] for name in "ab"}, "sick": said})


@pytest.mark.parametrize("out", ["m.dagnet", "m.graphml", "m.json", "m.csv", "m.gexf"])
def test_two_words_are_a_binary_target(folder, out):
    in_words("yes", "no")
    run(*TRAIN, "numbers.dagnet", "--epochs", 20)
    said = run("train", "graph.graphml", "words.csv", "-t", "sick", "-o", out, "--epochs", 20)
    assert "classes   sick: no, yes" in said
    predicted = rows(run("predict", out, "words.csv"))
    assert [row["sick"] for row in predicted] == [
        row["sick"] for row in rows(run("predict", "numbers.dagnet", "data.csv"))
    ]
    assert all(row["class of sick"] == ("yes" if float(row["sick"]) > 0.5 else "no") for row in predicted)
    measured = run("evaluate", out, "words.csv")
    assert measured.splitlines()[1:] == run("evaluate", "numbers.dagnet", "data.csv").splitlines()[1:]
    in_words("perhaps", "no")
    assert "must be one of the classes no, yes, got 'perhaps'" in run("evaluate", out, "words.csv", code=1)
    assert run("evaluate", out, "data.csv", code=1).endswith("no, yes, got '1'; 59 more in this column\n")


def test_a_word_goes_before_another_ones_harmless_form(folder):
    in_words("=x", "'=x")
    run("train", "graph.graphml", "words.csv", "-t", "sick", "-o", "m.dagnet", "--epochs", 20, "--test", 0)
    run(*TRAIN, "numbers.dagnet", "--epochs", 20, "--test", 0)
    measured = run("evaluate", "m.dagnet", "words.csv").splitlines()
    assert measured[1:] == run("evaluate", "numbers.dagnet", "data.csv").splitlines()[1:]


def three_kinds(names=("c", "a", "b")):
    generator = np.random.default_rng(0)
    number = np.arange(90) % 3
    x = np.eye(3)[number] * 4 + generator.normal(0, 0.5, (90, 3))
    columns = {f"x{place}": x[:, place] for place in range(3)}
    kind = [names[place] for place in number]
    for place, name in enumerate(names):
        columns[name] = (number == place).astype(int)
    write(Path("kinds.csv"), columns | {"kind": kind})
    nx.write_graphml(
        nx.DiGraph([(f"x{place}", name) for place in range(3) for name in names]), "kinds.graphml"
    )
    return kind


def test_a_node_for_each_word_learns_classes(folder):
    kind = three_kinds()
    said = run("train", "kinds.graphml", "kinds.csv", "-t", "kind", "-o", "k.graphml", "--learning-rate", 0.1)
    assert "classes   kind: a, b, c" in said
    assert "cross_entropy" in run("show", "k.graphml")
    predicted = rows(run("predict", "k.graphml", "kinds.csv"))
    assert list(predicted[0]) == ["a", "b", "c", "class of kind"]
    right = [row["class of kind"] == word for row, word in zip(predicted, kind, strict=True)]
    assert np.mean(right) > 0.95
    assert f"{np.mean(right):.4f}" in run("evaluate", "k.graphml", "kinds.csv")


def test_other_than_two_words_need_nodes(folder):
    in_words("yes", "no")
    with Path("words.csv").open("a") as file:
        file.write("1,2,perhaps\n")
    said = run("train", "graph.graphml", "words.csv", "-t", "sick", "-o", "x.json", code=1)
    assert "the words of the column 'sick' must be two, got 3: no, perhaps, yes; draw a node for each" in said
    assert "finite number" not in said


@pytest.mark.filterwarnings("default")
def test_exclusive_targets_are_told_of_cross_entropy_and_measured_as_classes(folder):
    three_kinds()
    names = ("-t", "a", "-t", "b", "-t", "c")
    train = ("train", "kinds.graphml", "kinds.csv", *names, "-o", "k.dagnet", "--epochs", 30, "--json")
    result = CliRunner().invoke(main, list(map(str, train)))
    assert result.stderr.count("--loss cross_entropy is meant for that") == 1
    result = json.loads(result.stdout)
    net = dagnet.load("k.dagnet")
    table = rows(Path("kinds.csv").read_text())
    X = {name: np.array([float(row[name]) for row in table]) for name in net.inputs}
    y = {name: np.array([float(row[name]) for row in table]) for name in net.outputs}
    truth = np.column_stack(list(y.values()))
    assert scores(net, X, y)["accuracy"] == np.mean(truth.argmax(axis=1) == net.predict(X).argmax(axis=1))
    assert set(result["scores"]["test"]) == {"loss", "accuracy", "AUC"}
    said = CliRunner().invoke(main, [*map(str, train), "--loss", "cross_entropy"])
    assert (said.exit_code, said.stderr) == (0, "")


def with_gaps():
    found = rows(Path("data.csv").read_text())
    a = ["" if place % 7 == 3 else row["a"] for place, row in enumerate(found)]
    write(
        Path("gaps.csv"), {"a": a, "b": [row["b"] for row in found], "sick": [row["sick"] for row in found]}
    )
    return a


@pytest.mark.parametrize("middle", ["median", "mean"])
@pytest.mark.parametrize("out", ["m.dagnet", "m.graphml", "m.csv"])
def test_gaps_are_filled_with_what_the_training_rows_say(folder, middle, out):
    a = with_gaps()
    train = ("train", "graph.graphml", "gaps.csv", "-t", "sick", "-o", out, "--test", 0)
    assert "line 5 (row 4), column 'a': the value is missing; fill it in" in run(*train, code=1)
    run(*train, "--missing", middle, "--epochs", 3)
    value = getattr(np, middle)([float(text) for text in a if text])
    filled = Path("gaps.csv").read_text().replace("\n,", f"\n{value!r},")
    Path("filled.csv").write_text(filled.replace("np.float64(", "").replace(")", ""))
    assert run("predict", out, "gaps.csv") == run("predict", out, "filled.csv")
    both = [run("evaluate", out, name).splitlines()[1:] for name in ("gaps.csv", "filled.csv")]
    assert both[0] == both[1]


def test_rows_with_gaps_are_dropped(folder):
    a = with_gaps()
    said = run("train", "graph.graphml", "gaps.csv", "-t", "sick", "-o", "m.json", "--missing", "drop")
    assert f"gaps.csv: {sum(map(bool, a))} rows" in said
    said = run("predict", "m.json", "gaps.csv", code=1)
    assert "the value is missing" in said
    assert "a gap in a target only with --missing drop" in said


def test_evaluate_takes_gaps_as_training_does(folder):
    run("train", "graph.graphml", "data.csv", "-t", "sick", "-o", "m.json", "--epochs", 3)
    a = with_gaps()
    evaluate = ("evaluate", "m.json", "gaps.csv")
    assert "train or evaluate with --missing" in run(*evaluate, code=1)
    rows = Path("gaps.csv").read_text().splitlines()
    Path("whole.csv").write_text("\n".join(row for row in rows if not row.startswith(",")))
    dropped = run(*evaluate, "--missing", "drop").splitlines()
    assert f"gaps.csv: {sum(map(bool, a))} rows" in dropped[0]
    assert dropped[1:] == run("evaluate", "m.json", "whole.csv").splitlines()[1:]
    middle = repr(float(np.median([float(text) for text in a if text])))
    Path("filled.csv").write_text("\n".join(middle + row if row.startswith(",") else row for row in rows))
    filled = run("evaluate", "m.json", "filled.csv").splitlines()[1:]
    assert run(*evaluate, "--missing", "median").splitlines()[1:] == filled
    Path("gaps.csv").write_text("\n".join([*rows[:1], "1,2,", *rows[2:]]).replace("\n,", "\n1,"))
    Path("whole.csv").write_text("\n".join([*rows[:1], *rows[2:]]).replace("\n,", "\n1,"))
    skipped = run(*evaluate, "--missing", "skip").splitlines()[1:]
    assert skipped == run("evaluate", "m.json", "whole.csv").splitlines()[1:]
    Path("gaps.csv").write_text("a,b,sick\n,1,0\n,2,1\n")
    assert "the column 'a' has no value to take the mean of" in run(*evaluate, "--missing", "mean", code=1)


# -- problems, names, results ----------------------------------------------------------------


def test_all_problems_are_said_at_once(folder):
    Path("bad.csv").write_text("a,b,sick\nx,2,1\ny,,0\n")
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("c", "h"), ("h", "sick")])
    graph.nodes["h"]["activation"], graph["a"]["h"]["trainable"] = "tanhh", "perhaps"
    nx.write_graphml(graph, "bad.graphml")
    said = run("train", "bad.graphml", "bad.csv", "-t", "sik", "-t", "h", "-o", "x.json", code=1)
    for part in (
        "problems:", "no node 'sik'", "no column 'h'", "tanhh", "'perhaps'", "no column for the node 'c'",
        "column 'a' must be a finite number, got 'x'; 1 more in this column", "column 'b': the value is",
    ):  # fmt: skip
        assert part in said
    assert not Path("x.json").exists()


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@SUM(A1)", "'=a"])
def test_names_that_are_formulas_are_written_harmless_and_found_again(folder, name):
    in_words(name, "no")
    graph = nx.DiGraph([("a", name), ("b", name)])
    (folder / "g.json").write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    Path("words.csv").write_text(Path("words.csv").read_text().replace("a,b,sick", f"a,b,{name}", 1))
    run("train", "g.json", "words.csv", "-t", name, "-o", "m.dagnet", "--epochs", 2)
    run("predict", "m.dagnet", "words.csv", "-o", "p.csv")
    with Path("p.csv").open(newline="") as file:
        written = list(csv.reader(file))
    assert written[0] == [harmless(name), f"class of {name}"]
    assert {row[1] for row in written[1:]} <= {harmless(name), "no"}
    asked = csv.reader(Path("words.csv").read_text().splitlines())
    table = [[*row[:2], answer[1]] for row, answer in zip(asked, written, strict=True)]
    table[0][2] = written[0][0]
    with Path("again.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)
    assert json.loads(run("evaluate", "m.dagnet", "again.csv", "--json"))["scores"]["accuracy"] == 1


def test_results_as_json(folder):
    result = json.loads(run(*TRAIN, "m.dagnet", "--epochs", 3, "--json"))
    assert result["rows"] == {"train": 48, "test": 12}
    assert (result["nodes"], result["epochs"], result["written"]) == (4, 3, "m.dagnet")
    measured = json.loads(run("evaluate", "m.dagnet", "data.csv", "--json"))
    assert f"{measured['scores']['loss']:.4f}" in run("evaluate", "m.dagnet", "data.csv")
    write(Path("ones.csv"), {"a": [1, 2], "b": [1, 2], "sick": [1, 1]})
    assert json.loads(run("evaluate", "m.dagnet", "ones.csv", "--json"))["scores"]["AUC"] is None


def test_version():
    assert run("--version").startswith("dagnet, version ")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("slow", [True, False])
def test_a_slow_first_batch_is_announced_and_not_counted(monkeypatch, slow):
    monkeypatch.setattr(training, "PATIENCE", 0.1 if slow else 60.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    watch, job = training.Watch(), SimpleNamespace(stop=False)
    watch.on_training_begin(job)
    time.sleep(0.3 * slow)
    for _ in range(3):
        watch.on_batch_end(job)
    watch.on_training_end(job)
    assert (watch.compiling >= 0.3) if slow else (watch.compiling == 0)
    assert ("compiling kernels, once per machine" in sys.stderr.getvalue()) == slow


def test_the_time_of_a_slow_first_batch_is_printed_apart(folder, monkeypatch):
    monkeypatch.setattr(training, "PATIENCE", 0.0)
    assert "s for the first batch: compiling, once per machine)" in run(*TRAIN, "m.dagnet", "--epochs", 2)


def test_a_fill_value_of_the_graph_goes_first_and_what_is_none_is_left_alone(folder):
    with_gaps()
    graph = nx.read_graphml("graph.graphml")
    graph.nodes["a"]["missing_value"], graph.nodes["b"]["missing_value"] = "7.5", "red"
    nx.write_graphml(graph, "own.graphml")
    train = ("train", "own.graphml", "gaps.csv", "-t", "sick", "-o", "m.dagnet", "--epochs", 2)
    for more in ((), ("--missing", "mean")):
        run(*train, *more)
        text = Path("gaps.csv").read_text().replace("\n,", "\n7.5,")
        Path("filled.csv").write_text(text)
        assert run("predict", "m.dagnet", "gaps.csv") == run("predict", "m.dagnet", "filled.csv")


# -- words of other programs -----------------------------------------------------------------


@pytest.mark.parametrize("out", ["odd.dagnet", "out.graphml", "odd.json", "odd.csv"])
def test_attributes_by_other_names(folder, out):
    graph = nx.read_graphml("graph.graphml")
    graph.nodes["h"].clear()
    graph.nodes["h"].update(act="tanh", sign="+", colour="red")
    nx.write_graphml(graph, "odd.graphml")
    train = ("train", "odd.graphml", "data.csv", "-t", "sick", "-o", out, "--epochs", 3)
    assert "sign must be +1 or −1" in run(*train, code=1)
    names = ("--attribute", "activation=act", "--attribute", "sign=")
    run(*train, *names)
    run(*TRAIN, "m.dagnet", "--epochs", 3)
    assert run("predict", out, "data.csv") == run("predict", "m.dagnet", "data.csv")
    kept = open_graph(Path(out)).nodes["h"]
    assert (kept["colour"], kept.get("sign")) == ("red", "+")
    assert "tanh" in run("show", "odd.graphml", *names)
    assert "write WORD=NAME" in run("show", "odd.graphml", "--attribute", "sign", code=2)
    run(*train[:-2], *names, "--attribute", "center=mu", "--epochs", 1)
    assert open_network(Path(out)).topology.center[0] > 4


@pytest.mark.filterwarnings("default")
def test_what_weights_are_taken_for_is_said_once(folder):
    graph = nx.read_graphml("graph.graphml")
    nx.set_edge_attributes(graph, 3.0, "weight")
    graph.nodes["h"]["activaton"] = "tanh"
    nx.write_graphml(graph, "counts.graphml")
    train = ["train", "counts.graphml", "data.csv", "-t", "sick", "-o", "m.dagnet", "--epochs", "1"]
    said = CliRunner().invoke(main, train).stderr
    assert said.count("a network begins with the edges' weights") == said.count("did you mean") == 1
    assert "--attribute weight=" in said
    said = CliRunner().invoke(main, [*train, "--attribute", "weight="]).stderr
    assert "begins with" not in said
    assert said.count("did you mean") == 1
