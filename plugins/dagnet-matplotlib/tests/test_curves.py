"""Training curves: the lines are the numbers, the labels keep apart."""

import numpy as np
import pytest
from dagnet_matplotlib import training_curves
from matplotlib.figure import Figure

import dagnet
from dagnet.errors import DataError

FALLING = {"loss": [4.0, 2.0, 1.0], "validation_loss": [4.0, 1.5, 3.0]}


def test_lines_are_the_numbers_of_the_history():
    net = dagnet.Network(dagnet.layered([1, 2, 1]), seed=0)
    data = ([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0])
    history = net.fit(*data, epochs=5, validation_data=data, seed=0)
    loss, validation, *_ = training_curves(history).lines
    assert loss.get_ydata().tolist() == history["loss"]
    assert validation.get_ydata().tolist() == history["validation_loss"]
    assert loss.get_xdata().tolist() == [1, 2, 3, 4, 5]


def test_the_lowest_validation_loss_is_marked():
    ax = training_curves(FALLING)
    *_, dot = ax.lines
    assert (dot.get_xdata().tolist(), dot.get_ydata().tolist()) == ([2], [1.5])
    assert [text.get_text() for text in ax.texts] == ["loss", "validation loss\nlowest 1.5, epoch 2"]


@pytest.mark.parametrize(("smallest", "scale"), [(1.0, "linear"), (0.01, "log"), (0.0, "linear")])
def test_steep_losses_have_a_logarithmic_axis(smallest, scale):
    assert training_curves({"loss": [3.0, smallest]}).get_yscale() == scale


@pytest.mark.parametrize("end", [1.0, 1.01, 1.4, 0.9])
def test_labels_keep_apart_and_inside_the_axes(end):
    ax = training_curves({"loss": [4.0, 2.0, 1.0], "validation_loss": [4.0, 2.0, end]})
    ax.figure.canvas.draw()
    one, two = (text.get_window_extent() for text in ax.texts)
    assert one.y0 >= two.y1 - 1 or two.y0 >= one.y1 - 1
    assert max(one.x1, two.x1) <= ax.figure.bbox.x1


def test_gaps_one_epoch_and_given_axes():
    left, right = Figure().subplots(1, 2)
    assert training_curves({"loss": [np.nan, 2.0, np.inf]}, left) is left
    assert np.isnan(left.lines[0].get_ydata()).tolist() == [True, False, True]
    assert not right.lines
    training_curves({"loss": [1.0], "validation_loss": [1.0]}).figure.canvas.draw()


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([1.0, 2.0], "history must be a History or a mapping of lists, got .*; pass what net.fit returned"),
        ({"los": [1.0]}, "no 'loss' in it; did you mean 'los'"),
        (dagnet.History(), "no 'loss' in it"),
        ({"loss": []}, "one number an epoch, at least one of them finite, got"),
        ({"loss": [np.nan]}, "at least one of them finite"),
        ({"loss": ["a"]}, "'loss' must be a list of numbers"),
        ({"loss": [[1.0]]}, "one number an epoch"),
    ],
)
def test_wrong_histories_are_refused(history, words):
    with pytest.raises(DataError, match=words):
        training_curves(history)


def test_wrong_axes_are_refused():
    with pytest.raises(DataError, match="ax must be matplotlib Axes"):
        training_curves(FALLING, ax=7)
