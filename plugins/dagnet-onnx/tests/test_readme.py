"""The README's code runs, and it names what the model has."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_readmes_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert "['outputs', 'predict[" in capsys.readouterr().out
    names["net"].save("net.dagnet")
    (command,) = re.findall(r'`python -c "(.*?)"`', README)
    before = Path("net.onnx").read_bytes()
    exec(command, {})
    assert Path("net.onnx").read_bytes() == before
    assert len(README.splitlines()) <= 40


def test_the_median_is_refused():
    neat = pytest.importorskip("dagnet_neat")
    (median,) = (item for item in neat.dagnet_aggregations() if item.name == "median")
    assert median.formula is None
