"""What holds for a network as a whole: arguments, else what ``graph.graph["dagnet"]`` says."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.contracts import Loss
from dagnet.errors import DagnetWarning, DataError, expected
from dagnet.registry import find_loss
from dagnet.topology.attributes import WORDS
from dagnet.topology.problems import Problems, near_misses

KEYS = ("inputs", "outputs", "loss", "dtype", "unread")
DTYPES = ("float64", "float32")
PLACE = 'graph.graph["dagnet"]'


@dataclass(frozen=True)
class GraphSettings:
    """Inputs and outputs (None: by their degrees), the loss, the dtype; what is wrong with them.

    ``unread`` are words of dagnet's that mean something else in the graph.
    """

    inputs: Iterable[Hashable] | None
    outputs: Iterable[Hashable] | None
    loss: Loss
    dtype: np.dtype[Any]
    problems: Problems
    unread: tuple[str, ...] = ()


def read_settings(
    graph: object,
    *,
    inputs: Iterable[Hashable] | None,
    outputs: Iterable[Hashable] | None,
    loss: str | Loss | None,
    dtype: object,
) -> GraphSettings:
    """The arguments where they are given, else the graph's word, else the defaults.

    Raises
    ------
    PluginError, DataError
        For a loss or a dtype among the arguments that will not do; what is wrong with the
        graph's word is in ``problems``.
    """
    problems = Problems()
    said = _said(graph, problems)
    chosen = find_loss("squared_error" if loss is None else loss)
    if loss is None and said.get("loss") is not None:
        chosen = problems.tried(find_loss, said["loss"], chosen, f'{PLACE}["loss"]: ')
    numbers = checked_dtype(dtype)
    if dtype is None:
        numbers = problems.tried(checked_dtype, said.get("dtype"), numbers, f"{PLACE}: ")
    inputs = said.get("inputs") if inputs is None else inputs
    outputs = said.get("outputs") if outputs is None else outputs
    return GraphSettings(inputs, outputs, chosen, numbers, problems, _unread(said, problems))


def _said(graph: object, problems: Problems) -> Mapping[str, Any]:
    attributes = getattr(graph, "graph", None)
    said = attributes.get("dagnet") if isinstance(attributes, Mapping) else None
    if said is None:
        return {}
    if isinstance(said, Mapping):
        for key, known in near_misses(said, KEYS):
            text = f"{PLACE}: the key {key!r} is not one that dagnet reads; did you mean {known!r}?"
            warnings.warn(text, DagnetWarning, stacklevel=4)
        return said
    problems.refuse(PLACE, "a mapping with the keys inputs, outputs, loss, dtype", said, "remove or mend it")
    return {}


def _unread(said: Mapping[str, Any], problems: Problems) -> tuple[str, ...]:
    words = said.get("unread", ())
    if isinstance(words, (list, tuple)) and all(isinstance(word, str) and word in WORDS for word in words):
        return tuple(words)
    problems.refuse(f'{PLACE}["unread"]', "a list of words of dagnet's", words, "remove or mend it")
    return ()


def checked_dtype(dtype: object) -> np.dtype[Any]:
    """``float64`` (also for None) or ``float32``, or :class:`DataError`."""
    try:
        result = np.dtype(np.float64 if dtype is None else dtype)  # type: ignore[call-overload]
    except Exception:  # noqa: BLE001 - NumPy raises what it likes, strangers' objects too
        result = None
    if result is None or result.name not in DTYPES:
        raise DataError(expected("dtype", "'float64' or 'float32'", dtype))
    return result
