"""Models with independent errors: the criterion is never worse than R's, and the estimates are R's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from reference.comparing import (
    TO_ROUNDING,
    assert_close,
    compare_covariances,
    compare_fixed_effects,
    compare_random_effects,
    fit_model,
    fixed_order,
)
from reference.loading import ReferenceModel, read_models

MODELS = [model for model in read_models() if not model.case.startswith("residual_")]

Fitted = tuple[ReferenceModel, Any]


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model.name)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    """One model and its fit; module scope makes pytest run all tests of a model together."""
    return request.param, fit_model(request.param, TO_ROUNDING)


def test_criterion(fitted: Fitted) -> None:
    model, fit = fitted
    expected, tolerance = model.expected, model.criterion_tolerance
    assert fit.nobs == expected["nobs"]
    assert fit.criterion <= expected["criterion"] + 1e-5
    assert fit.criterion == pytest.approx(expected["criterion"], abs=tolerance, rel=0)
    assert fit.loglik == pytest.approx(-expected["criterion"] / 2, abs=tolerance, rel=0)
    assert fit.aic == pytest.approx(expected["aic"], abs=tolerance, rel=0)
    if "bic" in expected:
        assert fit.bic == pytest.approx(expected["bic"], abs=tolerance, rel=0)


def test_a_search_ends_where_the_criterion_is_known_no_better(fitted: Fitted) -> None:
    model, fit = fitted
    if model.case != "spline":
        pytest.skip("only the columns of splines are known to less than this stopping rule asks for")
    assert fit.converged


def test_fixed_effects(fitted: Fitted) -> None:
    compare_fixed_effects(*fitted)


def test_default_stopping_rule(fitted: Fitted) -> None:
    model, _ = fitted
    fit, expected = fit_model(model, mm.Control()), model.expected
    assert fit.criterion <= expected["criterion"] + 1e-5
    order = fixed_order(model, fit)
    # the default ends the search at g'H⁻¹g <= 1e-8, a distance of 1e-4 standard errors
    error = np.abs(fit.beta[order] - expected["beta"]) / np.array(expected["std_error"])
    assert np.max(error) <= 1e-4 + model.estimate_tolerance


def test_covariances(fitted: Fitted) -> None:
    model, fit = fitted
    expected, tolerance = model.expected, model.estimate_tolerance
    assert_close(fit.sigma, expected["sigma"], 0.0, tolerance, "sigma")
    if "covariances" in expected:
        compare_covariances(model, fit)
    else:
        variance = fit.variance_components().to_frame()["variance"].iloc[0]
        assert_close(variance, expected["parameters"]["variance"], 0.0, tolerance, "variance")


def test_random_effects(fitted: Fitted) -> None:
    model, fit = fitted
    if "random_effects" not in model.expected:
        pytest.skip("the case keeps no random effects")
    compare_random_effects(model, fit)


def test_fitted_values(fitted: Fitted) -> None:
    model, fit = fitted
    theirs = np.array(model.expected["fitted"])
    ours = fit.fitted[: len(theirs)]
    assert_close(ours, theirs, model.expected["sigma"], model.estimate_tolerance, "fitted")
