"""A batch that several learn from, by threads in the place of processes: no torch is asked for anything."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import runs_together
from threads_together import TABLE, Y, fitted, same, together

import dagnet
from dagnet.contracts import Runner, ThreeCalls
from dagnet.engine.reference import ReferenceEngine
from dagnet.errors import GroupError


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
@pytest.mark.parametrize(
    ("engine", "dtype"), [("compiled", "float64"), ("compiled", "float32"), ("reference", "float64")]
)
def test_blocks_have_the_same_bits_whoever_finds_them_and_are_one_batch(engine, dtype):
    of = {"engine": engine, "dtype": dtype, "l1": 1e-3, "clip_value": 0.5}
    alone = fitted(**of)
    blocks = fitted(blocks=6, **of)  # of which 11 rows have some of one row, some of two
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-4, "atol": 1e-5}
    np.testing.assert_allclose(blocks[0], alone[0], **tolerance)
    for n in (2, 3):
        assert same(blocks, together(n, lambda processes: fitted(processes, 6, **of)))
        summed = together(n, lambda processes: fitted(processes, **of))
        assert same(summed[0], summed)
        np.testing.assert_allclose(summed[0][0], alone[0], **tolerance)
        np.testing.assert_allclose(
            summed[0][1]["loss"], alone[1]["loss"], rtol=1e-10 if dtype == "float64" else 1e-4
        )


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_more_blocks_than_rows():
    assert same(fitted(blocks=40), together(2, lambda processes: fitted(processes, 40)))
    np.testing.assert_allclose(fitted(blocks=40)[0], fitted()[0], rtol=1e-10, atol=1e-12)


class Gradients(dagnet.Callback):
    def __init__(self):
        self.found = []

    def on_gradient(self, run, flat):
        self.found.append(flat.copy())


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_the_gradient_of_each_batch_is_that_of_the_whole():
    alone, heard = Gradients(), [Gradients() for _ in range(3)]
    fitted(callbacks=[alone])
    together(3, lambda processes: fitted(processes, callbacks=[heard[processes.rank]]))
    assert len(alone.found) == 12
    for one in heard:
        np.testing.assert_allclose(one.found, alone.found, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
@pytest.mark.parametrize("name", ["heads", "searches", "clipped"])
def test_heads_with_missing_labels_weights_penalties_and_searches(name):
    alone, blocks = runs_together.train(name), runs_together.train(name, 6)
    for n in (2, 3):
        found = together(n, lambda processes: runs_together.train(name, 6, processes))
        assert all(np.array_equal(blocks[what], one[what]) for one in found for what in blocks)
        summed = together(n, lambda processes: runs_together.train(name, None, processes))
        np.testing.assert_allclose(
            summed[0]["vector"], alone["vector"], rtol=1e-4 if name == "clipped" else 1e-10
        )


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_validation_metrics_and_early_stopping_go_the_same_way(tmp_path):
    def stopped(processes=None, blocks=None):
        early = dagnet.EarlyStopping(patience=2)
        schedule = dagnet.LearningRateSchedule("on_plateau(patience=1)")
        log = dagnet.CSVLog(tmp_path / f"{blocks}.csv")
        more = {"validation_data": (TABLE, Y), "metrics": ["r2"], "epochs": 60, "learning_rate": 0.1}
        return fitted(processes, blocks, callbacks=[early, schedule, log], **more)

    alone = stopped(blocks=2)
    text = (tmp_path / "2.csv").read_text()
    assert 3 <= len(alone[1]["loss"]) < 60
    assert same(alone, together(2, lambda processes: stopped(processes, 2)))
    assert (tmp_path / "2.csv").read_text() == text


class Heard(dagnet.Callback):
    shows = True

    def __init__(self):
        self.joints = 0

    def on_batch_end(self, run):
        self.joints += 1

    def on_epoch_end(self, run):
        self.joints += 1


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_what_shows_is_called_by_the_first_alone_and_one_warning_is_given(recwarn):
    heard = [Heard(), Heard()]
    together(2, lambda processes: fitted(processes, callbacks=[heard[processes.rank]]))
    assert [one.joints for one in heard] == [16, 0]


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_a_checkpoint_of_three_goes_on_in_two_and_in_one(tmp_path):
    whole = fitted(blocks=6)

    def train(processes, epochs, path):
        return fitted(processes, 6, epochs=epochs, callbacks=[dagnet.Checkpoint(path)], resume=path)

    for n in (1, 2, 3):
        together(3, partial(train, epochs=2, path=tmp_path / str(n)))
        assert same(whole, together(n, partial(train, epochs=4, path=tmp_path / str(n))))


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_a_population_learns_as_in_one_process():
    def train(processes=None, blocks=None):
        parts = {width: dagnet.layered([2, width, 1], activation="tanh") for width in (2, 3)}
        population = dagnet.Population(parts, seed=0)
        X = np.stack([TABLE["a"], TABLE["b"]], axis=1)
        told = population.fit(X, Y, epochs=5, seed=2, distributed=processes, blocks=blocks)
        return population.net.vector.copy(), {name: history.to_dict() for name, history in told.items()}

    blocks = train(blocks=4)
    assert same(blocks, together(2, lambda processes: train(processes, 4)))
    np.testing.assert_allclose(blocks[0], train()[0], rtol=1e-10)


# -- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"distributed": "yes"},
            "distributed must be True, False or a dagnet_torch.sharing.Processes, got 'yes'",
        ),
        ({"distributed": 1}, "distributed must be"),
        ({"blocks": 0}, "blocks must be a whole number of 1 or more, or None, got 0"),
        ({"blocks": True}, "blocks must be"),
        ({"blocks": 2.0}, "blocks must be"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_changes(arguments, said):
    net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    before = net.vector.copy()
    with pytest.raises(dagnet.DataError, match=f"^{said}"):
        net.fit([[1.0, 2.0]], [1.0], **arguments)
    assert np.array_equal(net.vector, before)
    assert net.history is None


def test_blocks_that_processes_do_not_divide_are_refused():
    with pytest.raises(
        dagnet.DataError, match="blocks must be a multiple of the number of processes, 2, got 5"
    ):
        together(2, lambda processes: fitted(processes, 5))


def test_a_loss_that_couples_rows_is_refused_by_name():
    loss = dagnet.Loss("spread", lambda o, t: (o[:, 0] - t[:, 0].mean()) ** 2, rowwise=False)
    net = dagnet.Network(dagnet.layered([1, 1]), loss=loss, seed=0)
    with pytest.raises(dagnet.DataError, match="the loss 'spread' couples rows, which several cannot share"):
        net.fit([[1.0], [2.0]], [1.0, 2.0], blocks=2)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            lambda rank: {"batch_size": 20 + rank},
            r"rank 1 differs from rank 0 in batch_size \(21, not 20\); start",
        ),
        (lambda rank: {"seed": None}, r"rank 1 differs from rank 0 in .*the order of rows \(fit's seed\)"),
        (lambda rank: {"epochs": 3 + rank}, r"epochs \(4, not 3\)"),
        (lambda rank: {"callbacks": [Gradients()] * rank}, r"callbacks \(\['Gradients'\], not \[\]\)"),
        (lambda rank: {"engine": ["compiled", "reference"][rank]}, r"engine \(reference, not compiled\)"),
    ],
)
def test_ranks_that_differ_are_named(more, said):
    with pytest.raises(dagnet.DataError, match=said):
        together(2, lambda processes: fitted(processes, **more(processes.rank)))


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_a_rank_without_the_checkpoint_is_named(tmp_path):
    fitted(blocks=2, epochs=2, callbacks=[dagnet.Checkpoint(tmp_path / "0")])

    def go_on(processes):
        path = tmp_path / str(processes.rank)
        return fitted(processes, 2, callbacks=[dagnet.Checkpoint(path)], resume=path)

    with pytest.raises(dagnet.DataError, match=r"rank 1 differs from rank 0 in .*steps made \(0, not 6\)"):
        together(2, go_on)


class Deaf(ReferenceEngine):
    """An engine whose normalisations know nothing of others' rows."""

    name, priority = "deaf", -5

    def prepare(self, plan, *, dtype, threads):
        return _Deaf(super().prepare(plan, dtype=dtype, threads=threads))


