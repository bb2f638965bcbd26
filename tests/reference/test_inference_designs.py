"""Tables of lmerTest, pbkrtest, nlme and emmeans for crossed, nested, singular and structured models."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from reference.loading import FOLDER, read_frame

CASE = "inference_designs"
TABLES: list[dict[str, Any]] = json.loads((FOLDER / CASE / "tables.json").read_text(encoding="utf-8"))[
    "tables"
]
DF = 1e-4
"""Four significant digits: lmerTest differentiates numerically, and R's optima are good to about 1e-6."""
STD_ERROR = 1e-5
P_VALUE = 1e-4
NLME = 2e-5
"""Standard errors of nlme where its optimiser stops early (serial correlation, unequal variances)."""


@cache
def fitted(formula: str, data: str, options: str) -> Fit:
    described = json.loads(data)
    frame = read_frame(FOLDER / CASE / described["file"], json.dumps(described["columns"]))
    return mm.lmm(formula, frame, control=mm.Control(decrement=1e-12), **json.loads(options))


def fit_of(table: dict[str, Any]) -> Fit:
    return fitted(table["formula"], json.dumps(table["data"]), json.dumps(table.get("options") or {}))


def found_for(table: dict[str, Any]) -> Any:
    fit, ddf = fit_of(table), table["ddf"]
    ours: dict[str, Any] = {"ddf": ddf, "information": "expected" if ddf == "kenward-roger" else "observed"}
    if table["kind"] == "marginal":
        return marginal_tests(fit, table["ddf"])
    if table["kind"] == "anova":
        return fit.anova(type=table["type"], **ours)
    if table["kind"] == "coefficients":
        return fit.fixed_effects(**ours)
    means = fit.emmeans(table["specs"], **ours)
    return means if table["kind"] == "means" else means.contrast("pairwise")


def marginal_tests(fit: Fit, ddf: str) -> dict[str, np.ndarray[Any, Any]]:
    """nlme's marginal tests: the coefficients of each term together, in treatment coding."""
    fixed, columns = fit.design.fixed, np.eye(len(fit.design.fixed.columns))
    names = [name for name in fixed.terms if name != "1"]
    rows = []
    for name in names:
        own = [j for j, term in enumerate(fixed.assign) if fixed.terms[term] == name]
        rows.append(fit.wald(columns[own], joint=True, ddf=ddf).row(0))
    found = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return {"term": np.array(names), **found}


def close(ours: Any, theirs: Any, what: str, *, relative: float = 0.0, absolute: float = 0.0) -> None:
    theirs = np.array([np.nan if v is None or v == "NaN" else v for v in np.atleast_1d(theirs)], dtype=float)
    np.testing.assert_allclose(ours, theirs, rtol=relative, atol=absolute, err_msg=what)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["id"])
def test_table(table: dict[str, Any]) -> None:
    found = found_for(table)
    std_error = NLME if table["id"].startswith(("lme_", "gls_")) else STD_ERROR
    if table["kind"] in ("anova", "marginal"):
        assert found["term"].tolist() == np.atleast_1d(table["term"]).tolist()
        close(found["num_df"], table["num_df"], "num_df")
        close(found["den_df"], table["den_df"], "den_df", relative=DF)
        close(found["statistic"], table["statistic"], "F", relative=1e-4)
    else:
        scale = np.max(table["std_error"])
        close(found["estimate"], table["estimate"], "estimate", relative=1e-7, absolute=2e-5 * scale)
        close(found["std_error"], table["std_error"], "std_error", relative=std_error)
        first = intercept_by_nlme(table)
        if "df" in table:
            close(found["df"][first:], np.atleast_1d(table["df"])[first:], "df", relative=DF)
    if "p_value" in table:
        first = intercept_by_nlme(table)
        close(found["p_value"][first:], np.atleast_1d(table["p_value"])[first:], "p", absolute=P_VALUE)


def intercept_by_nlme(table: dict[str, Any]) -> int:
    """Return 1 where the intercept is left out: its df in nlme are those of the innermost level."""
    return int(table["kind"] == "coefficients" and table["ddf"] == "inner-outer")


def test_there_are_many() -> None:
    assert len(TABLES) >= 60
