"""Small-area estimates against their formulas by dense algebra in R."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from reference.loading import FOLDER, read_frame

CASE = json.loads((FOLDER / "small_area" / "tables.json").read_text(encoding="utf-8"))
CLOSE = 2e-6
"""R finds the variances by golden section or bobyqa, good to about 1e-7 relative."""
TO_ROUNDING = mm.Control(decrement=1e-12)


def frame(name: str) -> pd.DataFrame:
    described = CASE[name]
    return read_frame(FOLDER / "small_area" / described["file"], json.dumps(described["columns"]))


def compare(found: mm.Table, expected: dict[str, Any]) -> None:
    for name in ("estimate", "g1", "g2", "g3", "mse"):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(found[name], expected[name], rtol=CLOSE, atol=CLOSE * scale, err_msg=name)
    np.testing.assert_allclose(found["std_error"] ** 2, found["mse"])


@pytest.mark.parametrize("expected", CASE["area_level"], ids=lambda table: table["method"])
def test_area_level(expected: dict[str, Any]) -> None:
    method = expected["method"]
    fit = mm.fay_herriot(
        "y ~ x", frame("areas"), variance="D", area="area", method=method, control=TO_ROUNDING
    )
    assert fit.covariances[0][0, 0, 0] == pytest.approx(expected["A"], rel=CLOSE)
    assert fit.sigma2 == 1.0
    compare(fit.small_area(estimator="auto" if method in ("reml", "ml") else method), expected)


@pytest.mark.parametrize("expected", CASE["unit_level"], ids=lambda table: table["method"])
def test_unit_level(expected: dict[str, Any]) -> None:
    fit = mm.lmm("y ~ x + sex + (1 | area)", frame("units"), method=expected["method"], control=TO_ROUNDING)
    means = pd.DataFrame(CASE["population"]).rename(columns={"male": "sex[T.m]"})
    table = fit.small_area(means)
    compare(table, expected)
    assert table["n"].tolist() == [1, 2, 3, 3, 4, 5, 2, 1, 6, 3, 0]
    assert any("1 of 11 areas have no data" in note for note in table.notes)
