"""Means on other scales, nuisance factors, offsets and tests by group: identities, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit
from mixedmodels.inference.response import RESPONSES, read_response


def plants() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    n = 90
    data = pd.DataFrame(
        {
            "soil": rng.choice(["clay", "loam", "sand"], n),
            "lab": rng.choice(list("abcd"), n),
            "year": rng.choice(["2021", "2022"], n),
            "t": rng.uniform(1, 4, n),
            "plot": np.repeat(np.arange(15), 6),
        }
    )
    data["y"] = np.exp(
        1 + 0.3 * (data["soil"] == "loam") + rng.normal(0, 0.3, 15)[data["plot"]] + rng.normal(0, 0.3, n)
    )
    return data


@pytest.fixture(scope="module")
def logged() -> Fit:
    return mm.lmm("log(y) ~ soil * year + lab + (1 | plot)", plants())


@pytest.mark.parametrize("name", RESPONSES)
def test_derivatives_of_the_inverses(name: str) -> None:
    curve, eta, h = RESPONSES[name], np.array([0.3, 1.1]), 1e-5
    for lower, upper in (("back", "slope"), ("slope", "bend"), ("bend", "twist")):
        f, slope = getattr(curve, lower), getattr(curve, upper)
        np.testing.assert_allclose((f(eta + h) - f(eta - h)) / (2 * h), slope(eta), rtol=1e-8, atol=1e-9)


def test_regrid_is_the_delta_method(logged: Fit) -> None:
    means = logged.emmeans("soil")
    regridded = means.regrid()
    np.testing.assert_allclose(regridded["estimate"], np.exp(means["estimate"]))
    slope = np.diag(np.exp(means["estimate"]))
    np.testing.assert_allclose(regridded.vcov, slope @ means.vcov @ slope)
    difference = regridded.contrast("pairwise", adjust="none")
    np.testing.assert_allclose(difference["estimate"][0], -np.diff(np.exp(means["estimate"]))[0])
    row = np.array([1.0, -1.0, 0.0])
    assert difference["std_error"][0] == pytest.approx(np.sqrt(row @ regridded.vcov @ row))
    np.testing.assert_allclose(regridded["df"], means["df"], rtol=1e-9)


def test_bias_adjusted_means_are_nearer_to_the_means(logged: Fit) -> None:
    """E exp(η + σZ) = exp(η + σ²/2), of which 1 + σ²/2 is the beginning."""
    sigma = float(np.sqrt(logged.sigma2 + logged.covariances[0][0, 0, 0]))
    plain, adjusted = (logged.emmeans("soil", type="response", bias_sigma=s) for s in (None, sigma))
    np.testing.assert_allclose(adjusted["estimate"], plain["estimate"] * (1 + sigma**2 / 2))
    np.testing.assert_allclose(adjusted["conf_high"], plain["conf_high"] * (1 + sigma**2 / 2))
    np.testing.assert_allclose(
        logged.emmeans("soil").regrid(bias_sigma=sigma)["estimate"], adjusted["estimate"]
    )
    assert any(f"sigma = {sigma:.5g}" in note for note in adjusted.table.notes)


def test_shifted_logarithms(logged: Fit) -> None:
    fit = mm.lm("log(y + 1) ~ soil", plants())
    means = fit.emmeans("soil")
    np.testing.assert_allclose(
        fit.emmeans("soil", type="response")["estimate"], np.exp(means["estimate"]) - 1
    )
    ratios = fit.emmeans("soil", type="response").contrast("pairwise")
    np.testing.assert_allclose(ratios["estimate"], means.contrast("pairwise")["estimate"])
    assert any("regrid" in note for note in ratios.table.notes)
    assert read_response("np.log(y)").ratio


def test_nuisance_factors_change_the_size_of_the_grid_only(logged: Fit) -> None:
    usual, aside = logged.emmeans("soil"), logged.emmeans("soil", nuisance="lab")
    for name in ("estimate", "std_error", "df"):
        np.testing.assert_allclose(aside[name], usual[name], rtol=1e-9)
    assert any("averaged beforehand, with equal weights: lab" in note for note in aside.table.notes)
    fit = mm.lm("log(y) ~ soil + lab", plants())
    counted = fit.emmeans("soil", nuisance="lab", weights="proportional")
    np.testing.assert_allclose(counted["estimate"], fit.emmeans("soil", weights="proportional")["estimate"])


def test_offsets_are_at_their_mean_unless_asked() -> None:
    data = plants()
    fit = mm.lmm("y ~ soil + offset(log(t)) + (1 | plot)", data)
    plain = fit.emmeans("soil", offset=0.0)["estimate"]
    np.testing.assert_allclose(fit.emmeans("soil")["estimate"], plain + np.log(data["t"]).mean())
    np.testing.assert_allclose(fit.emmeans("soil", at={"t": 2.0})["estimate"], plain + np.log(2.0))


def test_joint_tests_within_levels_are_those_of_the_contrasts_there(logged: Fit) -> None:
    within = logged.joint_tests(by="year")
    assert within.names[:2] == ("year", "term")
    means = logged.emmeans("soil", by="year").contrast("consec").joint_test()
    mine = [i for i, term in enumerate(within["term"]) if term == "soil"]
    np.testing.assert_allclose(within["statistic"][mine], means["statistic"])
    assert within["year"][mine].tolist() == means["year"].tolist()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda fit: fit.emmeans("soil", nuisance="lb"), "Did you mean 'lab'"),
        (lambda fit: fit.emmeans("soil", nuisance="year"), "year interacts in soil:year"),
        (lambda fit: fit.emmeans("lab", nuisance="lab"), "'lab' is not a fixed-part predictor"),
        (lambda fit: fit.emmeans("soil", bias_sigma=0.3), "type='response'"),
        (lambda fit: fit.emmeans("soil", type="response", bias_sigma=-1.0), "must be positive"),
        (lambda fit: fit.emmeans("soil", offset=1.0), r"no offset\(\)"),
        (lambda fit: fit.emmeans("soil").contrast("pairwise").regrid(), "regrid first"),
        (lambda fit: fit.joint_tests(by="yaer"), "Did you mean 'year'"),
        (
            lambda fit: fit.emmeans("soil").test(side="non-inferiority", delta=1),
            "Did you mean 'noninferiority'",
        ),
    ],
)
def test_mistakes_are_explained(logged: Fit, ask: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ask(logged)
