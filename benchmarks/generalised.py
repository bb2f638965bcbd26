"""Data of the cases of generalised models, drawn from fixed seeds."""

from __future__ import annotations

import importlib

import numpy as np
from columns import Column, columns_of, compact_factor
from numpy.typing import NDArray


def _share(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-eta))


def build_cbpp(_scale: float) -> dict[str, Column]:
    """56 rows of 15 herds: cases and the other animals."""
    frame = importlib.import_module("mixedmodels.datasets").load("cbpp")
    return columns_of(frame.assign(rest=frame["size"] - frame["incidence"]))


def build_binary_1934(_scale: float) -> dict[str, Column]:
    """1,934 binary rows of 60 districts, two covariates and a factor of four levels."""
    rng = np.random.default_rng(20)
    n = 1_934
    g, f = rng.integers(60, size=n), rng.integers(4, size=n)
    age, urban = rng.normal(0.0, 9.0, n), rng.integers(2, size=n).astype(float)
    eta = (
        -1.0
        + 0.004 * age
        - 0.0045 * (age**2 - 81.0)
        + 0.7 * urban
        + 0.3 * f
        + 0.47 * rng.standard_normal(60)[g]
    )
    return {
        "y": rng.binomial(1, _share(eta)).astype(float),
        "age": age,
        "age2": age**2,
        "urban": urban,
        "f": compact_factor(f, "f"),
        "g": compact_factor(g, "g"),
    }


def build_nb2_10k(scale: float) -> dict[str, Column]:
    """10,000 counts of 500 groups, negative binomial with k = 1.7."""
    rng = np.random.default_rng(21)
    n, q = int(10_000 * scale), int(500 * scale)
    g, x = rng.integers(q, size=n), rng.standard_normal(n)
    mu = np.exp(0.8 + 0.5 * x + 0.6 * rng.standard_normal(q)[g])
    return {"y": rng.poisson(rng.gamma(1.7, mu / 1.7)).astype(float), "x": x, "g": compact_factor(g, "g")}


def build_binary_crossed(scale: float) -> dict[str, Column]:
    """20,000 binary answers of 1,000 persons to 300 items."""
    rng = np.random.default_rng(22)
    n, p, q = int(20_000 * scale), int(1_000 * scale), int(300 * scale)
    a, b, x = rng.integers(p, size=n), rng.integers(q, size=n), rng.standard_normal(n)
    eta = -0.5 + 0.6 * x + rng.standard_normal(p)[a] + 0.7 * rng.standard_normal(q)[b]
    y = rng.binomial(1, _share(eta)).astype(float)
    return {"y": y, "x": x, "a": compact_factor(a, "a"), "b": compact_factor(b, "b")}


def build_poisson_slopes(scale: float) -> dict[str, Column]:
    """100,000 counts, 20 in each of 5,000 groups, with correlated intercepts and slopes."""
    rng = np.random.default_rng(23)
    q = int(5_000 * scale)
    g = np.repeat(np.arange(q), 20)
    x, f = rng.standard_normal(len(g)), rng.integers(2, size=q).astype(float)[g]
    b = rng.standard_normal((q, 2)) @ np.linalg.cholesky([[0.5, 0.1], [0.1, 0.15]]).T
    eta = 0.3 + 0.4 * x - 0.3 * f + b[g, 0] + b[g, 1] * x
    return {"y": rng.poisson(np.exp(eta)).astype(float), "x": x, "f": f, "g": compact_factor(g, "g")}


def build_binary_million(scale: float) -> dict[str, Column]:
    """1,000,000 binary rows in random order of 20,000 groups."""
    rng = np.random.default_rng(24)
    n, q = int(1_000_000 * scale), int(20_000 * scale)
    g, x, z = rng.integers(q, size=n), rng.standard_normal(n), rng.integers(2, size=n).astype(float)
    eta = -1.0 + 0.5 * x + 0.4 * z + 0.8 * rng.standard_normal(q)[g]
    return {"y": rng.binomial(1, _share(eta)).astype(float), "x": x, "z": z, "g": compact_factor(g, "g")}
