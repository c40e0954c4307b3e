"""How to train: the arguments of ``fit``, checked once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.contracts import Callback
from dagnet.errors import DataError, expected, needed
from dagnet.model import Model
from dagnet.registry import find_optimizer
from dagnet.values import FLAG, NOT_NEGATIVE, POSITIVE, optional, plain, whole

RULES = {
    "epochs": whole(1),
    "batch_size": whole(1),
    "learning_rate": POSITIVE,
    "shuffle": FLAG,
    "blocks": optional(whole(1)),
    "clip_norm": optional(POSITIVE),
    "clip_value": optional(POSITIVE),
    "l1": NOT_NEGATIVE,
    "l2": NOT_NEGATIVE,
}


@dataclass(frozen=True)
class Settings:
    """The arguments of ``fit`` that say how to train; making one checks them.

    Attributes
    ----------
    epochs
        Passes over the data in all, those before a resume included.
    batch_size
        Rows a step; more than there are is all of them.
    optimizer
        The update rule, an :class:`~dagnet.contracts.Optimizer`; it may be given by name.
    learning_rate
        Its first learning rate; None is the optimizer's own.
    shuffle
        Whether every epoch takes the rows in an order of its own.
    seed
        The seed of that order: a whole number, None, a SeedSequence or a Generator.
    clip_norm, clip_value
        The gradient's largest Euclidean norm, and the largest absolute value of an entry, or
        None.  Where both are given, the values are clipped first.
    distributed, blocks
        See :meth:`dagnet.Network.fit`; then a :class:`~dagnet.contracts.Group`, or None.
    l1, l2
        The reported loss has l1·Σ|w| + l2·Σw² added, over the trainable weights, not biases.

    Raises
    ------
    DataError
        For the first argument that breaks its rule.
    PluginError
        For an unknown optimizer.

    Examples
    --------
    >>> Settings(epochs=5, optimizer="sgd", learning_rate=1).learning_rate
    1.0
    """

    epochs: int = 100
    batch_size: int = 32
    optimizer: Any = "adam"
    learning_rate: Any = None
    shuffle: bool = True
    seed: Any = None
    clip_norm: float | None = None
    clip_value: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    distributed: Any = False
    blocks: int | None = None

    def __post_init__(self) -> None:
        own = self.__dict__
        own["optimizer"] = find_optimizer(self.optimizer)
        if self.learning_rate is None:
            own["learning_rate"] = self.optimizer.learning_rate
        for name, given in own.items():
            if given is not getattr(Settings, name):  # defaults are as they must be
                rule, value = RULES.get(name), plain(given)
                own[name] = value if rule is None else rule.check(name, value)
        group, alone = None, self.distributed is False or self.distributed is None
        if self.blocks is not None or not alone:
            sharing = needed("fit(distributed=…, blocks=…)", "dagnet_torch.sharing", "dagnet-torch")
            group = sharing.group_of(self.distributed, self.blocks)
        self.__dict__["distributed"] = group

    def described(self) -> dict[str, Any]:
        """What an exact resume must have in common, by the name of the argument."""
        seed = self.seed
        if isinstance(seed, np.random.SeedSequence):
            seed = f"SeedSequence({seed.entropy}, spawn_key={seed.spawn_key})"
        words = {"optimizer": str(self.optimizer)}
        words["seed"] = "a Generator" if isinstance(seed, np.random.Generator) else seed
        hidden = {"epochs", "distributed"} | ({"blocks"} if self.blocks is None else set())
        return {name: value for name, value in {**vars(self), **words}.items() if name not in hidden}


def checked_callbacks(callbacks: object) -> tuple[Callback, ...]:
    """Callbacks in the order in which they are called: as given, then those that run last."""
    must = "a list of Callback objects, such as [dagnet.EarlyStopping(patience=10)]"
    if isinstance(callbacks, (str, bytes, Callback)) or not isinstance(callbacks, Iterable):
        raise DataError(expected("callbacks", must, callbacks))
    listed = tuple(callbacks)
    for number, callback in enumerate(listed):
        if not isinstance(callback, Callback):
            mend = "make one of the class" if isinstance(callback, type) else "derive it from dagnet.Callback"
            raise DataError(expected(f"callbacks[{number}]", "a Callback object", callback, mend))
    return tuple(sorted(listed, key=lambda callback: bool(callback.runs_last)))


def stateful(callbacks: Iterable[Callback]) -> list[Callback]:
    """The callbacks that a checkpoint must carry along."""
    return [callback for callback in callbacks if callback.state()]


def listening(callbacks: Iterable[Callback], idle: Callable[..., None]) -> list[Callable[..., None]]:
    """That method of the callbacks that override it, so that the others cost nothing a batch."""
    methods = [getattr(callback, idle.__name__) for callback in callbacks]
    return [method for method in methods if getattr(method, "__func__", None) is not idle]


class Agreement(Callback):
    """What several processes do behind all that steers: stop where any does, at the first one's rate."""

    def __init__(self, *, steered: bool) -> None:
        self._steered = steered  # between epochs, too

    def on_training_begin(self, run: Any) -> None:
        """Agree."""
        wrong = "no longer the parameters of rank 0; callbacks must change the same in all processes"
        mine = np.array([run.stop, run.learning_rate])
        every = run.settings.distributed.agreed(mine, run.model.vector, wrong)
        run.stop, run.learning_rate = bool(every[:, 0].any()), float(every[0, 1])

    on_epoch_begin = on_epoch_end = on_training_begin

    def on_batch_end(self, run: Any) -> None:
        """Agree where somebody may have stopped or changed something."""
        if self._steered:
            self.on_training_begin(run)


def refuse_noise(settings: Settings, model: Model, rows: int, *, listened: bool) -> None:
    """Refuse what gives an optimizer that searches another gradient than that of one smooth loss."""
    if not settings.optimizer.searches:
        return
    given, size = vars(settings), settings.batch_size
    wrong = [f"{name}={given[name]!r}" for name in ("l1", "clip_norm", "clip_value") if given[name]]
    wrong += ["callbacks with on_gradient"] if listened else []
    wrong += ["dropout"] if model.topology.node_words.get("dropout") else []
    mend = [f"write batch_size={rows} or more, not {size}"] if size < rows else []
    mend += [f"leave out {', '.join(wrong)}"] if wrong else []
    if mend:
        what = f"optimizer {settings.optimizer.name!r} searches along the loss of all rows as it is"
        raise DataError(f"{what}: {', '.join(mend)}; or use 'adam'")
