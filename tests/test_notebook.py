"""The example notebook: its cells run, and what it shows is what they give."""

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import pytest

import dagnet

NOTEBOOK = Path(__file__).parents[1] / "examples" / "inspect.ipynb"
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")


def code_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run(source, scope):
    """What a cell prints, and its last expression's value, as a notebook would have them."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), scope)
        value = None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), scope)
    return printed.getvalue(), value


def without_numbers(text):
    return NUMBER.sub("#", text)


def test_the_cells_run_and_give_what_is_shown(monkeypatch):
    monkeypatch.chdir(NOTEBOOK.parent)
    scope = {}
    for cell in code_cells():
        source, shown = "".join(cell["source"]), {}
        for output in cell["outputs"]:
            assert output["output_type"] in {"stream", "execute_result"}
            shown[output["output_type"]] = output
        assert cell["execution_count"]
        printed, value = run(source, scope)
        if "stream" in shown:
            assert without_numbers(printed) == without_numbers("".join(shown["stream"]["text"]))
        if value is not None:
            data = shown["execute_result"]["data"]
            assert without_numbers(repr(value)) == without_numbers("".join(data["text/plain"]))
            if hasattr(value, "_repr_mimebundle_"):  # which is all that a notebook then asks for
                assert data.keys() == value._repr_mimebundle_().keys()
                continue
            for kind, name in (("text/html", "_repr_html_"), ("image/svg+xml", "_repr_svg_")):
                assert (kind in data) == hasattr(value, name)


@pytest.mark.filterwarnings("ignore")  # of the notebook's machinery
def test_a_notebook_server_runs_it(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(dagnet.__file__).parents[1]))
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    with NOTEBOOK.open(encoding="utf-8") as file:
        notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()


def test_it_says_nothing_of_the_machine_it_ran_on():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 200_000
    for word in ("/tmp/", "/home/", "/root/", "Traceback", "ipykernel_"):
        assert word not in text
