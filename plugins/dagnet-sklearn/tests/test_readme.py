"""The README's code runs, and says what it prints."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_code_runs(capsys):
    for block in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL):
        exec(block, {})
    accuracy, weight = map(float, capsys.readouterr().out.split())
    assert abs(accuracy - 0.95) < 0.02
    assert weight != 0
