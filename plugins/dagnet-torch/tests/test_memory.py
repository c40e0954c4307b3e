"""Too little memory on a card: the estimate against what a step takes, and what is said before and after."""

import dagnet_torch.learner
import dagnet_torch.memory
import networkx as nx
import numpy as np
import pytest
import torch
from dagnet_torch.memory import check_room, needed_bytes
from dagnet_torch.walks import Program, Walk
from graphs import network, plain, rich, rows_for
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import dagnet

MEMORY = dagnet_torch.memory
BIG = 2**60


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, and how many live at once at most."""

    def __init__(self):
        super().__init__()
        self.live, self.most = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for tensor in tree_iter(found):
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                self.live[reference.cdata] = reference, storage.nbytes()
        self.live = {key: one for key, one in self.live.items() if not one[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.live.values()))
        return found


def aggregating(word):
    graph, rng = nx.DiGraph(), np.random.default_rng(0)
    for k in range(200):
        graph.add_node(f"h{k}", aggregation=word, activation="tanh")
        graph.add_edges_from((f"x{p}", f"h{k}") for p in rng.choice(50, 10, replace=False))
        graph.add_edge(f"h{k}", "y")
    return graph


def normalised(word):
    graph = dagnet.layered([50, 200, 200, 5], activation="gelu")
    for node, said in graph.nodes(data=True):
        said.update({"normalization": word, "dropout": 0.3} if node.startswith("h") else {})
    return graph


SHAPES = {
    "irregular": lambda: plain(400),
    "rich": lambda: rich(120),
    **{word: lambda word=word: aggregating(word) for word in ("product", "max", "mean", "sum")},
    "dense": lambda: dagnet.layered([100, 256, 256, 10], activation="gelu"),
    "batch": lambda: normalised("batch"),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_estimate_is_not_below_what_a_step_takes_nor_far_above(shape, dtype, device, monkeypatch):
    net = network(SHAPES[shape](), f"torch(device={device!r})", dtype=dtype)
    X, y = rows_for(net, 1000)
    asked = []
    monkeypatch.setattr(dagnet_torch.learner, "check_room", lambda *given: asked.append(given))
    for program in (net.runner.program, net.training_runner.program):
        program.edges._pattern = None  # as on a card
    with Peak() as peak:
        net.fit(X, y, epochs=2, batch_size=1000, progress=False, seed=0)
    ((program, rows, data, moves),) = asked
    needed = needed_bytes(program, rows, data, moves)
    assert peak.most <= needed <= 2.5 * peak.most


@pytest.fixture
def card(monkeypatch):
    """A processor that is taken for a card of so many bytes."""
    room = [BIG]
    monkeypatch.setattr(MEMORY, "is_card", lambda device: True)
    monkeypatch.setattr(MEMORY, "free_bytes", lambda device: room[0])
    return room


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_too_little_memory_is_said_before_any_is_taken(card, dtype):
    net = network(plain(), "torch", dtype=dtype)
    program = net.runner.program
    each = needed_bytes(program, 1) - needed_bytes(program, 0)
    card[0] = needed_bytes(program, 0, 500) + 100 * each
    check_room(program, 100, 500)
    single = ", or write dtype='float32'" if dtype == "float64" else ""
    needed = rf"{needed_bytes(program, 10_000, 500) / 2**20:.1f} MiB"
    with pytest.raises(dagnet.DataError) as caught:
        check_room(program, 10_000, 500)
    what = f"engine 'torch' on cpu: 10,000 rows at once and 500 numbers of data need {needed}, and "
    assert str(caught.value).startswith(what)
    mend = "are free; 100 rows would fit: make batch_size smaller"
    assert str(caught.value).endswith(f"{mend}{single}, or use device='cpu'")
    card[0] = 100
    with pytest.raises(dagnet.DataError, match=r"not even one row fits.*use device='cpu'"):
        check_room(program, 1)


def test_fit_and_what_is_asked_of_many_rows_are_refused_and_nothing_changes(card):
    net = network(plain(), "torch")
    X, y = rows_for(net, 4000)
    before = net.vector.copy()
    card[0] = needed_bytes(net.runner.program, 1000, X.size + y.size, 40)
    for refused in (
        lambda: net.fit(X, y, epochs=1, batch_size=4000),
        lambda: net.forward(X),
        lambda: net.gradient(X, y),
    ):
        with pytest.raises(dagnet.DataError, match=r"4,000 rows at once.* need .* rows would fit"):
            refused()
    np.testing.assert_array_equal(net.vector, before)
    net.fit(X, y, epochs=1, batch_size=500)


def test_memory_that_ends_all_the_same_is_said_in_words(monkeypatch, card):
    net = network(plain(), "torch")
    X, y = rows_for(net, 40)
    before = net.vector.copy()

    def ends(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total")

    monkeypatch.setattr(Walk, "forward", ends)
    card[0] = 2**20
    said = (
        r"engine 'torch' on cpu: no memory is left \(CUDA out of memory. Tried to allocate 2.00 GiB; 1.0 MiB "
    )
    for refused in (lambda: net.forward(X), lambda: net.gradient(X, y), lambda: net.fit(X, y, epochs=1)):
        with pytest.raises(dagnet.DataError, match=said + r"free\); make batch_size smaller, .*device='cpu'"):
            refused()
    np.testing.assert_array_equal(net.vector, before)


def test_a_graph_for_which_a_card_has_no_room_is_refused_before_it_is_there(card):
    net = network(plain(), "torch")
    card[0] = 100
    with pytest.raises(
        dagnet.DataError, match=r"on cpu: 1\d\d weights need .* MiB, and 0.0 MiB are free; write dtype"
    ):
        Program(net.plan, net.runner.place)
