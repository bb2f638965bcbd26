"""Profile limits of generalised models against lme4's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "glmm_profiles" / "profiles.json").read_text()
)["fits"]
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['points']} points")
def test_limits_are_those_of_lme4(case: dict[str, Any]) -> None:
    method: dict[str, Any] = {} if case["points"] == 1 else {"method": "quadrature", "points": case["points"]}
    fit = mm.glmm(CBPP, mm.datasets.load("cbpp"), "binomial", **method)
    found = fit.confint("profile")
    width = np.subtract(case["upper"], case["lower"])
    # the interpolation of lme4's profiles
    assert np.abs(found["conf_low"] - np.array(case["lower"])).max() < 1e-4 * width.max()
    assert np.abs(found["conf_high"] - np.array(case["upper"])).max() < 1e-4 * width.max()
    wald = fit.confint()
    assert list(wald["term"]) == list(found["term"])
    assert np.abs(wald["conf_low"] - found["conf_low"]).max() < 0.1 * width.max()
