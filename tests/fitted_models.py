"""Fits that have between them weights, an offset, crossing, nesting, slopes, gaps and a singular Σ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import mixedmodels as mm
from dense_equations import DenseEquations, equal_errors
from mixedmodels.fit import Fit
from mixedmodels.typing import Array
from models import Model


@dataclass(frozen=True)
class Oracle:
    """The dense equations of a fit at its own estimates, and V̂ itself."""

    equations: DenseEquations
    v: Array


def weighted_fit() -> Fit:
    rng = np.random.default_rng(5)
    n = 120
    data = {
        "g": np.repeat([f"g{j}" for j in range(12)], 10),
        "h": np.tile([f"h{j}" for j in range(8)], 15),
        "x": rng.standard_normal(n),
        "w": rng.uniform(0.4, 2.5, n),
        "known": rng.standard_normal(n),
    }
    effects = rng.standard_normal((12, 2)) @ np.array([[1.2, 0.0], [0.4, 0.7]])
    codes = np.repeat(np.arange(12), 10)
    y = 1 + data["x"] + data["known"] + effects[codes, 0] + effects[codes, 1] * data["x"]
    y += 0.8 * rng.standard_normal(8)[np.tile(np.arange(8), 15)] + rng.standard_normal(n) / np.sqrt(data["w"])
    data["y"] = y
    data["y"][7] = np.nan
    return mm.lmm("y ~ x + offset(known) + (1 + x | g) + (1 | h)", data, weights="w")


MODELS: dict[str, Callable[[], Fit]] = {
    "weighted": weighted_fit,
    "nested": lambda: mm.lmm("strength ~ 1 + (1 | batch/cask)", mm.datasets.load("pastes"), method="ml"),
    "by": lambda: mm.lmm("Y ~ sex * age + (1 | id, by=sex)", mm.datasets.load("orthodont")),
    "singular": lambda: mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2")),
}


def make_oracle(fit: Fit) -> Oracle:
    """Return the dense algebra of a fit at θ̂."""
    equations, at = DenseEquations.of(Model.of_fit(fit)), equal_errors(fit.covariances, fit.sigma2)
    equations.factor(at)
    return Oracle(equations, equations.covariance(at))
