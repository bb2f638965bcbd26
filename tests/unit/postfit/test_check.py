"""Verdicts on fits: each finds what it is for, and is quiet where the model is true."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit
from mixedmodels.postfit.checks import CHECKS


def drawn(seed: int, groups: int = 30, times: int = 6) -> dict[str, Any]:
    """Return data of a true model with random intercepts."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), times)
    week = np.tile(np.arange(times), groups)
    data = {"g": g, "week": week, "arm": np.where(g % 2, "b", "a"), "e": rng.normal(size=len(g))}
    data["mean"] = 20.0 + 0.5 * week + rng.normal(size=groups)[g]
    data["y"] = data["mean"] + data["e"]
    return data


def verdicts(fit: Fit, **options: Any) -> dict[str, dict[str, Any]]:
    table = fit.check(**options)
    assert table.names == ("check", "verdict", "evidence", "statistic", "p_value", "suggestion")
    assert set(table["verdict"]) <= {"ok", "look", "problem"}
    assert set(table["check"]) <= set(CHECKS)
    return {row["check"]: row for row in (table.row(i) for i in range(len(table)))}


def test_fits_of_true_models_are_left_in_peace() -> None:
    alarms: Counter[str] = Counter()
    for seed in range(40):
        found = verdicts(mm.lmm("y ~ week + arm + (1 | g)", drawn(seed)), refit=False)
        alarms.update(name for name, row in found.items() if row["verdict"] != "ok")
    # at 0.01 a test cries wolf in one fit of a hundred: three of forty by each would be one chance in a hundred
    assert max(alarms.values(), default=0) <= 2, alarms
    assert sum(alarms.values()) <= 6, alarms


def test_variances_that_differ_by_group_are_found_and_the_cure_is_tried() -> None:
    data = drawn(1)
    data["y"] = data["mean"] + data["e"] * np.where(data["arm"] == "b", 3.0, 1.0)
    row = verdicts(mm.lmm("y ~ week + arm + (1 | g)", data))["variance by group"]
    assert row["verdict"] == "problem"
    better = mm.lmm("y ~ week + arm + (1 | g)", data, variance="ident(arm)")
    gain = mm.lmm("y ~ week + arm + (1 | g)", data).aic - better.aic
    assert row["suggestion"] == f'variance="ident(arm)" improves AIC by {gain:.0f}'
    found = verdicts(better)
    assert found["variance by group"]["verdict"] == "ok"
    assert (
        "try variance"
        in verdicts(mm.lmm("y ~ week + arm + (1 | g)", data), refit=False)["variance by group"]["suggestion"]
    )


def test_variances_that_rise_with_the_mean_are_found() -> None:
    data = drawn(2)
    data["mean"] = data["mean"] + 3.0 * data["week"]
    data["y"] = data["mean"] + data["e"] * data["mean"] / 12.0
    row = verdicts(mm.lmm("y ~ week + (1 | g)", data))["variance by fitted value"]
    assert row["verdict"] != "ok"
    assert "rises" in row["evidence"]
    assert 'variance="power(fitted)" improves AIC' in row["suggestion"]


def test_serial_correlation_is_found_whatever_the_order_of_rows() -> None:
    data = drawn(3)
    e = data["e"].reshape(30, 6).copy()
    for j in range(1, 6):
        e[:, j] = 0.8 * e[:, j - 1] + 0.6 * e[:, j]
    data["y"] = data["mean"] + e.ravel()
    order = np.random.default_rng(0).permutation(180)
    data = {name: np.asarray(values)[order] for name, values in data.items()}
    row = verdicts(mm.lmm("y ~ week + (1 | g)", data))["serial correlation"]
    assert row["verdict"] == "problem"
    assert row["suggestion"].startswith('residual="ar1(week | g)" improves AIC by')


def test_an_outlying_cluster_is_named() -> None:
    data = drawn(4)
    data["y"] = data["y"] + np.where(data["g"] == 17, 9.0, 0.0)
    found = verdicts(mm.lmm("y ~ week + (1 | g)", data))
    assert found["outlying clusters"]["verdict"] == "problem"
    assert "g 17" in found["outlying clusters"]["evidence"]
    assert found["normal random effects"]["verdict"] != "ok"


def test_skewed_errors_collinear_terms_and_singular_covariances_are_found() -> None:
    data = drawn(5)
    rng = np.random.default_rng(9)
    data["y"] = data["mean"] + rng.exponential(size=180) * 2
    data["near"] = data["week"] + 0.05 * rng.normal(size=180)
    found = verdicts(mm.lmm("y ~ week + near + (1 | g)", data))
    assert found["normal errors"]["verdict"] == "problem"
    assert found["collinearity"]["verdict"] == "problem"
    flat = drawn(6)
    flat["y"] = flat["e"] - np.repeat(flat["e"].reshape(30, 6).mean(axis=1), 6)
    assert verdicts(mm.lmm("y ~ week + (1 | g)", flat))["singularity"]["verdict"] == "look"


def test_overdispersed_counts_with_many_zeros_are_found() -> None:
    rng = np.random.default_rng(7)
    data = drawn(7)
    data["y"] = rng.poisson(np.exp(1.0 + 0.1 * data["week"])) * (rng.random(180) < 0.6)
    found = verdicts(mm.glmm("y ~ week + (1 | g)", data, family="poisson"))
    assert found["dispersion"]["verdict"] == "problem"
    assert found["zero inflation"]["verdict"] == "problem"
    assert 'zero_inflation="~ 1" improves AIC' in found["zero inflation"]["suggestion"]
    assert 'family="nb2" improves AIC' in found["dispersion"]["suggestion"]


def test_a_search_that_gave_up_is_a_problem() -> None:
    with pytest.warns(mm.ConvergenceWarning):
        fit = mm.lmm(
            "Reaction ~ Days + (Days | Subject)",
            mm.datasets.load("sleepstudy"),
            control=mm.Control(max_iterations=1),
        )
    assert verdicts(fit, refit=False)["convergence"]["verdict"] == "problem"


def test_every_kind_of_fit_can_be_asked() -> None:
    rail, oats = mm.datasets.load("rail"), mm.datasets.load("oats")
    for fit in (
        mm.lm("travel ~ 1", rail),
        mm.lmm("travel ~ 1 + (1 | Rail)", rail),
        mm.lmm("yield ~ Variety + nitro + (1 | Block/Variety)", oats),
        mm.gls("yield ~ nitro", oats, residual="cs(1 | Block)"),
    ):
        assert verdicts(fit)["convergence"]["verdict"] == "ok"
    with pytest.raises(SpecError, match="refit="):
        fit.check(refit=1)  # type: ignore[arg-type]
