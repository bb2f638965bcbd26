"""Fits with structured errors, and the covariance of their responses written out in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.typing import Array


@cache
def visits() -> pd.DataFrame:
    """Thirty subjects in six sites, five visits of which some are missing, times and places of their own."""
    rng = np.random.default_rng(11)
    m, t = 30, 5
    n = m * t
    data = pd.DataFrame(
        {
            "id": np.repeat(np.arange(m), t),
            "visit": np.tile(np.arange(1, t + 1), m),
            "time": np.round(np.tile(np.arange(1.0, t + 1), m) + rng.uniform(-0.4, 0.4, n), 3),
            "east": rng.uniform(0, 3, n),
            "north": rng.uniform(0, 3, n),
            "x": rng.standard_normal(n),
            "w": rng.uniform(0.5, 2.0, n),
            "arm": np.repeat(rng.choice(["a", "b"], m), t),
            "kind": np.where(rng.random(n) < 0.4, "old", "new"),
            "known": rng.standard_normal(n),
        }
    )
    data["site"] = data["id"] // 5
    correlated = (
        rng.standard_normal((m, t))
        @ np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(np.arange(t), np.arange(t))) + 0.1 * np.eye(t)).T
    )
    slopes = rng.standard_normal(m)[data["id"]] * 0.7
    sites = rng.standard_normal(6)[data["site"]]
    spread = np.where(data["kind"] == "old", 1.6, 1.0)
    data["y"] = 1 + data["x"] + data["known"] + correlated.ravel() * spread + slopes * data["x"] + sites
    return data[rng.random(n) < 0.85].reset_index(drop=True)


def model(formula: str, **options: Any) -> Callable[[], Fit]:
    return lambda: mm.lmm(formula, visits(), **options)


MODELS: dict[str, Callable[[], Fit]] = {
    "us": model("y ~ x", residual="us(visit | id)"),
    "us by arm, weights": model("y ~ x * arm", residual="us(visit | id, by=arm)", weights="w"),
    "random slope, exp with nugget, offset": model(
        "y ~ x + offset(known) + (x | id)", residual="exp(time | id, nugget=True)", weights="w"
    ),
    "nested, toep": model("y ~ x + (1 | site/id)", residual="toep(2)(visit | id)", variance="ident(kind)"),
    "site, har1 within subject": model("y ~ x + (1 | site)", residual="har1(visit | id)", method="ml"),
    "car1, power": model("y ~ x", residual="car1(time | id)", variance="power(w) * ident(kind)"),
    "variance only": model("y ~ x", variance="const_power(time)", method="ml"),
    "random intercept, ident": model("y ~ x + (1 | id)", variance="ident(kind)", weights="w"),
    "plane": model("y ~ x + (1 | site)", residual="sph(east, north | id)"),
    "fitted": model("y ~ x", residual="ar1(visit | id)", variance="exp(fitted)"),
}


@dataclass(frozen=True)
class Full:
    """V, R and Z G of a fit in full, with Φ and P."""

    v: Array
    r: Array
    phi: Array
    p: Array
    x: Array
    residual: Array


def parameters(fit: Fit) -> dict[str, float]:
    """Return the natural covariance parameters by name."""
    natural = fit.objective().natural(fit.optimum.theta)
    return dict(zip(natural.names, natural.values.tolist(), strict=True))


def full_covariance(fit: Fit) -> Full:
    """Return the covariance of a fit from its natural parameters and the definition of each structure."""
    design = fit.design
    n = design.n
    r = np.zeros((n, n))
    residual = design.residual
    assert residual is not None
    theta = fit.optimum.theta
    for block in fit.objective().residual_blocks:
        if block.structure is None:
            r += np.exp(theta[block.place][0]) * np.eye(n)
            continue
        for cluster in range(residual.n_clusters):
            if residual.sets[cluster] != block.set:
                continue
            rows = np.flatnonzero(residual.clusters == cluster)
            if residual.coordinates is None:
                grid = block.structure.matrix(theta[block.place], block.positions)
                own = grid[np.ix_(residual.index[rows], residual.index[rows])]
            else:
                at = type(block.positions)(len(rows), (), residual.coordinates[rows])
                own = block.structure.matrix(theta[block.place], at)
            r[np.ix_(rows, rows)] = own
    sd = np.ones(n) if design.weights is None else 1 / np.sqrt(design.weights)
    for block in fit.objective().model.variance_blocks:
        term = residual.variance[block.index]
        sd = sd * np.exp(term.function.log_sd(theta[block.place], term.covariate, term.groups))
    r *= np.outer(sd, sd)
    v = r.copy()
    for term, sigmas in zip(design.random, fit.covariances, strict=True):
        z = term.dense_values()
        same = term.codes[:, None] == term.codes
        sets = term.sets[term.codes]
        for s, sigma in enumerate(sigmas):
            v += z @ sigma @ z.T * same * np.outer(sets == s, sets == s)
    x = np.asarray(design.x)
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    p = inverse - inverse @ x @ phi @ x.T @ inverse
    return Full(v, r, phi, p, x, design.y - x @ phi @ x.T @ inverse @ design.y)
