"""Taking a run up again where a snapshot left it, to the bit, or saying why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Callback, History
from dagnet.errors import DagnetError, DataError, expected
from dagnet.model import Layout, ParameterName, ParameterNames
from dagnet.training.run import TrainingRun
from dagnet.training.settings import stateful

KEYS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("epoch", "batch", "steps", "masks"), int),
    **dict.fromkeys(("learning_rate", "loss_sum", "weight_sum"), (int, float)),
    "generator": str,
    "parameters": np.ndarray,
    "callbacks": list,
    **dict.fromkeys(("optimizer", "history", "settings", "graph", "data"), dict),
    "head_sums": list,
}


def restore(run: TrainingRun, snapshot: dict[str, Any]) -> None:
    """Put a run, not yet trained, where :meth:`TrainingRun.snapshot` was taken.

    It then ends with the same bits as a run that was never interrupted, on the same engine
    with the same number of threads.  ``epochs`` may be larger now.

    Raises
    ------
    DataError
        If the graph, the data, a setting or a callback with a state is another one, naming it.
        Nothing is changed then.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> def run(epochs):
    ...     settings = Settings(epochs=epochs, seed=1)
    ...     return TrainingRun(net, [[1.0], [2.0]], [2.0, 4.0], settings)
    >>> from dagnet.training import Settings
    >>> first = run(2)
    >>> _ = first.train()
    >>> second = run(5)
    >>> restore(second, first.snapshot())
    >>> len(second.train()["loss"])
    5
    """
    snapshot = {"masks": 0, **snapshot} if isinstance(snapshot, dict) else snapshot
    _check_form(snapshot)
    _check_same(run, snapshot)
    optimizer = _checked_optimizer(run, snapshot["optimizer"])
    parameters = _checked_array("parameters", snapshot["parameters"], run.model.vector)
    history = _checked_history(snapshot)
    for callback, kept in zip(stateful(run.callbacks), snapshot["callbacks"], strict=True):
        _restore_callback(callback, kept["state"])
    run.generator.bit_generator.state = _checked_generator(run, snapshot["generator"])
    run.learner.restore(parameters, optimizer, snapshot["steps"])
    run.learner.masks = snapshot["masks"]
    run.history = history
    run.epoch, run.done = snapshot["epoch"], snapshot["batch"]
    run.head_sums = [np.array(array) for array in snapshot["head_sums"]]
    run.loss_sum, run.weight_sum = float(snapshot["loss_sum"]), float(snapshot["weight_sum"])
    run.learning_rate = snapshot["learning_rate"]


def _restore_callback(callback: Callback, state: Any) -> None:
    try:
        callback.restore(state)
    except DagnetError:
        raise
    except Exception as error:
        must = f"a state that {type(callback).__name__}.restore can read ({type(error).__name__}: {error})"
        raise DataError(expected("resume: the checkpoint's callbacks", must, state)) from error


def _check_form(snapshot: object) -> None:
    if not isinstance(snapshot, dict):
        raise DataError(expected("resume: the checkpoint", "a snapshot of a run", snapshot))
    for key, kind in KEYS.items():
        value = snapshot.get(key)
        whole = kind is not int or (not isinstance(value, bool) and isinstance(value, int) and value >= 0)
        if not isinstance(value, kind) or not whole:
            what = f"its {key!r} is missing or damaged"
            raise DataError(f"resume: the checkpoint is no snapshot of a run; {what}")


def _check_same(run: TrainingRun, snapshot: dict[str, Any]) -> None:
    """Name what differs between the run and the checkpoint, all of it."""
    graph = _differing(run.fingerprints["graph"], snapshot["graph"])
    differences = [f"the graph's {part}" for part in graph]
    differences += _differing(run.fingerprints["data"], snapshot["data"])
    now, then = run.settings.described(), snapshot["settings"]
    changed = _differing(now, then)
    differences += [f"{name} (then {then.get(name)!r}, now {now.get(name)!r})" for name in changed]
    with_state = [type(callback).__name__ for callback in stateful(run.callbacks)]
    kept = [item.get("name") if isinstance(item, dict) else None for item in snapshot["callbacks"]]
    if with_state != kept:
        differences.append(f"the callbacks with a state (then {kept}, now {with_state})")
    if differences:
        raise DataError(
            "resume: the run is not the one that the checkpoint was taken of; different: "
            f"{'; '.join(differences)}; use the same arguments, or leave resume out to start anew"
        )


def _differing(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    missing = object()
    return [name for name in {**then, **now} if now.get(name, missing) != then.get(name, missing)]


def _other(what: str, must: str, got: object) -> DataError:
    return DataError(expected(f"resume: {what} in the checkpoint", must, got))


def _checked_array(where: str, value: object, like: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.shape != like.shape or value.dtype != like.dtype:
        got = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else value
        raise _other(where, f"{like.dtype} of shape {like.shape}", got)
    return value


def _checked_optimizer(run: TrainingRun, state: dict[str, Any]) -> dict[str, Any]:
    fresh = run.learner.state()
    if set(state) != set(fresh):
        raise _other("the optimizer's state", f"the vectors {sorted(fresh)}", sorted(state))
    return {name: _checked_array(f"the optimizer's {name!r}", state[name], fresh[name]) for name in fresh}


def _checked_history(snapshot: dict[str, Any]) -> History:
    epoch = snapshot["epoch"]
    for name, column in snapshot["history"].items():
        _checked_array(f"the history's {name!r}", column, np.empty(epoch))
    history = History(snapshot["history"])
    if history.epochs != epoch:
        raise _other("the history", f"{epoch} epochs long", history.epochs)
    return history


def _checked_generator(run: TrainingRun, text: str) -> Any:
    """The generator's state, after seeing that a generator of this kind takes it."""
    kind = type(run.generator.bit_generator)
    try:
        state = json.loads(text)
        kind().state = state
    except (ValueError, TypeError, KeyError) as error:
        raise _other("the generator", f"a state of {kind.__name__}", text) from error
    return state


