"""Moments of the float network's layers against NumPy over all images at once."""

import numpy as np
import pytest
from float_networks import every_op

from refengine.network.forward import forward
from refengine.quantization.float_moments import float_moments


def test_moments_are_those_of_the_float_layers():
    network = every_op()
    images = np.random.default_rng(0).integers(0, 256, (37, *network.input_shape)).astype(np.uint8)
    seen = {}
    forward(network, images, lambda layer, tensor: seen.update({layer.name: tensor.astype(np.float64)}))
    steps = []
    moments = float_moments(network, images, ["001_conv", "014_fc"], lambda *step: steps.append(step))
    assert set(moments) == {"001_conv", "014_fc"}
    for name, found in moments.items():
        values = seen[name].reshape(-1, seen[name].shape[-1])
        assert [float(m) for m in found.mean] == pytest.approx(values.mean(axis=0).tolist(), rel=1e-4, abs=1e-4)
        assert [float(v) for v in found.var] == pytest.approx(values.var(axis=0).tolist(), rel=1e-4, abs=1e-4)
    assert steps == [("float network", 0, 37), ("float network", 16, 37), ("float network", 32, 37)]
