"""Every basis obeys the protocol: null space, partition of unity, derivatives, new x, units and origins, pickling."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mixedmodels.errors import DataError, SpecError
from mixedmodels.smooths import SMOOTHS, Basis, constraint, mixed_form
from mixedmodels.smooths.piecewise import signed_sums
from mixedmodels.smooths.places import distances, leading
from mixedmodels.smooths.radial import bending_energy, between_knots
from smooth_cases import CASES, Case, each, lines

FRAMES = ((0.0, 1.0), (2_000.0, 30.0), (1.6e9, 3e7), (0.0, 1e-6))
"""Origin and unit: as it is, calendar years, Unix seconds, tonnes where milligrams were meant."""


def test_every_basis_has_a_case() -> None:
    assert {case.name for case in CASES} == set(SMOOTHS)


@each
def test_shapes(case: Case) -> None:
    basis = case.basis()
    columns = basis.design(case.x)
    assert columns.shape == (case.n, basis.size) == (case.n, len(basis.labels))
    assert len(basis.penalties) == len(basis.scales)
    for penalty in basis.penalties:
        assert penalty.shape == (basis.size, basis.size)
        assert np.array_equal(penalty, penalty.T)
        values = np.linalg.eigvalsh(penalty)
        assert values[0] >= -1e-12 * values[-1]


@each
def test_null_space(case: Case) -> None:
    """The common null space of the penalties has its dimension, and holds exactly the functions it is said to hold."""
    basis = case.basis()
    total = sum(s / np.linalg.norm(s) for s in basis.penalties)
    values, vectors = np.linalg.eigh(total)
    null = basis.null_dimension
    assert null == case.free.shape[1]
    assert null == 0 or abs(values[null - 1]) <= 1e-12
    assert values[null] >= 1e-9
    if null:
        held = basis.design(case.x) @ vectors[:, :null]
        left = case.free - held @ np.linalg.lstsq(held, case.free, rcond=None)[0]
        assert np.abs(left).max() <= 1e-9 * np.abs(case.free).max()


@each
def test_constant_is_the_sum_of_the_columns(case: Case) -> None:
    if not case.partition:
        return
    for x in (case.x, case.new):
        np.testing.assert_allclose(case.basis().design(x).sum(axis=1), 1.0, atol=1e-12)


@each
def test_derivatives(case: Case) -> None:
    """Central differences of one order less; a third derivative jumps at knots, which a step may straddle."""
    basis = case.basis()
    for order in range(1, (SMOOTHS[case.name].derivatives if case.curve else 0) + 1):
        step = 1e-5
        # No more than the square root of rounding: columns of a thin plate are differences of large numbers.
        ahead, behind = (basis.design(case.shifted(s * step), order - 1) for s in (1, -1))
        difference = (ahead - behind) / (2 * step)
        exact = basis.design(case.new, order)
        near = np.abs(case.new[case.numeric][:, None] - case.breaks(basis)).min(axis=1) < 2 * step
        scale = np.abs(exact).max()
        np.testing.assert_allclose(difference[~near], exact[~near], atol=3e-7 * max(scale, 1.0))


@each
def test_new_rows_do_not_move_the_old(case: Case) -> None:
    """A row's columns depend on that row alone, in any company and order."""
    basis = case.basis()
    whole = basis.design(case.new)
    n = len(case.new[0])
    order = np.random.default_rng(4).permutation(n)
    np.testing.assert_allclose(
        basis.design(tuple(v[order] for v in case.new)), whole[order], atol=1e-13 * scale_of(whole)
    )
    for row in range(0, n, 7):
        one = basis.design(tuple(v[[row]] for v in case.new))
        np.testing.assert_allclose(one[0], whole[row], atol=1e-13 * scale_of(whole))


