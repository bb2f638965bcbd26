"""Simulated repeated measures: trials with missing visits, subjects with times of their own or crossed with items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from columns import Column, compact_factor

VISITS = 10
POINTS = 6
GENOTYPES = 40


def build_trial(subjects: int, seed: int) -> Callable[[float], dict[str, Column]]:
    """A trial of `subjects` by 10 visits: 30 % drop out at a random visit, 2 % of the visits are missed."""

    def build(scale: float) -> dict[str, Column]:
        m = max(int(subjects * scale), 40)
        rng = np.random.default_rng(seed)
        t = np.arange(VISITS)
        spread = 2.0 * (1.0 + 0.1 * t)
        sigma = 0.7 ** np.abs(t[:, None] - t) * np.outer(spread, spread)
        arm, base = rng.integers(0, 2, m), rng.standard_normal(m)
        y = 1.0 + 0.2 * t + 0.1 * arm[:, None] * t + 0.5 * base[:, None]
        y = y + rng.standard_normal((m, VISITS)) @ np.linalg.cholesky(sigma).T
        last = np.where(rng.random(m) < 0.7, VISITS, rng.integers(1, VISITS + 1, m))
        seen = t < last[:, None]
        missed = rng.random((m, VISITS)) < 0.02
        missed[:, 0] = False
        who, visit = np.nonzero(seen & ~missed)
        return {
            "y": y[who, visit],
            "base": base[who],
            "arm": compact_factor(arm[who], "arm"),
            "visit": compact_factor(visit, "v"),
            "id": compact_factor(who, "id"),
        }

    return build


def build_field(rows: int, columns: int) -> Callable[[float], dict[str, Column]]:
    """A field of `rows` by `columns` plots: 40 genotypes at random, correlation exp(−d/3) and a nugget."""

    def build(_scale: float) -> dict[str, Column]:
        rng = np.random.default_rng(15)
        row, column = (part.ravel().astype(float) for part in np.divmod(np.arange(rows * columns), columns))
        n = len(row)
        genotype = np.concatenate([rng.permutation(GENOTYPES) for _ in range(-(-n // GENOTYPES))])[:n]
        distance = np.hypot(row[:, None] - row, column[:, None] - column)
        smooth = np.linalg.cholesky(np.exp(-distance / 3.0) + 1e-10 * np.eye(n)) @ rng.standard_normal(n)
        y = 10.0 + rng.standard_normal(GENOTYPES)[genotype] + smooth + 0.5 * rng.standard_normal(n)
        one = compact_factor(np.zeros(n, dtype=int), "field")
        return {"y": y, "row": row, "col": column, "genotype": compact_factor(genotype, "g"), "field": one}

    return build


def build_own_times(scale: float) -> dict[str, Column]:
    """20,000 subjects at 6 times of their own, with correlation 0.5 at distance one and two covariates."""
    rng = np.random.default_rng(12)
    m = max(int(20_000 * scale), 40)
    time = np.cumsum(rng.uniform(0.2, 1.5, (m, POINTS)), axis=1)
    errors = np.empty((m, POINTS))
    errors[:, 0] = rng.standard_normal(m)
    for k in range(1, POINTS):
        rho = 0.5 ** (time[:, k] - time[:, k - 1])
        errors[:, k] = rho * errors[:, k - 1] + np.sqrt(1.0 - rho**2) * rng.standard_normal(m)
    arm = np.repeat(rng.integers(0, 2, m), POINTS)
    time = time.ravel()
    y = 1.0 + 0.1 * time + 0.2 * arm * time + 1.5 * errors.ravel()
    who = np.repeat(np.arange(m), POINTS)
    return {"y": y, "time": time, "arm": compact_factor(arm, "arm"), "id": compact_factor(who, "id")}


def build_crossed_serial(scale: float) -> dict[str, Column]:
    """10,000 subjects × 10 visits, each on one of 500 items at random, errors autoregressive within a subject."""
    rng = np.random.default_rng(14)
    m, items = max(int(10_000 * scale), 40), max(int(500 * scale), 10)
    lag = np.abs(np.subtract.outer(np.arange(VISITS), np.arange(VISITS)))
    errors = rng.standard_normal((m, VISITS)) @ np.linalg.cholesky(0.6**lag).T
    who, visit = np.repeat(np.arange(m), VISITS), np.tile(np.arange(VISITS), m)
    item, x = rng.integers(0, items, len(who)), rng.standard_normal(len(who))
    y = 1.0 + x + 0.5 * rng.standard_normal(m)[who] + 0.8 * rng.standard_normal(items)[item] + errors.ravel()
    return {
        "y": y,
        "x": x,
        "visit": compact_factor(visit, "v"),
        "id": compact_factor(who, "id"),
        "item": compact_factor(item, "i"),
    }


def build_slopes_5000(_scale: float) -> dict[str, Column]:
    """5,000 rows over 500 subjects of 4 to 16 rows, random intercept and slope, and a treatment by subject."""
    rng = np.random.default_rng(13)
    sizes = rng.integers(4, 17, 499)
    g = np.repeat(np.arange(499), sizes)
    g = np.append(g[: 5_000 - 1], np.full(max(1, 5_000 - len(g)), 499))[:5_000]
    x = rng.standard_normal(len(g))
    arm = rng.integers(0, 2, 500)[g]
    b = rng.standard_normal((500, 2)) @ np.array([[1.0, 0.3], [0.0, 0.5]])
    y = 1.0 + 0.5 * x + 0.3 * arm + b[g, 0] + b[g, 1] * x + rng.standard_normal(len(g))
    return {"y": y, "x": x, "arm": compact_factor(arm, "arm"), "g": compact_factor(g, "g")}


def build_crossed_5000(_scale: float) -> dict[str, Column]:
    """5,000 ratings of 100 items by 200 raters, every pair equally likely: V is full."""
    rng = np.random.default_rng(14)
    a, b = rng.integers(0, 200, 5_000), rng.integers(0, 100, 5_000)
    x, arm = rng.standard_normal(5_000), rng.integers(0, 2, 200)[a]
    y = 1.0 + 0.5 * x + 0.3 * arm + 0.8 * rng.standard_normal(200)[a] + 0.5 * rng.standard_normal(100)[b]
    y += rng.standard_normal(5_000)
    return {
        "y": y,
        "x": x,
        "arm": compact_factor(arm, "arm"),
        "a": compact_factor(a, "a"),
        "b": compact_factor(b, "b"),
    }
