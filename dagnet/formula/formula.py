"""The formula: what a NumPy function calculates, and all that can be asked of it."""

from __future__ import annotations

from typing import Any

from dagnet.formula.data import Calculation
from dagnet.formula.derivative import derivative
from dagnet.formula.evaluation import evaluate
from dagnet.formula.writing import latex, listing


class Formula(Calculation):
    r"""What a function calculates, as frozen data; ``print`` lists it.

    Parameters
    ----------
    arguments
        Their names; they are the first operations, in order.
    ops
        Operations (name, places that it reads, form, whether it is a yes or no, value), each reading
        earlier ones.  ``form`` is ``"number"``, ``"row"``, ``"unit"`` or ``"term"``: how often it is there.
    results
        The places of what the function returns.

    Examples
    --------
    >>> import dagnet
    >>> print(dagnet.activations()["tanh"].formula)
    z ↦
      t1 = tanh(z)
      return t1
    >>> print(dagnet.activations()["sigmoid"].formula.derivative("z").latex)
    \sigma\left(z\right) \, \left(1 - \sigma\left(z\right)\right)
    """

    def __call__(self, *arguments: Any) -> Any:
        """The first result on arrays, by NumPy."""
        return evaluate(self, *arguments)[0]

    def derivative(self, by: str, *, result: str = "") -> Formula:
        """∂(sum of the first result)/∂(an argument), a formula of the same arguments.

        ``result`` names one more argument, after the first: the result itself, given along.
        """
        return derivative(self, by, result)

    def __str__(self) -> str:
        return listing(self)

    @property
    def latex(self) -> str:
        """The first result as one expression."""
        return latex(self)
