"""What an explanation is given: a network, and one row of data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.errors import DataError, expected
from dagnet.model import Model
from dagnet.model.data import is_table


def checked_network(net: object) -> Model:
    """What is asked about must be a network."""
    if not isinstance(net, Model):
        mend = "build one with dagnet.Network(graph)"
        raise DataError(expected("net", "a dagnet.Network", net, mend))
    return net


def as_table(what: str, values: Any, names: Sequence[Hashable] = ()) -> Any:
    """One row as a table of one row; what is a table already is left to the usual checks."""
    if is_table(values) and not isinstance(values, Mapping):
        return values  # a data frame, whose columns are found by name
    if hasattr(values, "to_dict") and not set(names).isdisjoint(getattr(values, "index", ())):
        values = values.to_dict()  # a row taken of a data frame, which carries its columns' names
    if isinstance(values, Mapping):
        return {name: as_table(what, value) for name, value in values.items()}
    try:
        array = np.asarray(values)
    except ValueError:
        return values
    if array.ndim == 0 or (array.ndim == 1 and (what == "x" or len(array) != 1)):
        return array[None]
    return array
