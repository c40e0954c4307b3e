"""A network without its conveniences: topology, plan, parameters and a runner."""

from dagnet.model.asking import node_meant, unit_meant, walk_of
from dagnet.model.core import Model, Node
from dagnet.model.data import ABSENT, Encoded, encode_inputs
from dagnet.model.differences import Differences, kinks_of
from dagnet.model.heads import Objective, Parts, mean_loss, row_weights
from dagnet.model.layout import Layout
from dagnet.model.naming import ParameterName, ParameterNames
from dagnet.model.results import Forward, Gradient, Walk
from dagnet.model.selection import checked_threads, make_generator, prepare
from dagnet.model.start import start_vector
from dagnet.model.tables import aligned, is_sparse, is_table, numeric, with_columns
from dagnet.model.views import BiasView, MissingNameError, WeightView

__all__ = [
    "ABSENT", "BiasView", "Differences", "Encoded", "Forward", "Gradient", "Layout", "MissingNameError",
    "Model", "Node", "Objective", "ParameterName", "ParameterNames", "Parts", "Walk", "WeightView", "aligned",
    "checked_threads", "encode_inputs", "is_sparse", "is_table", "kinks_of", "make_generator", "mean_loss",
    "node_meant", "numeric", "prepare", "row_weights", "start_vector", "unit_meant", "walk_of",
    "with_columns",
]  # fmt: skip
