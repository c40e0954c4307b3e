"""The conformance kit: what a plugin must do, as checks that its author runs.

Each check is a small function whose name is the sentence that it checks, for instance
``check_the_derivative_is_the_functions``.  dagnet's own plugins pass the same kit.

Examples
--------
>>> import dagnet
>>> import dagnet.testing
>>> step = dagnet.Activation("step", lambda z: 1.0 * (z > 0), lambda z, a: 1 / (1 + z * z), surrogate=True)
>>> dagnet.testing.outcomes(step)[2].passed  # check_the_derivative_is_the_functions
False

Under pytest, :func:`parametrize_with_checks` makes a test of each check; see there.
"""

from dagnet.testing.kit import (
    check_activation,
    check_aggregation,
    check_engine,
    check_exporter,
    check_initializer,
    check_loss,
    check_optimizer,
    checks_of,
    outcomes,
    parametrize_with_checks,
)
from dagnet.testing.outcomes import Outcome

__all__ = [
    "Outcome", "check_activation", "check_aggregation", "check_engine", "check_exporter", "check_initializer",
    "check_loss", "check_optimizer", "checks_of", "outcomes", "parametrize_with_checks",
]  # fmt: skip
