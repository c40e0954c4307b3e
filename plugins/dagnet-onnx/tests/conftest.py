"""The plugin is there, and dagnet's own strategy for graphs where it is at hand."""

import sys
from pathlib import Path

import dagnet_onnx

import dagnet

REPOSITORY = Path(__file__).parents[3]
sys.path.append(str(REPOSITORY / "tests"))  # data.strategies
if "onnx" not in dagnet.exporters():  # not installed, only on the path
    dagnet.register(dagnet_onnx)
