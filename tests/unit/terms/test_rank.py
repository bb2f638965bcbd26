"""In-order pivoting: the columns kept and the null space, against exact constructions and an SVD."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.terms.rank import null_space
from mixedmodels.typing import Array

RNG = np.random.default_rng(3)


def check(x: Array, expected: tuple[int, ...]) -> Array:
    estimable, basis = null_space(x)
    assert estimable == expected
    assert basis.shape == (x.shape[1], x.shape[1] - len(expected))
    scale = np.linalg.norm(x, axis=0).max(initial=0.0) * max(np.abs(basis).max(initial=0.0), 1.0)
    # Gram-based coefficients carry the square root of the tolerance at worst; these are well-conditioned
    np.testing.assert_allclose(x @ basis, 0.0, atol=1e-9 * scale)
    aliased = [j for j in range(x.shape[1]) if j not in expected]
    np.testing.assert_array_equal(basis[aliased], np.eye(len(aliased)))
    return basis


def with_intercept(x: Array) -> Array:
    return np.column_stack([np.ones(len(x)), x])


def test_full_rank() -> None:
    check(with_intercept(RNG.normal(size=(50, 4))), (0, 1, 2, 3, 4))
    check(RNG.normal(size=(50, 4)), (0, 1, 2, 3))
    check(np.ones((5, 1)), (0,))
    check(np.zeros((5, 0)), ())


def test_a_combination_of_earlier_columns() -> None:
    x = with_intercept(RNG.normal(size=(50, 3)))
    x = np.insert(x, 3, 2.0 + 3 * x[:, 1] - x[:, 2], axis=1)
    basis = check(x, (0, 1, 2, 4))
    np.testing.assert_allclose(basis.ravel(), [-2, -3, 1, 1, 0], atol=1e-11)


def test_dummies_of_every_level_after_an_intercept() -> None:
    dummies = np.eye(3)[RNG.integers(0, 3, 40)]
    check(with_intercept(dummies), (0, 1, 2))
    # without the constant first nothing may be centred, and the order decides which column goes
    check(np.column_stack([dummies, np.ones(40)]), (0, 1, 2))


def test_zero_and_constant_columns() -> None:
    x = np.column_stack([np.ones(9), np.zeros(9), RNG.normal(size=9), np.full(9, 7.5)])
    basis = check(x, (0, 2))
    np.testing.assert_allclose(basis[:, 1], [-7.5, 0, 0, 1], atol=1e-12)
    check(np.column_stack([np.zeros(9), np.arange(9.0)]), (1,))


def test_repeated_aliases() -> None:
    base = with_intercept(RNG.normal(size=(80, 3)))
    x = np.column_stack([base, base @ RNG.normal(size=(4, 3)), RNG.normal(size=80)])
    check(x, (0, 1, 2, 3, 7))


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_location_and_scale_do_not_matter(shift: float, scale: float) -> None:
    base = RNG.normal(size=(200, 2))
    x = with_intercept(np.column_stack([base, base.sum(axis=1), base[:, 0] ** 2]) * scale + shift * scale)
    estimable, _ = null_space(x)
    assert estimable == (0, 1, 2, 4)


@pytest.mark.parametrize(
    ("size", "kept"),
    [(1e-2, True), (1e-4, True), (3e-5, True), (3e-6, False), (1e-8, False), (0.0, False)],
)
def test_the_tolerance_is_on_the_residual_fraction(size: float, kept: bool) -> None:
    """A column of relative residual norm `size` is kept iff size² > 1e-10, whatever the Gram matrix shows."""
    x = with_intercept(RNG.normal(size=(500, 3)))
    q, _ = np.linalg.qr(x)
    noise = RNG.normal(size=500)
    noise -= q @ (q.T @ noise)
    column = x[:, 1] + x[:, 2]
    spread = np.linalg.norm(column - column.mean())
    column = column + size * spread * noise / np.linalg.norm(noise)
    estimable, _ = null_space(np.column_stack([x, column]))
    assert (4 in estimable) == kept


def test_nearly_collinear_kept_columns_do_not_hide_an_alias() -> None:
    x = with_intercept(RNG.normal(size=(300, 2)))
    x = np.column_stack([x, x[:, 1] + 1e-4 * RNG.normal(size=300)])  # kept: fraction 1e-8
    x = np.column_stack([x, x[:, 3] - 2 * x[:, 2]])  # exactly aliased
    assert null_space(x)[0] == (0, 1, 2, 3)


def test_raw_polynomials_of_years() -> None:
    year = np.arange(1990.0, 2020.0)
    x = np.column_stack([year**0, year, year**2])
    assert null_space(x)[0] == (0, 1, 2)


@given(st.integers(1, 6), st.integers(0, 3), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_random_integer_matrices(p: int, n_aliased: int, constant: bool, random: object) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    x = rng.integers(-3, 4, size=(40, p)).astype(float)
    if constant:
        x[:, 0] = 1.0
    for _ in range(n_aliased):
        place = int(rng.integers(1, x.shape[1] + 1))
        x = np.insert(x, place, x[:, :place] @ rng.integers(-2, 3, place), axis=1)
    estimable, basis = null_space(x)
    ranks = [int(np.linalg.matrix_rank(x[:, : j + 1])) for j in range(x.shape[1])]
    expected = tuple(j for j, rank in enumerate(ranks) if rank > (ranks[j - 1] if j else 0))
    assert estimable == expected
    np.testing.assert_allclose(x @ basis, 0.0, atol=1e-9)


def test_no_second_copy_is_made() -> None:
    x = with_intercept(RNG.normal(size=(200_000, 9)))
    null_space(x[:10])
    tracemalloc.start()
    null_space(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.2 * x.nbytes
