"""The engine passes the kit that dagnet's own engines pass, on the processor and on a card."""

import dagnet_torch
import pytest
import torch

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks([dagnet_torch.TorchEngine()])
def test_conformance(check):
    check()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device here")
@parametrize_with_checks([dagnet_torch.TorchEngine(device="cuda")])
def test_conformance_on_a_card(check):
    check()
