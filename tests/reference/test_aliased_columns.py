"""The columns kept by lm() and lmer() are kept here, and the fits agree."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from reference.loading import FOLDER

CASE = json.loads((FOLDER / "rank" / "columns.json").read_text(encoding="utf-8"))
DROPPED_BY_R_ALONE = "years cubed"
"""R measures what is left of year³ against its length about zero, where 2 parts in 10¹⁰ are left."""


def frame_of(model: dict[str, Any]) -> pd.DataFrame:
    data = pd.DataFrame(CASE["data"])
    if model["n"] < len(data):
        data = data[~((data.h == "b") & (data.k == "w"))]
    return data


@pytest.mark.parametrize("model", CASE["models"], ids=lambda model: model["id"])
def test_the_columns_kept_are_those_of_r(model: dict[str, Any]) -> None:
    data = frame_of(model)
    ordinary = mm.lm(model["formula"], data)
    aliased = np.isnan(ordinary.fixed_effects()["estimate"])
    mixed = mm.lmm(f"{model['formula']} + (1 | g)", data)
    if model["id"] == DROPPED_BY_R_ALONE:
        assert not aliased.any()
        centred = mm.lm("y ~ t + I(t**2) + I(t**3)", data)
        np.testing.assert_allclose(ordinary.fitted, centred.fitted, rtol=1e-5)
        return
    assert aliased.tolist() == model["aliased_lm"]
    assert mixed.design.fixed.rank == model["kept_lmer"]
    residuals = np.asarray(ordinary.residuals())
    np.testing.assert_allclose(residuals @ residuals, model["rss"], rtol=1e-8)
    np.testing.assert_allclose(ordinary.fitted[:5], model["fitted_first"], rtol=1e-6)
