"""The plan with its companions: a checker, a knife and a printer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dagnet.arrays import Array
from dagnet.markup import listing_html
from dagnet.plan.frozen import PlanData
from dagnet.plan.listing import list_plan
from dagnet.plan.restriction import restrict_plan
from dagnet.plan.verification import verify_plan


@dataclass(frozen=True, eq=False, repr=False)
class Plan(PlanData):
    """A compiled graph; for its fields see :class:`dagnet.plan.frozen.PlanData`."""

    def verify(self) -> None:
        """Check every invariant above.

        Raises
        ------
        DagnetError
            Naming the first invariant that does not hold.
        """
        verify_plan(self)

    def restrict(
        self, units: Array | None = None, parameters: Array | None = None, *, deltas: Array | None = None
    ) -> Plan:
        """Cut the plan down to what is wanted.

        Parameters
        ----------
        units
            (units,) mask: compute only these; the other units that they read become the inputs
            of the restricted plan.  None: all.
        parameters
            (slots,) mask: want the derivatives for these only.  None: those wanted now.
        deltas
            (units,) mask of further units whose δ is wanted (inputs, say).

        Returns
        -------
        Plan
            Its reverse walk enters exactly the units that have something wanted in their
            parent chain (themselves included) and that reach an output.
        """
        return restrict_plan(self, units, parameters, deltas)

    def everywhere(self) -> Plan:
        """The plan whose reverse walk enters every unit and finds every derivative, frozen ones too."""
        return self.restrict(parameters=np.ones(self.n_slots, bool), deltas=np.ones(self.n_units, bool))

    def __str__(self) -> str:
        return list_plan(self)

    def _repr_html_(self) -> str:
        return listing_html(list_plan(self))
