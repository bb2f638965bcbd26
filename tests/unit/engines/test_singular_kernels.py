"""Positive semidefinite known covariances on every engine, against dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

LEVELS, ROWS = 16, 48


def _kernel(kind: str, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return a singular covariance among levels, (LEVELS, LEVELS)."""
    if kind == "centred relationship":
        dosage = rng.binomial(2, 0.4, (LEVELS, 60)).astype(float)
        frequency = dosage.mean(axis=0) / 2
        w = dosage - 2 * frequency
        return np.asarray(w @ w.T / (2 * frequency * (1 - frequency)).sum())
    if kind == "clones":
        return np.kron(np.eye(LEVELS // 2) + 0.2, np.ones((2, 2)))
    if kind == "part of full rank":
        out, half = np.zeros((LEVELS, LEVELS)), LEVELS // 2
        w = rng.normal(size=(half, half - 2))
        out[:half, :half], out[half:, half:] = w @ w.T / half, np.eye(half) + 0.3
        return out
    memberships = rng.dirichlet(np.ones(4), LEVELS)
    return memberships @ memberships.T


def _data(rng: np.random.Generator, kernel: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    level = np.arange(ROWS) % LEVELS
    values, vectors = np.linalg.eigh(kernel)
    b = vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.normal(size=LEVELS))
    x = rng.normal(size=ROWS)
    block = rng.permutation(np.arange(ROWS) // 6)
    time = np.array([int(np.sum(block[:i] == block[i])) for i in range(ROWS)])
    y = 1.0 + x + 1.5 * b[level] + rng.normal(size=ROWS)
    return {"y": y, "x": x, "id": level, "block": block, "t": time}


def _dense(fit: Any, data: dict[str, np.ndarray[Any, Any]], kernel: np.ndarray[Any, Any]) -> float:
    """Return −2l by REML at the covariances of a fit."""
    z, x = np.eye(LEVELS)[data["id"]], np.column_stack([np.ones(ROWS), data["x"]])
    errors = np.eye(ROWS) * fit.sigma2
    components = fit.variance_components()
    correlated = components["kind"] == "correlation"
    if correlated.any():
        lag = np.abs(np.subtract.outer(data["t"], data["t"]))
        power = float(components["sd"][correlated][0]) ** lag
        errors = fit.sigma2 * power * np.equal.outer(data["block"], data["block"])
    v = float(fit.covariances[0][0][0, 0]) * z @ kernel @ z.T + errors
    inverse = np.linalg.inv(v)
    information = x.T @ inverse @ x
    r = data["y"] - x @ np.linalg.solve(information, x.T @ inverse @ data["y"])
    pieces = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1] + r @ inverse @ r
    return float(pieces + (ROWS - 2) * np.log(2 * np.pi))


KINDS = ("centred relationship", "clones", "memberships", "part of full rank")


@pytest.mark.parametrize(("kind", "seed"), [(KINDS[seed % 4], seed) for seed in range(50)])
def test_singular_kernels_agree_with_dense_algebra(kind: str, seed: int) -> None:
    """With independent and with correlated errors, to the rounding of −2l ≈ 150."""
    rng = np.random.default_rng([seed, len(kind)])
    kernel = _kernel(kind, rng)
    data = _data(rng, kernel)
    text = "y ~ x + (1 | id, cov=K)"
    ways: tuple[dict[str, Any], ...] = (
        {"control": mm.Control(engine="blocked")},
        {"control": mm.Control(engine="sparse")},
        {"residual": "ar1(t | block)"},
    )
    fits = [mm.lmm(text, data, known={"K": kernel}, **way) for way in ways]
    for fit in fits:
        assert fit.converged
        assert fit.criterion == pytest.approx(_dense(fit, data, kernel), abs=1e-8)
    assert fits[1].criterion == pytest.approx(fits[0].criterion, abs=1e-8)
    # predictions of twins are one
    effects = fits[0].random_effects()["estimate"]
    if kind == "clones":
        np.testing.assert_allclose(effects[::2], effects[1::2], atol=1e-8)
    assert np.isfinite(fits[0].simulate(1, seed=1)).all()


def test_slopes_of_a_singular_kernel() -> None:
    rng = np.random.default_rng(4)
    kernel = _kernel("centred relationship", rng)
    data = _data(rng, kernel)
    one, other = (
        mm.lmm("y ~ x + (x | id, cov=K)", data, known={"K": kernel}, control=mm.Control(engine=engine))
        for engine in ("blocked", "sparse")
    )
    assert one.criterion == pytest.approx(other.criterion, abs=1e-8)


def test_thirty_centred_relationship_matrices_are_taken() -> None:
    """Whatever the sign that rounding gives their eigenvalue of zero."""
    for seed in range(30):
        rng = np.random.default_rng([9, seed])
        kernel = _kernel("centred relationship", rng)
        fit = mm.lmm("y ~ x + (1 | id, cov=K)", _data(rng, kernel), known={"K": kernel})
        assert fit.converged


def test_indefinite_covariances_and_singular_precisions_are_refused() -> None:
    rng = np.random.default_rng(1)
    kernel = _kernel("centred relationship", rng)
    data = _data(rng, kernel)
    with pytest.raises(mm.DataError, match="precision=K: the matrix is not positive definite"):
        mm.lmm("y ~ x + (1 | id, precision=K)", data, known={"K": kernel})
    with pytest.raises(mm.DataError, match="cov=K: the matrix is not positive semidefinite"):
        mm.lmm("y ~ x + (1 | id, cov=K)", data, known={"K": kernel - 0.01 * np.eye(LEVELS)})
