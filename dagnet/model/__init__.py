"""A network without its conveniences: topology, plan, parameters and a runner."""

from dagnet.model.core import Model
from dagnet.model.results import Forward, Gradient
from dagnet.model.tables import aligned, is_sparse, is_table, with_columns
from dagnet.model.views import BiasView, WeightView

__all__ = [
    "BiasView",
    "Forward",
    "Gradient",
    "Model",
    "WeightView",
    "aligned",
    "is_sparse",
    "is_table",
    "with_columns",
]
