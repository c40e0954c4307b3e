"""The kinds of plugins: the hook of each, what an item must be, and how to tell."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from dagnet.contracts import Activation, Exporter, Initializer, Loss, Optimizer

ENGINE_METHODS = ("unavailable", "prepare", "fused_step")


@dataclass(frozen=True)
class Kind:
    """One kind of plugin."""

    singular: str
    hook: str
    must: str
    fits: Callable[[object], bool]


def _instances(singular: str, hook: str, cls: type) -> Kind:
    article = "an" if cls.__name__[0] in "AEIOU" else "a"
    return Kind(singular, hook, f"{article} {cls.__name__}", lambda item: isinstance(item, cls))


def _is_optimizer(item: object) -> bool:
    if not inspect.isclass(item) or not issubclass(item, Optimizer):
        return False
    return item.update is not Optimizer.update or item.step is not Optimizer.step


def _is_engine(item: object) -> bool:
    if inspect.isclass(item) or not isinstance(getattr(item, "priority", None), (int, float)):
        return False
    return all(callable(getattr(item, method, None)) for method in ENGINE_METHODS)


KINDS: dict[str, Kind] = {
    "activations": _instances("activation", "dagnet_activations", Activation),
    "losses": _instances("loss", "dagnet_losses", Loss),
    "initializers": _instances("initializer", "dagnet_initializers", Initializer),
    "optimizers": Kind(
        "optimizer",
        "dagnet_optimizers",
        "a subclass of Optimizer that defines update() or step()",
        _is_optimizer,
    ),
    "engines": Kind(
        "engine",
        "dagnet_engines",
        "an engine with a name, a priority and the methods unavailable, prepare and fused_step",
        _is_engine,
    ),
    "exporters": _instances("exporter", "dagnet_exporters", Exporter),
}
