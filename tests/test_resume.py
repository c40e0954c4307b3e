"""Checkpoints, and runs that are taken up again to the bit."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from data.training_cases import Recorder, StopAt, make_data, make_net

import dagnet

# -- checkpoints -----------------------------------------------------------------------------

RULES = [
    *sorted(set(dagnet.optimizers()) - {"lbfgs"}),
    "sgd(momentum=0.9, nesterov=True)",
    "rmsprop(momentum=0.5, centered=True)",
]


def settings_of(rule, **more):
    X, y = make_data()
    return {"optimizer": rule, "batch_size": 8, "seed": 7, "validation_data": (X[:10], y[:10]), **more}


def callbacks_of():
    return [
        dagnet.EarlyStopping(patience=3),
        dagnet.LearningRateSchedule("on_plateau(patience=1)", warm_up=2),
    ]


@pytest.mark.parametrize("place", [(1, 1), (3, 2), (4, 5)], ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(rule, place, tmp_path):
    X, y = make_data()
    path, keywords = tmp_path / "run.dagnet", settings_of(rule)
    whole, parted = make_net(), make_net()
    expected = whole.fit(X, y, epochs=8, callbacks=callbacks_of(), **keywords)
    parted.fit(
        X, y, epochs=8, callbacks=[dagnet.Checkpoint(path), *callbacks_of(), StopAt(*place)], **keywords
    )
    other = dagnet.Network(dagnet.layered([2, 4, 3, 1], activation="tanh"), seed=99)
    history = other.fit(X, y, epochs=8, callbacks=callbacks_of(), resume=path, **keywords)
    assert (other.parameters == whole.parameters).all()
    assert history.to_dict() == expected.to_dict()


def test_resume_with_frozen_and_shared_weights_and_float32(tmp_path):
    def build():
        graph = dagnet.layered([2, 4, 3, 1], activation="tanh")
        graph.edges["x1", "h11"].update(trainable=False, weight=0.3)
        graph.edges["h11", "h21"]["share"] = graph.edges["h12", "h21"]["share"] = "w"
        return dagnet.Network(graph, seed=0, dtype="float32")

    X, y = make_data()
    path, keywords = tmp_path / "run.dagnet", {"batch_size": 8, "seed": 7, "sample_weight": np.arange(40.0)}
    whole, parted, other = build(), build(), build()
    whole.fit(X, y, epochs=5, **keywords)
    parted.fit(X, y, epochs=5, callbacks=[dagnet.Checkpoint(path), StopAt(2, 3)], **keywords)
    other.fit(X, y, epochs=5, resume=path, **keywords)
    assert (other.parameters == whole.parameters).all()


def test_a_run_with_more_epochs_is_the_longer_run(tmp_path):
    X, y = make_data()
    path, keywords = tmp_path / "run.dagnet", settings_of("adam")
    whole, net = make_net(), make_net()
    early = [dagnet.EarlyStopping(patience=100)]
    whole.fit(X, y, epochs=9, callbacks=early, **keywords)
    net.fit(
        X, y, epochs=4, callbacks=[dagnet.Checkpoint(path), dagnet.EarlyStopping(patience=100)], **keywords
    )
    history = net.fit(X, y, epochs=9, resume=path, callbacks=[dagnet.EarlyStopping(patience=100)], **keywords)
    assert history.epochs == 9
    assert (net.parameters == whole.parameters).all()


def test_a_finished_run_returns_as_it_is(tmp_path):
    X, y = make_data()
    path, net = tmp_path / "run.dagnet", make_net()
    history = net.fit(X, y, epochs=3, seed=0, callbacks=[dagnet.Checkpoint(path)])
    other = make_net()
    for epochs in (3, 2):
        again = other.fit(X, y, epochs=epochs, seed=0, resume=path)
        assert again.to_dict() == history.to_dict()
        assert (other.parameters == net.parameters).all()


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    X, y = make_data()
    path, keywords = tmp_path / "run.dagnet", {"seed": 0, "validation_data": (X, -y), "learning_rate": 0.05}
    net, other = make_net(), make_net()
    history = net.fit(
        X, y, callbacks=[dagnet.Checkpoint(path, every=50), dagnet.EarlyStopping(patience=2)], **keywords
    )
    assert history.epochs < 50
    again = other.fit(X, y, callbacks=[dagnet.EarlyStopping(patience=2)], resume=path, **keywords)
    assert again.to_dict() == history.to_dict()
    assert (other.parameters == net.parameters).all()


def test_a_missing_checkpoint_starts_afresh_only_where_the_run_is_about_to_write_it(tmp_path):
    path = tmp_path / "run.dagnet"
    X, y = make_data()
    with pytest.raises(FileNotFoundError, match="no checkpoint there"):
        make_net().fit(X, y, epochs=1, resume=path)
    with pytest.raises(FileNotFoundError):
        make_net().fit(X, y, epochs=1, resume=path, callbacks=[dagnet.Checkpoint(tmp_path / "other.dagnet")])
    for epochs in (1, 1, 2):
        history = make_net().fit(
            X, y, epochs=epochs, seed=0, resume=path, callbacks=[dagnet.Checkpoint(path)]
        )
        assert history.epochs == epochs


CHANGES = {
    "batch_size": {"batch_size": 9},
    "seed": {"seed": 8},
    "optimizer": {"optimizer": "sgd"},
    "learning_rate": {"learning_rate": 0.5},
    "shuffle": {"shuffle": False},
    "l1": {"l1": 0.1},
    "l2": {"l2": 0.1},
    "clip_norm": {"clip_norm": 1.0},
    "clip_value": {"clip_value": 1.0},
    "the validation data": {"validation_data": None},
    "the data": {"sample_weight": np.arange(40) + 1.0},
    "callbacks": {"callbacks": [dagnet.EarlyStopping()]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_run_is_refused_naming_what_differs(name, tmp_path):
    X, y = make_data()
    path = tmp_path / "run.dagnet"
    make_net().fit(X, y, epochs=1, callbacks=[dagnet.Checkpoint(path)], **settings_of("adam"))
    net = make_net()
    before = net.parameters.copy()
    with pytest.raises(dagnet.DataError, match=name):
        net.fit(X, y, epochs=2, resume=path, **settings_of("adam") | CHANGES[name])
    with pytest.raises(dagnet.DataError, match="the data"):
        net.fit(X + 1e-12, y, epochs=2, resume=path, **settings_of("adam"))
    assert (net.parameters == before).all()


def changed(part):
    graph = dagnet.layered([2, 4, 3, 1], activation="tanh")
    arguments = {"seed": 0}
    if part == "edges":
        graph.add_edge("x1", "eta")
    elif part == "nodes":
        graph.add_edge("x1", "h99")
        graph.add_edge("h99", "eta")
    elif part == "activations":
        graph.nodes["h11"]["activation"] = "relu"
    elif part == "frozen":
        graph.edges["x1", "h11"]["trainable"] = False
    elif part == "loss":
        arguments["loss"] = "absolute_error"
    elif part == "dtype":
        arguments["dtype"] = "float32"
    elif part == "centres":
        graph.nodes["x1"]["center"] = 0.5
    elif part == "shared":
        graph.edges["x1", "h11"]["share"] = graph.edges["x1", "h12"]["share"] = "w"
    elif part == "biases":
        graph.nodes["h11"]["bias"] = False
    return dagnet.Network(graph, **arguments)


@pytest.mark.parametrize(
    "part", ["edges", "nodes", "activations", "frozen", "loss", "dtype", "centres", "shared", "biases"]
)
def test_another_graph_is_refused_naming_the_part(part, tmp_path):
    X, y = make_data()
    path = tmp_path / "run.dagnet"
    make_net().fit(X, y, epochs=1, seed=0, callbacks=[dagnet.Checkpoint(path)])
    with pytest.raises(dagnet.DataError, match=f"the graph's .*{part}"):
        changed(part).fit(X, y, epochs=2, seed=0, resume=path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    X, y = make_data()
    path = tmp_path / "model.dagnet"
    make_net().save(path)
    with pytest.raises(dagnet.FormatError):
        make_net().fit(X, y, resume=path)
    path.write_text("epoch,loss\n1,2\n")
    with pytest.raises(dagnet.FormatError):
        make_net().fit(X, y, resume=path)


def test_checkpoints_come_every_so_many_epochs_and_at_the_end(tmp_path, monkeypatch):
    import dagnet.storage

    written = []
    monkeypatch.setattr(
        dagnet.storage, "save_checkpoint", lambda path, snapshot: written.append(snapshot["epoch"])
    )
    make_net().fit(*make_data(), epochs=8, callbacks=[dagnet.Checkpoint(tmp_path / "run.dagnet", every=3)])
    assert written == [3, 6, 8]


@pytest.mark.parametrize(
    "arguments", [{"every": 0}, {"every": 1.5}, {"on_error": "ignore"}, {"path": 3}], ids=repr
)
def test_checkpoints_refuse(arguments):
    with pytest.raises(dagnet.DataError, match=next(iter(arguments))):
        dagnet.Checkpoint(**{"path": "x"} | arguments)


def test_a_folder_that_is_not_there_is_an_error_before_training(tmp_path):
    seen = Recorder()
    with pytest.raises(FileNotFoundError, match="no such folder"):
        make_net().fit(*make_data(), callbacks=[dagnet.Checkpoint(tmp_path / "none" / "run.dagnet"), seen])
    assert not seen.losses


def test_a_full_disk_stops_or_warns_as_asked_and_the_last_good_checkpoint_stays(tmp_path, monkeypatch):
    import dagnet.storage

    save, path = dagnet.storage.save_checkpoint, tmp_path / "run.dagnet"

    def full_after_two(place, snapshot):
        if snapshot["epoch"] > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
        save(place, snapshot)

    monkeypatch.setattr(dagnet.storage, "save_checkpoint", full_after_two)
    with pytest.raises(OSError, match="No space left"):
        make_net().fit(*make_data(), epochs=5, callbacks=[dagnet.Checkpoint(path)])
    assert dagnet.storage.load_checkpoint(path)["epoch"] == 2
    with pytest.warns(dagnet.DagnetWarning, match="No space left"):
        history = make_net().fit(*make_data(), epochs=3, callbacks=[dagnet.Checkpoint(path, on_error="warn")])
    assert history.epochs == 3


@pytest.mark.parametrize("state", [{}, {"best": "x"}, {"waited": None}, {"waited": float("inf")}])
def test_a_callbacks_state_that_it_cannot_read_is_refused_by_its_name(tmp_path, state):
    path, X_y = tmp_path / "run.dagnet", make_data()
    callbacks = [dagnet.EarlyStopping(patience=5), dagnet.Checkpoint(path)]
    make_net().fit(*X_y, epochs=3, callbacks=callbacks, validation_data=X_y)
    snapshot = dagnet.storage.load_checkpoint(path)
    kept = next(kept for kept in snapshot["callbacks"] if "EarlyStopping" in str(kept))
    kept["state"] = {**kept["state"], **state} if state else state
    dagnet.storage.save_checkpoint(path, snapshot)
    net = make_net()
    before, callbacks = net.parameters.copy(), [dagnet.EarlyStopping(patience=5)]
    with pytest.raises(
        dagnet.DataError, match="resume: the checkpoint's callbacks must be a state that EarlyStopping"
    ):
        net.fit(*X_y, epochs=6, callbacks=callbacks, validation_data=X_y, resume=path)
    np.testing.assert_array_equal(net.parameters, before)
