"""The exporters pass the kit that dagnet's own pass."""

import dagnet_matplotlib

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks(dagnet_matplotlib.dagnet_exporters())
def test_conformance(check):
    check()
