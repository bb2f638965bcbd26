"""Coverage of intervals, size and shape of p-values, and variances of estimates by simulation (`make test-full`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference.anova import hypotheses
from mixedmodels.inference.vcov import vcov
from mixedmodels.typing import Array

pytestmark = pytest.mark.full

REPLICATES = 3000
"""The standard error of a coverage of 95 % is then 0.4 %."""
METHODS = ("kenward-roger", "satterthwaite")


@dataclass(frozen=True, slots=True)
class Design:
    """A small unbalanced design: formula, data, covariance parameters of the truth, and the effect tested by F."""

    formula: str
    data: Callable[[], pd.DataFrame]
    truth: dict[str, float]
    term: str
    options: dict[str, Any]


def blocks() -> pd.DataFrame:
    """Twelve groups of two to six rows, an arm between and a dose within them."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(12), [2, 3, 5, 4, 6, 3, 4, 5, 2, 4, 3, 5])
    data = {"g": group, "arm": np.where(group % 2 == 0, "a", "b"), "dose": rng.choice(["0", "1", "2"], 46)}
    return pd.DataFrame({**data, "x": rng.normal(size=46), "y": rng.normal(size=46)})


def slopes() -> pd.DataFrame:
    """Fourteen subjects at up to five times."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame([(i, t) for i in range(14) for t in range(5)], columns=["id", "t"])
    data["arm"], data["y"] = np.where(data["id"] % 2 == 0, "a", "b"), rng.normal(size=70)
    return data.drop(index=[4, 9, 13, 14, 27, 28, 29, 44, 49, 53, 54, 68])


def visits() -> pd.DataFrame:
    """Thirty subjects at up to three visits, an unstructured covariance, nine responses missing."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame([(i, v) for i in range(30) for v in range(3)], columns=["id", "visit"])
    data["arm"], data["y"] = np.where(data["id"] % 2 == 0, "a", "b"), rng.normal(size=90)
    data["base"] = rng.normal(size=30)[data["id"]]
    return data.drop(index=[2, 5, 10, 11, 29, 38, 46, 71, 83])


DESIGNS = {
    "blocks": Design(
        "y ~ arm + dose + x + (1 | g)", blocks, {"var(g: (Intercept))": 2.0, "var(Residual)": 1.0}, "dose", {}
    ),
    "slopes": Design(
        "y ~ arm * t + (t | id)",
        slopes,
        {
            "var(id: (Intercept))": 2.0,
            "cov(id: (Intercept), t)": 0.1,
            "var(id: t)": 0.6,
            "var(Residual)": 1.0,
        },
        "arm:t",
        {},
    ),
    "visits": Design(
        "y ~ base + arm * C(visit)",
        visits,
        {
            "var(Residual: 0)": 1.0,
            "var(Residual: 1)": 1.2,
            "var(Residual: 2)": 1.5,
            "cov(Residual: 0, 1)": 0.5,
            "cov(Residual: 0, 2)": 0.3,
            "cov(Residual: 1, 2)": 0.7,
        },
        "arm:C(visit)",
        {"residual": "us(visit | id)"},
    ),
}


def replicates(name: str) -> dict[str, tuple[Array, Array]]:
    """Return by method whether intervals cover β = 0 (n, p), and p-values of every β_j and of the effect (n, p + 1)."""
    design = DESIGNS[name]
    data = design.data()
    fit = mm.lmm(design.formula, data, **design.options)
    truth = mm.lmm(design.formula, data, hold=design.truth, **design.options)
    hypothesis = hypotheses(fit, 3)[design.term]
    drawn = truth.simulate(REPLICATES, np.random.default_rng(9)) - truth.linear_predictor[:, None]
    covered: dict[str, list[Array]] = {method: [] for method in METHODS}
    p_values: dict[str, list[Array]] = {method: [] for method in METHODS}
    for y in drawn.T:
        one = fit.refit(y)
        for method in METHODS:
            table = one.fixed_effects(ddf=method)
            effect = one.wald(hypothesis, ddf=method, joint=True)["p_value"][0]
            covered[method].append((table["conf_low"] <= 0) & (table["conf_high"] >= 0))
            p_values[method].append(np.append(table["p_value"], effect))
    return {method: (np.array(covered[method]), np.array(p_values[method])) for method in METHODS}


@pytest.mark.parametrize("name", DESIGNS)
def test_intervals_cover_and_p_values_are_uniform(name: str) -> None:
    found = replicates(name)
    for method in METHODS:
        covered, p = found[method]
        coverage, size = covered.mean(axis=0), (p < 0.05).mean(axis=0)
        distance = np.array([stats.kstest(column, "uniform").statistic for column in p.T])
        print(
            f"{name} {method}: coverage {coverage.round(4)}, size {size.round(4)}, distance {distance.round(4)}"
        )
        if (name, method) == ("visits", "satterthwaite"):
            # Its standard error leaves out the uncertainty of an unstructured covariance: as is known, it is too
            # short for what is between subjects, where that of Kenward and Roger is not.
            assert 0.90 < coverage.min() < 0.94
            continue
        np.testing.assert_allclose(coverage, 0.95, atol=0.01)
        np.testing.assert_allclose(size, 0.05, atol=0.01)
        # 1.63/√n is the 1 % point of the distance for p-values that are exactly uniform; these are nearly so
        assert distance.max() < 1.63 / np.sqrt(REPLICATES) + 0.01


def test_variances_of_estimates_with_serial_correlation() -> None:
    """With five subjects at four visits and ρ = 0.8 only Kenward and Roger (2009) is near the true variances."""
    data = pd.DataFrame([(i, v) for i in range(5) for v in range(4)], columns=["id", "visit"])
    data["time"], data["arm"] = data["visit"].astype(float), data["id"] % 2
    data["y"] = np.random.default_rng(4).standard_normal(20)
    held = {"var(Residual)": 1.0, "correlation(Residual)": 0.8}
    fit = mm.gls("y ~ time + arm", data, residual="ar1(visit | id)")
    truth = mm.gls("y ~ time + arm", data, residual="ar1(visit | id)", hold=held)
    methods = ("kenward-roger-linear", "kenward-roger", "kenward-roger2")
    beta, claimed = [], {method: np.zeros(3) for method in methods}
    drawn = truth.simulate(REPLICATES, np.random.default_rng(8))
    for y in drawn.T:
        one = fit.refit(y)
        beta.append(one.beta)
        for method in methods:
            claimed[method] += np.diag(vcov(one, ddf=method)) / REPLICATES
    ratio = {method: claimed[method] / np.var(beta, axis=0) for method in methods}
    print({method: values.round(3) for method, values in ratio.items()})
    # a variance from 3000 draws has a standard error of 2.6 %
    np.testing.assert_allclose(ratio["kenward-roger2"], 1.0, atol=0.08)
    assert ratio["kenward-roger"][1] > 1.15
    assert ratio["kenward-roger-linear"][1] < 0.95
