"""From a topology to a plan, in four named passes: order, blocks, packing, program."""

from dagnet.compiler.passes import DENSE_MINIMUM, Compiled, compile_topology

__all__ = ["DENSE_MINIMUM", "Compiled", "compile_topology"]
