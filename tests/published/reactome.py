"""Reactome's pathways as the package ``binn`` ships them, and its network of them."""

import sys
import warnings
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

HUMAN = "R-HSA"


def wheel():
    """The module of ``binn`` with its network; shap, which it explains networks with, is not needed."""
    stubs = set() if find_spec("shap") else {"shap"}
    sys.modules.update({name: ModuleType(name) for name in stubs})
    try:
        for module in ("torch", "binn.model.binn", "binn.model.util"):
            pytest.importorskip(module, exc_type=ImportError)
    finally:
        for name in stubs:
            del sys.modules[name]
    return sys.modules["binn.model"]


def human(proteins, seed=0):
    """Some proteins, drawn at random; their pathways; and who is part of which pathway."""
    found = wheel().util.load_reactome_db()
    mapping, pathways = found["mapping"], found["pathways"]
    mapping = mapping[mapping["translation"].str.startswith(HUMAN)]
    pathways = pathways[pathways["source"].str.startswith(HUMAN)]
    every = np.unique(mapping["input"])
    some = np.random.default_rng(seed).choice(every, proteins, replace=False)
    return pd.DataFrame({"Protein": some}), pathways, mapping[mapping["input"].isin(some)]


def published_network(proteins, n_layers=4, **settings):
    """The wheel's network of these pathways."""
    data, pathways, mapping = human(proteins)
    told = {"data_matrix": data, "pathways": pathways, "mapping": mapping, "n_layers": n_layers}
    with warnings.catch_warnings(action="ignore"):  # it was written for an earlier pandas
        return wheel().binn.BINN(**told, **settings)


def times(mask):
    """A layer that multiplies by a mask: dropout whose draw is known."""
    import torch

    class Times(torch.nn.Module):
        def forward(self, values):
            return values * mask

    return Times()
