"""The float network beside the walk gives what a plain forward pass gives, and forgets what it is told to."""

import numpy as np
from calibrated import pixels
from float_networks import every_op

from refengine.network.forward import OPERATORS, forward
from refengine.quantization.float_side import FloatSide


def test_every_layer_is_that_of_a_forward_pass():
    network = every_op()
    images, wanted = pixels(network), {}
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor.copy()}))
    side = FloatSide(network, images)
    for name in reversed(wanted):
        assert np.array_equal(side.output(name), wanted[name]), name


def test_a_layer_is_computed_once_until_it_is_forgotten(monkeypatch):
    network = every_op()
    side, calls = FloatSide(network, pixels(network)), []
    plain = OPERATORS["conv"]
    monkeypatch.setitem(OPERATORS, "conv", lambda layer, x: calls.append(layer.name) or plain(layer, x))
    name = next(layer.name for layer in network.layers if layer.op == "conv")
    side.output(name)
    side.output(name)
    assert calls == [name]
    side.keep({name})
    side.output(name)
    assert calls == [name]
    side.keep(set())
    side.output(name)
    assert calls == [name, name]
