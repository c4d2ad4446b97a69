"""A small float network with everything that fine-tuning has to follow, a batch norm behind every convolution."""

import numpy as np
from float_networks import floats, layer

from refengine.network.float_network import FloatNetwork

SAME = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
HALF = {"strides": (2, 2), "pads": (1, 1, 0, 0), "group": 1}
POINT = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


def norms(rng, channels):
    """Constants of a batch norm without a gamma of 0, some of them negative."""
    gamma = rng.choice([-1, 1], channels, p=[0.2, 0.8]) * rng.uniform(0.5, 1.5, channels)
    values = {"gamma": gamma, "beta": rng.normal(0.2, 0.5, channels), "mean": rng.normal(size=channels)}
    return {name: array.astype(np.float32) for name, array in {**values, "var": rng.uniform(0.5, 2, channels)}.items()}


class Growing:
    """Layers, each reading the one before it unless told otherwise."""

    def __init__(self, rng):
        self.rng, self.layers = rng, [layer(0, "input")]

    def add(self, op, *inputs, constants=None, **attributes):
        inputs = inputs or (self.layers[-1].name,)
        self.layers.append(layer(len(self.layers), op, inputs, constants, **attributes))
        return self.layers[-1].name

    def conv(self, outputs, inputs, kernel, window, *reads, relu=None, bias=False):
        """conv, batch norm and, unless ``relu`` is None, a ReLU with these attributes."""
        constants = {"weight": floats(self.rng, outputs, inputs // window["group"], kernel, kernel)}
        if bias:
            constants["bias"] = floats(self.rng, outputs)
        self.add("conv", *reads, constants=constants, **window)
        name = self.add("batchnorm", constants=norms(self.rng, outputs), epsilon=1e-3)
        return name if relu is None else self.add("relu", **relu)


def trainable(seed=0):
    """8x8 images: a residual block with a projection, depthwise, grouped, ReLU6, a batch norm of its own; 5 classes."""
    rng = np.random.default_rng(seed)
    net = Growing(rng)
    first = net.conv(8, 3, 3, SAME, relu={}, bias=True)
    net.conv(8, 8, 3, SAME, relu={})
    inner = net.conv(12, 8, 3, HALF)
    shortcut = net.conv(12, 8, 2, {**POINT, "strides": (2, 2)}, first)
    net.add("add", inner, shortcut)
    block = net.add("relu")
    net.conv(12, 12, 3, {**SAME, "group": 12}, relu={"max": 6.0})
    pointwise = net.conv(12, 12, 1, {**POINT, "group": 3})
    net.add("add", pointwise, block)
    net.add("relu")
    net.add("batchnorm", constants=norms(rng, 12), epsilon=1e-3)
    net.add("relu")
    net.add("global_avgpool")
    net.add("fc", constants={"weight": floats(rng, 5, 12), "bias": floats(rng, 5)})
    return FloatNetwork("trainable", (8, 8, 3), 5, (120.0,) * 3, (60.0,) * 3, "BGR", tuple(net.layers), "made here")
