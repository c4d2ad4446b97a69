"""Inverses of triangular factors, in products of matrices: what NumPy has no function for."""

import numpy as np

_SMALL = 64


def inverse_of_lower(lower: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular matrix, float64 (n, n), by halves: A 0 / B C has  A^-1 0 / -C^-1 B A^-1  C^-1.

    >>> inverse_of_lower(np.array([[2.0, 0.0], [1.0, 4.0]])).tolist()
    [[0.5, 0.0], [-0.125, 0.25]]
    """
    n, half = len(lower), len(lower) // 2
    if n <= _SMALL:
        return np.tril(np.linalg.inv(lower))
    inverse = np.zeros((n, n))
    inverse[:half, :half] = first = inverse_of_lower(lower[:half, :half])
    inverse[half:, half:] = last = inverse_of_lower(lower[half:, half:])
    inverse[half:, :half] = -(last @ lower[half:, :half]) @ first
    return inverse


def root_of_inverse(matrix: np.ndarray) -> np.ndarray:
    """The upper triangular U with U^T U = H^-1 for a positive definite H, float64 (n, n)."""
    turned = np.linalg.cholesky(matrix[::-1, ::-1])  # H = (turned back) (turned back)^T, an upper factor first
    return np.ascontiguousarray(inverse_of_lower(turned)[::-1, ::-1])
