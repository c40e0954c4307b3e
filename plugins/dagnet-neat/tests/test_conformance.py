"""The plugin passes the kit that dagnet's own activations and aggregations pass."""

import dagnet_neat

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks([*dagnet_neat.dagnet_activations(), *dagnet_neat.dagnet_aggregations()])
def test_conformance(check):
    check()