@dataclass(eq=False)
class _Deaf(Runner):
    inner: Runner

    def forward(self, theta, inputs, *, draw=None, **more):
        if draw is not None:
            draw.whole = None
        return self.inner.forward(theta, inputs, draw=draw, **more)

    def backward(self, theta, state, output_gradient, *, into):
        return self.inner.backward(theta, state, output_gradient, into=into)

    def fused_gradient(self, loss):
        return ThreeCalls(self, loss)


def test_an_engine_that_takes_no_others_moments_is_refused():
    dagnet.register(Deaf(), replace=True)
    with pytest.raises(
        dagnet.PluginError, match="engine 'deaf' does not ask for the moments of others' rows"
    ):
        fitted(engine="deaf", blocks=2)


def test_an_error_in_one_block_reaches_the_caller_with_its_place():
    def cube(z):
        if z.shape[-1] and (np.abs(z) > 50).any():
            raise ValueError("too large")
        return z**3

    dagnet.register(dagnet.Activation("careful", cube, lambda z, a: 3 * z**2), replace=True)
    graph = dagnet.layered([1, 2, 1])
    graph.nodes[list(graph)[1]].update(activation="careful", normalization="batch")
    net = dagnet.Network(graph, seed=0, engine="reference")
    before = net.vector.copy()
    X = np.ones((64, 1)) * 1e-3
    X[40] = 1e6
    with pytest.raises(ValueError, match="too large"):
        net.fit(X, X, blocks=4, shuffle=False, batch_size=64, epochs=1)
    assert np.array_equal(net.vector, before)


def test_a_nan_is_explained_by_node_and_row_in_all_ranks():
    def train(processes):
        net = dagnet.Network(dagnet.layered([1, 2, 1], activation="identity"), seed=0)
        X = np.linspace(1, 2, 20)[:, None]
        with pytest.raises(
            dagnet.NumericalError, match=r"epoch 1, batch 1: .* the parameters are those before"
        ):
            net.fit(X * 1e200, X, distributed=processes, shuffle=False, batch_size=8)
        return net.vector.copy()

    one, other = together(2, train)
    assert np.array_equal(one, other)


def test_a_rank_whose_run_ended_by_an_error_of_its_own_does_not_run_again():
    X = np.random.default_rng(0).normal(size=(8, 2))
    refused = []

    class Fails(dagnet.Callback):
        def on_epoch_end(self, run):
            raise ValueError("boom")

    def train(processes):
        net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
        given = {"epochs": 2, "seed": 0, "distributed": processes, "callbacks": [Fails()]}
        with pytest.raises(ValueError, match="boom"):
            net.fit(X, X[:, 0], **given)
        with pytest.raises(GroupError, match=f"rank {processes.rank} ended by ValueError: boom, of which"):
            net.fit(X, X[:, 0], **given)
        refused.append(processes.rank)

    together(2, train)
    assert sorted(refused) == [0, 1]
