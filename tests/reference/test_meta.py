"""Meta-analyses of ten data sets documented in metafor: `mm.meta` against `rma`, `rma.mv` and clubSandwich."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

PRINTED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "meta" / "metafor.json").read_text(encoding="utf-8")
)
TESTS = {"knha": "knapp-hartung", "z": "z"}
# rma stops its Fisher scoring at steps of 1e-12, uniroot at 1e-12: four digits hold with room to spare
DIGITS = 2e-4
# rma.mv maximises by nlminb at its default tolerance, which leaves 1e-4 of a flat variance
LOOSE = 1e-3


@cache
def frame(name: str) -> pd.DataFrame:
    return pd.DataFrame(PRINTED["data"][name])


def named(model: dict[str, Any]) -> str:
    return "-".join(
        str(model[key]) for key in ("data", "formula", "method", "test", "structure", "V") if model.get(key)
    )


@pytest.mark.parametrize("model", PRINTED["models"], ids=named)
def test_one_effect_per_row(model: dict[str, Any]) -> None:
    data = frame(model["data"])
    fit = mm.meta(
        f"yi ~ {model['formula']}", data, variance="vi", method=model["method"], test=TESTS[model["test"]]
    )
    table, found = fit.fixed_effects(), fit.heterogeneity()
    for ours, theirs in (
        (table["estimate"], "estimate"),
        (table["std_error"], "se"),
        (table["conf_low"], "lower"),
        (table["conf_high"], "upper"),
    ):
        np.testing.assert_allclose(ours, np.atleast_1d(model[theirs]), rtol=DIGITS, atol=1e-6, err_msg=theirs)
    np.testing.assert_allclose(table["p_value"], np.atleast_1d(model["p"]), rtol=1e-3)
    assert found["variance"][-1] == pytest.approx(model["tau2"], rel=DIGITS, abs=1e-6)
    limits = [found["conf_low"][-1], found["conf_high"][-1]]
    assert limits == pytest.approx([model["tau2_lower"], model["tau2_upper"]], rel=DIGITS, abs=1e-5)
    assert found["i2"][-1] == pytest.approx(model["i2"], rel=DIGITS, abs=1e-3)
    assert found["h2"][-1] == pytest.approx(model["h2"], rel=DIGITS)
    assert found["q"][-1] == pytest.approx(model["q"], rel=1e-9)
    assert found["q_p"][-1] == pytest.approx(model["q_p"], rel=1e-6)
    assert found["q_df"][-1] == model["k"] - len(table)
    if "pi_lower" in model:
        new = fit.predict({"vi": [1.0]}, level="population", interval="prediction")
        limits = [new["lower"][0], new["upper"][0]]
        assert limits == pytest.approx([model["pi_lower"], model["pi_upper"]], rel=DIGITS, abs=1e-5)


@pytest.mark.parametrize("model", PRINTED["nested"], ids=named)
def test_nested_effects(model: dict[str, Any]) -> None:
    data = frame(model["data"])
    variance: Any = "vi"
    if model.get("V"):
        study, v = data["study"].to_numpy(), data["vi"].to_numpy()
        variance = np.where(study[:, None] == study, 0.6, 0.0) * np.sqrt(np.outer(v, v))
        np.fill_diagonal(variance, v)
    fit = mm.meta(
        f"yi ~ {model['formula']}",
        data,
        variance=variance,
        random=model["structure"],
        method=model["method"],
        test="z",
    )
    table, found = fit.fixed_effects(), fit.heterogeneity()
    for ours, theirs in ((table["estimate"], "estimate"), (table["std_error"], "se")):
        np.testing.assert_allclose(ours, np.atleast_1d(model[theirs]), rtol=LOOSE)
    np.testing.assert_allclose(found["variance"][:-1], model["sigma2"], rtol=LOOSE, atol=1e-5)
    np.testing.assert_allclose(
        np.column_stack([found["conf_low"], found["conf_high"]])[:-1], model["ci"], rtol=2 * LOOSE, atol=1e-5
    )
    assert found["q"][-1] == pytest.approx(model["q"], rel=1e-9)
    total = found["variance"][-1]
    assert total / (found["h2"][-1] - 1.0) == pytest.approx(model["typical"], rel=LOOSE)
    if model["pi_lower"] is not None:
        new = fit.predict({"vi": [1.0]}, level="population", interval="prediction")
        assert new["lower"][0] == pytest.approx(model["pi_lower"], rel=LOOSE)
        assert new["upper"][0] == pytest.approx(model["pi_upper"], rel=LOOSE)
    robust = fit.vcov_robust("CR2", cluster=model["structure"].split("/")[0]).table()
    np.testing.assert_allclose(robust["std_error"], np.atleast_1d(model["cr2_se"]), rtol=LOOSE)
    np.testing.assert_allclose(robust["df"], np.atleast_1d(model["cr2_df"]), rtol=3 * LOOSE)


def test_a_known_matrix_by_levels_and_by_errors_are_one_model() -> None:
    """V as cov= of one effect per row, held at 1, and as lin: one optimum, and one sandwich by study."""
    data = frame("assink").assign(row=np.arange(100))
    study, v = data["study"].to_numpy(), data["vi"].to_numpy()
    matrix = np.where(study[:, None] == study, 0.6, 0.0) * np.sqrt(np.outer(v, v))
    np.fill_diagonal(matrix, v)
    by_levels = mm.lmm(
        "yi ~ 1 + (1 | study) + (1 | row, cov=V)",
        data,
        known={"V": (matrix, data["row"])},
        hold={"var(row: (Intercept))": 1},
    )
    by_errors = mm.meta("yi ~ 1", data, variance=matrix, random="study/row", test="z")
    assert by_levels.criterion == pytest.approx(by_errors.criterion, abs=1e-6)
    first, second = (fit.vcov_robust("CR2", cluster="study") for fit in (by_levels, by_errors))
    np.testing.assert_allclose(first.matrix.array, second.matrix.array, rtol=1e-4)
    np.testing.assert_allclose(first.df, second.df, rtol=1e-3)
    with pytest.raises(mm.SpecError, match="not independent"):
        by_levels.bootstrap(n=2, kind="case", cluster="study")


def test_errors_of_known_covariance_alone() -> None:
    """gls with one known matrix, its coefficient held at 1, is generalised least squares with V known."""
    data = frame("assink").assign(row=np.arange(100))
    study, v = data["study"].to_numpy(), data["vi"].to_numpy()
    matrix = np.where(study[:, None] == study, 0.6, 0.0) * np.sqrt(np.outer(v, v))
    np.fill_diagonal(matrix, v)
    fit = mm.gls(
        "yi ~ 1",
        data,
        residual="lin(row | study)",
        known={"V": matrix},
        hold={"coefficient(Residual: 1)": 1.0},
    )
    weights = np.linalg.solve(matrix, np.ones(100))
    assert fit.beta[0] == pytest.approx(weights @ data["yi"].to_numpy() / weights.sum(), rel=1e-12)
    free = mm.gls("yi ~ 1", data, residual="lin(row | study)", known={"V": matrix})
    gap = data["yi"].to_numpy() - fit.beta[0]
    assert free.sigma2 / matrix[0, 0] == pytest.approx(gap @ np.linalg.solve(matrix, gap) / 99, rel=1e-6)
