"""Generalised linear models and survival in a drawn network: likelihoods as losses, links as activations."""

import math

import dagnet
from dagnet.values import FACTOR, NOT_NEGATIVE, POSITIVE, between, one_of
from dagnet_glm import likelihoods, links, spread, survival
from dagnet_glm.survival import concordance

__all__ = ["concordance", "dagnet_activations", "dagnet_losses"]

POWER = between("a number from 1 to 2", 1.0, 2.0)
BETWEEN = between("a number between 0 and 1", math.nextafter(0.0, 1.0), math.nextafter(1.0, 0.0))


@dagnet.hookimpl
def dagnet_activations() -> list[dagnet.Activation]:
    """The inverse links that dagnet itself lacks."""
    return [
        dagnet.Activation("cloglog", links.cloglog),
        dagnet.Activation("probit", links.probit, links.normal_density),
    ]


@dagnet.hookimpl
def dagnet_losses() -> list[dagnet.Loss]:
    """Nine losses; ``cox`` and ``ccc`` couple rows."""
    return [
        dagnet.Loss("gamma", likelihoods.gamma, predict=likelihoods.exp, targets="positive"),
        dagnet.Loss(
            "negative_binomial",
            likelihoods.negative_binomial,
            predict=likelihoods.exp,
            targets="count",
            parameters={"alpha": 1.0},
            rules={"alpha": POSITIVE},
        ),
        dagnet.Loss(
            "tweedie",
            likelihoods.tweedie,
            predict=likelihoods.exp,
            targets="count",
            parameters={"power": 1.5},
            rules={"power": POWER},
        ),
        dagnet.Loss("quantile", likelihoods.quantile, parameters={"tau": 0.5}, rules={"tau": BETWEEN}),
        dagnet.Loss("hinge", likelihoods.hinge, predict=likelihoods.positive_class, targets="binary"),
        dagnet.Loss(
            "focal",
            likelihoods.focal,
            predict=likelihoods.probability,
            targets="binary",
            parameters={"alpha": 0.25, "gamma": 2.0},
            rules={"alpha": FACTOR, "gamma": NOT_NEGATIVE},
        ),
        dagnet.Loss(
            "cox",
            survival.cox,
            survival.cox_gradient,
            columns=2,
            targets=("duration", "binary"),
            rowwise=False,
            lacks=survival.lacks_event,
            parameters={"ties": "efron"},
            rules={"ties": one_of("efron", "breslow")},
        ),
        dagnet.Loss(
            "gaussian_nll", spread.gaussian_nll, spread.gaussian_nll_gradient, columns=0.5, minimum_outputs=2
        ),
        dagnet.Loss("ccc", spread.ccc, spread.ccc_gradient, rowwise=False),
    ]
