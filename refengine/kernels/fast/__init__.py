"""The kernels of the fused plan: tiles of the instruction sets, walked step by step; the same integers as the
definitions."""