@each
def test_blocks_and_transforms(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    basis = case.basis()
    whole = basis.design(case.x)
    transform = np.random.default_rng(5).standard_normal((basis.size, 3))
    for module in ("base", "radial", "gaussian_process"):
        monkeypatch.setattr(f"mixedmodels.smooths.{module}.BLOCK", 17)
    np.testing.assert_allclose(basis.design(case.x), whole, atol=1e-13 * scale_of(whole))
    np.testing.assert_allclose(
        basis.design(case.x, 0, transform), whole @ transform, atol=1e-11 * scale_of(whole)
    )
    np.testing.assert_allclose(basis.means(case.x), whole.mean(axis=0), atol=1e-12 * scale_of(whole))


@each
def test_pickling(case: Case) -> None:
    basis = case.basis()
    again: Basis = pickle.loads(pickle.dumps(basis))
    assert np.array_equal(again.design(case.new), basis.design(case.new))
    assert all(np.array_equal(a, b) for a, b in zip(again.penalties, basis.penalties, strict=True))


@each
@pytest.mark.parametrize("frame", FRAMES, ids=["plain", "years", "seconds", "tonnes"])
def test_units_and_origins(case: Case, frame: tuple[float, float]) -> None:
    """Another unit and origin of x gives the same penalised hat matrix, with penalties of the same size."""
    if not case.movable:
        return
    plain, moved = case.basis(), case.basis(*frame)
    for lam in (1e-4, 1.0, 1e4):
        np.testing.assert_allclose(
            hat(moved, case.moved(case.x, *frame), lam), hat(plain, case.x, lam), atol=case.moves
        )
    new = moved.design(case.moved(case.new, *frame))
    old = plain.design(case.new)
    # The bases may differ by a rotation: what must agree is the space of functions at old and new rows together.
    both_old = np.vstack((plain.design(case.x), old))
    both_new = np.vstack((moved.design(case.moved(case.x, *frame)), new))
    left = both_new - both_old @ np.linalg.lstsq(both_old, both_new, rcond=None)[0]
    assert np.abs(left).max() <= 10 * case.moves * scale_of(both_new)


@each
def test_too_few_values(case: Case) -> None:
    few = tuple(
        np.where(np.arange(case.n) % 2 == 0, 0.25, 0.75) if not f else v
        for v, f in zip(case.x, case.is_factor, strict=True)
    )
    if case.name in ("re", "mrf"):
        return
    with pytest.raises(DataError, match=r"distinct .*k="):
        SMOOTHS[case.name].learn(few, case.given())


@each
def test_values_that_are_not_finite(case: Case) -> None:
    if case.name in ("re", "mrf"):
        return
    broken = tuple(
        np.where(np.arange(case.n) == 3, np.nan, v) if not f else v
        for v, f in zip(case.x, case.is_factor, strict=True)
    )
    with pytest.raises(DataError, match="not finite"):
        SMOOTHS[case.name].learn(broken, case.given())


@each
def test_size_too_small(case: Case) -> None:
    if not case.sized:
        return
    with pytest.raises(SpecError, match=r"k=1 is (too small|not possible)"):
        SMOOTHS[case.name].learn(case.x, case.given(k=1))


@each
def test_mixed_form(case: Case) -> None:
    """Fixed and random columns span the centred smooth, and the penalised fits are those of the raw columns."""
    basis = case.basis()
    z = constraint(basis, case.x)
    z = np.eye(basis.size) if z is None else z
    form = mixed_form(basis.penalties, basis.null_dimension, z)
    assert form.fixed.shape[1] + form.random.shape[1] == z.shape[1]
    columns = basis.design(case.x)
    if basis.centred:
        assert np.abs((columns @ form.random).mean(axis=0)).max() <= 1e-10 * scale_of(columns @ form.random)
    raw = columns @ z
    mixed = columns @ np.hstack((form.fixed, form.random))
    m = form.fixed.shape[1]
    for lam in (1e-3, 1.0, 1e3):
        weights = lam * 3.0 ** np.arange(len(basis.penalties))
        plain = sum(w * z.T @ s @ z for w, s in zip(weights, basis.penalties, strict=True))
        ridge = np.zeros((z.shape[1],) * 2)
        ridge[m:, m:] = sum(w * s for w, s in zip(weights, form.penalties, strict=True))
        np.testing.assert_allclose(hat_of(mixed, ridge), hat_of(raw, plain), atol=1e-8)
    if form.diagonal is not None:
        for penalty, diagonal in zip(form.penalties, form.diagonal, strict=True):
            assert np.array_equal(penalty, np.diag(diagonal))


@each
def test_the_null_space_can_have_a_penalty(case: Case) -> None:
    basis = case.basis()
    z = constraint(basis, case.x)
    z = np.eye(basis.size) if z is None else z
    form = mixed_form(basis.penalties, basis.null_dimension, z, select=True)
    assert form.fixed.shape[1] == 0
    assert form.random.shape[1] == z.shape[1]
    plain = mixed_form(basis.penalties, basis.null_dimension, z)
    m = plain.fixed.shape[1]
    assert len(form.penalties) == len(plain.penalties) + bool(m)
    if m:
        assert np.trace(form.penalties[-1]) == pytest.approx(m)
        lines(plain, form, m)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_many_knots_on_a_line_are_treated_by_running_sums(order: int) -> None:
    """Eigenvectors and columns of a thin plate from sums of K terms are those of the full matrix between knots."""
    knots = np.sort(np.random.default_rng(3).beta(2.0, 1.0, 600))[:, None]
    energy = bending_energy(1, order, 1.0)
    full = energy.at(distances(knots, knots))
    values, vectors = leading(full, 30)
    quick, same = leading(between_knots(energy, knots, 30), 30)
    # The largest eigenvalue is 1e8 times the thirtieth for order 3: rounding of the product shows in the small ones.
    np.testing.assert_allclose(quick, values, atol=1e-14 * abs(values).max())
    np.testing.assert_allclose(np.abs(np.sum(vectors * same, axis=0)), 1.0, atol=1e-9)
    sums = energy.constant * signed_sums(knots[:, 0], vectors, energy.power)
    np.testing.assert_allclose(sums, full @ vectors, atol=1e-13 * np.abs(full).sum(axis=1).max())


def scale_of(columns: np.ndarray) -> float:
    return float(np.abs(columns).max()) or 1.0


def hat(basis: Basis, x: tuple[np.ndarray, ...], lam: float) -> np.ndarray:
    return hat_of(basis.design(x), sum(lam * s for s in basis.penalties))


def hat_of(columns: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Return B(B'B + S)⁻B' from a singular value decomposition of the square root, not from cross-products."""
    values, vectors = np.linalg.eigh(ridge)
    root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    u, d, _ = np.linalg.svd(np.vstack((columns, root)), full_matrices=False)
    u = u[: len(columns), d > 1e-12 * d[0]]
    return u @ u.T
