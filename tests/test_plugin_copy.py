"""plugins/README.md's first lines, done: copy the folder, change two names, install, train."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
OFFLINE = ("Could not find a version", "No matching distribution", "Temporary failure in name resolution")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are a Unix shell's"),
]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs commands where a fresh environment, with dagnet installed from this tree, comes first."""
    folder = tmp_path_factory.mktemp("stranger")
    venv.create(folder / "venv", with_pip=True)
    (folder / "plugins").symlink_to(ROOT / "plugins")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DAGNET"))}
    path = os.pathsep.join([str(folder / "venv" / "bin"), os.environ["PATH"]])
    environment = {**kept, "PATH": path, "PYTHONUTF8": "1"}

    def run(commands):
        job = subprocess.run(
            ["bash", "-ec", commands],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if job.returncode and any(words in job.stderr for words in OFFLINE):
            pytest.skip("there is no package index here")
        assert job.returncode == 0, job.stdout + job.stderr
        return job.stdout

    run(f"pip install --quiet --disable-pip-version-check '{ROOT}' pytest")
    return run


TRAINING = """
import dagnet
graph = dagnet.layered([1, 4, 1], activation="snake(frequency=0.5)")
net = dagnet.Network(graph, loss="log_cosh", seed=0)
loss = net.fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], epochs=100, learning_rate=0.01, seed=0)["loss"]
assert loss[-1] < loss[0], loss
print(dagnet.registry.origin("losses", "log_cosh"))
"""


def test_a_copied_renamed_and_installed_plugin_is_listed_and_trains(shell):
    (commands,) = re.findall(r"^```sh\n(cp -r .*?)^```$", README, re.MULTILINE | re.DOTALL)
    listed = shell(commands)
    assert re.search(r"^activations +snake +dagnet-mine 0\.1\.0 ", listed, re.MULTILINE)
    assert re.search(r"^losses +log_cosh +dagnet-mine 0\.1\.0", listed, re.MULTILINE)
    assert "example" not in listed
    assert shell(f"cd / && python -W error -c '{TRAINING}'").strip() == "dagnet-mine 0.1.0"
    assert "passed" in shell("cd dagnet-mine && pytest -q tests")
    assert "example" not in shell("cd dagnet-mine && cat pyproject.toml tests/*.py README.md && ls src")
    assert "passes" in shell("dagnet plugins check dagnet-mine")
