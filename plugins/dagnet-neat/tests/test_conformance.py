"""The plugin passes the kit that dagnet's own activations pass."""

import dagnet_neat

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks(dagnet_neat.dagnet_activations())
def test_conformance(check):
    check()
