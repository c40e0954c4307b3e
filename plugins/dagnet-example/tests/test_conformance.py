"""The plugin passes the kit that dagnet's own activations and losses pass."""

import dagnet_example

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks([*dagnet_example.dagnet_activations(), *dagnet_example.dagnet_losses()])
def test_conformance(check):
    check()
