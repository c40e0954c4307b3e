"""The README's code runs, and it is short."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_readmes_code_runs(capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "agrees with the textbook's equations" in capsys.readouterr().out
    assert len(README.splitlines()) <= 40
