"""The format passes the kit that dagnet's own formats pass."""

import dagnet_onnx

from dagnet.testing import parametrize_with_checks


@parametrize_with_checks(dagnet_onnx.dagnet_exporters())
def test_conformance(check):
    check()
