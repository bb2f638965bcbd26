"""At every finite profile limit −2l of a refit with that value held has risen by 3.8415, in every kind of fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

CUTOFF = 3.841458820694
RISE = 2e-4
"""Largest error of the rise accepted: limits are known to 2e-5 in the root of it, searches to 1e-6 in −2l."""


def _panel() -> dict[str, Any]:
    """Return 15 subjects of 6 visits in two arms, with a covariate w of the errors' variance."""
    rng = np.random.default_rng(3)
    visit, subject = np.tile(np.arange(6), 15), np.repeat(np.arange(15), 6)
    root = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(range(6), range(6))))
    arm, w = np.where(subject % 2, "a", "b"), np.exp(rng.normal(size=90) / 2)
    errors = (rng.normal(size=(15, 6)) @ root.T).ravel() * w**0.7
    return {
        "t": visit, "x": visit + rng.uniform(-0.2, 0.2, 90), "g": np.array([f"s{k}" for k in subject]), "arm": arm,
        "w": w, "y": errors + (arm == "a") + rng.normal(size=15)[subject], "v": rng.uniform(0.2, 1.0, 90),
    }  # fmt: skip


def _estimates() -> dict[str, Any]:
    """Return 12 estimates of 4 studies with their variances."""
    rng = np.random.default_rng(4)
    y = rng.normal(size=12) + np.repeat(rng.normal(size=4), 3)
    study, row = np.repeat(list("abcd"), 3), np.array([f"r{i}" for i in range(12)])
    return {"yi": y, "vi": rng.uniform(0.05, 0.4, 12), "study": study, "row": row}


PANEL, ESTIMATES = _panel(), _estimates()
SLEEP, MACHINES = mm.datasets.load("sleepstudy"), mm.datasets.load("machines")


def _lmm(formula: str, data: Any, **fixed: Any) -> Callable[..., mm.Fit]:
    return lambda hold=None: mm.lmm(
        formula, data, hold={**fixed.get("held", {}), **(hold or {})} or None, **fixed.get("options", {})
    )


def _gls(**options: Any) -> Callable[..., mm.Fit]:
    return lambda hold=None: mm.gls("y ~ arm", PANEL, hold=hold, **options)


FITS: dict[str, Callable[..., mm.Fit]] = {
    "one variance": _lmm("y ~ arm + (1 | g)", PANEL),
    "weights": _lmm("y ~ arm + (1 | g)", PANEL, options={"weights": 1 / PANEL["v"]}),
    "nested": _lmm("score ~ Machine + (1 | Worker / Machine)", MACHINES),
    "slopes without correlation, ML": _lmm(
        "Reaction ~ Days + (Days || Subject)", SLEEP, options={"method": "ml"}
    ),
    "slopes, correlation": _lmm("Reaction ~ Days + hcs(Days | Subject)", SLEEP),
    "covariance held at zero": _lmm(
        "Reaction ~ Days + (Days | Subject)", SLEEP, held={"cov(Subject: (Intercept), Days)": 0}
    ),
    "residual variance held": _lmm("y ~ arm + (1 | g)", PANEL, held={"var(Residual)": 0.8}),
    "sampling variances": _lmm(
        "yi ~ 1 + (1 | row)", ESTIMATES, held={"var(Residual)": 1},
        options={"weights": 1 / ESTIMATES["vi"]},
    ),
    "sampling variances, nested": _lmm(
        "yi ~ 1 + (1 | study / row)", ESTIMATES, held={"var(Residual)": 1},
        options={"weights": 1 / ESTIMATES["vi"]},
    ),
    "AR(1) errors": _gls(residual="ar1(t | g)"),
    "AR(1) errors and intercepts": _lmm("y ~ arm + (1 | g)", PANEL, options={"residual": "ar1(t | g)"}),
    "heterogeneous errors": _gls(residual="csh(t | g)"),
    "a range": _gls(residual="exp(x | g)"),
    "variance by group": _lmm("y ~ arm + (1 | g)", PANEL, options={"variance": "ident(arm)"}),
    "power of a covariate": _lmm("y ~ arm + (1 | g)", PANEL, options={"variance": "power(w)"}),
    "power and compound symmetry, ML": _gls(variance="power(w)", residual="cs(t | g)", method="ml"),
}  # fmt: skip


def _natural(term: str, value: float) -> tuple[str, float]:
    """Return the name and value that `hold=` takes of a parameter as `confint` shows it."""
    for shown, name in (("sd(", "var("), ("sd of ", "")):
        if term.startswith(shown):
            return name + term[len(shown) :], value**2
    return term, value


@pytest.mark.parametrize("kind", FITS)
def test_the_criterion_has_risen_to_the_cutoff_at_every_limit(kind: str) -> None:
    make = FITS[kind]
    fit = make()
    table = fit.confint(method="profile", terms="covariance")
    checked = 0
    for term, *limits in zip(table["term"], table["conf_low"], table["conf_high"], strict=True):
        for limit in limits:
            if np.isfinite(limit) and limit != 0:
                name, value = _natural(str(term), float(limit))
                assert make(hold={name: value}).criterion - fit.criterion == pytest.approx(CUTOFF, abs=RISE)
                checked += 1
    assert checked >= len(table)
    assert not np.isnan(table["conf_low"]).any()


@pytest.mark.parametrize("nested", [False, True])
def test_meta_analyses_have_the_limits_of_the_model_with_variances_held(nested: bool) -> None:
    """So that the test above is one of theirs."""
    random = "study/row" if nested else None
    meta = mm.meta("yi ~ 1", ESTIMATES, variance="vi", random=random)
    found = meta.confint(method="profile", terms="covariance")
    plain = FITS["sampling variances, nested" if nested else "sampling variances"]()
    expected = plain.confint(method="profile", terms="covariance")
    for column in ("conf_low", "conf_high"):
        np.testing.assert_allclose(found[column], expected[column][: len(found)], rtol=1e-6)
    table = meta.heterogeneity(ci="profile")
    np.testing.assert_allclose(table["conf_low"][: len(found)], found["conf_low"] ** 2, rtol=1e-6)


def test_correlations_are_followed_where_the_average_information_misleads() -> None:
    """Between two of its points the profile took 60 iterations and gave up, after 50 s; `hcs` is the same model."""
    rng = np.random.default_rng(1)
    cluster, t = np.repeat(np.arange(12), 5), np.tile(np.arange(5) - 2.0, 12)
    b = rng.normal(size=(12, 2)) @ np.linalg.cholesky([[1.0, 0.15], [0.15, 0.25]]).T
    y = b[cluster, 0] + b[cluster, 1] * t + rng.normal(size=60)
    data = {"y": y, "t": t, "g": cluster.astype(str), "arm": np.where(cluster % 2, "x", "z")}
    fit = mm.lmm("y ~ arm * t + (t | g)", data)
    limits = fit.confint(method="profile", terms=["cor(g: (Intercept), t)"])
    for limit in (limits["conf_low"][0], limits["conf_high"][0]):
        held = mm.lmm("y ~ arm * t + hcs(t | g)", data, hold={"correlation(g)": float(limit)})
        assert held.criterion - fit.criterion == pytest.approx(CUTOFF, abs=RISE)
