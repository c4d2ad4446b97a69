"""The modules of the fast plan whose own code is proved, in one place."""

from refengine.engine import packing
from refengine.kernels import cluster_tile, finish, plan, rungs, step, tile

__all__ = ["cluster_tile", "finish", "packing", "plan", "rungs", "step", "tile"]
