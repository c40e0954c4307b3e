"""One vocabulary: what one border takes, every border takes, and refuses in the same words."""

import pickle

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet import values

WHOLE = r"must be a whole number of 1 or more"


def net():
    return dagnet.Network(dagnet.layered([np.int64(1), 1]), seed=np.uint8(0), threads=np.int32(1))


def fitted(**arguments):
    return net().fit([[0.0], [1.0]], [0.0, 1.0], **{"epochs": 1, **arguments})


BORDERS = {
    "epochs": lambda value: fitted(epochs=value),
    "batch_size": lambda value: fitted(batch_size=value),
    "patience": lambda value: dagnet.EarlyStopping(patience=value),
    "every": lambda value: dagnet.Checkpoint("never", every=value),
    "threads": lambda value: dagnet.Network(dagnet.layered([1, 1]), threads=value),
}


@pytest.mark.parametrize("name", BORDERS)
def test_whole_numbers_are_the_same_everywhere(name):
    for good in (1, np.int64(3), np.uint8(3)):
        BORDERS[name](good)
    for bad in (0, -1, True, np.True_, 2.0, np.float64(2), "3", [2]):
        with pytest.raises(dagnet.DataError, match=f"{name} {WHOLE}"):
            BORDERS[name](bad)


def test_numpys_scalars_are_taken_and_made_plain():
    graph = nx.DiGraph([("x", "y", {"trainable": np.False_})])
    graph.nodes["y"]["units"] = np.int16(2)
    assert dagnet.Network(graph).topology.units.tolist() == [1, 2]
    early = dagnet.EarlyStopping(min_delta=np.float32(0.5), restore_best=np.True_)
    schedule = dagnet.LearningRateSchedule("step", warm_up=np.int64(2))
    fitted(shuffle=np.True_, l1=np.float32(0.5), clip_norm=np.int64(3), callbacks=[early, schedule])
    assert type(early.patience) is int
    assert type(schedule.warm_up) is int
    assert type(early.restore_best) is bool
    huber = dagnet.losses()["huber"].bind(delta=np.float32(0.5))
    assert type(huber.parameters["delta"]) is float


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (values.FINITE, [0, -1e308, np.float32(1)], [np.inf, np.nan, 10**400, "1", True, None]),
        (values.POSITIVE, [5e-324, 1], [0, -1, np.inf, np.nan, np.False_]),
        (values.NOT_NEGATIVE, [0, 1.5], [-5e-324, np.inf]),
        (values.FRACTION, [0, np.nextafter(1, 0)], [1, np.float32(1), -0.1]),
        (values.FACTOR, [0, 1, 0.5], [1.0000001, -0.1, np.nan]),
        (values.FLAG, [True, np.False_], [0, 1, None, "yes"]),
        (values.one_of("a", "b"), ["a"], ["c", None, ["a"]]),
        (values.optional(values.whole(0)), [None, 0], [-1, 0.0]),
        (values.whole(1, 3), [3], [4, 2**70]),
        (values.PATH, ["x"], ["", "a\0b", 3, None]),
    ],
)
def test_rules_hold_at_their_edges_and_survive_pickling(rule, good, bad):
    again = pickle.loads(pickle.dumps(rule))
    for value in good:
        assert again.check("it", value) == rule.check("it", value)
    for value in bad:
        with pytest.raises(dagnet.DataError, match=r"^it must be "):
            again.check("it", value)
