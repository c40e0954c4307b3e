"""What several do in a run, by threads in the place of processes: who stops, and who is given which batch."""

import numpy as np
import pytest
from threads_together import ROWS, TABLE, Y, every_kind, fitted, same, together

import dagnet
from dagnet.errors import GroupError
from dagnet.storage import load_checkpoint


class Stops(dagnet.Callback):
    """Hear every joint, and stop at one of them in one process."""

    def __init__(self, joint, stops):
        self.joint, self.stops = joint, stops

    def at(self, joint, run):
        run.stop |= self.stops and joint == self.joint

    def on_training_begin(self, run):
        self.at("training_begin", run)

    def on_epoch_begin(self, run):
        self.at(f"epoch_begin {run.epoch}", run)

    def on_batch_begin(self, run):
        self.at(f"batch_begin {run.epoch}, {run.batch}", run)

    def on_gradient(self, run, flat):
        self.at(f"gradient {run.epoch}, {run.batch}", run)

    def on_batch_end(self, run):
        self.at(f"batch_end {run.epoch}, {run.batch}", run)

    def on_epoch_end(self, run):
        self.at(f"epoch_end {run.epoch}", run)


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
@pytest.mark.parametrize(
    ("joint", "epochs"),
    [
        ("training_begin", 0),
        ("epoch_begin 3", 2),
        ("batch_begin 2, 1", 1),
        ("gradient 2, 2", 1),
        ("batch_end 1, 2", 0),
        ("epoch_end 2", 2),
    ],
)
def test_all_stop_where_any_does(joint, epochs):
    alone = fitted(blocks=3, callbacks=[Stops(joint, stops=True)])
    assert len(alone[1].get("loss", [])) == epochs
    for one in (0, 2):

        def train(processes, one=one):
            return fitted(processes, 3, callbacks=[Stops(joint, processes.rank == one)])

        assert same(alone, together(3, train))


class Batches:
    """Batches of 30 rows and the rest, or some of them in some order, anew in each epoch."""

    def __init__(self, *order):
        self.order, self.weights = order or (0, 1, 2), np.arange(ROWS) % 4 / 2

    def __iter__(self):
        for place in self.order:
            rows = slice(30 * place, 30 * place + 30)
            table = {name: column[rows] for name, column in TABLE.items()}
            yield table, Y[rows], self.weights[rows]


def fitted_to(batches, processes=None, blocks=None, **more):
    net = dagnet.Network(every_kind(), outputs=["y"], seed=0, threads=2)
    given = {"epochs": 4, "seed": 1, "distributed": processes, "blocks": blocks, **more}
    history = net.fit(batches, **given)
    return net.vector.copy(), history.to_dict()


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_batches_are_shared_as_all_rows_are():
    whole = fitted(blocks=6, shuffle=False, sample_weight=Batches().weights)
    assert same(whole, [fitted_to(Batches(), blocks=6)])
    for n in (2, 3):
        assert same(whole, together(n, lambda processes: fitted_to(Batches(), processes, 6)))
        summed = together(n, lambda processes: fitted_to(Batches(), processes))
        assert same(summed[0], summed)
        np.testing.assert_allclose(summed[0][0], fitted_to(Batches())[0], rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_batches_go_on_amid_an_epoch(tmp_path):
    def train(processes, *stops):
        path = tmp_path / "run.dagnet"
        keep = [*stops, dagnet.Checkpoint(path)]
        return fitted_to(Batches(), processes, 6, callbacks=keep, resume=path)

    stopped = together(2, lambda processes: train(processes, Stops("batch_end 2, 1", processes.rank == 1)))
    assert load_checkpoint(tmp_path / "run.dagnet")["batch"] == 1
    assert len(stopped[0][1]["loss"]) == 1
    assert same(fitted_to(Batches(), blocks=6), together(3, lambda one: train(one, Stops("", stops=False))))


@pytest.mark.parametrize(
    ("order", "where"),
    [((0, 2, 1), "epoch 1, batch 2"), ((0, 1), "epoch 1, batch 3"), ((0, 1, 2, 0), "epoch 1, batch 4")],
)
def test_ranks_with_other_batches_are_refused_and_nothing_changes(order, where):
    said = []

    def train(processes):
        net = dagnet.Network(every_kind(), outputs=["y"], seed=0, threads=1)
        before = net.vector.copy()
        with pytest.raises(GroupError) as caught:
            net.fit(Batches(*order) if processes.rank else Batches(), distributed=processes, seed=0)
        said.append(str(caught.value))
        assert np.array_equal(net.vector, before)
        assert net.history is None

    together(2, train)
    mend = "give all the same batches in the same order"
    assert said == [f"fit: rank 1 has in {where} other rows than rank 0, or none; {mend}"] * 2
