"""The compiled engine."""

from dagnet.hookspecs import hookimpl


@hookimpl
def dagnet_engines():
    return []
