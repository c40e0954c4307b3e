"""The engine passes the kit that dagnet's own engines pass."""

import dagnet_torch

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks([dagnet_torch.TorchEngine()])
def test_conformance(check):
    check()
