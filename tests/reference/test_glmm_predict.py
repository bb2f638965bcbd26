"""Predictions of several predictors against glmmTMB and ordinal (`glmm_predict/predict.R` prints the JSON)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

RECORDS = json.loads((Path(__file__).parent / "glmm_predict" / "predict.json").read_text())
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "zip_glm": ("count ~ mined + spp", "poisson", {"zero_inflation": "~ mined"}),
    "hurdle_glm": ("count ~ mined", "nb2", {"hurdle": "~ mined"}),
    "nb2_glm": ("count ~ mined", "nb2", {"dispersion": "~ mined"}),
    "zip": ("count ~ mined + spp + (1 | site)", "poisson", {"zero_inflation": "~ mined + (1 | spp)"}),
    "clm": ("rating ~ temp + contact", "ordinal", {}),
}
ROWS = [0, 30, 100, 300]
PREDICTED, ERRORS = 1e-4, 1e-3
"""R's searches stop at gradients of 1e-4 (a predictor of 0.1 shows it), its Hessians are differences."""


@cache
def fitted(name: str) -> mm.Fit:
    formula, family, options = MODELS[name]
    data = mm.datasets.load("wine" if name == "clm" else "salamanders")
    return (mm.glmm if "|" in formula else mm.glm)(formula, data, family, **options)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r['model']}-{r['type']}")
def test_agrees_with_r(record: dict[str, Any]) -> None:
    fit = fitted(record["model"])
    if record["model"] == "clm":
        cells = {"temp": ["cold", "warm"], "contact": ["no", "yes"]}
        table = fit.predict(cells, type="prob", se=True, interval="confidence", ddf="asymptotic")
        chosen = np.array([level == record["type"] for level in table["level"]])
        for name in ("fit", "se", "lower", "upper"):
            np.testing.assert_allclose(np.asarray(table[name])[chosen], record[name], rtol=ERRORS)
        return
    table = fit.predict(mm.datasets.load("salamanders").iloc[ROWS], type=record["type"], se=True)
    np.testing.assert_allclose(table["fit"], record["fit"], rtol=PREDICTED)
    # conditional ones, of the last model, count how well the covariance parameters are known
    np.testing.assert_allclose(table["se"], record["se"], rtol=ERRORS)
