"""A network as a module: values, derivatives, training in a larger model, back into the network."""

import copy
import io
from functools import partial

import dagnet_torch
import numpy as np
import pytest
import torch
from graphs import network, plain, rich, rows_for
from torch import nn

import dagnet

graphs = pytest.mark.parametrize("graph", [plain, rich])


def made(graph, n=6, **arguments):
    net = network(graph(), "reference", **arguments)
    X, y = rows_for(net, n)
    return net, dagnet_torch.module(net).eval(), X.astype(net.dtype), y.astype(net.dtype)


def flat_gradient(net, layer):
    found = np.zeros(len(net.parameters))
    for name, own in layer._parameters_in_order():
        found[layer._places[name]] = own.grad.cpu().numpy()
    return found


@graphs
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_it_calculates_what_the_network_does(graph, dtype, device):
    net, layer, X, _ = made(graph, dtype=dtype)
    ours = layer.to(device)(torch.from_numpy(X).to(device))
    np.testing.assert_allclose(
        ours.detach().cpu().numpy(), net(X), atol=1e-12 if dtype == "float64" else 1e-5
    )


def test_its_derivatives_are_the_networks(device):
    net, layer, X, y = made(plain)
    layer.to(device)
    x = torch.tensor(X, device=device, requires_grad=True)
    ((layer(x) - torch.tensor(y, device=device)) ** 2).sum(1).mean().backward()
    right = net.gradient(X, y)
    np.testing.assert_allclose(flat_gradient(net, layer), right.flat, atol=1e-12)
    np.testing.assert_allclose(x.grad.cpu().numpy(), right.inputs, atol=1e-12)


