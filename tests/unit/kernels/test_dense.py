"""The native dense kernels against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels import kernels
from mixedmodels.kernels import NotPositiveDefinite, reference_dense
from mixedmodels.typing import Array

# Diagonally dominant matrices of order ≤ 2100, sums of ≤ 40,000 terms: some hundreds of roundings stay below.
RTOL = 1e-12


def dominant(order: int) -> Array:
    """A positive definite lower triangle with nonsense above the diagonal, which must not be read."""
    rng = np.random.default_rng(order)
    matrix = np.tril(rng.uniform(-0.5, 0.5, (order, order)), -1)
    matrix[np.diag_indices(order)] = order
    return np.ascontiguousarray(matrix + np.triu(np.full((order, order), np.nan), 1))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("order", [0, 1, 2, 3, 17, 64, 129, 450])
def test_factor_and_inverse(order: int, threads: int) -> None:
    matrix = dominant(order)
    if order == 0:
        assert kernels.cholesky(matrix, threads).shape == (0, 0)
        assert kernels.cholesky_inverse(matrix, threads).shape == (0, 0)
        return
    expected = reference_dense.cholesky(matrix)
    lower = kernels.cholesky(matrix, threads)
    assert lower is matrix
    np.testing.assert_allclose(np.tril(lower), expected, rtol=RTOL, atol=1e-13)
    inverse = np.tril(kernels.cholesky_inverse(lower, threads))
    np.testing.assert_allclose(inverse, reference_dense.cholesky_inverse(expected), rtol=RTOL, atol=1e-14)


def test_factor_on_two_threads_above_the_order_where_they_help() -> None:
    lower = kernels.cholesky(dominant(2100), 2)
    alone = kernels.cholesky(dominant(2100), 1)
    np.testing.assert_allclose(np.tril(lower), np.tril(alone), rtol=RTOL, atol=1e-13)


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
@pytest.mark.parametrize("order", [3, 90])
def test_the_column_that_fails_is_named(order: int, bad: float) -> None:
    matrix = dominant(order)
    matrix[order // 2, order // 2] = bad
    with pytest.raises(NotPositiveDefinite) as error:
        kernels.cholesky(matrix)
    assert error.value.args == (order // 2,)


def test_what_is_not_a_square_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        kernels.cholesky(np.ones((2, 3)))
    with pytest.raises(ValueError, match="square"):
        kernels.cholesky_inverse(np.ones((3, 2)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "r"), [(1, 1), (5, 3), (70, 12), (40_000, 4), (9, 0)])
def test_cross_products_of_dense_columns(n: int, r: int, weighted: bool, threads: int) -> None:
    rng = np.random.default_rng(n + r)
    x, y = rng.standard_normal((n, r)), rng.standard_normal(n)
    if r > 1:
        x[:, 1] = 3.0
    weights = rng.uniform(0.5, 2.0, n) if weighted else None
    centre, scale, beta = rng.standard_normal(r), rng.uniform(0.5, 2.0, r), rng.standard_normal(r)
    found = kernels.gram(x, y, weights, centre, scale, beta, threads)
    expected = reference_dense.gram(x, y, weights, centre, scale, beta)
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=1e-11 * n)
    sums, constant = kernels.column_sums(x, threads)
    expected_sums, expected_constant = reference_dense.column_sums(x)
    np.testing.assert_allclose(sums, expected_sums, rtol=RTOL, atol=1e-14 * n)
    assert list(constant) == list(expected_constant)
    squares = kernels.column_squares(x, centre, threads)
    np.testing.assert_allclose(squares, reference_dense.column_squares(x, centre), rtol=RTOL)