class Carried(NamedTuple):
    """An optimizer's vectors, of the parameters that are not frozen, after so many steps."""

    layout: Layout
    optimizer: str
    steps: int
    vectors: Mapping[str, Array]


def carry(run: TrainingRun, previous: Any) -> None:
    """Let a run, not yet trained, go on with what ``previous``, a History or its network, has by name."""
    old = getattr(getattr(previous, "history", previous), "state", None)
    if not isinstance(old, Carried):
        must = "what a fit that came to its end returned, or the network that it trained"
        raise DataError(expected("state", must, previous))
    optimizer, fresh = run.settings.optimizer, run.learner.state()
    names, were = _free(run.model.layout), {name: place for place, name in enumerate(_free(old.layout))}
    kept = [place for place, name in enumerate(names) if name in were]
    shapes = [{name: vector.shape[:-1] for name, vector in state.items()} for state in (fresh, old.vectors)]
    same = len(kept) == len(names) == len(were) or not optimizer.searches  # which sees all of them together
    if optimizer.name != old.optimizer or shapes[0] != shapes[1] or not same:
        must = f"of optimizer {optimizer.name!r}, its settings, and for 'lbfgs' of the same parameters"
        raise DataError(expected("state", must, old.optimizer, "or leave state out"))
    vectors = {name: vector.copy() for name, vector in fresh.items()}
    for name, vector in vectors.items():
        vector[..., kept] = old.vectors[name][..., [were[names[place]] for place in kept]]
    run.learner.restore(run.learner.parameters(), vectors, old.steps)


def _free(layout: Layout) -> list[ParameterName]:
    """The names of the parameters that are not frozen."""
    names = ParameterNames(layout)
    return [names[place] for place in np.flatnonzero(layout.trainable).tolist()]
