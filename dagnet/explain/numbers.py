"""Numbers, vectors and matrices inside formulas: short, and signed as a textbook would."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.explain.chain_parts import Number
from dagnet.markup import number

__all__ = ["product", "quantity", "signed_sum", "term"]

Array = NDArray[Any]
SMALL = 6


def quantity(value: Number) -> str:
    """A number; a small array in brackets; of a large one its shape and largest magnitude.

    Examples
    --------
    >>> quantity(0.5), quantity(np.eye(2)), quantity(np.ones((20, 3)))
    ('0.5', '[1 0; 0 1]', '(20×3, largest 1)')
    """
    if not isinstance(value, np.ndarray):
        return number(value)
    if value.size > SMALL:
        shape = "×".join(map(str, value.shape))
        return f"({shape}, largest {number(float(np.abs(value).max()))})"
    rows = [" ".join(map(number, row)) for row in np.atleast_2d(value).tolist()]
    return f"[{'; '.join(rows)}]"


def term(value: Number) -> str:
    """The same inside a product: negative numbers in parentheses.

    Examples
    --------
    >>> term(-2.0)
    '(-2)'
    """
    text = quantity(value)
    return f"({text})" if text.startswith("-") else text


def product(values: list[Number]) -> str:
    """Factors with dots between them.

    Examples
    --------
    >>> product([-2.0, 3.0, -1.0])
    '-2 · 3 · (-1)'
    """
    return " · ".join([quantity(values[0]), *map(term, values[1:])])


def signed_sum(terms: list[str]) -> str:
    """Terms with + and − between them.

    Examples
    --------
    >>> signed_sum(["0.3·x1", "-0.1·x2", "0.5"])
    '0.3·x1 − 0.1·x2 + 0.5'
    """
    parts = [f"− {text[1:]}" if text.startswith("-") else f"+ {text}" for text in terms[1:]]
    return " ".join([*terms[:1], *parts])
