"""Means of generalised models on the response's scale, as ratios, and averaged over random effects."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import integrate, special, stats

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit

EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def cbpp() -> Fit:
    return mm.glmm(EVENTS, mm.datasets.load("cbpp"), "binomial", method="rspl")


@pytest.fixture(scope="module")
def epil() -> Fit:
    data = mm.datasets.load("epil")
    return mm.glmm(
        "y ~ trt * base + (base | subject)", data.assign(base=data["base"] / 10), "poisson", method="mspl"
    )


def test_means_are_the_inverse_link_with_its_slope(cbpp: Fit) -> None:
    link, response = cbpp.emmeans("period"), cbpp.emmeans("period", type="response")
    p = special.expit(link["estimate"])
    np.testing.assert_allclose(response["estimate"], p)
    np.testing.assert_allclose(response["std_error"], p * (1 - p) * link["std_error"])
    np.testing.assert_allclose(response["conf_low"], special.expit(link["conf_low"]))
    np.testing.assert_allclose(response["df"], link["df"])


def test_contrasts_of_logits_are_odds_ratios(cbpp: Fit) -> None:
    link = cbpp.emmeans("period").contrast("pairwise")
    odds = cbpp.emmeans("period", type="response").contrast("pairwise")
    assert odds.names[:2] == ("contrast", "ratio")
    np.testing.assert_allclose(odds["ratio"], np.exp(link["estimate"]))
    np.testing.assert_allclose(odds["std_error"], np.exp(link["estimate"]) * link["std_error"])
    np.testing.assert_allclose(odds["p_value"], link["p_value"])
    assert any(note.startswith("odds ratios") for note in odds.table.notes)
    one = cbpp.emmeans("period", type="response").contrast({"first": [1, 0, 0, 0]})
    assert "estimate" in one.names
    assert any("add up to zero" in note for note in one.table.notes)


def test_links_without_ratios_and_falling_links() -> None:
    data = mm.datasets.load("cbpp")
    probit = mm.glmm(EVENTS, data, "binomial", "probit", method="rspl")
    means = probit.emmeans("period", type="response")
    np.testing.assert_allclose(means["estimate"], stats.norm.cdf(probit.emmeans("period")["estimate"]))
    assert any("do not transform back" in note for note in means.contrast("pairwise").table.notes)
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(30), 6)
    x = np.tile(["a", "b"], 90)
    eta = 0.5 + 0.2 * (x == "b") + 0.03 * rng.normal(size=30)[g]
    y = rng.gamma(20.0, 1.0 / (20.0 * eta))
    fit = mm.glmm("y ~ x + (1 | g)", {"y": y, "x": x, "g": g.astype(str)}, "gamma", "inverse", method="rspl")
    means = fit.emmeans("x", type="response")
    assert (means["conf_low"] < means["estimate"]).all()
    assert (means["estimate"] < means["conf_high"]).all()
    np.testing.assert_allclose(means["estimate"], 1.0 / fit.emmeans("x")["estimate"])


def test_averaged_means_are_integrals(cbpp: Fit) -> None:
    eta, s = cbpp.emmeans("period")["estimate"], np.sqrt(cbpp.covariances[0][0, 0, 0])
    exact = [
        integrate.quad(lambda z, e=e: special.expit(e + s * z) * stats.norm.pdf(z), -9, 9, epsabs=1e-13)[0]
        for e in eta
    ]
    found = cbpp.emmeans("period", type="response", means="averaged")
    np.testing.assert_allclose(found["estimate"], exact, rtol=1e-9)
    np.testing.assert_allclose(
        cbpp.emmeans("period", means="averaged")["estimate"], special.logit(exact), rtol=1e-9
    )


def test_averaged_counts_have_their_closed_form(epil: Fit) -> None:
    """E exp(η + z'b) = exp(η + ½z'Gz), and its standard error by differences of that formula."""
    at = {"base": [1.0, 4.0]}
    found = epil.emmeans(["trt", "base"], at=at, type="response", means="averaged")
    plain = epil.emmeans(["trt", "base"], at=at)
    base = np.asarray(plain["base"], dtype=float)
    z = np.column_stack([np.ones(4), base])
    variance = np.einsum("ia,ab,ib->i", z, epil.covariances[0][0], z)
    np.testing.assert_allclose(found["estimate"], np.exp(plain["estimate"] + variance / 2), rtol=1e-8)
    # ∂ log mean / ∂(var, cov, var) = ½(1, 2b, b²), whose covariance is that of the natural parameters
    natural = epil._work.criterion().natural(epil.optimum.theta)
    order = [natural.names.index(name) for name in natural.names if "Residual" not in name]
    w = epil._work.natural_covariance()[np.ix_(order, order)]
    kinds = [natural.names[i] for i in order]
    slopes = np.column_stack(
        [
            0.5 * (2 * base if name.startswith("cov") else np.ones(4) if "Intercept" in name else base**2)
            for name in kinds
        ]
    )
    added = np.einsum("ia,ab,ib->i", slopes, w, slopes)
    expected = found["estimate"] * np.sqrt(plain["std_error"] ** 2 + added)
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-6)


def test_averages_are_taken_where_people_are(epil: Fit) -> None:
    both = epil.emmeans("trt", type="response", means="averaged")
    whole = epil.emmeans("1", type="response", means="averaged")
    assert whole["estimate"][0] == pytest.approx(both["estimate"].mean())
    difference = both.regrid().contrast("pairwise")
    assert difference["estimate"][0] == pytest.approx(both["estimate"][0] - both["estimate"][1])
    again = pickle.loads(pickle.dumps(both))
    np.testing.assert_allclose(again["std_error"], both["std_error"])


def test_joint_tests_count_the_covariance_parameters(cbpp: Fit) -> None:
    contrasts = cbpp.emmeans("period", means="averaged").contrast("consec")
    joint = contrasts.joint_test()
    estimate = contrasts["estimate"]
    assert joint["statistic"][0] == pytest.approx(
        estimate @ np.linalg.solve(contrasts.vcov, estimate) / 3, rel=0.02
    )


def test_what_is_refused(cbpp: Fit) -> None:
    with pytest.raises(SpecError, match="'conditional', the mean where random effects are zero"):
        cbpp.emmeans("period", means="population")
    with pytest.raises(SpecError, match="generalised models"):
        mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy")).emmeans(
            "1", means="averaged"
        )
    data = mm.datasets.load("epil")
    slopes = mm.glmm("y ~ trt + (age | subject)", data, "poisson", method="mspl")
    with pytest.raises(SpecError, match="variables of random terms in the fixed part"):
        slopes.emmeans("trt", means="averaged")
