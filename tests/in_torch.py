"""What a forward in PyTorch computes, beside the engine."""

import numpy as np

from refengine.engine.run import run
from refengine.optional import package


def pixels_of(images):
    """uint8 (N, H, W, C) as PyTorch has them."""
    return package("torch").from_numpy(images.copy()).permute(0, 3, 1, 2)


def integers(tensor):
    """A tensor of integers in the engine's layout, int64 (N, ..., C)."""
    array = tensor.detach().movedim(1, -1).double().numpy()
    found = array.astype(np.int64)
    np.testing.assert_array_equal(found, array)
    return found


def assert_the_engines_integers(forward, network, images):
    """Codes, accumulators and logits of a forward are those of ``run``."""
    wanted, compared = {}, []
    logits = run(network, images, observe=lambda layer, _, result: wanted.update({layer.name: result}))

    def compare(layer, accumulator, result):
        np.testing.assert_array_equal(integers(result), wanted[layer.name].result, layer.name)
        assert (accumulator is None) == (wanted[layer.name].accumulator is None)
        if accumulator is not None:
            np.testing.assert_array_equal(integers(accumulator), wanted[layer.name].accumulator, layer.name)
        compared.append(layer.name)

    found = forward(pixels_of(images), compare).detach().numpy()
    np.testing.assert_array_equal(np.ldexp(found, -network.layers[-1].exponent), logits)
    assert compared == [layer.name for layer in network.layers]
