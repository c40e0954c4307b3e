"""The README's code and the docstrings' examples run, and the README's signatures are the functions'."""

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path

import dagnet_matplotlib
import pytest
from PIL import Image

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_readmes_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    with Image.open("training.png") as picture:
        assert picture.size == (1000, 400)
    assert Path("activations.pdf").read_bytes().startswith(b"%PDF-")
    assert len(README.splitlines()) <= 40


def test_the_signatures_are_the_functions():
    written = dict(re.findall(r"^\| `(\w+)(\(.*?\))` \|", README, re.MULTILINE))
    assert set(written) == set(dagnet_matplotlib.__all__) - {"dagnet_exporters"}
    for name, signature in written.items():
        names = list(inspect.signature(getattr(dagnet_matplotlib, name)).parameters)
        assert re.findall(r"(\w+)(?:=[^,)]*)?[,)]", signature) == names


@pytest.mark.parametrize("module", ["curves", "histograms", "importance", "lettering", "picture"])
def test_examples_in_docstrings(module):
    found = doctest.testmod(import_module(f"dagnet_matplotlib.{module}"))
    assert found.attempted
    assert not found.failed
