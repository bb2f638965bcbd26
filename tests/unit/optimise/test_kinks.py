"""Ranges at which −2l has kinks, and searches that average information would leave slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def triangular(seed: int, *, nugget: bool = False) -> pd.DataFrame:
    """Return 25 clusters of 5 times with covariance max(0, 1 − d/4)."""
    rng = np.random.default_rng(seed)
    times = np.array([np.sort(rng.choice(1000, 5, replace=False)) / 100 for _ in range(25)])
    y = np.empty_like(times)
    for i, t in enumerate(times):
        c = np.maximum(1 - np.abs(np.subtract.outer(t, t)) / 4, 0) + (0.3 if nugget else 1e-10) * np.eye(5)
        y[i] = np.linalg.cholesky(c) @ rng.standard_normal(5)
    codes = np.repeat(np.arange(25), 5).astype(str)
    return pd.DataFrame({"id": codes, "time": times.ravel(), "y": y.ravel()})


def lowest(fit: Any, ranges: Any) -> float:
    """Return the least −2l over ranges, the variance at its best for each."""
    objective, found = fit._work.criterion(), []
    for r in ranges:
        theta = fit.optimum.theta.copy()
        theta[1] = np.log(r)
        scale = objective.scale(theta)
        found.append(
            objective.value(objective.model.rescaled(theta, scale)) if np.isfinite(scale) else np.inf
        )
    return float(np.min(found))


@pytest.mark.parametrize("seed", range(6))
def test_linear_ranges_are_never_above_a_fine_grid(seed: int) -> None:
    data = triangular(seed)
    fit = mm.gls("y ~ 1", data, residual="lin_sp(time | id)")
    assert fit.converged
    distances = np.concatenate(
        [
            np.abs(np.subtract.outer(t, t))[np.triu_indices(5, 1)]
            for t in data["time"].to_numpy().reshape(25, 5)
        ]
    )
    assert fit.criterion <= lowest(fit, np.unique(distances)) + 1e-7
    assert fit.criterion <= lowest(fit, np.geomspace(0.2, 20, 400)) + 1e-7


def test_a_maximum_at_a_kink_is_noted() -> None:
    fits = [mm.gls("y ~ 1", triangular(seed), residual="lin_sp(time | id)") for seed in range(6)]
    kinks = [fit for fit in fits if any("kink" in str(status) for status in fit.status)]
    assert kinks
    for fit in kinks:
        objective, theta = fit._work.criterion(), fit.optimum.theta
        for step in (-1e-6, 1e-6):
            moved = theta + np.array([0.0, step])
            assert objective.value(moved) > fit.criterion
        # the slope does not vanish there
        assert abs(objective.gradient(theta)[1]) > 1e-3


def test_linear_ranges_with_a_nugget_and_beside_random_effects() -> None:
    data = triangular(3, nugget=True)
    fit = mm.gls("y ~ 1", data, residual="lin_sp(time | id, nugget=True)")
    assert fit.converged
    objective = fit._work.criterion()
    for r in np.geomspace(1, 9, 30):
        theta = fit.optimum.theta.copy()
        theta[1] = np.log(r)
        assert objective.value(theta) >= fit.criterion - 1e-7
    mixed = mm.lmm("y ~ 1 + (1 | id)", data, residual="lin_sp(time | id)")
    assert mixed.converged


def effects(seed: int) -> pd.DataFrame:
    """Return 25 groups × 4 levels × 2 observations with a covariance of full rank among levels."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(4, 4))
    b = rng.normal(size=(25, 4)) @ np.linalg.cholesky(a @ a.T / 4).T
    g, f = np.repeat(np.arange(25), 8), np.tile(np.repeat(np.arange(4), 2), 25)
    y = b[g, f] + rng.normal(size=200) * rng.choice([0.3, 1.0])
    return pd.DataFrame({"g": g.astype(str), "f": f.astype(str), "y": y})


@pytest.mark.parametrize(
    ("structure", "seed"),
    [("fa0(1)", 0), ("fa0(1)", 6), ("fa0(1)", 7), ("fa0(2)", 2), ("fa0(2)", 3), ("har1", 6), ("hcs", 3)],
)
def test_structures_of_the_wrong_form_converge_quickly(structure: str, seed: int) -> None:
    # average information alone took 33, 32, 33, 43, 42, 39 and 17 iterations
    fit = mm.lmm(f"y ~ f + {structure}(0 + f | g)", effects(seed))
    assert fit.converged
    assert fit.optimum.iterations <= 16


@pytest.mark.parametrize("seed", [1, 4, 9])
def test_small_fits_end_with_a_step_by_the_exact_hessian(seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, h = np.repeat(np.arange(12), 6), rng.integers(0, 6, 72)
    x = rng.normal(size=72)
    y = 1 + x + rng.normal(size=12)[g] + 0.5 * rng.normal(size=12)[g] * x + 0.6 * rng.normal(size=6)[h]
    data = pd.DataFrame({"g": g.astype(str), "h": h.astype(str), "x": x, "y": y + rng.normal(size=72)})
    formula = "y ~ x + (1 | g) + (1 | h)"
    fit, tight = mm.lmm(formula, data), mm.lmm(formula, data, control=mm.Control(decrement=1e-15))
    # by average information the variances were up to 7e-5 off at the default tolerance
    np.testing.assert_allclose(
        fit.variance_components()["variance"], tight.variance_components()["variance"], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("seed", [0, 3])
def test_linear_ranges_of_random_effects_are_looked_for_at_every_distance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(8.0)
    c = np.maximum(1 - np.abs(np.subtract.outer(t, t)) / 3, 0) + 1e-8 * np.eye(8)
    b = rng.normal(size=(20, 8)) @ np.linalg.cholesky(c).T
    codes, times = np.repeat(np.arange(20), 8).astype(str), np.tile(t, 20)
    y = np.concatenate([b.ravel() + 0.5 * rng.normal(size=160) for _ in range(2)])
    data = pd.DataFrame({"g": np.tile(codes, 2), "t": np.tile(times, 2), "y": y})
    fit = mm.lmm("y ~ 1 + lin_sp(t | g)", data)
    assert fit.converged
    objective = fit._work.criterion()
    for r in (0.8, 1.5, 2.5, 3.5, 5.0, 8.0, 15.0):
        for s in (0.5, 1.0, 2.0):
            assert objective.value(np.array([s, np.log(r)])) >= fit.criterion - 1e-7
