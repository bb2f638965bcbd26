"""Fits with structured errors, and the covariance of their responses written out in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from dense_algebra import design_matrix, random_covariance
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.fit import Fit
from mixedmodels.typing import Array
from models import Model


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
    data = data[rng.random(n) < 0.85].reset_index(drop=True)
    crossing = np.random.default_rng(12)
    data["item"] = crossing.integers(0, 9, len(data))
    data["rated"] = data["y"] + crossing.standard_normal(9)[data["item"]] * (1 + 0.3 * data["x"])
    return data


@cache
def known_matrices() -> dict[str, pd.DataFrame | Array]:
    """A covariance among the nine items, and a precision among the six sites."""
    rng = np.random.default_rng(13)
    a = rng.standard_normal((9, 12))
    items = pd.DataFrame(a @ a.T / 12, index=range(9), columns=range(9))
    chain = np.eye(6) * 2.2 - np.eye(6, k=1) - np.eye(6, k=-1)
    return {"A": items, "Q": pd.DataFrame(chain, index=range(6), columns=range(6))}


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


def crossed(formula: str, **options: Any) -> Callable[[], Fit]:
    """A model whose rows are tied together by crossed or related levels, by sparse equations of whitened rows."""
    known = {name: matrix for name, matrix in known_matrices().items() if f"={name}" in formula}
    return model(formula, control=mm.Control(engine="sparse"), known=known or None, **options)


CROSSED: dict[str, Callable[[], Fit]] = {
    "crossed, ar1": crossed("rated ~ x + (1 | id) + (1 | item)", residual="ar1(visit | id)"),
    "crossed, ident": crossed("rated ~ x + (1 | id) + (1 | item)", variance="ident(kind)", method="ml"),
    "crossed, power and const_power, weights": crossed(
        "rated ~ x + (1 | item) + (1 | id)", variance="const_power(time) * ident(kind)", weights="w"
    ),
    "crossed slopes, us, weights": crossed(
        "rated ~ x + (1 + x | item)", residual="us(visit | id)", weights="w"
    ),
    "crossed, cs by arm": crossed("rated ~ x + (1 | item)", residual="hcs(visit | id, by=arm)"),
    "known covariance, cs": crossed("rated ~ x + (1 | item, cov=A)", residual="cs(1 | id)"),
    "known covariances, exp with nugget, offset": crossed(
        "rated ~ x + offset(known) + (1 | item, cov=A) + (1 | site, precision=Q)",
        residual="exp(time | id, nugget=True)",
        method="ml",
    ),
    "nested, har1 and ident": crossed(
        "y ~ x + (x | site)", residual="ar1(visit | id)", variance="ident(kind)"
    ),
    "sets of items, toep": crossed(
        "rated ~ x + (1 | item:arm, by=arm) + (1 | item)", residual="toep(2)(visit | id)"
    ),
    "singular, ar1": crossed("known ~ x + (1 | item) + (1 + x | site)", residual="ar1(visit | id)"),
    "places, ar1": crossed("rated ~ x + exp(0 + factor(visit) | site) + (1 | item)", variance="ident(kind)"),
    "spline, car1": crossed("rated ~ spline(time, knots=6) + (1 | item)", residual="car1(time | id)"),
    "fitted mean": crossed("rated ~ x + (1 | item)", residual="ar1(visit | id)", variance="exp(fitted)"),
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
    natural = fit._work.criterion().natural(fit.optimum.theta)
    return dict(zip(natural.names, natural.values.tolist(), strict=True))


def error_covariance(objective: Gaussian, theta: Array) -> Array:
    """Return R at θ from the definition of each structure, (n, n)."""
    design = Model.of(objective.design, objective.equations.rows)
    n = design.n
    r = np.zeros((n, n))
    residual = design.residual
    assert residual is not None
    for block in objective.model.residual_blocks:
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
    for block in objective.model.variance_blocks:
        term, own = residual.variance[block.index], residual.rows.variance[block.index]
        delta = term.reference.plain @ theta[block.place]
        sd = sd * np.exp(term.function.log_sd(delta, own.covariate, own.groups))
        sd = sd * np.exp(-term.reference.common(theta[block.place]))
    return np.asarray(r * np.outer(sd, sd))


def effect_covariance(objective: Gaussian, theta: Array) -> Array:
    """Return ZGZ' at θ, (n, n)."""
    total = np.zeros((objective.design.n,) * 2)
    design = Model.of(objective.design, objective.equations.rows)
    for term, sigmas in zip(design.random, objective.matrices(theta), strict=True):
        z = design_matrix(term)
        total += z @ random_covariance(term, sigmas) @ z.T
    return total


def full_covariance(fit: Fit) -> Full:
    """Return the covariance of a fit from its parameters and the definition of each structure."""
    design, objective, theta = Model.of_fit(fit), fit._work.criterion(), fit.optimum.theta
    assert isinstance(objective, Gaussian)
    r = error_covariance(objective, theta)
    v = r + effect_covariance(objective, theta)
    x = np.asarray(design.x)
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    p = inverse - inverse @ x @ phi @ x.T @ inverse
    return Full(v, r, phi, p, x, design.y - x @ phi @ x.T @ inverse @ design.y)
