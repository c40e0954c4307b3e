"""The conformance kit: what a plugin must do, as checks that its author runs.

Each check is a small function whose name is the sentence that it checks, for instance
``check_the_derivative_is_the_functions``.  dagnet's own plugins pass the same kit.

Examples
--------
>>> import dagnet
>>> import dagnet.testing
>>> wrong = dagnet.Activation("wrong", dagnet.activations()["square"].function, lambda z, a: z)
>>> dagnet.testing.outcomes(wrong)[4].passed
False

Under pytest, :func:`parametrize_with_checks` makes a test of each check; see there.
"""

from dagnet.testing.kit import (
    check_activation,
    check_engine,
    check_exporter,
    check_initializer,
    check_loss,
    check_optimizer,
    checks_of,
    outcomes,
)
from dagnet.testing.outcomes import Outcome
from dagnet.testing.parametrized import parametrize_with_checks

__all__ = [
    "Outcome",
    "check_activation",
    "check_engine",
    "check_exporter",
    "check_initializer",
    "check_loss",
    "check_optimizer",
    "checks_of",
    "outcomes",
    "parametrize_with_checks",
]
