"""For each check of activations, losses and initializers, plugins that break what it is named for.

What is refused when it is made cannot be here: these break only with other numbers than are tried then,
or calculate by themselves, or say that they mean it.
"""

# ruff: noqa: PLW0108 - the functions are as users write them

import itertools

import numpy as np

from dagnet import Activation, Initializer, Loss

# -- activations -----------------------------------------------------------------------------


class OnlyHere:
    """A function that can be neither pickled nor copied."""

    def __call__(self, z):
        return z * 2

    def __reduce_ex__(self, protocol):
        raise TypeError("not me")


class Flat(Activation):
    def slope(self, z, a):
        return np.ones(z.size)


def centred(z):
    return z - z.mean(axis=0, keepdims=True) if z.size > 12 else z


def coarse(z):
    return z if z.dtype == np.float64 else z.astype(np.float16).astype(np.float32)


ones = lambda z, a: np.ones_like(z)
ACTIVATIONS = {
    "check_shape_and_dtype_are_preserved": [
        Activation("double", lambda z: np.array(z, np.float64), ones),
        Flat("flat", lambda z: z * 1, ones),
    ],
    "check_each_number_is_computed_on_its_own": [
        Activation("centred", centred, ones, surrogate=True),
        Activation("by_place", lambda z: z + (np.arange(z.shape[-1]) if z.size > 12 else 0), ones),
    ],
    "check_the_derivative_is_the_functions": [
        Activation("wrong", lambda z: z**2, lambda z, a: z, surrogate=True),
        Activation("near", lambda z: np.tanh(z), lambda z, a: (1 - a * a) * 1.00001),
        Activation("kinked", lambda z: np.maximum(z, 0), lambda z, a: (z > 0).astype(z.dtype)),
    ],
    "check_single_precision_agrees_with_double": [Activation("coarse", coarse, ones)],
    "check_it_is_finite_on_the_grid": [
        Activation("log", lambda z: np.log(z)),
        Activation("root", lambda z: np.sqrt(np.abs(z)), lambda z, a: 0.5 * np.sign(z) / a, kinks=[0]),
    ],
    "check_it_is_no_nan_far_out": [Activation("logistic", lambda z: np.exp(z) / (1 + np.exp(z)))],
    "check_it_can_be_pickled": [Activation("twice", lambda z: 2 * z)],
    "check_it_can_be_copied": [Activation("only_here", OnlyHere())],
}

# -- losses ----------------------------------------------------------------------------------


def squares(outputs, targets):
    return ((outputs - targets) ** 2).sum(axis=1)


def slopes(outputs, targets):
    return 2 * (outputs - targets)


def naive_softmax(outputs, targets):
    exponentials = np.exp(outputs)
    return -(targets * np.log(exponentials / exponentials.sum(axis=1, keepdims=True))).sum(axis=1)


def standardised(outputs, targets):
    return ((outputs - outputs.mean() - targets) ** 2).sum(axis=1)


class Column(Loss):
    def row_gradients(self, outputs, targets):
        return super().row_gradients(outputs, targets)[:, :1]


LOSSES = {
    "check_the_value_is_one_number_a_row_and_the_rest_like_the_outputs": [
        Loss("mean", lambda o, t: squares(o, t) if len(o) < 8 else squares(o, t).mean(), slopes),
        Loss("double", lambda o, t: np.array(squares(o, t), np.float64), slopes),
        Loss("guess", squares, slopes, predict=lambda o: o.argmax(axis=1)),
        Column("column", squares, slopes),
    ],
    "check_permuting_rows_permutes_the_result": [
        Loss("ordered", lambda o, t: squares(o, t) * np.arange(len(o)), slopes, rowwise=False)
    ],
    "check_each_row_is_computed_on_its_own": [
        Loss("standardised", lambda o, t: standardised(o, t) if len(o) > 8 else squares(o, t))
    ],
    "check_the_gradient_is_the_values": [
        Loss("half", squares, lambda o, t: o - t, surrogate=True),
        Loss("one_wrong", squares, lambda o, t: np.where(o == o.max(), 0, slopes(o, t)), surrogate=True),
        Loss("coupled", standardised, slopes, rowwise=False),
    ],
    "check_single_precision_agrees_with_double": [Loss("coarse", lambda o, t: squares(coarse(o), t), slopes)],
    "check_gradient_and_prediction_are_finite_where_the_value_is": [
        Loss("divides", squares, lambda o, t: slopes(o, t) * (o - o) / (o - o), surrogate=True),
        Loss("predicts", squares, slopes, predict=lambda o: np.log(o)),
    ],
    "check_it_is_no_nan_far_out": [Loss("naive_softmax", naive_softmax, targets="class", minimum_outputs=2)],
    "check_it_can_be_pickled": [Loss("lambdas", lambda o, t: squares(o, t))],
    "check_it_can_be_copied": [Loss("only_here", squares, slopes, predict=OnlyHere())],
}

# -- initializers ----------------------------------------------------------------------------

counter = itertools.count()


def unseeded(generator, fan_in, fan_out):
    return np.random.default_rng().normal(size=fan_in.shape)


def globally_seeded(generator, fan_in, fan_out):
    return np.random.normal(size=fan_in.shape)


def scales_in_place(generator, fan_in, fan_out):
    fan_in /= 2
    return generator.normal(size=fan_in.shape) / np.sqrt(fan_in)


INITIALIZERS = {
    "check_it_draws_one_weight_an_edge": [
        Initializer("one", lambda generator, fan_in, fan_out: generator.normal()),
        Initializer("whole", lambda generator, fan_in, fan_out: np.zeros(fan_in.shape, int)),
    ],
    "check_the_weights_are_finite": [Initializer("nan", lambda generator, fan_in, fan_out: fan_in * np.nan)],
    "check_the_same_seed_draws_the_same_weights": [
        Initializer("unseeded", unseeded),
        Initializer("globally_seeded", globally_seeded),
    ],
    "check_the_global_random_state_is_left_alone": [Initializer("globally_seeded", globally_seeded)],
    "check_the_arguments_are_not_written": [Initializer("scales_in_place", scales_in_place)],
    "check_a_network_starts_with_it": [
        Initializer("counts", lambda generator, fan_in, fan_out: fan_in * next(counter))
    ],
    "check_it_can_be_pickled": [Initializer("inner", lambda generator, fan_in, fan_out: fan_in)],
    "check_it_can_be_copied": [
        Initializer("only_here", lambda generator, fan_in, fan_out: fan_in, parameters={"x": OnlyHere()})
    ],
}
