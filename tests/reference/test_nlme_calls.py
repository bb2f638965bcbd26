"""Calls of nlme as text give what nlme gives: likelihood, estimates, standard errors, degrees of freedom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.ddf.inner_outer import InnerOuter

CALLS = json.loads((Path(__file__).parent / "nlme_calls" / "calls.json").read_text(encoding="utf-8"))["calls"]
LIKELIHOOD = 2e-4
"""nlme stops at a relative change: it may be this much below the maximum, and is never above it."""


@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
@pytest.mark.parametrize("expected", CALLS, ids=lambda call: call["call"])
def test_a_call_of_nlme_gives_what_nlme_gives(expected: dict[str, Any]) -> None:
    data = mm.datasets.load(expected["data"])
    given = {name: expected[name] for name in ("correlation", "weights", "method") if name in expected}
    if expected["verb"] == "lme":
        fit = mm.lme(expected["fixed"], data, expected["random"], **given)
    else:
        fit = mm.gls(expected["fixed"], data, ddf="residual", **given)
    assert -1e-5 < fit.loglik - expected["loglik"] < LIKELIHOOD
    estimate, scale, df = (
        np.atleast_1d(expected.get(name) or []) for name in ("estimate", "std_error", "df")
    )
    if expected.get("method") == "ML":
        # nlme prints standard errors of ML fits for the variance with divisor N − p
        scale = scale * np.sqrt(1 - len(scale) / fit.nobs)
    table = fit.fixed_effects(ddf=InnerOuter(largest=True) if expected["verb"] == "lme" else "residual")
    assert np.abs(table["estimate"] - estimate).max() < 3e-3 * scale.max()
    assert table["std_error"] == pytest.approx(scale, rel=5e-3)
    if expected["verb"] == "lme":
        assert table["df"].tolist() == df.tolist()
