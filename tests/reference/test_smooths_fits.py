"""Smooths against mgcv: scores, degrees of freedom, tests, fitted values and standard errors."""

from __future__ import annotations

import csv
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

FOLDER = Path(__file__).parent / "smooths_fits"
RESULT = json.loads((FOLDER / "mgcv.json").read_text())
SHIFTED = {"cs_two": "the null space is scaled before it is penalised", "by_ordered": "a factor of |X'X|"}
"""Models whose score differs by a constant of the parametrisation."""
FLAT = {"cs_two", "ts"}
"""Models where mgcv stops short of a variance of zero."""
READ = (
    "cr", "cr_k20", "cr_four", "cr_ml", "cr_weights", "cr_fx", "cr_log", "cs_two", "ps", "ps_m1", "bs", "cc", "cp",
    "tp", "tp_four", "tp_plane", "tp_plane_k", "ts",
    "by_factor", "by_factor_bare", "by_factor_tp",
    "by_factor_cells", "by_number", "by_ordered", "by_id", "nested", "te", "te_k", "te_ps", "te_tp", "te_by",
    "te_three", "te_add", "ti", "ti_k", "ad", "re", "fs_mean", "re_bar",
    "poisson_cr", "poisson_two", "poisson_by", "poisson_te", "poisson_offset", "poisson_bar", "binomial_cr",
    "binomial_two", "re_slope_bar",
    "gamm_ar1", "gamm_ident",
)  # fmt: skip


@cache
def data(name: str) -> dict[str, Any]:
    with gzip.open(FOLDER / f"{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for key in rows[0]:
        values = [row[key].strip() for row in rows]
        try:
            columns[key] = np.array(values, dtype=float)
        except ValueError:
            columns[key] = np.array(values, dtype=object)
    return columns


def fit(model: dict[str, Any]) -> mm.Fit:
    frame = data(model["data"])
    if "ordered" in model["id"]:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(frame).assign(f=pandas.Categorical(frame["f"], ordered=True))
    given = {key: model[key] for key in ("residual", "variance", "weights") if model.get(key)}
    if model["family"] == "gaussian":
        return mm.lmm(model["formula"], frame, method=model["method"], **given)
    return mm.glmm(model["formula"], frame, family=model["family"], reml=model["method"] == "reml", **given)


def test_as_many_models_as_are_claimed() -> None:
    assert len(READ) == len(set(READ)) >= 45
    assert set(READ) <= {model["id"] for model in RESULT["models"]}


@pytest.mark.parametrize("model", [m for m in RESULT["models"] if m["id"] in READ], ids=lambda m: m["id"])
def test_same_as_mgcv(model: dict[str, Any]) -> None:
    found = fit(model)
    assert found.converged
    if "loglik" in model:
        assert found.loglik == pytest.approx(model["loglik"], abs=1e-5)
    elif model["id"] not in SHIFTED:
        # never worse; mgcv's smoothing parameters end short of infinity
        assert found.criterion / 2 == pytest.approx(model["score"], abs=1e-5)
    table = found.smooths()
    count = len(table)
    # searches of generalised models end at a decrement of 1e-8 of −2l
    slack = 20.0 if model["id"] in FLAT else 5.0 if found.family != "gaussian" else 1.0
    np.testing.assert_allclose(table["edf"], np.atleast_1d(model["edf"])[:count], atol=1e-5 * slack)
    kind = {} if found.family == "gaussian" else {"type": "link"}
    predicted = found.predict(se=True, ddf="asymptotic", **kind)
    rows = np.trunc(model["rows"]).astype(int) - 1
    np.testing.assert_allclose(np.asarray(predicted["fit"])[rows], model["fitted"], atol=1e-5 * slack)
    if model.get("se") and model["method"] == "reml":
        # by maximum likelihood mgcv divides by n - edf, lmm by n
        np.testing.assert_allclose(np.asarray(predicted["se"])[rows], model["se"], rtol=1e-5 * slack)
    if model.get("statistic") and model["method"] == "reml" and model["id"] not in FLAT:
        np.testing.assert_allclose(table["ref_df"], np.atleast_1d(model["ref_df"])[:count], atol=1e-5 * slack)
        np.testing.assert_allclose(table["statistic"], np.atleast_1d(model["statistic"])[:count], rtol=1e-5)
        np.testing.assert_allclose(table["p_value"], np.atleast_1d(model["p_value"])[:count], atol=1e-5)
