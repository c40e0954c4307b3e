"""The README's code runs and says what it promises."""

import re
from pathlib import Path

import dagnet_glm

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_readmes_code_finds_what_the_data_were_made_with(capsys):
    found = []
    for code in re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        exec(compile(code, "README.md", "exec"), {})
        found.append([float(number) for number in capsys.readouterr().out.split()])
    (bias, weight), (first, second, concordance) = found
    assert abs(bias - 0.5) < 0.1
    assert abs(weight - 0.8) < 0.1
    assert abs(first - 0.8) < 0.15
    assert abs(second + 0.5) < 0.15
    assert concordance > 0.7


def test_every_loss_and_link_is_in_the_readme():
    named = [*dagnet_glm.dagnet_losses(), *dagnet_glm.dagnet_activations()]
    assert [str(item) for item in named if f"`{item}`" not in README] == []
