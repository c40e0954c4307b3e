"""The example evolves, trains and writes back; its printed numbers say so."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("neat")


def test_example_improves_the_evolved_network_by_gradient(capsys):
    runpy.run_path(str(Path(__file__).parents[1] / "examples" / "xor.py"), run_name="__main__")
    evolved, trained = map(float, re.findall(r"error ([\d.]+)", capsys.readouterr().out))
    assert trained < 0.01 * evolved
