"""Arrays and text inside an HTML page: compact, and never markup."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

KINDS = {"f8": "<f8", "f4": "<f4", "i4": "<i4", "u1": "|u1"}


def packed(values: ArrayLike, kind: str) -> dict[str, str]:
    """An array as base64 of its little-endian bytes; ``kind`` is f8, f4, i4 or u1.

    Examples
    --------
    >>> packed([1, 2], "u1")
    {'kind': 'u1', 'data': 'AQI='}
    """
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(np.asarray(values).ravel(), KINDS[kind])
    return {"kind": kind, "data": base64.b64encode(data.tobytes()).decode("ascii")}


def script_json(payload: dict[str, Any]) -> str:
    r"""JSON that can stand inside ``<script type="application/json">``.

    Plain ASCII; ``<``, ``>`` and ``&`` are escaped too, so that nothing in it ends the element
    or begins another.

    Examples
    --------
    >>> print(script_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
