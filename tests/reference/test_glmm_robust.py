"""Sandwiches of generalised linear models against clubSandwich and sandwich (`glmm_robust/robust.R` prints JSON)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

RECORDS = json.loads((Path(__file__).parent / "glmm_robust" / "robust.json").read_text())
MODELS = {
    "cbpp": ("cbind(incidence, size - incidence) ~ period", "binomial", "herd"),
    "salamanders": ("count ~ mined + spp", "poisson", "site"),
}
ALIKE = 1e-6
"""Both searches end at rounding; what is left is that of sums in another order."""


@cache
def fitted(name: str) -> mm.Fit:
    formula, family, _ = MODELS[name]
    data = mm.datasets.load(name)
    if name == "salamanders":
        # R's order of levels
        data = data.assign(
            mined=data["mined"].astype(str).astype("category").cat.set_categories(["yes", "no"])
        )
    return mm.glm(formula, data, family)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r['model']}-{r['kind']}")
def test_agrees_with_r(record: dict[str, Any]) -> None:
    fit, cluster = fitted(record["model"]), MODELS[record["model"]][2]
    if record["kind"] == "rows":
        found = fit.vcov_robust("CR0")
        np.testing.assert_allclose(np.sqrt(np.diag(np.asarray(found))), record["se"], rtol=ALIKE)
        return
    table = fit.vcov_robust(record["kind"], cluster=cluster).table()
    np.testing.assert_allclose(table["std_error"], record["se"], rtol=ALIKE)
    np.testing.assert_allclose(table["df"], record["df"], rtol=1e-5)
