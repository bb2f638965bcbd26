"""One data set on which every structure, variance function and engine can be fitted, for the invariance suite."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from mixedmodels.typing import Array

SUBJECTS, RUNS, VISITS = 36, 2, 4
TIMES = np.array([1.0, 2.25, 3.25, 5.0])
"""Unequally spaced, and whole multiples of 1/4, so that a shift of origin is exact."""
PLACES = np.array([[0.0, 0.0], [1.0, 0.25], [0.5, 1.5], [2.0, 1.0]])


@cache
def responses() -> pd.DataFrame:
    """Return subjects with two runs of four visits, some missed; crossed raters, sites, weights, covariates.

    Subjects have effects that are correlated over visits, runs have serially correlated errors, so that both sides of a
    structured model find something.
    """
    rng = np.random.default_rng(5)
    subject = np.repeat(np.arange(SUBJECTS), RUNS * VISITS)
    run = np.repeat(np.arange(SUBJECTS * RUNS), VISITS)
    visit = np.tile(np.arange(VISITS), SUBJECTS * RUNS)
    n = len(subject)
    x = np.round(rng.standard_normal(n) * 256) / 256
    kind = rng.integers(0, 2, n)
    rater = rng.integers(0, 7, n)
    arm = rng.permutation(np.repeat(np.arange(3), SUBJECTS // 3))[subject]
    dose = np.round(rng.uniform(-1.5, 1.5, n) * 256) / 256
    dispersion = np.round(rng.uniform(0.5, 4.0, n) * 256) / 256
    effects = 1.6 * serial(rng, SUBJECTS, 0.6)[subject, visit]
    slopes = 0.5 * rng.standard_normal(SUBJECTS)[subject] * x
    errors = 0.8 * serial(rng, SUBJECTS * RUNS, 0.55)[run, visit] + 0.3 * rng.standard_normal(n)
    spread = np.exp(0.25 * dose) * np.where(kind == 1, 1.5, 1.0) * dispersion**0.3
    y = 12.0 + 0.8 * x + 0.7 * arm + effects + slopes + errors * spread + 0.5 * rng.standard_normal(7)[rater]
    data = pd.DataFrame(
        {
            "y": y,
            "x": x,
            "dose": dose,
            "w": dispersion,
            "time": TIMES[visit],
            "east": PLACES[visit, 0],
            "north": PLACES[visit, 1],
            "arm": np.array(["armA", "armB", "armC"])[arm],
            "kind": np.array(["kindA", "kindB"])[kind],
            "kindly": np.array(["kindlyA", "kindlyB"])[subject % 2],
            "visit": np.array([f"visit{v}" for v in range(VISITS)])[visit],
            "id": np.array([f"id{s:02d}" for s in range(SUBJECTS)])[subject],
            "run": np.array([f"run{r:02d}" for r in range(SUBJECTS * RUNS)])[run],
            "site": np.array([f"site{s}" for s in range(6)])[subject % 6],
            "rater": np.array([f"rater{r}" for r in range(7)])[rater],
            "half": np.array(["halfA", "halfB"])[visit // 2],
            "quarter": np.array(["quarterA", "quarterB"])[visit % 2],
        }
    )
    data = data[rng.random(n) < 0.92].reset_index(drop=True)
    return data.assign(**other_responses(data))


def other_responses(data: pd.DataFrame) -> dict[str, Array]:
    """Return responses of other kinds, (n,) each, with effects of subjects: counts, shares, grades and others."""
    rng = np.random.default_rng(7)
    subject = data["id"].str[2:].astype(int).to_numpy()
    x, armed = data["x"].to_numpy(), (data["arm"] == "armB").to_numpy()
    eta = 0.2 + 0.5 * x + 0.4 * armed + 0.8 * rng.standard_normal(SUBJECTS)[subject]
    chance, mean = 1.0 / (1.0 + np.exp(-eta)), np.exp(0.6 + 0.5 * eta)
    tries = rng.integers(2, 9, len(data))
    count = rng.poisson(mean * rng.gamma(3.0, 1.0 / 3.0, len(data)))
    latent = eta + rng.logistic(size=len(data))
    return {
        "seen": rng.binomial(1, chance),
        "tries": tries,
        "hits": rng.binomial(tries, chance),
        "count": count,
        "zeros": np.where(rng.random(len(data)) < 0.25, 0, count),
        "size": mean * rng.gamma(4.0, 0.25, len(data)),
        "share": rng.beta(6.0 * chance, 6.0 * (1.0 - chance)),
        "grade": np.array(["grade1", "grade2", "grade3"])[np.digitize(latent, [-0.5, 1.0])],
    }


def serial(rng: np.random.Generator, rows: int, correlation: float) -> Array:
    """Return rows of standard normal numbers with a correlation that falls with the distance in time."""
    covariance = correlation ** np.abs(np.subtract.outer(TIMES, TIMES))
    return np.asarray(rng.standard_normal((rows, VISITS)) @ np.linalg.cholesky(covariance).T)


@cache
def relationship() -> pd.DataFrame:
    """Return a known covariance among the subjects, by their names."""
    roots = np.random.default_rng(6).standard_normal((SUBJECTS, 2 * SUBJECTS))
    names = [f"id{s:02d}" for s in range(SUBJECTS)]
    return pd.DataFrame(roots @ roots.T / (2 * SUBJECTS), index=names, columns=names)
