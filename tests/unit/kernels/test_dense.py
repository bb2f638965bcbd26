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
    products = kernels.response_products(x, y, weights, centre, scale, beta, threads)
    np.testing.assert_allclose(products, expected[-(r + 1) :], rtol=RTOL, atol=1e-11 * n)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("n", "r"), [(1, 1), (5, 3), (70, 12), (40_000, 4), (30_000, 9), (9, 0)])
def test_moments_of_columns(n: int, r: int, threads: int) -> None:
    rng = np.random.default_rng(n + r)
    x = 100.0 + rng.standard_normal((n, r)) + np.linspace(0, 5, n)[:, None]
    if r > 1:
        x[:, 1] = 0.1
    mean, constant, gram = kernels.column_moments(x, threads)
    expected_mean, expected_constant, expected = reference_dense.column_moments(x)
    # NumPy adds the rows one after the other
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-12)
    assert list(constant) == list(expected_constant)
    if r > 1:
        assert mean[1] == 0.1
        assert gram.reshape(r, r)[1].tolist() == [0.0] * r
    np.testing.assert_allclose(gram, expected, rtol=1e-11, atol=1e-12 * n)


def test_moments_do_not_depend_on_the_layout_in_memory() -> None:
    x = np.asfortranarray(np.random.default_rng(3).standard_normal((500, 6)))
    for found, expected in zip(
        kernels.column_moments(x, 1), kernels.column_moments(x.copy("C"), 1), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 16, 17, 40])
@pytest.mark.parametrize("order", [1, 6, 50])
def test_triangular_solves_and_symmetric_products(order: int, columns: int) -> None:
    rng = np.random.default_rng(order + columns)
    lower = (
        np.tril(rng.standard_normal((order, order)))
        + 3.0 * np.eye(order)
        + np.triu(np.ones((order, order)), 1)
    )
    b = rng.standard_normal((order, columns))
    for right in (b, b[:, 0]):
        wide = right[:, None] if right.ndim == 1 else right
        solved = kernels.solve_lower(lower, right)
        expected = reference_dense.solve_triangular(lower, wide, False)
        np.testing.assert_allclose(solved.reshape(wide.shape), expected, rtol=1e-9, atol=1e-12)
        solved = kernels.solve_upper(lower, right)
        expected = reference_dense.solve_triangular(lower, wide, True)
        np.testing.assert_allclose(solved.reshape(wide.shape), expected, rtol=1e-9, atol=1e-12)
        size = (order + 1) // 2
        product = kernels.symmetric_times(lower, right[:size], size)
        expected = reference_dense.symmetric_product(lower, wide[:size])
        np.testing.assert_allclose(product.reshape(expected.shape), expected, rtol=1e-10, atol=1e-12)


def test_triangles_are_scaled_from_both_sides() -> None:
    rng = np.random.default_rng(2)
    matrix, weights = rng.standard_normal((7, 7)), rng.standard_normal(5)
    found, expected = np.full((5, 5), 9.0), np.full((5, 5), 9.0)
    kernels.scale_triangle(matrix, weights, found)
    reference_dense.scale_triangle(matrix, weights, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    kernels.scale_triangle_in_place(found, weights)
    reference_dense.scale_triangle_in_place(expected, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("k", "m", "n"), [(1, 1, 1), (3, 2, 0), (40, 55, 1003), (55, 55, 5000), (600, 3, 900)]
)
def test_products_of_rows_in_parts_are_the_product(k: int, m: int, n: int) -> None:
    rng = np.random.default_rng(k)
    a, b = rng.standard_normal((k, n)), rng.standard_normal((m, n))
    np.testing.assert_allclose(kernels.row_products(a, b), a @ b.T, rtol=1e-10, atol=1e-11)
    turned = kernels.row_products(np.asfortranarray(a), np.asfortranarray(b))
    np.testing.assert_allclose(turned, a @ b.T, rtol=1e-10, atol=1e-11)
