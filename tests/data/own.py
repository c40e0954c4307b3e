"""What dagnet brings itself, whatever else is installed beside it."""

from dagnet import registry


def own(kind):
    """By name, of a kind such as ``"losses"``."""
    table = getattr(registry, kind)()
    return {
        name: item for name, item in table.items() if registry.origin(kind, name).distribution == "dagnet"
    }
