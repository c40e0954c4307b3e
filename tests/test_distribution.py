"""What is published: its version, what it says of itself, and which files the source distribution has."""

import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

import dagnet

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
INCLUDED = SETTINGS["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


def test_the_version_stands_in_one_place():
    assert PROJECT["dynamic"] == ["version"]
    assert SETTINGS["tool"]["hatch"]["version"]["path"] == "dagnet/__init__.py"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == dagnet.__version__


def test_each_python_that_ci_runs_is_named():
    runs = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    versions = {
        PROJECT["requires-python"].removeprefix(">="),
        *re.search(r"for version in (.*);", runs)[1].split(),
    }
    named = {text.rpartition(" :: ")[2] for text in PROJECT["classifiers"] if "Python :: 3." in text}
    assert named == versions
    assert PROJECT["authors"]


def test_what_the_source_distribution_takes_is_there_and_at_the_root():
    assert [path for path in INCLUDED if not path.startswith("/") or not (ROOT / path[1:]).exists()] == []


def test_the_source_distribution_has_what_its_tests_need_and_nothing_else(tmp_path):
    pytest.importorskip("hatchling")
    script = "import sys; from hatchling.build import build_sdist; print(build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"dagnet-{dagnet.__version__}.tar.gz"
    with tarfile.open(tmp_path / done.stdout.strip()) as archive:
        paths = {Path(*Path(member.name).parts[1:]) for member in archive.getmembers() if member.isfile()}
    top = {path[1:] for path in INCLUDED} | {"pyproject.toml", "PKG-INFO", ".gitignore"}
    assert {path.parts[0] for path in paths} == top
    for folder in ("dagnet", "tests", "examples", "plugins"):
        there = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        written = {path for path in there if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)}
        assert written - {path for path in written if ".egg-info" in str(path)} <= paths, folder
    assert not [path for path in paths if "__pycache__" in path.parts]
