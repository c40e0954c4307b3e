"""The plugin passes the kit that dagnet's own activations and losses pass."""

import dagnet_glm

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks([*dagnet_glm.dagnet_activations(), *dagnet_glm.dagnet_losses()])
def test_conformance(check):
    check()
