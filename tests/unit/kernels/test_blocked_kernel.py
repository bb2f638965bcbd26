"""The native chain elimination against its dense definition, method by method."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels import kernels
from mixedmodels.kernels import reference_blocked
from mixedmodels.typing import Array, Codes

ROWS = 80
# V₁ of 80 rows has a condition of ≲ 1e3 here: some hundreds of roundings stay below this.
RTOL, ATOL = 1e-9, 1e-10

Factor = tuple[Codes, Array | None, int, int]


def nested(rng: np.random.Generator, outer: Codes, inside: int) -> Codes:
    inner = outer * inside + rng.integers(0, inside, len(outer))
    return np.unique(inner, return_inverse=True)[1].astype(np.int32)


def factor(rng: np.random.Generator, codes: Codes, p: int) -> Factor:
    codes = codes.astype(np.int32)
    values = None if p == 1 else rng.standard_normal((ROWS, p))
    return codes, values, p, int(codes.max()) + 1


def factors_of(kind: str, rng: np.random.Generator) -> tuple[list[Factor], list[Factor]]:
    """Chain (leaf first) and tail of each kind of design."""
    root = np.arange(ROWS) % 3
    middle = nested(rng, root, 3)
    leaf = nested(rng, middle, 3)
    crossed, other = rng.integers(0, 5, ROWS), rng.integers(0, 4, ROWS)
    crossed[:5], other[:4] = np.arange(5), np.arange(4)
    return {
        "one": ([factor(rng, crossed, 1)], []),
        "slopes": ([factor(rng, crossed, 3)], []),
        "chain": ([factor(rng, leaf, 1), factor(rng, middle, 2), factor(rng, root, 1)], []),
        "tail": ([factor(rng, leaf, 2)], [factor(rng, crossed, 1), factor(rng, other, 2)]),
        "chain and tail": ([factor(rng, leaf, 1), factor(rng, root, 2)], [factor(rng, crossed, 1)]),
        "tail alone": ([], [factor(rng, crossed, 2)]),
    }[kind]


@pytest.fixture(params=["one", "slopes", "chain", "tail", "chain and tail", "tail alone"])
def pair(request: pytest.FixtureRequest):
    """The native object and its twin on the same data, and a generator to go on with."""
    rng = np.random.default_rng(len(request.param))
    chain, tail = factors_of(request.param, rng)
    sets = [(np.arange(q) % 2).astype(np.int32) for *_, q in chain]
    x, y, r = rng.standard_normal((ROWS, 2)), rng.standard_normal(ROWS), 2
    given = (
        chain, tail, sets, x, y, rng.standard_normal(r), rng.uniform(0.5, 2.0, r),
        rng.standard_normal(r), rng.uniform(0.3, 2.0, ROWS), 2,
    )  # fmt: skip
    return kernels.Blocked(*given), reference_blocked.Blocked(*given), given, rng


def eliminated(pair):
    """Both objects at the same Λ with their Schur complements."""
    native, twin, given, rng = pair
    chain, _, _, x, y, centre, scale, beta0, weights, threads = given
    lam = [np.tril(rng.standard_normal((2, p, p))).ravel() for _, _, p, _ in chain]
    order = twin.o.shape[1] + 1
    gram = kernels.gram(x, y, weights, centre, scale, beta0, threads).reshape(x.shape[1] + 1, -1)
    schur, expected = np.zeros((order, order)), np.zeros((order, order))
    logdets = native.eliminate(lam, gram, schur), twin.eliminate(lam, gram, expected)
    return native, twin, given, rng, (schur, expected), logdets


def same(actual: Array, expected: Array) -> None:
    size = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=RTOL, atol=ATOL * size)


def posterior(rng: np.random.Generator, m: int) -> tuple[Array, Array]:
    """Some H (m, m), nonsense above the diagonal, and some x (m,)."""
    a = rng.standard_normal((m, m + 2))
    return np.tril(a @ a.T / 10) + np.triu(np.full((m, m), 1e6), 1), rng.standard_normal(m)


def test_cross_products_and_elimination(pair) -> None:
    native, twin, *_, (schur, expected), (logdet, expected_logdet) = eliminated(pair)
    tail, dense = native.tail_products()
    expected_tail, expected_dense = twin.tail_products()
    width = round(len(tail) ** 0.5)
    same(np.tril(tail.reshape(width, width)).ravel(), expected_tail)
    same(dense, expected_dense)
    assert logdet == pytest.approx(expected_logdet, rel=RTOL, abs=ATOL)
    same(np.tril(schur), np.tril(expected))


def test_backward_sweep_levels_and_information(pair) -> None:
    native, twin, given, rng, *_ = eliminated(pair)
    h, x = posterior(rng, twin.o.shape[1])
    for actual, expected in zip(native.backward(h, x, True), twin.backward(h, x, True), strict=True):
        same(actual[0], expected[0])
        same(actual[1], expected[1])
    for c in range(len(given[0])):
        for actual, expected in zip(native.levels(c), twin.levels(c), strict=True):
            same(actual, expected)
    directions = []
    for c, (_, _, p, _) in enumerate(given[0]):
        for s in (0, 1):
            a = rng.standard_normal((p, p))
            directions.append((c, s, np.ascontiguousarray(a + a.T).ravel()))
    for actual, expected in zip(native.information(directions), twin.information(directions), strict=True):
        same(actual, expected)


def test_predictions(pair) -> None:
    native, twin, _, rng, *_ = eliminated(pair)
    x = rng.standard_normal(twin.o.shape[1])
    for actual, expected in zip(native.predictions(x), twin.predictions(x), strict=True):
        same(actual, expected)


def test_cross_products_do_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(5)
    n, q = 60_001, 700
    codes = rng.integers(0, q, n).astype(np.int32)
    parents = rng.integers(0, 20, q).astype(np.int32)
    values, x, y = rng.standard_normal((n, 2)), rng.standard_normal((n, 2)), rng.standard_normal(n)
    chain = [(codes, values, 2, q), (parents[codes], None, 1, 20)]
    sets = [np.zeros(q, np.int32), np.zeros(20, np.int32)]
    dense = (x, y, np.zeros(2), np.ones(2), np.zeros(2), None)
    one, three = (kernels.Blocked(chain, [], sets, *dense, threads) for threads in (1, 3))
    for c in range(2):
        for a, b in zip(one.chain_products(c), three.chain_products(c), strict=True):
            np.testing.assert_array_equal(a, b)
    block = one.chain_products(0)[0].reshape(q, 2, 2)
    expected = np.zeros((q, 2, 2))
    np.add.at(expected, codes, values[:, :, None] * values[:, None, :])
    np.testing.assert_allclose(block, expected, rtol=1e-12, atol=1e-12)


def test_columns_of_x_and_products(pair) -> None:
    native, twin, given, rng, *_ = eliminated(pair)
    r = given[3].shape[1]
    x_tail = rng.standard_normal((twin.o.shape[1] - r, r))
    for actual, expected in zip(native.level_columns(x_tail), twin.level_columns(x_tail), strict=True):
        same(actual, expected)
    coefficients = [rng.standard_normal(q * p * 3) for _, _, p, q in given[0]]
    for actual, expected in zip(
        native.products(coefficients, 3), twin.products(coefficients, 3), strict=True
    ):
        same(actual, expected)


def test_solutions_for_other_right_hand_sides(pair) -> None:
    native, twin, given, rng, *_ = eliminated(pair)
    sides = [rng.standard_normal(q * p * 2) for _, _, p, q in given[0]]
    if not sides:
        return
    same(native.reduce(sides, 2), twin.reduce(sides, 2))
    x_tail = rng.standard_normal((twin.o.shape[1] - given[3].shape[1], 2))
    for actual, expected in zip(
        native.substitute(sides, x_tail), twin.substitute(sides, x_tail), strict=True
    ):
        same(actual, expected)


def test_prediction_variance(pair) -> None:
    native, twin, given, rng, *_ = eliminated(pair)
    chain, tail, n = given[0], given[1], 11
    h, _ = posterior(rng, twin.o.shape[1])
    rows = [
        (rng.integers(-1, q, n).astype(np.int32), rng.standard_normal(n * p))
        for _, _, p, q in [*chain, *tail]
    ]
    starts = np.concatenate(([0], np.cumsum([p * q for _, _, p, q in tail]))).astype(int)
    inner = rows[: len(chain)]
    outer = [(*row, f[2], int(at)) for row, f, at in zip(rows[len(chain) :], tail, starts, strict=False)]
    x = rng.standard_normal((n, given[3].shape[1]))
    same(native.prediction_variance(h, x, inner, outer), twin.prediction_variance(h, x, inner, outer))
