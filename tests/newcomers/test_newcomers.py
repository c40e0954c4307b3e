"""Five newcomers do an afternoon's work each, with what README and docstrings tell; warnings are errors.

Each script asserts its results by a second way, in NumPy, NetworkX or by hand.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATHS = [ROOT, *sorted((ROOT / "plugins").glob("*/src"))]


@pytest.mark.parametrize("script", ["biologist", "neuroevolution", "plugin_author", "teacher", "wiring"])
def test_the_afternoon_goes_well(script, tmp_path):
    told = {key: value for key, value in os.environ.items() if key != "DAGNET_DISABLE_PLUGINS"}
    before = filter(None, [os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / f"{script}.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**told, "PYTHONPATH": os.pathsep.join([*map(str, PATHS), *before])},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert not list(tmp_path.iterdir()), "nothing is left lying about"


def test_no_script_is_forgotten():
    scripts = {path.stem for path in HERE.glob("*.py")} - {"test_newcomers"}
    assert scripts == set(test_the_afternoon_goes_well.pytestmark[0].args[1])
