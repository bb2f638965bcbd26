"""In-order pivoting: the columns kept and the null space, against exact constructions and an SVD."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.terms.rank import ColumnMoments, null_space
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


def check_null_vectors(x: Array, basis: Array) -> None:
    """XN = 0 in columns brought to one size, for null vectors brought to one size."""
    size = np.sqrt((x**2).mean(axis=0))
    scaled = basis * size[:, None]
    scaled /= np.abs(scaled).max(axis=0, initial=1e-300)
    np.testing.assert_allclose((x / size) @ scaled, 0.0, atol=1e-9)


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


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6, 3e-7, 3e-8, 1e-9, 0.0])
@pytest.mark.parametrize("level", [0.0, 1e5])
def test_the_tolerance_is_on_the_length_of_residuals(size: float, level: float) -> None:
    """A column whose residuals are `size` of its length about its mean is kept iff that is above 1e-7."""
    x = with_intercept(RNG.normal(size=(500, 3)))
    q, _ = np.linalg.qr(x)
    noise = RNG.normal(size=500)
    noise -= q @ (q.T @ noise)
    column = x[:, 1] + x[:, 2]
    spread = np.linalg.norm(column - column.mean())
    column = level + column + size * spread * noise / np.linalg.norm(noise)
    x = np.column_stack([x, column])
    assert (4 in null_space(x)[0]) == (size > 1e-7)
    assert (4 in null_space(x, tolerance=1e-3)[0]) == (size > 1e-3)


def test_nearly_collinear_kept_columns_do_not_hide_an_alias() -> None:
    x = with_intercept(RNG.normal(size=(300, 2)))
    x = np.column_stack([x, x[:, 1] + 1e-4 * RNG.normal(size=300)])  # kept: fraction 1e-8
    x = np.column_stack([x, x[:, 3] - 2 * x[:, 2]])  # exactly aliased
    assert null_space(x)[0] == (0, 1, 2, 3)


def test_raw_polynomials_of_years() -> None:
    year = np.arange(1990.0, 2020.0)
    x = np.column_stack([year**0, year, year**2])
    assert null_space(x)[0] == (0, 1, 2)


DESIGNS = {
    # columns in x (origin · unit), the same columns kept, origins up to which this holds
    "x * h": ("1 x h xh", (0, 1, 2, 3), 1e6),
    "x² and a factor": ("1 x xx h", (0, 1, 2, 3), 1e4),
    "(x + x²) * h": ("1 x xx h xh xxh", (0, 1, 2, 3, 4, 5), 700),
    "x³": ("1 x xx xxx", (0, 1, 2, 3), 1e3),
    "x in other units": ("1 x other h", (0, 1, 3), 1e6),
    "a sum": ("1 x z sum h", (0, 1, 2, 4), 1e6),
    "dummies of every level": ("1 g0 g1 g2 x xg0 xg1 xg2", (0, 1, 2, 4, 5, 6), 1e6),
    "cell means": ("g0 g1 g2 x xx", (0, 1, 2, 3, 4), 1e4),
    "cell means before the constant": ("g0 g1 g2 x 1 other", (0, 1, 2, 3), 1e6),
    "a square about its own centre": ("1 x xx h tt", (0, 1, 2, 3), 1e4),
    "the constant late": ("x h 1 xh", (0, 1, 2, 3), 1e6),
    "the constant after what spans it": ("x other h 1", (0, 1, 2), 1e4),
    "no constant": ("x twice h", (0, 2), 1e6),
    "the constant twice": ("1 x seven h", (0, 1, 3), 1e6),
}


def columns_of(text: str, origin: float, unit: float, rng: np.random.Generator) -> Array:
    n = 200
    t = (rng.integers(0, 10, n) - 4.5) / 2.87
    x = (origin + t) * unit
    h = rng.integers(0, 2, n).astype(float)
    z = np.round(rng.normal(size=n), 2) * unit
    g = np.eye(3)[rng.integers(0, 3, n)]
    known = {"1": np.ones(n), "seven": np.full(n, 7.3), "x": x, "h": h, "z": z, "sum": x + z, "twice": 2 * x}
    known |= {"xx": x**2, "xxx": x**3, "xh": x * h, "xxh": x**2 * h, "other": 1.8 * x + 32 * unit}
    known |= {f"g{k}": g[:, k] for k in range(3)} | {f"xg{k}": x * g[:, k] for k in range(3)}
    known["tt"] = (x / unit - origin) ** 2
    return np.column_stack([known[name] for name in text.split()])


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1.0, 1e9])
@pytest.mark.parametrize("name", DESIGNS)
def test_the_columns_kept_do_not_depend_on_origin_or_unit(name: str, unit: float) -> None:
    text, kept, furthest = DESIGNS[name]
    for origin in (0.0, 1.0, -30.0, 700.0, 1e3, 1e4, 1e5, -1e6):
        if abs(origin) > furthest:
            continue
        x = columns_of(text, origin, unit, np.random.default_rng(11))
        estimable, basis = null_space(x)
        if origin == 0 and name == "the constant after what spans it":
            assert len(estimable) == len(kept)
        else:
            assert estimable == kept
        check_null_vectors(x, basis)


@given(
    st.integers(1, 6),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([0.0, 3.0, 2e3, 1e6]),
    st.sampled_from([1e-9, 1.0, 1e9]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=200, deadline=None)
def test_decimal_columns_and_their_combinations_at_any_origin(
    p: int, n_aliased: int, constant: bool, origin: float, unit: float, random: object
) -> None:
    """Combinations of decimal columns carry rounding error and are aliased all the same, in any order."""
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    base = np.round(rng.normal(size=(60, p)), 2)
    levels = np.round(rng.uniform(0.5, 1.0, p) * origin, 1)
    x = (base + levels) * unit
    if constant:
        x = with_intercept(x)
    expected = list(range(x.shape[1]))
    for _ in range(n_aliased):
        place = int(rng.integers(1, x.shape[1] + 1))
        weights = np.round(rng.uniform(0.2, 2.0, place), 1)
        x = np.insert(x, place, (x[:, :place] / (1.0 + weights)) @ np.ones(place), axis=1)
        expected = [j + (j >= place) for j in expected]
    estimable, basis = null_space(x)
    assert estimable == tuple(expected)
    check_null_vectors(x, basis)


@given(st.permutations(range(6)), st.sampled_from([0.0, 2014.5, 1e5]))
@settings(max_examples=100, deadline=None)
def test_the_rank_does_not_depend_on_the_order(order: list[int], origin: float) -> None:
    """Later columns go: each is kept iff the columns before it, centred by hand, do not give it."""
    rng = np.random.default_rng(5)
    t, h = rng.integers(-5, 6, 80).astype(float), rng.integers(0, 2, 80).astype(float)
    shifted = np.column_stack([np.ones(80), t + origin, 2 * (t + origin) + 1, h, 1 - h, (t + origin) * h])
    # the same spans in coordinates in which everything is of one size
    exact = np.zeros((6, 4))
    exact[0], exact[1], exact[2] = (1, 0, 0, 0), (origin, 1, 0, 0), (2 * origin + 1, 2, 0, 0)
    exact[3], exact[4], exact[5] = (0, 0, 1, 0), (1, 0, -1, 0), (0, 0, origin, 1)
    ranks = [np.linalg.matrix_rank(exact[order[: k + 1]], tol=1e-9) for k in range(6)]
    expected = tuple(k for k in range(6) if ranks[k] > (ranks[k - 1] if k else 0))
    assert null_space(shifted[:, order])[0] == expected


def test_sums_of_fractions_are_constant() -> None:
    shares = RNG.dirichlet(np.ones(5), size=300)
    assert null_space(with_intercept(shares))[0] == (0, 1, 2, 3, 4)
    assert null_space(np.column_stack([shares, shares.sum(axis=1)]))[0] == (0, 1, 2, 3, 4)
    assert null_space(with_intercept(shares.sum(axis=1, keepdims=True)))[0] == (0,)


def test_rounding_of_the_columns_is_no_information() -> None:
    """At 1e9 times the spread two copies of a column differ by rounding alone, by far more than 1e-7."""
    t = RNG.normal(size=400)
    z = RNG.normal(size=400)
    x = 1e9 + t
    assert null_space(with_intercept(np.column_stack([x, z, x + z, x / 3.0])))[0] == (0, 1, 2)


def test_many_near_dependencies_in_a_row() -> None:
    """Each kept column depends on the last up to 1e-6; later exact combinations of all are still found."""
    columns = [RNG.normal(size=300)]
    for _ in range(6):
        columns.append(columns[-1] + 1e-6 * RNG.normal(size=300))
    x = with_intercept(np.column_stack(columns))
    x = np.column_stack([x, x[:, 7] - x[:, 6] + x[:, 1], RNG.normal(size=300)])
    assert null_space(x)[0] == (*range(8), 9)


def test_one_pass_where_nothing_is_borderline() -> None:
    x = with_intercept(RNG.normal(size=(500, 6)) + 1e6)
    moments = ColumnMoments.of(x)
    # the rows are not there to be read again
    assert null_space(np.empty((500, 7)) * np.nan, moments=moments)[0] == tuple(range(7))


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
