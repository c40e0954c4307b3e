"""Files that refer to plugins."""

import networkx as nx
import numpy as np
import pytest
from data.safe_files import facts, listed

import dagnet
from dagnet.registry.tables import Origin, registry


@pytest.fixture
def forget_cube():
    """A function that makes this process forget the plugin, as one that never had it."""
    dagnet.activations()

    def forget():
        registry._tables["activations"].pop("cube", None)
        registry._origins.pop(("activations", "cube"), None)

    yield forget
    forget()


def _cube(origin=None):
    activation = dagnet.Activation(
        "cube", lambda z, by: by * z**3, lambda z, a, by: 3 * by * z**2, parameters={"by": 1.0}
    )
    if origin is None:
        dagnet.register(activation)
    else:
        registry.add(activation, origin)
    return activation


def _cubic_network():
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"]["activation"] = "cube(by=0.5)"
    return dagnet.Network(graph)


def test_a_plugin_comes_back_with_its_parameters(tmp_path, forget_cube):
    _cube()
    net = _cubic_network()
    net.save(tmp_path / "n")
    assert facts(dagnet.load(tmp_path / "n")) == facts(net)


@pytest.mark.parametrize(
    ("origin", "match"),
    [
        (
            Origin("dagnet-cubes", "1.2"),
            "activation 'cube' is not registered here.*dagnet-cubes 1.2.*pip install dagnet-cubes",
        ),
        (Origin("numpy", "1.0"), "numpy 1.0 and .* is installed here"),
        (None, r"registered by a script.*call dagnet.register"),
        (Origin("evil; rm -rf /", "1"), r"registered by a script"),
    ],
)
def test_a_missing_plugin_says_what_to_install(tmp_path, forget_cube, origin, match):
    _cube(origin)
    _cubic_network().save(tmp_path / "n")
    forget_cube()
    with pytest.raises(dagnet.PluginError, match=match):
        dagnet.load(tmp_path / "n")


def test_a_plugin_of_another_distribution_is_a_warning(tmp_path, forget_cube):
    _cube(Origin("dagnet-cubes", "1.2"))
    _cubic_network().save(tmp_path / "n")
    forget_cube()
    _cube(Origin("dagnet-dice", "0.1"))
    with pytest.warns(dagnet.DagnetWarning, match="dagnet-cubes 1.2's when .* dagnet-dice 0.1's now"):
        dagnet.load(tmp_path / "n")


def test_a_plugin_that_lost_a_parameter_names_the_version(tmp_path, forget_cube):
    _cube(Origin("dagnet-cubes", "1.2"))
    _cubic_network().save(tmp_path / "n")
    forget_cube()
    registry.add(dagnet.Activation("cube", lambda z: z**3), Origin("dagnet-cubes", "2.0"))
    with pytest.raises(dagnet.PluginError, match=r"no parameter 'by' here.*dagnet-cubes 1\.2"):
        dagnet.load(tmp_path / "n")


def test_what_no_name_can_find_again_is_not_saved(tmp_path, forget_cube):
    loss = dagnet.Loss("mine", lambda o, t: ((o - t) ** 2).sum(1), lambda o, t: 2 * (o - t))
    net = dagnet.Network(dagnet.layered([1, 1]), loss=loss)
    with pytest.raises(dagnet.PluginError, match=r"loss 'mine' is not registered.*dagnet\.register"):
        net.save(tmp_path / "n")
    mine = dagnet.Activation("relu", lambda z: z, lambda z, a: np.ones_like(z))
    net = dagnet.Network(dagnet.layered([1, 1, 1], activation=mine))
    with pytest.raises(dagnet.PluginError, match="'relu' is not the one registered by that name"):
        net.save(tmp_path / "n")
    assert listed(tmp_path) == []
