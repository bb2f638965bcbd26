"""The native sparse Cholesky and selected inverse against the dense definition."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.kernels import NotPositiveDefinite, SparseSymmetric, reference_sparse, sparse_product

# Diagonally dominant matrices of order ≤ 400: condition ≲ 1e3, so some hundreds of roundings stay below this.
RTOL = 1e-11


def compressed(matrix, lower=True):
    """Pattern and values of a matrix as the class takes them."""
    c = sp.csc_array(sp.tril(matrix) if lower else matrix)
    c.sort_indices()
    return c.indptr.astype(np.int64), c.indices.astype(np.int32), c.data.astype(np.float64)


def dominant(pattern, seed=0):
    """A diagonally dominant symmetric matrix on the pattern of a square matrix."""
    rng = np.random.default_rng(seed)
    n = pattern.shape[0]
    dense = np.tril(np.asarray(pattern.todense()) != 0, -1) * rng.uniform(-1, 1, (n, n))
    dense = dense + dense.T
    return sp.csc_array(dense + np.diag(np.abs(dense).sum(1) + rng.uniform(0.5, 2, n)))


def random_pattern(n, density, seed):
    return sp.random_array((n, n), density=density, rng=np.random.default_rng(seed))


def crossed_design(levels, rows, seed=0):
    """Indicator columns of crossed factors and an intercept: the pattern of the mixed-model equations."""
    rng = np.random.default_rng(seed)
    codes = [(np.arange(rows), rng.integers(q, size=rows)) for q in levels]
    parts = [sp.csr_array((np.ones(rows), c), shape=(rows, q)) for c, q in zip(codes, levels, strict=True)]
    z = sp.hstack([*parts, np.ones((rows, 1))], format="csr")
    return z.T @ z


def pedigree(n, parents, seed=0):
    """Inverse relationship matrix of n animals, each with two random earlier parents, inbreeding ignored."""
    rng = np.random.default_rng(seed)
    t = sp.lil_array((n, n))
    t.setdiag(1.0)
    for i in range(parents, n):
        t[i, rng.choice(i, 2, replace=False)] = -0.5
    d = np.where(np.arange(n) < parents, 1.0, 2.0)
    return sp.csc_array(t.T @ sp.diags_array(d) @ t)


CASES = {
    "one": sp.eye_array(1),
    "diagonal": sp.eye_array(25),
    "dense": sp.csc_array(np.ones((70, 70))),
    "arrow": sp.csc_array(np.multiply.outer(np.arange(60), np.arange(60)) == 0),
    "band": sp.diags_array([np.ones(90)] * 3, offsets=[-2, 0, 2], shape=(90, 90)),
    "disconnected": sp.block_diag([np.ones((5, 5)), np.ones((40, 40)), sp.eye_array(7)]),
    "random": random_pattern(120, 0.02, 1),
    "crossed": crossed_design([150, 40, 12], 900),
    "pedigree": pedigree(160, 30),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_definition(name, threads):
    matrix = dominant(CASES[name])
    n = matrix.shape[0]
    indptr, indices, values = compressed(matrix)
    native = SparseSymmetric(n, indptr, indices, threads=threads)
    twin = reference_sparse.SparseSymmetric(n, indptr, indices, permutation=native.permutation)
    assert sorted(native.permutation) == list(range(n))
    assert native.fill == twin.fill <= native.stored
    assert native.flops == twin.flops
    b = np.random.default_rng(3).normal(size=(n, 21))
    for scale in (1.0, 7.0):  # the second time every buffer is reused
        np.testing.assert_allclose(native.factor(scale * values), twin.factor(scale * values), rtol=RTOL)
        np.testing.assert_allclose(native.selected_inverse(), twin.selected_inverse(), rtol=RTOL, atol=1e-14)
        for columns in (1, 4, 21):
            for method in ("solve", "half_solve", "half_solve_transposed"):
                found = getattr(native, method)(b[:, :columns])
                expected = getattr(twin, method)(b[:, :columns])
                np.testing.assert_allclose(found, expected, rtol=RTOL, atol=1e-12)
    half = native.half_solve(b)
    np.testing.assert_allclose(half.T @ half, b.T @ native.solve(b), rtol=1e-10, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.4), st.integers(0, 10_000), st.booleans())
def test_random_matrices(n, density, seed, lower):
    matrix = dominant(random_pattern(n, density, seed), seed)
    indptr, indices, values = compressed(matrix, lower)
    native = SparseSymmetric(n, indptr, indices)
    dense = matrix.toarray()
    np.testing.assert_allclose(native.factor(values), np.linalg.slogdet(dense)[1], rtol=RTOL, atol=RTOL)
    rows, cols = indices, np.repeat(np.arange(n, dtype=np.int32), np.diff(indptr))
    expected = np.linalg.inv(dense)[rows, cols]
    np.testing.assert_allclose(native.selected_inverse(), expected, rtol=RTOL, atol=1e-14)
    np.testing.assert_allclose(native.inverse_entries(rows, cols), expected, rtol=RTOL, atol=1e-14)


def test_given_order_is_kept_up_to_postordering_and_determines_the_fill():
    arrow = CASES["arrow"]
    pattern = compressed(dominant(arrow))[:2]
    hub_first = SparseSymmetric(60, *pattern, permutation=np.arange(60, dtype=np.int32))
    hub_last = SparseSymmetric(60, *pattern, permutation=np.arange(60, dtype=np.int32)[::-1].copy())
    assert hub_first.fill == 60 * 61 // 2
    assert hub_last.fill == 60 + 59
    assert SparseSymmetric(60, *pattern).fill == 60 + 59
    with pytest.raises(ValueError, match="permutation"):
        SparseSymmetric(60, *pattern, permutation=np.zeros(60, dtype=np.int32))
    with pytest.raises(ValueError, match="permutation"):
        SparseSymmetric(60, *pattern, permutation=np.arange(-1, 59, dtype=np.int32))


def test_full_pattern_reads_the_lower_triangle():
    matrix = dominant(CASES["random"])
    full = SparseSymmetric(120, *compressed(matrix, lower=False)[:2])
    indptr, indices, values = compressed(matrix, lower=False)
    upper = indices < np.repeat(np.arange(120), np.diff(indptr))
    assert full.factor(np.where(upper, np.nan, values)) == full.factor(values)


def test_entries_off_the_pattern_of_the_factor_are_refused():
    native = SparseSymmetric(3, np.array([0, 1, 2, 3]), np.arange(3, dtype=np.int32))
    native.factor(np.array([1.0, 4.0, 16.0]))
    diagonal = np.arange(3, dtype=np.int32)
    assert native.inverse_entries(diagonal, diagonal).tolist() == [1.0, 0.25, 0.0625]
    one, two = np.array([1], dtype=np.int32), np.array([2], dtype=np.int32)
    with pytest.raises(ValueError, match=r"\(1, 2\) is not on the pattern"):
        native.inverse_entries(one, two)
    with pytest.raises(ValueError, match="outside"):
        native.inverse_entries(-one, two)
    with pytest.raises(ValueError, match="cols has 3 entries, expected 1"):
        native.inverse_entries(one, diagonal)


@pytest.mark.parametrize("name", ["disconnected", "dense"])
@pytest.mark.parametrize("wrong", [-3.0, 0.0, np.nan, np.inf])
def test_failing_column_is_named_in_the_callers_order(name, wrong):
    matrix = dominant(CASES[name])
    n = matrix.shape[0]
    indptr, indices, values = compressed(matrix)
    # the last columns of the one are isolated; column 0 is eliminated first in the other
    isolated = n - 1 if name == "disconnected" else 0
    native = SparseSymmetric(n, indptr, indices, permutation=np.arange(n, dtype=np.int32))
    bad = values.copy()
    bad[indptr[isolated]] = wrong
    with pytest.raises(NotPositiveDefinite) as caught:
        native.factor(bad)
    assert caught.value.args == (isolated,)
    for use in (native.selected_inverse, lambda: native.solve(np.ones((n, 1)))):
        with pytest.raises(ValueError, match="no factor"):
            use()
    assert np.isfinite(native.factor(values))


def test_first_failing_pivot_agrees_with_the_definition():
    rng = np.random.default_rng(5)
    for seed in range(30):
        matrix = dominant(random_pattern(30, 0.1, seed), seed)
        indptr, indices, values = compressed(matrix)
        values[indptr[rng.integers(30, size=4)]] *= -1
        native = SparseSymmetric(30, indptr, indices)
        twin = reference_sparse.SparseSymmetric(30, indptr, indices, permutation=native.permutation)
        with pytest.raises(NotPositiveDefinite) as expected:
            twin.factor(values)
        with pytest.raises(NotPositiveDefinite) as found:
            native.factor(values)
        assert found.value.args == expected.value.args


@pytest.mark.parametrize(
    ("n", "indptr", "indices", "message"),
    [
        (2, [0, 1], [0], "indptr"),
        (2, [0, 2, 1], [0], "indptr"),
        (2, [0, 3, 2], [0, 1], "decreases"),
        (2, [0, 1, 2], [0, 2], "row index 2"),
        (2, [0, 1, 2], [0, -1], "row index -1"),
        (3, [0, 2, 3, 5], [0, 1, 1, 1, 2], "full symmetric"),
    ],
)
def test_malformed_patterns_are_refused(n, indptr, indices, message):
    with pytest.raises(ValueError, match=message):
        SparseSymmetric(n, np.array(indptr, dtype=np.int64), np.array(indices, dtype=np.int32))


def test_wrong_shapes_and_types_are_refused():
    native = SparseSymmetric(2, np.array([0, 1, 2]), np.array([0, 1], dtype=np.int32))
    with pytest.raises(ValueError, match="values has 3 entries, expected 2"):
        native.factor(np.ones(3))
    native.factor(np.ones(2))
    with pytest.raises(ValueError, match="b has 3 rows, expected 2"):
        native.solve(np.ones((3, 1)))
    with pytest.raises(TypeError):
        native.solve(np.ones(2))
    with pytest.raises(TypeError):
        native.factor(np.ones(2, dtype=np.float32))


def test_right_hand_sides_in_any_layout_and_none_at_all():
    matrix = dominant(CASES["random"])
    native = SparseSymmetric(120, *compressed(matrix)[:2])
    native.factor(compressed(matrix)[2])
    b = np.random.default_rng(0).normal(size=(120, 6))
    for same in (np.asfortranarray(b), np.repeat(b, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(native.solve(same), native.solve(b))
    assert native.solve(b[:, :0]).shape == (120, 0)
    assert (native.n, native.solve(b).flags.c_contiguous) == (120, True)


def test_thread_count_does_not_move_results():
    # large enough for shared levels and for several threads inside one block
    matrix = crossed_design([900, 800, 30], 9000, seed=2) + 2 * sp.eye_array(1731)
    indptr, indices, values = compressed(matrix)
    one, four = (SparseSymmetric(1731, indptr, indices, threads=t) for t in (1, 4))
    assert one.flops > 2e8, "below this size threads are not used"
    np.testing.assert_allclose(one.factor(values), four.factor(values), rtol=1e-13)
    np.testing.assert_allclose(one.selected_inverse(), four.selected_inverse(), rtol=1e-9, atol=1e-13)
    b = np.random.default_rng(0).normal(size=(1731, 40))
    np.testing.assert_allclose(one.solve(b), four.solve(b), rtol=1e-9, atol=1e-12)
    # the trace of C⁻¹C needs the entries on the pattern only
    weight = np.where(indices == np.repeat(np.arange(1731), np.diff(indptr)), 1.0, 2.0)
    np.testing.assert_allclose((weight * values * one.selected_inverse()).sum(), 1731, rtol=1e-10)


def test_handles_work_side_by_side_and_release_their_memory():
    matrix = dominant(CASES["crossed"])
    indptr, indices, values = compressed(matrix)

    def log_determinant(scale):
        return SparseSymmetric(len(indptr) - 1, indptr, indices, threads=2).factor(scale * values)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(log_determinant, [1.0, 2.0] * 8))
    gc.collect()
    assert len(set(found[::2])) == len(set(found[1::2])) == 1
    np.testing.assert_allclose(found[1] - found[0], (len(indptr) - 1) * np.log(2), rtol=1e-9)


@pytest.mark.parametrize("columns", [0, 1, 7, 8, 19])
@pytest.mark.parametrize("threads", [1, 3])
def test_products_with_several_columns(columns: int, threads: int) -> None:
    rng = np.random.default_rng(columns)
    matrix = sp.random_array((400, 300), density=0.05, rng=rng, format="csr")
    rows = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data
    # enough entries times columns for several threads at 19; any number of them sums in the same order
    dense = rng.standard_normal((300, columns))
    found = sparse_product(*rows, dense, threads)
    np.testing.assert_allclose(found, reference_sparse.sparse_product(*rows, dense, 1), rtol=RTOL, atol=1e-13)
    np.testing.assert_array_equal(found, sparse_product(*rows, np.asfortranarray(dense), 1))


def test_products_refuse_what_is_no_matrix() -> None:
    start, column, values = np.array([0, 2]), np.array([0, 4], dtype=np.int32), np.ones(2)
    with pytest.raises(ValueError, match="not those of a sparse matrix"):
        sparse_product(start, column, values, np.ones((4, 2)), 1)
