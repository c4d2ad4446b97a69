"""The modules of the fast plan whose own code is proved, in one place."""

from refengine.engine.fast import packing
from refengine.kernels import instruction_sets
from refengine.kernels.fast import cluster_tile, depthwise, epilogue, pair_tile, plan, step, tile, word_tile

__all__ = [
    "cluster_tile",
    "depthwise",
    "epilogue",
    "instruction_sets",
    "packing",
    "pair_tile",
    "plan",
    "step",
    "tile",
    "word_tile",
]