@graphs
def test_gradcheck_by_rows_and_by_parameters(graph):
    _, layer, X, _ = made(graph, n=2)
    x = torch.tensor(X, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    names, own = zip(*layer.named_parameters(), strict=True)

    def called(*numbers):
        return torch.func.functional_call(layer, dict(zip(names, numbers, strict=True)), (x.detach(),))

    numbers = tuple(p.detach().clone().requires_grad_() for p in own)
    assert torch.autograd.gradcheck(called, numbers, fast_mode=True)


def test_batch_normalisation_in_training_passes_gradcheck_and_is_pytorchs():
    graph = dagnet.layered([3, 4, 2], activation="tanh")
    for node in ("h11", "h12", "h13", "h14"):
        graph.nodes[node]["normalization"] = "batch"
    net = network(graph, "reference")
    layer, x = dagnet_torch.module(net).train(), torch.randn(9, 3, dtype=torch.float64)
    twin = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    parts = (net.weights, net.biases)
    with torch.no_grad():
        for to, begin, end in ((twin[0], "x", "h1"), (twin[3], "h1", "y")):
            rows, columns = to.weight.shape
            for i in range(rows):
                to.bias[i] = parts[1][f"{end}{i + 1}"]
                for j in range(columns):
                    to.weight[i, j] = parts[0][f"{begin}{j + 1}", f"{end}{i + 1}"]
    torch.testing.assert_close(layer(x), twin(x))
    torch.testing.assert_close(layer.mean, twin[2].running_mean)
    torch.testing.assert_close(layer.variance, twin[2].running_var)
    torch.testing.assert_close(layer.eval()(x), twin.eval()(x))
    layer.train()
    assert torch.autograd.gradcheck(layer, (x.clone().requires_grad_(),))
    with pytest.raises(dagnet.DataError, match="at least two rows"):
        layer(x[:1])


def test_dropout_follows_pytorchs_seed_and_only_in_training():
    graph = dagnet.layered([3, 40, 1], activation="tanh")
    for node in graph:
        if node.startswith("h"):
            graph.nodes[node]["dropout"] = 0.5
    layer, x = dagnet_torch.module(network(graph, "reference")), torch.randn(9, 3, dtype=torch.float64)
    torch.manual_seed(3)
    one, other = layer(x), layer(x)
    torch.manual_seed(3)
    torch.testing.assert_close(layer(x), one, rtol=0, atol=0)
    assert not torch.equal(one, other)
    assert torch.equal(layer.eval()(x), layer(x))


def test_it_is_a_layer_of_a_larger_model_and_writes_back(device):
    net, layer, X, _ = made(plain, n=64)
    before, width = net.vector.copy(), net(X).shape[1]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, X.shape[1]).double(), layer, nn.Linear(width, 1).double()).to(device)
    x, target = torch.randn(64, 5, device=device).double(), torch.randn(64, 1, device=device).double()
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.02), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((model(x) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    np.testing.assert_array_equal(net.vector, before)
    assert layer.write_back() is net
    assert (net.vector != before).any()
    np.testing.assert_allclose(
        layer(torch.tensor(X, device=device)).detach().cpu().numpy(), net(X), atol=1e-12
    )


def test_what_is_frozen_or_shared_stays_so_and_bounds_are_kept_by_project():
    net, layer, X, _ = made(rich)
    assert sum(p.numel() for p in layer.parameters()) == net.trainable.sum()
    for own in layer.parameters():
        own.data += 10
    with pytest.raises(dagnet.DataError, match=r"inside its bounds.*project"):
        layer.write_back()
    layer.project()
    frozen = net.parameters[~net.trainable].copy()
    layer.write_back()
    np.testing.assert_array_equal(net.parameters[~net.trainable], frozen)
    np.testing.assert_allclose(layer(torch.tensor(X)).detach().numpy(), net(X), rtol=1e-10)


def test_numbers_have_names():
    net, layer, _, _ = made(plain)
    for what, view in (("weights", net.weights), ("biases", net.biases)):
        for found, number in zip(layer.names(what), getattr(layer, what).tolist(), strict=True):
            assert view[found.name] == number
    with pytest.raises(dagnet.DataError, match="one of weights, biases"):
        layer.names("weight")


def test_inputs_are_centred_and_scaled_inside():
    net = network(dagnet.layered([2, 3, 1]), "reference")
    X = np.random.default_rng(0).normal(5, 3, (8, 2))
    net.standardize(X)
    np.testing.assert_allclose(dagnet_torch.module(net)(torch.tensor(X)).detach().numpy(), net(X), atol=1e-13)


@graphs
def test_torch_export_takes_it_for_any_number_of_rows(graph):
    _, layer, X, _ = made(partial(graph, 16))
    rows = torch.export.Dim("rows", min=2, max=4096)
    program = torch.export.export(layer, (torch.tensor(X),), dynamic_shapes=({0: rows},))
    for x in (torch.tensor(X), torch.randn(33, X.shape[1]).double()):
        torch.testing.assert_close(program.module()(x), layer(x).detach(), rtol=0, atol=1e-13)


def test_copies_and_states_are_pytorchs_own():
    _, layer, X, _ = made(rich)
    twin = copy.deepcopy(layer)
    twin.weights.data += 0.1
    x = torch.tensor(X)
    assert not torch.allclose(twin(x), layer(x))
    file = io.BytesIO()
    torch.save(twin.state_dict(), file)
    file.seek(0)
    layer.load_state_dict(torch.load(file))
    torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)
    single = copy.deepcopy(layer).float()
    torch.testing.assert_close(single(x.float()).double(), layer(x), rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_refused():
    net, layer, X, _ = made(plain)
    x = torch.tensor(X, requires_grad=True)
    with pytest.raises(dagnet.DataError, match=r"module: X must be a tensor \(rows, \d+\), got"):
        layer(x[:, :2])
    with pytest.raises(dagnet.DataError, match=r"torch.float64 on cpu.*got torch.float32"):
        layer(x.float())
    with pytest.raises(dagnet.DataError, match=r"module: net must be a dagnet.Network"):
        dagnet_torch.module(layer)
    with pytest.raises(dagnet.DagnetError, match="no derivative of its derivative"):
        torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    layer.weights.data[3] = np.nan
    before = net.vector.copy()
    with pytest.raises(dagnet.DataError, match=r"write_back: .* → .* must be finite in float64, got nan"):
        layer.write_back()
    np.testing.assert_array_equal(net.vector, before)


def test_a_batch_without_rows_has_outputs_without_rows():
    graph = dagnet.layered([3, 2, 1])
    graph.nodes["h11"].update(normalization="layer", units=2)
    module = dagnet_torch.module(dagnet.Network(graph, seed=0)).eval()
    assert module(torch.zeros(0, 3, dtype=torch.float64)).shape == (0, 1)
    graph.nodes["h12"]["normalization"] = "batch"
    module = dagnet_torch.module(dagnet.Network(graph, seed=0)).train()
    with pytest.raises(dagnet.DataError, match=r"at least two rows in train.., to normalise over, got none"):
        module(torch.zeros(0, 3, dtype=torch.float64))
