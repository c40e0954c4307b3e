"""The built-in activations and the forms of them that their tests go through."""

import numpy as np

from dagnet.builtins import activations
from dagnet.contracts import Activation
from dagnet.registry import parse_call

ACTIVATIONS = {item.name: item for item in activations.dagnet_activations()}
NAMES = [
    *("identity", "relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid"),
    *("log_sigmoid", "tanh", "softplus", "softsign", "hard_sigmoid", "hard_swish", "hard_tanh", "relu6"),
    *("tanhshrink", "softshrink", "hardshrink", "threshold", "exp", "sin", "cos", "square", "gaussian"),
    "atan",
]
VARIANTS = [
    *NAMES,
    "leaky_relu(0.0)",
    "leaky_relu(negative_slope=0.3)",
    "leaky_relu(1.5)",
    "leaky_relu(-0.5)",
    "elu(2.0)",
    "elu(0.0)",
    "elu(alpha=-0.7)",
    "celu(2.0)",
    "celu(0.3)",
    "gelu(approximate='tanh')",
    "softplus(beta=2.0, threshold=3.0)",
    "softplus(-2.0, 3.0)",
    "softplus(1.0, -3.0)",
    "hard_tanh(-0.1, 2.0)",
    "softshrink(0.1)",
    "softshrink(0.0)",
    "hardshrink(lambd=0.1)",
    "hardshrink(0.0)",
    "threshold(1.0, 20.0)",
    "threshold(threshold=0.1, value=-2.0)",
]
DTYPES = [np.float32, np.float64]


def bound(form: str) -> Activation:
    name, positional, named = parse_call(form)
    return ACTIVATIONS[name].bind(*positional, **named) if positional or named else ACTIVATIONS[name]
