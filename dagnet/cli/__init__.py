"""The command line: ``dagnet train``, ``predict``, ``evaluate``, ``show``, ``plugins``."""

from dagnet.cli.commands import main

__all__ = ["main"]
