"""The random bits of stochastic rounding (contract R5): a counter-based generator.

    bits = mix(key(image) + (element + 1) * GOLDEN)         mod 2**64
    key(image) = mix(mix(mix(seed + GOLDEN) + (layer + 1) * GOLDEN) + (image + 1) * GOLDEN)

``mix`` is the finalizer of SplitMix64 (Steele, Lea, Flood 2014), a bijection of 64-bit words.  A draw depends on the
seed, the layer's position in the network, the image's position in the run and the element's position in the image
(((y * W) + x) * C + c), and on nothing else: not on batch size, order or thread.
"""

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64 - 1


def mix(z: int) -> int:
    """SplitMix64's finalizer of one 64-bit word.

    >>> hex(mix(GOLDEN))
    '0xe220a8397b1dcdaf'
    """
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)


def key(seed: int, layer: int, image: int) -> int:
    """The 64-bit key of one layer of one image."""
    word = mix((seed + GOLDEN) & _WORD)
    for index in (layer, image):
        word = mix((word + (index + 1) * GOLDEN) & _WORD)
    return word


def random_bits(seed: int, layer: int, first_image: int, shape: tuple[int, ...]) -> np.ndarray:
    """64 random bits for every element of ``shape`` = (images, ...): uint64, same shape."""
    counters = np.arange(1, int(np.prod(shape[1:])) + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    rows = [_mix_words(counters + np.uint64(key(seed, layer, first_image + n))) for n in range(shape[0])]
    return np.array(rows, np.uint64).reshape(shape)


def _mix_words(z: np.ndarray) -> np.ndarray:
    """``mix`` of an array of words; uint64 products wrap, which is the arithmetic mod 2**64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
