"""From reals to codes: the one rounding of floating-point values, on the float side of the wall.

Weights become codes here, before a network of integers exists; nothing that runs a network imports this file.
"""

import numpy as np

from .formats import CodeFormat


def nearest_codes(values: np.ndarray, fmt: CodeFormat) -> np.ndarray:
    """Round float64 multiples of one step to the nearest code, ties to even, and saturate (contract R7).

    >>> from .formats import INT4
    >>> nearest_codes(np.array([0.5, 1.5, -2.6, 99.0]), INT4).tolist()
    [0, 2, -3, 7]
    """
    return np.clip(np.rint(values), fmt.lo, fmt.hi).astype(fmt.dtype)
