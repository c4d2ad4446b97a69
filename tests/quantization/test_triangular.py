"""Inverses of triangular factors, by what an inverse is."""

import numpy as np
import pytest

from refengine.quantization.triangular import inverse_of_lower, root_of_inverse


def positive_definite(n):
    mixed = np.random.default_rng(n).standard_normal((2 * n, n))
    return mixed.T @ mixed / n + 0.1 * np.eye(n)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200])
def test_a_factor_times_its_inverse_is_one(n):
    lower = np.linalg.cholesky(positive_definite(n))
    inverse = inverse_of_lower(lower)
    assert np.allclose(lower @ inverse, np.eye(n), atol=1e-10)
    assert np.array_equal(inverse, np.tril(inverse))


@pytest.mark.parametrize("n", [1, 3, 130])
def test_the_root_is_upper_and_its_square_the_inverse(n):
    matrix = positive_definite(n)
    root = root_of_inverse(matrix)
    assert np.array_equal(root, np.triu(root))
    assert np.all(np.diag(root) > 0)
    assert np.allclose(root.T @ root @ matrix, np.eye(n), atol=1e-9)
