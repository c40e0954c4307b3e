"""Generalised linear models inside a drawn network: likelihoods as losses, links as activations."""

from typing import Any

import dagnet
from dagnet.contracts.rules import NOT_NEGATIVE, POSITIVE, Rule, is_number
from dagnet_glm import likelihoods, links

__all__ = ["dagnet_activations", "dagnet_losses"]


def _is_power(value: Any, _settings: Any) -> bool:
    return is_number(value) and 1.0 <= value <= 2.0


def _is_between(value: Any, _settings: Any) -> bool:
    return is_number(value) and 0.0 < value < 1.0


def _is_share(value: Any, _settings: Any) -> bool:
    return is_number(value) and 0.0 <= value <= 1.0


POWER = Rule("a number from 1 to 2", _is_power)
BETWEEN = Rule("a number between 0 and 1", _is_between)
SHARE = Rule("a number from 0 to 1", _is_share)


@dagnet.hookimpl
def dagnet_activations() -> list[dagnet.Activation]:
    """The inverse links that dagnet itself lacks."""
    return [
        dagnet.Activation("cloglog", links.cloglog),
        dagnet.Activation("probit", links.probit, links.normal_density),
    ]


@dagnet.hookimpl
def dagnet_losses() -> list[dagnet.Loss]:
    """Six losses, all of them row by row."""
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
            rules={"alpha": SHARE, "gamma": NOT_NEGATIVE},
        ),
    ]
