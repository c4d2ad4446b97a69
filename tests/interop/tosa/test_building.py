"""How codes are held in a graph, and the padding that windows get."""

import numpy as np

from refengine.interop.tosa.building import signed, unsigned


def test_unsigned_codes_are_held_128_less():
    codes = np.arange(256, dtype=np.uint8)
    assert signed(codes).tolist() == [*range(-128, 128)]
    np.testing.assert_array_equal(unsigned(signed(codes)), codes)
    below = np.array([-128, 127], np.int8)
    assert signed(below) is below
