"""The README's code runs and prints what it says; so do the examples."""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import dagnet
from dagnet import registry as face
from dagnet.registry.tables import Registry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def blocks():
    """(language, text) in order."""
    return BLOCK.findall(README)


def assert_same(printed, promised):
    """Equal but for the last digits, which differ from machine to machine."""
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", promised).split(), printed
    for one, other in zip(NUMBER.findall(printed), NUMBER.findall(promised), strict=True):
        assert float(one) == pytest.approx(float(other), rel=0.02, abs=0.01), printed


def run_block(text, folder):
    """What a block prints; one that begins with a file's name becomes that file instead."""
    named = re.match(r"# (\w+)\.py\b", text)
    if named:
        (folder / f"{named[1]}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "README.md", "exec"), {"__name__": "readme"})
    return printed.getvalue()


def test_every_code_block_of_the_readme_runs_and_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(tmp_path)
    found, printed, ran = blocks(), None, 0
    for language, text in found:
        if language == "python":
            printed, ran = run_block(text, tmp_path), ran + 1
        elif language == "text" and printed:
            assert_same(printed, text)
            printed = None
    assert ran >= 3
    assert printed is None


GALLERY = ROOT / "examples" / "README.md"
NEEDS = {  # beyond the requirements of the tests; of most only the data are read
    "bayesian_network.py": ("pgmpy",),
    "reactome.py": ("binn", "scanpy", "h5py"),
    "survival.py": ("lifelines",),
}


def run_example(path, folder):
    """What it prints, every warning being an error; skipped where its data are not installed."""
    for package in NEEDS.get(path.name, ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{path.name} reads data of the package {package}, which is not installed")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins" / "dagnet-glm" / "src")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONUTF8": "1"}
    command = [sys.executable, "-W", "error", str(path)]
    job = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert job.returncode == 0, job.stderr
    return job.stdout


EXAMPLES = [
    pytest.param(path, id=path.name, marks=[pytest.mark.slow] if path.name == "reactome.py" else [])
    for path in sorted(ROOT.glob("examples/*.py"))
]


@pytest.mark.parametrize("path", EXAMPLES)
def test_every_example_runs_and_prints_what_the_gallery_says(path, tmp_path):
    printed = run_example(path, tmp_path)
    assert printed.strip()
    section = GALLERY.read_text(encoding="utf-8").partition(f"`python examples/{path.name}`")[2]
    if section:
        promised = BLOCK.search(section.partition("\n## ")[0])[2]
        if path.name == "reactome.py":  # many fits: the last bits of a machine decide about ranks
            printed, promised = ("\n".join(text.splitlines()[:4]) for text in (printed, promised))
        assert_same(printed, promised)
    if path.name == "breast_cancer.py":
        assert promised == next(text for _, text in blocks() if "five folds" in text)
        scores = [[float(word) for word in line.split()[-2:]] for line in printed.splitlines()[1:]]
        assert scores[0][0] >= scores[1][0] - 0.01
        assert scores[0][1] >= scores[1][1] - 0.005


def test_every_example_of_a_docstring_gives_what_it_says(monkeypatch):
    monkeypatch.setattr(face, "registry", Registry())  # what examples register is no other test's
    failed, tried = [], 0
    for found in pkgutil.walk_packages(dagnet.__path__, "dagnet."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            for case in doctest.DocTestFinder(exclude_empty=True).find(module, found.name):
                if hasattr(np.ndarray, case.name.rpartition(".")[2]):  # NumPy's own text
                    continue
                said = io.StringIO()
                wrong, n = doctest.DocTestRunner(verbose=False).run(case, out=said.write)
                tried += n
                failed += [said.getvalue()] if wrong else []
    assert tried > 200
    assert failed == []


def test_every_public_name_has_an_example():
    own = [name for name in dagnet.__all__ if callable(getattr(dagnet, name)) and name != "hookimpl"]
    assert [name for name in own if ">>>" not in (getattr(dagnet, name).__doc__ or "")] == []


def test_the_logger_of_the_gallery_logs(tmp_path):
    found = BLOCK.findall(GALLERY.read_text(encoding="utf-8"))
    (number,) = [number for number, (language, _) in enumerate(found) if language == "python"]
    assert_same(run_block(found[number][1], tmp_path), found[number + 1][1])


def test_the_main_command_of_the_readme_does_the_main_job(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from dagnet.cli import main

    line = next(text for language, text in blocks() if language == "sh" and "dagnet train" in text)
    assert len(line.splitlines()) == 1
    words = line.split(".venv/bin/dagnet ")[1].split()
    monkeypatch.chdir(ROOT)
    words[words.index("--out") + 1] = str(tmp_path / "trained.graphml")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "trained.graphml").exists()


def test_the_readme_keeps_to_its_size_and_its_links_lead_somewhere():
    assert 70 <= len(README.splitlines()) <= 116
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_what_the_readme_calls_exists():
    for name in re.findall(r"dagnet\.([A-Za-z_]+)\(", README):
        assert hasattr(dagnet, name), name
    for name in set(re.findall(r"\bnet\.([a-z_]+)", README)) - {"dagnet"}:
        assert hasattr(dagnet.Network, name), name


def test_the_readme_names_the_python_that_is_needed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "Python " + project["requires-python"].removeprefix(">=") in README
