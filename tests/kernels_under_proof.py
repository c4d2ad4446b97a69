"""The modules of the fast plan whose own code is proved, in one place."""

from refengine.engine.fast import packing
from refengine.kernels import instruction_sets as rungs
from refengine.kernels.fast import cluster_tile, plan, step, tile
from refengine.kernels.fast import epilogue as finish

__all__ = ["cluster_tile", "finish", "packing", "plan", "rungs", "step", "tile"]
