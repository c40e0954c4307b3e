"""The hooks.  Each is called once, when the plugin is registered, never while a network runs.

A hook returns an iterable of the things that it names.  A name that is taken, a thing of the
wrong type or an exception refuses the whole plugin; the message names both parties.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from dagnet.contracts import (
    Activation,
    Aggregation,
    Attributor,
    Engine,
    Exporter,
    Initializer,
    Loss,
    Optimizer,
)

hookspec = pluggy.HookspecMarker("dagnet")
hookimpl = pluggy.HookimplMarker("dagnet")


@hookspec
def dagnet_activations() -> Iterable[Activation]:  # type: ignore[empty-body]
    """Activations: ``return [dagnet.Activation("cube", lambda z: z**3)]``."""


@hookspec
def dagnet_aggregations() -> Iterable[Aggregation]:  # type: ignore[empty-body]
    """Aggregations: ``return [dagnet.Aggregation("range", lambda t: t.max(axis=0) - t.min(axis=0))]``."""


@hookspec
def dagnet_losses() -> Iterable[Loss]:  # type: ignore[empty-body]
    """Losses: ``return [dagnet.Loss("l4", lambda o, t: ((o - t) ** 4).sum(axis=1))]``."""


@hookspec
def dagnet_initializers() -> Iterable[Initializer]:  # type: ignore[empty-body]
    """Initializers: ``return [Initializer("ones", lambda rng, i, o: np.ones_like(i))]``."""


@hookspec
def dagnet_optimizers() -> Iterable[type[Optimizer]]:  # type: ignore[empty-body]
    """Optimizer classes, not instances: ``return [SignDescent]``."""


@hookspec
def dagnet_engines() -> Iterable[Engine]:  # type: ignore[empty-body]
    """Engines: objects with ``name``, ``priority``, ``unavailable``, ``prepare``, ``fused_step``.

    One that is a frozen dataclass has its fields as settings: ``engine="mine(device='cuda')"``.
    """


@hookspec
def dagnet_exporters() -> Iterable[Exporter]:  # type: ignore[empty-body]
    """Exporters: ``return [Exporter("xyz", ".xyz", write)]``."""


@hookspec
def dagnet_attributions() -> Iterable[Attributor]:  # type: ignore[empty-body]
    """Methods of ``net.attribute``: ``return [dagnet.Attributor("smooth_grad", smooth_grad)]``."""
