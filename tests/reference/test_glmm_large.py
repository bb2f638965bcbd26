"""Four larger generalised models whose figures lme4, glmmTMB and gpboost agree on; the data are drawn here.

The draws follow one another in one stream, so that a data set is the same only after those before it. glmmTMB 1.1.5 and
gpboost 1.8.0 give these log-likelihoods; the largest is glmm 0.6.2's, where glmmTMB did not end within three minutes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.typing import Array

Columns = dict[str, Array]


def _logit(rng: np.random.Generator, eta: Array) -> Array:
    return rng.binomial(1, 1.0 / (1.0 + np.exp(-eta)))


@cache
def drawn() -> dict[str, Columns]:
    rng = np.random.default_rng(20260101)
    out: dict[str, Columns] = {}

    a, b, x = rng.integers(0, 1000, 20_000), rng.integers(0, 300, 20_000), rng.normal(size=20_000)
    eta = -0.5 + 0.6 * x + rng.normal(0.0, 1.0, 1000)[a] + rng.normal(0.0, 0.7, 300)[b]
    out["crossed"] = {"y": _logit(rng, eta), "x": x.round(6), "a": a, "b": b}

    g, x, f = np.repeat(np.arange(5000), 20), rng.normal(size=100_000), rng.integers(0, 2, 5000)
    u = rng.normal(size=(5000, 2)) @ np.linalg.cholesky([[0.5, 0.1], [0.1, 0.15]]).T
    eta = 0.3 + 0.4 * x - 0.3 * f[g] + u[g, 0] + u[g, 1] * x
    out["slopes"] = {"y": rng.poisson(np.exp(eta)), "x": x.round(6), "f": f[g], "g": g}

    g, x = rng.integers(0, 500, 10_000), rng.normal(size=10_000)
    mean = np.exp(0.8 + 0.5 * x + rng.normal(0.0, 0.6, 500)[g])
    out["counts"] = {"y": rng.poisson(rng.gamma(1.7, mean / 1.7)), "x": x.round(6), "g": g}

    g, x, z = rng.integers(0, 20_000, 1_000_000), rng.normal(size=1_000_000), rng.integers(0, 2, 1_000_000)
    eta = -1.0 + 0.5 * x + 0.4 * z + rng.normal(0.0, 0.8, 20_000)[g]
    out["million"] = {"y": _logit(rng, eta), "x": x.round(5), "z": z, "g": g}
    return out


FIGURES = [
    (
        "crossed",
        "y ~ x + (1 | a) + (1 | b)",
        "binomial",
        -11825.52661,
        (-0.50175, 0.60703),
        (0.89711, 0.42543),
    ),
    ("counts", "y ~ x + (1 | g)", "nb2", -20553.05380, (0.78387, 0.50957), (0.35854,)),
    pytest.param(
        "slopes",
        "y ~ x + f + (1 + x | g)",
        "poisson",
        -151505.49561,
        (0.32986, 0.39628, -0.32065),
        (0.49256, 0.14388, 0.10026),
        marks=pytest.mark.full,
    ),
    pytest.param(
        "million",
        "y ~ x + z + (1 | g)",
        "binomial",
        -578199.78875,
        (-0.99964, 0.49988, 0.39575),
        (0.63567,),
        marks=pytest.mark.full,
    ),
]


@pytest.mark.parametrize(("name", "formula", "family", "loglik", "beta", "variances"), FIGURES)
def test_figures_of_larger_models(
    name: str, formula: str, family: str, loglik: float, beta: tuple[float, ...], variances: tuple[float, ...]
) -> None:
    fit = mm.glmm(formula, drawn()[name], family)
    assert fit.loglik == pytest.approx(loglik, abs=1e-4)
    # 2e-5: figures of five digits from searches that stop at gradients of 1e-3
    assert np.asarray(fit.params)[: len(beta)] == pytest.approx(beta, abs=2e-5)
    found = [v for v in fit.variance_components().to_frame()["variance"] if np.isfinite(v)]
    assert found[: len(variances)] == pytest.approx(variances, abs=2e-5)
