"""Each row given its neighbours: the native kernels against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels.kernels import (
    NotPositiveDefinite,
    conditional_products,
    conditional_slopes,
    conditional_sums,
    conditional_weights,
    pair_distances,
    reference_neighbours,
)
from mixedmodels.kernels.reference_neighbours import unpacked
from mixedmodels.typing import Array

SIZES = [(1, 1, 1), (3, 2, 1), (70, 5, 3), (200, 9, 4)]


def drawn(count: int, t: int, c: int) -> tuple[Array, Array, Array, Array]:
    """Return packed covariances, data, two packed directions, and a symmetric weight."""
    rng = np.random.default_rng(count + t)
    root = rng.standard_normal((count, t, t + 2))
    full, (i, j) = root @ root.transpose(0, 2, 1) + 0.5 * np.eye(t), np.tril_indices(t)
    directions = rng.standard_normal((2, count, t * (t + 1) // 2))
    weight = rng.standard_normal((c, c))
    return full[:, i, j], rng.standard_normal((count, t, c)), directions, weight + weight.T


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_sums_and_products(size: tuple[int, int, int], threads: int) -> None:
    v, z, directions, _ = drawn(*size)
    logdet, total = conditional_sums(v, z, threads)
    expected = reference_neighbours.conditional_sums(v, z)
    assert logdet == pytest.approx(expected[0], abs=1e-11 * size[0])
    c = size[2]
    assert total.reshape(c, c) == pytest.approx(expected[1], rel=1e-9)
    found = conditional_products(v, z, directions, threads)
    for own, other in zip(found, reference_neighbours.conditional_products(v, z, directions), strict=True):
        assert own.reshape(other.shape) == pytest.approx(other, rel=1e-8, abs=1e-8 * np.abs(other).max())


@pytest.mark.parametrize("size", SIZES)
def test_slopes_are_derivatives_of_sums(size: tuple[int, int, int]) -> None:
    """To second order in the step: of the size of the step squared."""
    v, z, directions, weight = drawn(*size)
    slopes = conditional_slopes(v, z, weight, 0.7, 2).reshape(v.shape)

    def value(step: float) -> float:
        logdet, total = conditional_sums(v + step * directions[0], z, 1)
        return 0.7 * logdet + float(np.vdot(weight, total))

    step = 1e-5
    expected = (value(step) - value(-step)) / (2.0 * step)
    assert float(np.vdot(slopes, directions[0])) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_weights_are_conditional_distributions() -> None:
    v, z, _, _ = drawn(70, 5, 3)
    w, d = conditional_weights(v, z, 2)
    for weights, variance, own in zip(w.reshape(70, 5), d, unpacked(v), strict=True):
        b = np.linalg.solve(own[:-1, :-1], own[:-1, -1])
        assert weights == pytest.approx(np.append(-b, 1.0), rel=1e-9, abs=1e-9)
        assert variance == pytest.approx(own[-1, -1] - own[-1, :-1] @ b, rel=1e-9)


def test_distances_of_pairs() -> None:
    points = np.random.default_rng(3).standard_normal((80, 6, 3))
    found = pair_distances(points.ravel(), 6, 3, 2).reshape(80, -1)
    assert found == pytest.approx(reference_neighbours.pair_distances(points), abs=1e-14)


def test_what_does_not_fit_is_refused() -> None:
    v, z, directions, weight = drawn(70, 5, 3)
    v[66] = 1.0
    with pytest.raises(NotPositiveDefinite, match="66"):
        conditional_sums(v, z, 2)
    with pytest.raises(ValueError, match="not of the same sets"):
        conditional_sums(v, z[:, :4].copy(), 1)
    with pytest.raises(ValueError, match="weight"):
        conditional_slopes(v, z, weight[:2], 1.0, 1)
    with pytest.raises(ValueError, match="directions"):
        conditional_products(v, z, directions[:, :5].copy(), 1)
