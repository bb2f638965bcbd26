"""Singular covariances: factors, ranks, and leaving false boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels.covariance import Positions, Structure, bind, semidefinite_cholesky
from mixedmodels.covariance.kronecker import Kronecker
from mixedmodels.covariance.nugget import WithNugget
from mixedmodels.spec import StructureSpec


def grid(m: int) -> Positions:
    return Positions(m, tuple("abcdefgh"[:m]))


def make(name: str, *order: int) -> Structure:
    return bind(StructureSpec(name, order=order))


def test_semidefinite_cholesky_of_rank_deficient_matrices() -> None:
    rng = np.random.default_rng(1)
    for rank in range(5):
        root = rng.standard_normal((4, rank))
        sigma = root @ root.T
        factor = semidefinite_cholesky(sigma)
        np.testing.assert_allclose(factor @ factor.T, sigma, atol=1e-13)
        assert np.sum(np.diag(factor) > 1e-6) == rank


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[-1.0]], [[np.nan]]])
def test_semidefinite_cholesky_rejects_indefinite_matrices(matrix: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="not positive semidefinite"):
        semidefinite_cholesky(np.array(matrix))


def test_rank_beside_errors_without_variance_is_that_of_rounding() -> None:
    us, at = make("us"), grid(2)
    assert us.rank(np.array([1.0, 0.5, 1e-3]), at, 0.0) == 2
    assert us.rank(np.array([1.0, 0.5, 0.0]), at, np.zeros(2)) == 1
    assert us.rank(np.zeros(3), at, 0.0) == 0


def test_rank_counts_directions_against_the_scale() -> None:
    us, at = make("us"), grid(2)
    assert us.rank(np.array([1.0, 0.5, 0.0]), at, 1.0) == 1
    assert us.rank(np.array([1.0, 0.5, 1e-3]), at, 1.0) == 2
    assert us.rank(np.array([1.0, 0.5, 1e-5]), at, 1.0) == 1
    assert us.rank(np.array([1.0, 0.5, 1e-5]), at, 1e-4) == 2
    assert us.rank(np.zeros(3), at, 1.0) == 0


def test_us_leaves_a_false_boundary_along_the_null_direction() -> None:
    us, at = make("us"), grid(2)
    theta = np.array([1.0, 1.0, 0.0])  # Σ = 11', null direction (1, −1)
    w = np.array([1.0, -1.0]) / np.sqrt(2.0)
    moved = us.escape(theta, -4.0 * np.outer(w, w), at, 0.01)
    assert moved is not None
    np.testing.assert_allclose(us.matrix(moved, at), np.ones((2, 2)) + 0.01 * np.outer(w, w), atol=1e-14)
    assert us.escape(theta, 4.0 * np.outer(w, w), at, 0.01) is None
    # Γ negative along a direction that Σ already has is the business of the gradient, not of the boundary.
    assert us.escape(theta, -4.0 * np.ones((2, 2)), at, 0.01) is None
    # A decrease of −2l below one millionth is not worth leaving.
    assert us.escape(theta, -1e-5 * np.outer(w, w), at, 0.01) is None


def test_reduced_rank_structures_turn_a_spare_column_to_the_new_direction() -> None:
    at = grid(3)
    for structure in (make("fa0", 2), make("fa", 2)):
        theta = np.zeros(structure.size(3))
        theta[:5] = [1.0, 1.0, 1.0, 0.0, 0.0]  # second column of loadings zero
        theta[5:] = 1.0
        w = np.array([1.0, 1.0, -2.0]) / np.sqrt(6.0)
        moved = structure.escape(theta, -3.0 * np.outer(w, w), at, 0.01)
        assert moved is not None
        change = structure.matrix(moved, at) - structure.matrix(theta, at)
        np.testing.assert_allclose(change, 0.01 * np.outer(w, w), atol=1e-14)
        assert structure.escape(moved, -3.0 * np.outer(w, w), at, 1e-4) is None


def test_vanished_uniqueness_returns() -> None:
    fa, at = make("fa", 1), grid(3)
    theta = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    moved = fa.escape(theta, np.diag([0.0, -1.0, 0.0]), at, 0.01)
    assert moved is not None
    np.testing.assert_allclose(moved, [1.0, 1.0, 1.0, 1.0, 0.1, 1.0])


def test_diag_moves_only_the_component_that_asks_for_it() -> None:
    diag, at = make("diag"), grid(3)
    moved = diag.escape(np.array([0.0, 2.0, 0.0]), np.diag([1.0, -5.0, -2.0]), at, 0.04)
    assert moved is not None
    np.testing.assert_allclose(moved, [0.0, 2.0, 0.2])


def test_one_vanished_variance_of_many_comes_back() -> None:
    har1, at = make("har1"), grid(3)
    theta = har1.from_natural(np.array([1.0, 0.0, 1.0, 0.6]), at)
    gamma = np.zeros((3, 3))
    gamma[0, 1] = gamma[1, 0] = -1.0  # a positive covariance of a and b lowers −2l
    moved = har1.escape(theta, gamma, at, 0.01)
    assert moved is not None
    np.testing.assert_allclose(har1.natural(moved, at).values, [1.0, 0.01, 1.0, 0.6], atol=1e-14)
    assert har1.escape(theta, -gamma, at, 0.01) is None


@pytest.mark.parametrize(("name", "end"), [("cs", 1.0), ("cs", -0.5), ("ar1", 1.0), ("ar1", -1.0)])
def test_a_correlation_at_its_end_comes_back_when_the_slope_asks_for_it(name: str, end: float) -> None:
    structure, at = make(name), grid(3)
    family = structure.correlation  # type: ignore[attr-defined]
    theta = np.r_[2.0, family.inverse(np.array([end]), 3)]
    slope = family.d_of(np.array([end]), at)[0]
    towards = slope if end > 0 else -slope
    assert np.linalg.norm(structure.d_matrix(theta, at)[1]) < 1e-7  # the gradient vanishes there
    moved = structure.escape(theta, towards, at, 0.01)
    assert moved is not None
    change = structure.matrix(moved, at) - structure.matrix(theta, at)
    assert np.sum(towards * change) < 0.0
    assert 0.002 < np.max(np.abs(change)) < 0.05
    assert structure.escape(theta, -towards, at, 0.01) is None


@pytest.mark.parametrize("name", ["sph", "lin_sp"])
def test_compact_correlations_leave_the_flat_region_below_the_smallest_distance(name: str) -> None:
    structure = make(name)
    at = Positions(4, tuple("abcd"), np.array([[0.0], [1.0], [2.0], [3.5]]))
    theta = np.array([1.0, np.log(0.4)])
    assert not structure.d_matrix(theta, at)[1].any()
    gamma = np.zeros((4, 4))
    gamma[0, 1] = gamma[1, 0] = -1.0
    moved = structure.escape(theta, gamma, at, 0.01)
    assert moved is not None
    assert 0.0 < structure.matrix(moved, at)[0, 1] <= 0.05
    assert structure.escape(theta, -gamma, at, 0.01) is None


def test_products_and_nuggets_pass_the_question_on() -> None:
    at = grid(4)
    product = Kronecker(make("us"), make("ar1"), (2, 2))
    theta = product.from_natural(np.array([1.0, 1.0, 1.0, 0.5]), at)  # first factor singular
    gamma = np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2))
    moved = product.escape(theta, gamma, at, 0.01)
    assert moved is not None
    assert np.sum(gamma * (product.matrix(moved, at) - product.matrix(theta, at))) < 0.0
    nugget = WithNugget(make("ar1"))
    theta = nugget.from_natural(np.array([1.0, 0.5, 0.0]), at)
    moved = nugget.escape(theta, -np.eye(4), at, 0.01)
    assert moved is not None
    np.testing.assert_allclose(nugget.natural(moved, at).values, [1.0, 0.5, 0.01], atol=1e-14)


def test_canonical_factor_of_a_zero_pivot_over_a_column() -> None:
    us, at = make("us"), grid(2)
    np.testing.assert_allclose(us.canonical(np.array([0.0, 3.0, -4.0]), at), [0.0, 0.0, 5.0])
    np.testing.assert_allclose(us.canonical(np.array([-1.0, 3.0, -4.0]), at), [1.0, -3.0, 4.0])


def test_singular_natural_values_are_reached_exactly() -> None:
    at = grid(3)
    for name, values in (
        ("us", [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
        ("cs", [0.0, 2.0]),
        ("cs", [3.0, -1.0]),
        ("ar1", [2.0, -1.0]),
        ("hf", [2.0, 2.0, 2.0, 0.0]),
        ("toep", [0.0, 0.0, 0.0]),
        ("hcs", [1.0, 0.0, 4.0, 1.0]),
    ):
        structure = make(name)
        theta = structure.from_natural(np.array(values), at)
        assert np.all(np.isfinite(theta))
        np.testing.assert_allclose(structure.natural(theta, at).values, values, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("us", [1.0, 2.0, 1.0]),
        ("diag", [1.0, -1.0]),
        ("homdiag", [-1.0]),
        ("cs", [1.0, -2.0]),
        ("ar1", [1.0, 1.1]),
        ("hcs", [1.0, 1.0, -1.5]),
        ("toep", [1.0, 1.5]),
        ("unr", [1.0, 1.0, 2.0]),
        ("unr", [-1.0, 1.0, 0.0]),
        ("hf", [1.0, 9.0, -0.1]),
        ("hf", [1.0, 1.0, 0.5]),
        ("arma", [1.0, 0.9, -0.9]),
        ("fa1", [1.0, 1.0, -1.0]),
    ],
)
def test_impossible_natural_values_are_refused(name: str, values: list[float]) -> None:
    with pytest.raises(ValueError):
        make(name).from_natural(np.array(values), grid(2))


@pytest.mark.parametrize(
    ("name", "values"),
    [("exp", [1.0, -1.0]), ("pow", [1.0, 1.0]), ("car1", [1.0, 0.0]), ("lin_sp", [1.0, 0.0])],
)
def test_impossible_spatial_values_are_refused(name: str, values: list[float]) -> None:
    at = Positions(2, ("a", "b"), np.array([[0.0], [1.0]]))
    with pytest.raises(ValueError):
        make(name).from_natural(np.array(values), at)


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 3.0])
def test_smooth_covariances_among_close_points_have_a_factor(scale: float) -> None:
    # eigenvalues fall below 1e-16 of the largest, where pivots in the order given lose their sign
    t = np.linspace(0, 1, 80)
    sigma = np.exp(-(((t[:, None] - t[None]) / scale) ** 2))
    factor = semidefinite_cholesky(sigma)
    np.testing.assert_array_equal(np.triu(factor, 1), 0.0)
    np.testing.assert_allclose(factor @ factor.T, sigma, atol=1e-12)
    with pytest.raises(ValueError, match="not positive semidefinite"):
        semidefinite_cholesky(sigma - 1e-9 * np.eye(80))


def test_a_correlation_that_rounding_holds_at_one_leaves_no_boundary_by_an_error():
    """tanh(20) is 1: what such a parameter is left at is no place to go to anew."""
    at = Positions(3, ("1", "2", "3"))
    arma = make("arma", 1, 1)
    theta = np.array([0.0, 20.0, 0.3])
    for gamma in (-np.ones((3, 3)), np.eye(3), -np.eye(3)):
        moved = arma.escape(theta, gamma, at, 0.1)
        assert moved is None or np.isfinite(moved).all()
    assert np.isfinite(arma.canonical(theta, at)).all()
