"""What holds for a network as a whole: arguments, else what ``graph.graph["dagnet"]`` says."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.contracts import Loss
from dagnet.errors import DagnetError, DagnetWarning, DataError, expected
from dagnet.registry import find_loss
from dagnet.topology.problems import Problems, near_misses

KEYS = ("inputs", "outputs", "loss", "dtype")
DTYPES = ("float64", "float32")
PLACE = 'graph.graph["dagnet"]'


@dataclass(frozen=True)
class Settings:
    """Inputs and outputs (None: by their degrees), the loss, the dtype; what is wrong with them."""

    inputs: Iterable[Hashable] | None
    outputs: Iterable[Hashable] | None
    loss: Loss
    dtype: np.dtype[Any]
    problems: Problems


def read_settings(
    graph: object,
    *,
    inputs: Iterable[Hashable] | None,
    outputs: Iterable[Hashable] | None,
    loss: str | Loss | None,
    dtype: object,
) -> Settings:
    """The arguments where they are given, else the graph's word, else the defaults.

    Raises
    ------
    PluginError, DataError
        For a loss or a dtype among the arguments that will not do; what is wrong with the
        graph's word is in ``problems``.
    """
    problems = Problems()
    said = _said(graph, problems)
    return Settings(
        inputs=said.get("inputs") if inputs is None else inputs,
        outputs=said.get("outputs") if outputs is None else outputs,
        loss=_said_loss(said.get("loss"), problems) if loss is None else find_loss(loss),
        dtype=_said_dtype(said.get("dtype"), problems) if dtype is None else checked_dtype(dtype),
        problems=problems,
    )


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


def _said_loss(spec: object, problems: Problems) -> Loss:
    default = find_loss("squared_error")
    if spec is None:
        return default
    try:
        return find_loss(spec)
    except DagnetError as error:
        problems.append(f'{PLACE}["loss"]: {error}')
        return default


def _said_dtype(spec: object, problems: Problems) -> np.dtype[Any]:
    try:
        return checked_dtype(spec)
    except DataError as error:
        problems.append(f"{PLACE}: {error}")
        return np.dtype(np.float64)


def checked_dtype(dtype: object) -> np.dtype[Any]:
    """``float64`` (also for None) or ``float32``, or :class:`DataError`."""
    try:
        result = np.dtype(np.float64 if dtype is None else dtype)  # type: ignore[call-overload]
    except Exception:  # noqa: BLE001 - NumPy raises what it likes, strangers' objects too
        result = None
    if result is None or result.name not in DTYPES:
        raise DataError(expected("dtype", "'float64' or 'float32'", dtype))
    return result
