"""The exact null distribution of the likelihood ratio of one variance component against R's simulation of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.restricted_ratio import simulate_ratio
from reference.loading import FOLDER

CASE = json.loads((FOLDER / "restricted_ratio" / "tables.json").read_text(encoding="utf-8"))
DRAWS = 100_000


def fit_of(case: dict[str, Any]) -> Any:
    data = {"g": case["g"], "x": case["x"], "y": np.random.default_rng(0).standard_normal(len(case["x"]))}
    return mm.lmm(case["formula"], {**data, "g": np.array(case["g"]).astype(str)}, method=case["method"])


@pytest.mark.parametrize("case", CASE["cases"], ids=lambda case: f"{case['design']}-{case['method']}")
def test_tail_probabilities_and_quantiles(case: dict[str, Any]) -> None:
    fit = fit_of(case)
    draws = simulate_ratio(fit.design, fit.rows, DRAWS, 5)
    found = np.array([np.mean(draws >= point) for point in case["points"]])
    expected = np.array(case["above"])
    # four standard errors of the difference of two shares of 100,000 draws each
    error = 4 * np.sqrt(2 * expected * (1 - expected) / DRAWS)
    assert np.all(np.abs(found - expected) <= error + 1e-5)
    assert np.mean(draws < 1e-6) == pytest.approx(case["zero"], abs=0.006)
    np.testing.assert_allclose(np.quantile(draws, [0.9, 0.95, 0.99]), case["quantiles"], rtol=0.03)


def test_responses_drawn_under_the_null_and_fitted() -> None:
    """The ratio of both models fitted to 1500 responses without a variance has the simulated distribution."""
    (case,) = (c for c in CASE["cases"] if c["design"] == "unbalanced" and c["method"] == "reml")
    fit, count = fit_of(case), 1500
    y = np.random.default_rng(1).standard_normal((fit.nobs, count))
    data = {"g": np.array(case["g"]).astype(str), "x": case["x"]}
    large = mm.lmm(case["formula"], {**data, "y": y[:, 0] + np.array(case["g"])}).refit(y)
    small = mm.lm("y ~ x", {**data, "y": y[:, 0]}).refit(y)
    ratio = small.criterion - large.criterion
    expected = np.array(case["above"])
    found = np.array([np.mean(ratio >= point) for point in case["points"]])
    assert np.all(np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / count))
    assert np.mean(ratio < 1e-6) == pytest.approx(case["zero"], abs=4 * np.sqrt(0.25 / count))
