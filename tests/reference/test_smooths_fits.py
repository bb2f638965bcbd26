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
SHIFTED = {
    "cs_two": -0.47501, "by_ordered": -0.5493061,
    # the line of gp is not scaled to the constant there; curves of sz are contrasts with the last level, |C'C| = 3
    "gp": 0.0031841, "gp_matern": 0.0031841, "gp_power": 0.0031841, "poisson_gp": 0.0031841, "gp_plane": 0.0117003,
    "gp_two": 0.0125337, "sz": -np.log(3), "sz_two": -np.log(3), "sz_id": -np.log(3), "sz_cr": -np.log(3),
    "poisson_sz": -np.log(3),
}  # fmt: skip
"""Models whose score differs by a constant of the parametrisation, log|X| of the unpenalised columns."""
LOOSE = {"sz", "sz_two", "sz_cr", "poisson_gp", "poisson_sz"}
"""Models where a smoothing parameter of mgcv ends far from infinity, or short of its optimum: figures to 1e-3."""
FISHER = {"gamma_cr", "gamma_two", "nb_cr", "nb_two"}
"""Models whose edf, standard errors and tests mgcv takes from expected weights (and Pearson's scale of a gamma), where
the curvature of the posterior is read here: scores and fitted values are the same."""
FLAT = {"cs_two", "ts", "by_select", "cr_select", "tp_select"}
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
    "gp", "gp_matern", "gp_power", "gp_plane", "gp_two", "t2", "t2_k", "t2_tp", "t2_ps", "t2_full", "t2_add",
    "te_plane", "te_ti_main", "by_select", "cr_select", "tp_select", "sz", "sz_two", "sz_id", "sz_cr",
    "gamma_cr", "gamma_two", "nb_cr", "nb_two", "poisson_t2", "poisson_gp", "poisson_sz", "binomial_te",
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
    if model.get("select"):
        return mm.gam(model["formula"], frame, select=True)
    if model["family"] == "gaussian":
        return mm.lmm(model["formula"], frame, method=model["method"], **given)
    return mm.glmm(model["formula"], frame, family=model["family"], reml=model["method"] == "reml", **given)


def test_as_many_models_as_are_claimed() -> None:
    assert len(READ) == len(set(READ)) == 78
    assert set(READ) <= {model["id"] for model in RESULT["models"]}


@pytest.mark.parametrize("model", [m for m in RESULT["models"] if m["id"] in READ], ids=lambda m: m["id"])
def test_same_as_mgcv(model: dict[str, Any]) -> None:
    found = fit(model)
    assert found.converged
    if "loglik" in model:
        assert found.loglik == pytest.approx(model["loglik"], abs=1e-5)
    else:
        # never worse; mgcv's smoothing parameters end short of infinity
        shift = SHIFTED.get(model["id"], 0.0)
        assert found.criterion / 2 == pytest.approx(model["score"] + shift, abs=1e-5)
    table = found.smooths()
    count = len(table)
    # searches of generalised models end at a decrement of 1e-8 of −2l
    slack = 20.0 if model["id"] in FLAT else 5.0 if found.family != "gaussian" else 1.0
    slack = 100.0 if model["id"] in LOOSE else slack
    kind = {} if found.family == "gaussian" else {"type": "link"}
    predicted = found.predict(se=True, ddf="asymptotic", **kind)
    rows = np.trunc(model["rows"]).astype(int) - 1
    np.testing.assert_allclose(np.asarray(predicted["fit"])[rows], model["fitted"], atol=1e-5 * slack)
    if model["id"] in FISHER:
        return
    np.testing.assert_allclose(table["edf"], np.atleast_1d(model["edf"])[:count], atol=1e-5 * slack)
    if model.get("se") and model["method"] == "reml":
        # by maximum likelihood mgcv divides by n - edf, lmm by n
        np.testing.assert_allclose(np.asarray(predicted["se"])[rows], model["se"], rtol=1e-5 * slack)
    if model.get("statistic") and model["method"] == "reml":
        check_tests(model, table, 1e-5 * slack)


def check_tests(model: dict[str, Any], table: Any, tolerance: float) -> None:
    """Assert that reference degrees of freedom, statistics and p-values are mgcv's, but those of smooths of nothing."""
    kept = np.asarray(table["edf"]) > 1e-8
    count = len(kept)
    theirs = {
        key: np.atleast_1d(model[key])[:count].astype(float) for key in ("ref_df", "statistic", "p_value")
    }
    if model.get("published"):
        shown = np.asarray(model["published"], dtype=float)
        theirs["statistic"][0] = shown[np.abs(shown - table["statistic"][0]).argmin()]
        if model["family"] != "gaussian":
            theirs["statistic"][0] *= theirs["ref_df"][0]
    np.testing.assert_allclose(table["ref_df"][kept], theirs["ref_df"][kept], atol=tolerance)
    np.testing.assert_allclose(table["statistic"][kept], theirs["statistic"][kept], rtol=max(tolerance, 1e-5))
    np.testing.assert_allclose(table["p_value"][kept], theirs["p_value"][kept], atol=tolerance)


def test_curves_by_level_do_not_depend_on_the_direction_of_time() -> None:
    frame = data("curves")
    formula = "y ~ s(t, bs='cr', k=8) + s(t, g, bs='fs', k=5)"
    forth, back = (mm.lmm(formula, frame | {"t": t}) for t in (frame["t"], 21 - frame["t"]))
    assert forth.criterion == pytest.approx(back.criterion, abs=1e-6)
    # mgcv's free columns are a rotation that its eigenvectors happen to have: the same data, two scores
    assert RESULT["reflected"]["back"] - RESULT["reflected"]["forth"] > 2.8
