"""Generalised linear models inside a drawn network: likelihoods as losses, links as activations."""

import dagnet
from dagnet_glm import likelihoods, links

__all__ = ["dagnet_activations", "dagnet_losses"]


@dagnet.hookimpl
def dagnet_activations() -> list[dagnet.Activation]:
    """The inverse links that dagnet itself lacks."""
    return [
        dagnet.Activation("cloglog", links.cloglog, links.cloglog_derivative),
        dagnet.Activation("probit", links.probit, links.normal_density),
    ]


@dagnet.hookimpl
def dagnet_losses() -> list[dagnet.Loss]:
    """Six losses, all of them row by row."""
    return [
        dagnet.Loss("gamma", likelihoods.gamma, likelihoods.gamma_gradient, predict=likelihoods.exp),
        dagnet.Loss(
            "negative_binomial",
            likelihoods.negative_binomial,
            likelihoods.negative_binomial_gradient,
            predict=likelihoods.exp,
            targets="count",
            parameters={"alpha": 1.0},
        ),
        dagnet.Loss(
            "tweedie",
            likelihoods.tweedie,
            likelihoods.tweedie_gradient,
            predict=likelihoods.exp,
            targets="count",
            parameters={"power": 1.5},
        ),
        dagnet.Loss("quantile", likelihoods.quantile, likelihoods.quantile_gradient, parameters={"tau": 0.5}),
        dagnet.Loss(
            "hinge",
            likelihoods.hinge,
            likelihoods.hinge_gradient,
            predict=likelihoods.positive_class,
            targets="binary",
        ),
        dagnet.Loss(
            "focal",
            likelihoods.focal,
            likelihoods.focal_gradient,
            predict=likelihoods.sigmoid,
            targets="binary",
            parameters={"alpha": 0.25, "gamma": 2.0},
        ),
    ]
