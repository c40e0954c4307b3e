"""The README's code runs on a genome of the example's configuration."""

import re
from pathlib import Path

import dagnet_neat
import numpy as np
from test_genomes import grown, theirs

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_readmes_code_trains_a_genome_and_writes_it_back(config):
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    names = {"winner": grown(config), "config": config, "X": X, "y": np.array([0.0, 1.0, 1.0, 0.0])}
    exec(compile(code, "README.md", "exec"), names)
    np.testing.assert_allclose(theirs(names["winner"], config, X), names["net"](X), rtol=0, atol=1e-12)


def test_the_readme_counts_the_activations():
    names = [activation.name for activation in dagnet_neat.dagnet_activations()]
    assert sum(name.startswith("neat_") for name in names) == 18
    assert all(f"`{name}`" in README for name in names if name.startswith("wann_"))
    assert "all eighteen are activations here" in README
