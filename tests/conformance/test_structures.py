"""Every covariance structure obeys the protocol: Σ ⪰ 0, derivatives, round trips, boundaries, identities.

Derivatives are compared with the complex step, Im f(θ + ih)/h with h = 1e-30, which has no truncation and no
cancellation error: what remains is rounding in either formula.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from mixedmodels.covariance import STRUCTURES, Positions, Structure, bind, structure_class
from mixedmodels.spec import StructureSpec
from structure_cases import CASES, PAIRS, PLANE, Case, close, each, grid, kron, line, make, seeds

TINY = 1e-30


def complex_steps(function: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> np.ndarray:
    """Return ∂f/∂θ_a, (k, ...), by the complex step."""
    out = []
    for a in range(len(theta)):
        moved = theta.astype(np.complex128)
        moved[a] += 1j * TINY
        out.append(function(moved).imag / TINY)
    return np.array(out)


def test_every_structure_has_cases() -> None:
    assert set(CASES) == set(STRUCTURES)


@each
@seeds
def test_matrix_is_a_covariance(case: Case, seed: int) -> None:
    theta = case.theta(seed)
    assert theta.shape == (case.structure.size(case.at.size),)
    sigma = case.structure.matrix(theta, case.at)
    assert sigma.shape == (case.at.size, case.at.size)
    close(sigma, sigma.T, 1e-15)
    assert np.linalg.eigvalsh(sigma)[0] >= -1e-13 * np.max(np.diag(sigma))


@each
@seeds
def test_first_derivatives(case: Case, seed: int) -> None:
    theta, structure = case.theta(seed), case.structure
    expected = complex_steps(lambda t: structure.matrix(t, case.at), theta)
    close(structure.d_matrix(theta, case.at), expected, 1e-12)


@each
@seeds
def test_second_derivatives(case: Case, seed: int) -> None:
    theta, structure = case.theta(seed), case.structure
    second = structure.d2_matrix(theta, case.at)
    if structure.names[0] == "lin":  # its first derivative is constant and real
        assert not second.any()
        return
    close(second, complex_steps(lambda t: structure.d_matrix(t, case.at), theta), 1e-12)
    close(second, second.swapaxes(0, 1), 1e-13)


@each
def test_curvature_contracts_second_derivatives(case: Case) -> None:
    theta = case.theta(1)
    gamma = np.random.default_rng(5).standard_normal((case.at.size,) * 2)
    gamma = gamma + gamma.T
    expected = np.einsum("abij,ij->ab", case.structure.d2_matrix(theta, case.at), gamma)
    close(case.structure.curvature(theta, gamma, case.at), expected, 1e-13)


@each
@seeds
def test_natural_scale(case: Case, seed: int) -> None:
    theta, structure = case.theta(seed), case.structure
    natural = structure.natural(theta, case.at)
    k = len(theta)
    assert len(natural.names) == len(set(natural.names)) == len(natural.kinds) == k
    assert set(natural.kinds) <= {"variance", "covariance", "correlation", "range", "loading", "other"}
    assert natural.jacobian.shape == (k, k)
    expected = complex_steps(lambda t: structure.natural(t, case.at).values, theta)
    close(natural.jacobian, expected.T, 1e-12)


@each
@seeds
def test_round_trip_through_natural_values(case: Case, seed: int) -> None:
    theta, structure = case.theta(seed), case.structure
    natural = structure.natural(theta, case.at)
    again = structure.from_natural(natural.values, case.at)
    # arcsin and the Durbin–Levinson recursion lose up to half the digits near an end of the range; the seeds
    # stay away from it, and 1e-10 leaves room for the condition of the recursion.
    close(structure.matrix(again, case.at), structure.matrix(theta, case.at), 1e-10)
    close(structure.natural(again, case.at).values, natural.values, 1e-10)


@each
@seeds
def test_derivatives_on_the_natural_scale(case: Case, seed: int) -> None:
    theta, structure = case.theta(seed), case.structure
    natural = structure.natural(theta, case.at)
    first, second = structure.d_natural(theta, case.at), structure.d2_natural(theta, case.at)
    chained = np.tensordot(natural.jacobian.T, first, 1)
    close(chained, np.array(structure.d_matrix(theta, case.at)), 1e-10)
    if structure.linear:
        close(np.tensordot(natural.values, first, 1), structure.matrix(theta, case.at), 1e-10)
        assert not second.any()
        return

    def slopes(values: np.ndarray) -> np.ndarray:
        return structure.d_natural(structure.from_natural(values, case.at), case.at)

    # Central differences of the exact first derivative: error step² times third derivatives of order 10².
    step = 1e-5
    for c in range(len(theta)):
        move = np.zeros(len(theta))
        move[c] = step * max(abs(natural.values[c]), 0.1)
        numeric = (slopes(natural.values + move) - slopes(natural.values - move)) / (2.0 * move[c])
        close(second[c], numeric, 1e-6)


@each
def test_rescale(case: Case) -> None:
    theta, structure = case.theta(1), case.structure
    assert structure.scale_free
    scaled = structure.rescale(theta, 7.3, case.at)
    close(structure.matrix(scaled, case.at), 7.3 * structure.matrix(theta, case.at), 1e-13)


@each
@seeds
def test_factor(case: Case, seed: int) -> None:
    theta, structure = case.theta(seed), case.structure
    factor = structure.factor(theta, case.at)
    assert factor.shape == (case.at.size,) * 2
    assert not np.any(np.triu(factor, 1))
    close(factor @ factor.T, structure.matrix(theta, case.at), 1e-12)


@each
def test_factor_and_rank_where_sigma_vanishes(case: Case) -> None:
    structure = case.structure
    theta = structure.rescale(case.theta(1), 1e-300, case.at)
    factor = structure.factor(theta, case.at)
    assert np.all(np.isfinite(factor))
    assert np.max(np.abs(factor)) < 1e-100
    assert structure.rank(theta, case.at, 1.0) == 0


@each
@seeds
def test_canonical_keeps_sigma(case: Case, seed: int) -> None:
    structure = case.structure
    rng = np.random.default_rng(seed)
    theta = case.theta(seed)
    if structure.always_psd:
        theta = theta * rng.choice([-1.0, 1.0], len(theta)) + 2.0 * rng.standard_normal(len(theta))
    canonical = structure.canonical(theta, case.at)
    close(structure.matrix(canonical, case.at), structure.matrix(theta, case.at), 1e-12)
    close(structure.canonical(canonical, case.at), canonical, 1e-12)


@each
@seeds
def test_start_is_near_a_member_of_the_family(case: Case, seed: int) -> None:
    structure = case.structure
    target = structure.matrix(case.theta(seed), case.at)
    target = target + 1e-6 * np.trace(target) * np.eye(case.at.size)
    started = structure.matrix(structure.start(target, case.at), case.at)
    eigenvalues = np.linalg.eigvalsh(started)
    assert eigenvalues[0] >= -1e-12 * eigenvalues[-1]
    # A start, not a fit: within 45 % of the target, and of the size of its variances.
    assert np.linalg.norm(started - target) <= 0.45 * np.linalg.norm(target)
    assert 0.5 < np.trace(started) / np.trace(target) < 2.0


@each
def test_start_from_a_diagonal_is_not_a_stationary_point(case: Case) -> None:
    structure = case.structure
    theta = structure.start(np.diag(np.linspace(0.8, 1.2, case.at.size)), case.at)
    sigma = structure.matrix(theta, case.at)
    assert 0.5 < np.trace(sigma) / case.at.size < 2.0
    slopes = structure.d_matrix(theta, case.at).reshape(len(theta), -1)
    # Every working parameter moves Σ there, and in its own direction unless the family is over-parametrised.
    assert np.all(np.linalg.norm(slopes, axis=1) > 1e-3)
    excess = len(theta) - case.at.size * (case.at.size + 1) // 2
    assert np.linalg.matrix_rank(slopes, tol=1e-6) >= len(theta) - max(excess, 0)


@each
def test_escape_from_zero(case: Case) -> None:
    structure, m = case.structure, case.at.size
    zero = structure.rescale(case.theta(1), 1e-30, case.at)
    if structure.names[0] == "lin":
        assert structure.escape(zero, -np.eye(m), case.at, 0.1) is None
        return
    moved = structure.escape(zero, -np.eye(m), case.at, 0.1)
    assert moved is not None
    change = structure.matrix(moved, case.at) - structure.matrix(zero, case.at)
    assert np.trace(change) > 0.05
    assert np.max(np.abs(change)) < 0.5
    assert structure.escape(zero, np.eye(m), case.at, 0.1) is None


@each
def test_no_escape_from_the_interior(case: Case) -> None:
    theta = case.theta(1)
    assert case.structure.escape(theta, np.zeros((case.at.size,) * 2), case.at, 1e-3) is None


@each
def test_check_accepts_its_positions_and_pickles(case: Case) -> None:
    case.structure.check(case.at)
    again = pickle.loads(pickle.dumps(case.structure))
    theta = case.theta(1)
    close(again.matrix(theta, case.at), case.structure.matrix(theta, case.at), 1e-15)
    assert repr(again).split("(")[0] == repr(case.structure).split("(")[0]


@pytest.mark.parametrize("name", STRUCTURES)
def test_names_lead_back_to_the_class(name: str) -> None:
    cls = STRUCTURES[name]
    assert cls.names[0] == name
    for alias in cls.names:
        assert structure_class(alias) is cls
        assert structure_class(alias.upper()) is cls


def test_no_name_belongs_to_two_structures() -> None:
    names = [alias.lower() for cls in STRUCTURES.values() for alias in cls.names]
    assert len(names) == len(set(names))


TIMES_ON_A_GRID = line(0.0, 1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize("continuous", ["car1", "pow", "powa"])
def test_continuous_time_on_integers_is_ar1(continuous: str) -> None:
    values = np.array([2.5, 0.6])
    ar1, other = make("ar1"), make(continuous, *((1,) if continuous == "powa" else ()))
    at = TIMES_ON_A_GRID
    expected = ar1.matrix(ar1.from_natural(values, at), at)
    close(other.matrix(other.from_natural(values, at), at), expected, 1e-13)


def same_family(one: Structure, other: Structure, at: Positions, seed: int = 1) -> None:
    """Assert that natural values of `one` give the same Σ in `other`."""
    theta = Case(one, at).theta(seed)
    values = one.natural(theta, at).values
    close(other.matrix(other.from_natural(values, at), at), one.matrix(theta, at), 1e-12)


def test_us_is_fa0_of_full_rank_parameter_by_parameter() -> None:
    at, theta = grid(4), Case(make("us"), grid(4)).theta(1)
    for method in ("matrix", "d_matrix", "d2_matrix", "factor"):
        one, other = getattr(make("us"), method), getattr(make("fa0", 4), method)
        close(other(theta, at), one(theta, at), 1e-15)


def test_widest_bands_are_the_full_structures() -> None:
    at = grid(4)
    same_family(make("us"), make("banded_us", 4), at)
    same_family(make("toep"), make("toep", 4), at)
    same_family(make("htoep"), make("htoep", 4), at)
    same_family(make("diag"), make("banded_us", 1), at)
    same_family(make("homdiag"), make("toep", 1), at)


def test_special_cases_of_kronecker_products() -> None:
    at = grid(3)
    same_family(make("us"), kron("us", "homdiag", 3, 1), at)
    theta = Case(make("us"), at).theta(2)
    unit = np.array([[1.0, 0.4], [0.4, 1.0]])
    product = kron("us", "cs", 3, 2)
    values = np.r_[make("us").natural(theta, at).values, 0.4]
    six = grid(6)
    expected = np.kron(make("us").matrix(theta, at), unit)
    close(product.matrix(product.from_natural(values, six), six), expected, 1e-12)


def test_kronecker_at_pairs_is_a_part_of_the_full_product() -> None:
    product, full = kron("us", "ar1", 2, 3), grid(6)
    theta = Case(product, full).theta(1)
    rows = (3 * PAIRS.coordinates[:, 0] + PAIRS.coordinates[:, 1]).astype(int)
    close(product.matrix(theta, PAIRS), product.matrix(theta, full)[np.ix_(rows, rows)], 1e-15)
    close(product.d_matrix(theta, PAIRS), product.d_matrix(theta, full)[:, rows[:, None], rows], 1e-15)


def test_matern_of_smoothness_one_half_is_exponential() -> None:
    mat, exponential = make("mat"), make("exp")
    expected = exponential.matrix(exponential.from_natural(np.array([2.0, 0.8]), PLANE), PLANE)
    close(mat.matrix(mat.from_natural(np.array([2.0, 0.8, 0.5]), PLANE), PLANE), expected, 1e-13)


def test_expa_contains_powa_and_gau() -> None:
    expa, powa, gau = make("expa", 2), make("powa", 2), make("gau")
    rates = -np.log([0.7, 0.4])
    expected = powa.matrix(powa.from_natural(np.array([2.0, 0.7, 0.4]), PLANE), PLANE)
    close(expa.matrix(expa.from_natural(np.r_[2.0, rates, 1.0, 1.0], PLANE), PLANE), expected, 1e-13)
    expected = gau.matrix(gau.from_natural(np.array([2.0, 2.0]), PLANE), PLANE)
    close(
        expa.matrix(expa.from_natural(np.array([2.0, 0.25, 0.25, 2.0, 2.0]), PLANE), PLANE), expected, 1e-13
    )


def test_arma_contains_ar1_and_toep2() -> None:
    arma, ar1, at = make("arma", 1, 0), make("ar1"), grid(5)
    expected = ar1.matrix(ar1.from_natural(np.array([2.0, -0.6]), at), at)
    close(arma.matrix(arma.from_natural(np.array([2.0, -0.6]), at), at), expected, 1e-13)
    moving, toep = make("arma", 0, 1), make("toep", 2)
    coefficient = 0.7
    covariance = 2.0 * coefficient / (1.0 + coefficient**2)
    expected = toep.matrix(toep.from_natural(np.array([2.0, covariance]), at), at)
    close(moving.matrix(moving.from_natural(np.array([2.0, coefficient]), at), at), expected, 1e-13)


def test_heterogeneous_structures_with_equal_variances_are_the_homogeneous_ones() -> None:
    at = grid(4)
    for own, common, correlations in (
        ("hcs", "cs", [0.3]),
        ("har1", "ar1", [0.3]),
        ("htoep", "toep", [0.5, 0.2, 0.1]),
    ):
        one, other = make(own), make(common)
        left = one.matrix(one.from_natural(np.r_[np.full(4, 2.0), correlations], at), at)
        values = {"cs": [1.4, 0.6], "ar1": [2.0, 0.3], "toep": [2.0, 1.0, 0.4, 0.2]}[common]
        close(left, other.matrix(other.from_natural(np.array(values), at), at), 1e-12)
    ante1, ar1 = make("ante1"), make("ar1")
    left = ante1.matrix(ante1.from_natural(np.r_[np.full(4, 2.0), np.full(3, 0.3)], at), at)
    close(left, ar1.matrix(ar1.from_natural(np.array([2.0, 0.3]), at), at), 1e-12)


def test_unr_is_us_on_another_scale() -> None:
    at, theta = grid(4), Case(make("us"), grid(4)).theta(1)
    close(make("unr").matrix(theta, at), make("us").matrix(theta, at), 1e-15)


@pytest.mark.parametrize("nugget", [False, True])
@pytest.mark.parametrize("name", [name for name, cls in STRUCTURES.items() if cls.on_pairs])
def test_packed_matrices_are_their_lower_triangles(name: str, nugget: bool) -> None:
    """And Γ with both halves in one has the products that Γ has."""
    rng, dimension = np.random.default_rng(2), 1 if name == "car1" else 2
    points = rng.uniform(0.0, 3.0, (4, 5, dimension))
    structure = bind(StructureSpec(name, nugget=nugget), dimension=dimension)
    plain = Positions(5, (), points)
    packed = Positions(5, (), points.copy(), packed=True)
    i, j = np.tril_indices(5)
    theta = structure.start(np.eye(5), Positions(5, tuple("abcde"), points[0])) + 0.1
    for order in ("matrix", "d_matrix", "d2_matrix"):
        full, own = (getattr(structure, order)(theta, at) for at in (plain, packed))
        np.testing.assert_allclose(own, full[..., i, j], rtol=1e-12, atol=1e-13)
    gamma = rng.standard_normal((4, 5, 5))
    gamma += gamma.swapaxes(1, 2)
    both = gamma[:, i, j] * np.where(i == j, 1.0, 2.0)
    for what in ("slopes", "curvature"):
        full, own = (getattr(structure, what)(theta, g, at) for g, at in ((gamma, plain), (both, packed)))
        np.testing.assert_allclose(own, full, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["exp", "gau", "sph", "lin_sp", "mat", "pow", "rq", "car1"])
def test_stacks_of_coordinates_give_stacks_of_matrices(name: str) -> None:
    structure = make(name)
    stack = np.random.default_rng(2).uniform(0.0, 4.0, (3, 5, 1))
    theta = Case(structure, line(*stack[0, :, 0])).theta(1)
    together = Positions(5, tuple("abcde"), stack)
    for method in ("matrix", "d_matrix"):
        parts = [getattr(structure, method)(theta, Positions(5, tuple("abcde"), part)) for part in stack]
        close(getattr(structure, method)(theta, together), np.stack(parts, axis=-3), 1e-13)


@each
@seeds
def test_escape_lowers_a_criterion_and_the_gradient_is_zero_before(case: Case, seed: int) -> None:
    """−2l(Σ) = log|Σ + I| + tr((Σ + I)⁻¹S) with S = I + 9Σ₀ well inside the family, at Σ = 0."""
    structure, m = case.structure, case.at.size
    if structure.names[0] == "lin":  # its coefficients have no boundary of their own
        return
    truth = structure.matrix(case.theta(seed), case.at)
    zero = structure.rescale(case.theta(seed), 1e-30, case.at)
    for sign in (1.0, -1.0):
        moments = np.eye(m) + sign * 0.5 * truth / np.linalg.eigvalsh(truth)[-1]
        gamma = np.eye(m) - moments
        gradient = np.einsum("aij,ij->a", structure.d_matrix(zero, case.at), gamma)
        assert np.max(np.abs(gradient)) < 1e-6
        moved = structure.escape(zero, gamma, case.at, 0.05)
        if sign < 0.0:  # less variance than the errors alone: Γ ⪰ 0 and nothing to gain
            assert moved is None
            continue
        assert moved is not None
        total = structure.matrix(moved, case.at) + np.eye(m)
        value = np.linalg.slogdet(total)[1] + np.trace(np.linalg.solve(total, moments))
        assert value < np.trace(moments) - 1e-6


@each
@pytest.mark.parametrize("factor", [1e-18, 1e18])
def test_second_derivatives_on_the_natural_scale_in_other_units(case: Case, factor: float) -> None:
    """∂²Σ/∂η∂η' moves with the units of Σ and of the η, nothing else: no parameter has vanished by its size."""
    structure, at, theta = case.structure, case.at, case.theta(1)
    moved = structure.rescale(theta, factor, at)
    one, other = structure.natural(theta, at).values, structure.natural(moved, at).values
    units = np.divide(other, one, out=np.ones_like(one), where=one != 0)
    expected = structure.d2_natural(theta, at)
    found = structure.d2_natural(moved, at) * (units[:, None] * units / factor)[:, :, None, None]
    close(found, expected, 1e-6)
