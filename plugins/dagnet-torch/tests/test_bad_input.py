"""What cannot run is refused in one sentence that says what to do."""

import importlib.util
import subprocess
import sys

import dagnet_torch.engine
import numpy as np
import pytest
import torch
from graphs import network, plain

import dagnet


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torch(device='gpu')", r"device must be 'cpu', 'cuda' or 'cuda:0', …, got 'gpu'"),
        ("torch(device='cuda:x')", r"device must be 'cpu', 'cuda'"),
        ("torch(device=0)", r"device must be 'cpu', 'cuda'"),
        ("torch(compile='yes')", r"compile must be"),
        (
            "torch('cuda')",
            r"engine 'torch' must be with settings by name, device, compile, got torch\('cuda'\)",
        ),
        ("torch(devise='cpu')", r"with settings by name, device, compile"),
        ("reference(device='cpu')", r"engine 'reference' must be without settings"),
        ("torhc(device='cpu')", r"unknown engine 'torhc'; did you mean 'torch'"),
        ("torch(device=", r"a plugin's name must be a name or a call form"),
    ],
)
def test_settings_that_are_none(spec, message):
    with pytest.raises(dagnet.DagnetError, match=message):
        network(plain(), spec)


def test_without_a_card_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = r"engine .* cannot run here: PyTorch .*there is no device 'cuda'; write device='cpu'"
    with pytest.raises(dagnet.PluginError, match=message):
        network(plain(), "torch(device='cuda')")


def test_a_card_that_is_not_there_is_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(dagnet.PluginError, match=r"no device 'cuda:5', only cuda:0 to cuda:1"):
        network(plain(), "torch(device='cuda:5')")


def test_without_pytorch_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(dagnet_torch.engine, "_unavailable", dagnet_torch.engine._unavailable.__wrapped__)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(
        dagnet.PluginError, match=r"cannot run here: PyTorch is not installed; pip install torch"
    ):
        network(plain(), "torch")
    assert dagnet.Network(plain()).engine != "torch"


def test_the_plugin_is_found_without_importing_pytorch():
    script = "import sys, dagnet, dagnet_torch; dagnet.engines(); assert 'torch' not in sys.modules"
    path = {"PYTHONPATH": ":".join(sys.path), "DAGNET_DISABLE_PLUGINS": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, env=path)


def sort_first(z):
    return np.tanh(np.sort(z[None], axis=0)[0])


def test_a_function_without_a_formula_is_named_with_what_to_do():
    graph = plain()
    graph.nodes[30]["activation"] = dagnet.Activation("by_tape", sort_first)
    message = (
        r"engine 'torch': activation 'by_tape' has no formula.*: it picks elements by their place.*; or use "
    )
    with pytest.raises(dagnet.PluginError, match=message + "engine='compiled'"):
        network(graph, "torch")
    graph = plain()
    middle = dagnet.Aggregation("middle", lambda terms: np.sort(terms, axis=0)[len(terms) // 2])
    graph.nodes[30]["aggregation"] = middle
    with pytest.raises(dagnet.PluginError, match=r"aggregation 'middle' has no formula"):
        network(graph, "torch")
