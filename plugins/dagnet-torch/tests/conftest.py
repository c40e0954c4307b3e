import sys
from pathlib import Path

import dagnet_torch
import pytest

import dagnet

sys.path.append(str(Path(__file__).parents[3] / "tests"))  # dagnet's own checks and graphs, in `data`

if "torch" not in dagnet.engines():  # not installed, only on the path
    dagnet.register(dagnet_torch)


def pytest_generate_tests(metafunc):
    """Every test with a ``device`` runs on the processor, and on a card where there is one."""
    if "device" not in metafunc.fixturenames:
        return
    import torch  # noqa: PLC0415 - after the plugin is registered

    none = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device here")
    metafunc.parametrize("device", ["cpu", pytest.param("cuda", marks=none)])


@pytest.fixture
def engine(device):
    """The engine's call form on the device."""
    return "torch" if device == "cpu" else f"torch(device={device!r})"
