"""Models with structured errors or variance functions, against nlme and dense algebra."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mixedmodels.control import Control
from reference.comparing import (
    TO_ROUNDING,
    compare_covariances,
    compare_fixed_effects,
    compare_random_effects,
    fit_model,
)
from reference.loading import ReferenceModel, read_models

MODELS = list(read_models("residual_*"))


TIED = [model for model in MODELS if "crossed" in model.name]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_against_r(model: ReferenceModel) -> None:
    compare_with_r(model, TO_ROUNDING)


@pytest.mark.parametrize("model", TIED, ids=lambda model: model.name)
def test_sparse_equations_against_r(model: ReferenceModel) -> None:
    compare_with_r(model, replace(TO_ROUNDING, engine="sparse"))


def compare_with_r(model: ReferenceModel, control: Control) -> None:
    fit, expected = fit_model(model, control), model.expected
    assert fit.nobs == expected["nobs"]
    assert fit.criterion <= expected["criterion"] + 1e-5
    assert fit.criterion == pytest.approx(expected["criterion"], abs=model.criterion_tolerance, rel=0)
    assert fit.aic == pytest.approx(expected["aic"], abs=model.criterion_tolerance, rel=0)
    compare_fixed_effects(model, fit)
    if "covariances" in expected:
        compare_covariances(model, fit)
    if "random_effects" in expected:
        compare_random_effects(model, fit)
