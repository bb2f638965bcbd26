"""Every listing of REPEATED structures that SAS printed, and its predictions of missing responses."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from structured_models import full_covariance

SHARED = Path(os.environ.get("MIXEDMODELS_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
MISSING = f"figures and data of SAS are not at {SHARED}"
pytestmark = pytest.mark.skipif(not (SHARED / "sas" / "mmrm_fev_structures.json").exists(), reason=MISSING)


@dataclass(frozen=True)
class Request:
    """The model of one listing: fixed part, structure, reference levels of the factors, options."""

    fixed: str
    residual: str
    visits: tuple[str, ...] = ("VIS1", "VIS2", "VIS3", "VIS4")
    references: tuple[tuple[str, str], ...] = ()
    method: str = "reml"
    weights: str | None = None


VISITS = ("VIS1", "VIS2", "VIS3", "VIS4")
VISIT_ONE_LAST = ("VIS2", "VIS3", "VIS4", "VIS1")
FULL = (("AVISIT", "VIS1"), ("RACE", "Asian"), ("SEX", "Male"), ("ARMCD", "PBO"))
REQUESTS = {
    "sas_adh_ml": Request("1", "ante1(visit | USUBJID)", method="ml"),
    "sas_ar1_ml": Request("1", "ar1(visit | USUBJID)", method="ml"),
    "sas_ar1_reml": Request("1", "ar1(visit | USUBJID)"),
    "sas_coef_ci_ml_ar1": Request(
        "ARMCD + SEX", "ar1(visit | USUBJID)", references=(("ARMCD", "PBO"), ("SEX", "Male")), method="ml"
    ),
    "sas_coef_ci_reml_un": Request(
        "ARMCD + SEX", "us(visit | USUBJID)", references=(("ARMCD", "PBO"), ("SEX", "Male"))
    ),
    "sas_cs_ml": Request("1", "cs(visit | USUBJID)", method="ml"),
    "sas_cs_reml": Request("1", "cs(visit | USUBJID)"),
    "sas_group_ar1_ml": Request("1", "ar1(visit | USUBJID, by=ARMCD)", method="ml"),
    "sas_group_cs_reml": Request("1", "cs(visit | USUBJID, by=ARMCD)"),
    "sas_log": Request(
        "ARMCD * AVISIT + RACE + SEX", "us(visit | USUBJID)", VISIT_ONE_LAST, FULL, method="ml"
    ),
    "sas_log_reml": Request("ARMCD * AVISIT + RACE + SEX", "us(visit | USUBJID)", VISIT_ONE_LAST, FULL),
    "sas_log_simple": Request("1", "us(visit | USUBJID)", VISIT_ONE_LAST, method="ml"),
    "sas_log_simple_reml": Request("1", "us(visit | USUBJID)", VISIT_ONE_LAST),
    "sas_sp_exp_ml": Request("1", "exp(VISITN | USUBJID)", method="ml"),
    "sas_sp_exp_reml": Request("1", "exp(VISITN | USUBJID)"),
    "sas_toeph_reml": Request("1", "htoep(visit | USUBJID)"),
    "sas_weighted": Request(
        "RACE + SEX + ARMCD * AVISIT",
        "us(visit | USUBJID)",
        references=(("AVISIT", "VIS4"), *FULL[1:]),
        weights="WEIGHT",
    ),
}


@cache
def listings() -> dict[str, dict[str, Any]]:
    path = SHARED / "sas" / "mmrm_fev_structures.json"
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return {case["id"]: case["results"] for case in cases}


@cache
def fev() -> pd.DataFrame:
    return pd.read_csv(SHARED / "data" / "fev_data.csv")


@cache
def fit_of(name: str) -> Fit:
    asked = REQUESTS[name]
    data = fev().copy()
    data["visit"] = pd.Categorical(data["AVISIT"], asked.visits)
    for column, reference in asked.references:
        others = [level for level in sorted(data[column].unique()) if level != reference]
        data[column] = pd.Categorical(data[column], [reference, *others])
    return mm.gls(
        f"FEV1 ~ {asked.fixed}", data, residual=asked.residual, method=asked.method, weights=asked.weights
    )


@pytest.fixture(params=list(REQUESTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def last_digit(printed: float, significant: int) -> float:
    """Return half a unit of the last digit SAS printed: `significant` figures, four decimals at most."""
    if printed == 0:
        return 5e-5
    decimals = min(significant - 1 - int(np.floor(np.log10(abs(printed)))), 4)
    return 0.5001 * 10.0 ** -max(decimals, 0)


def short_of_optimum(name: str) -> float:
    """Return √δ, δ the height of SAS's last criterion above ours.

    SAS stops when the predicted decrease is 1e-8 of the criterion. −2l is then δ above its minimum, and a
    parameter may be √δ of its standard errors away from the estimate, whatever digits are printed.
    """
    gap = listings()[name]["objective_final"] - fit_of(name).criterion
    return float(np.sqrt(max(gap, 0.0) + 5e-9))


def test_every_listing_is_requested() -> None:
    assert set(listings()) == set(REQUESTS)
    assert len(REQUESTS) == 17


def test_objective(name: str) -> None:
    # SAS ends this one 1.3e-5 above the minimum: the same likelihood, AR(1), ends there in its own listing
    allowed = 1.4e-5 if name == "sas_sp_exp_reml" else 1e-5
    assert fit_of(name).criterion == pytest.approx(listings()[name]["objective_final"], abs=allowed)
    assert fit_of(name).criterion <= listings()[name]["objective_final"] + 1e-8


def test_equal_spacing_makes_the_exponential_an_autoregression() -> None:
    for method in ("ml", "reml"):
        printed = listings()[f"sas_ar1_{method}"]["objective_final"]
        assert fit_of(f"sas_sp_exp_{method}").criterion == pytest.approx(printed, abs=2e-8)


def test_counts(name: str) -> None:
    fit, printed = fit_of(name), listings()[name]
    assert fit.nobs == printed["Number of Observations"]["Number of Observations Used"]
    assert fit.n_covariance_parameters == printed["Dimensions"]["Covariance Parameters"]
    assert fit.design.residual.n_clusters_given == printed["Dimensions"]["Subjects"]


def test_information_criteria(name: str) -> None:
    table = fit_of(name).information_criteria()
    ours = dict(zip(table["criterion"], table["sas"], strict=True))
    for label, value in listings()[name]["Fit Statistics"].items():
        key = "-2 log L" if label.startswith("-2") else label.split()[0]
        assert ours[key] == pytest.approx(value, abs=0.0501), label


def parameter_names(name: str) -> dict[str, str]:
    """Return what SAS calls each covariance parameter and our name of it."""
    asked = REQUESTS[name]
    kind = asked.residual.split("(")[0]
    visits = asked.visits
    if kind == "us":
        pairs = [(i, j) for i in range(4) for j in range(i + 1)]
        return {
            f"UN({i + 1},{j + 1})": f"var(Residual: {visits[i]})"
            if i == j
            else f"cov(Residual: {visits[j]}, {visits[i]})"
            for i, j in pairs
        }
    variances = {f"Var({i + 1})": f"var(Residual: {visit})" for i, visit in enumerate(visits)}
    if kind == "ante1":
        steps = zip(range(1, 4), visits[:-1], visits[1:], strict=True)
        return variances | {f"Rho({k})": f"cor(Residual: {a}, {b})" for k, a, b in steps}
    if kind == "htoep":
        return variances | {f"TOEPH({k})": f"correlation(Residual: {k})" for k in (1, 2, 3)}
    shared = {"ar1": ("AR(1)", "correlation"), "exp": ("SP(EXP)", "range"), "cs": ("CS", "covariance")}
    theirs, ours = shared[kind]
    variance = "specific" if kind == "cs" else "var"
    wheres = ["Residual"]
    if "by=" in asked.residual:
        wheres = ["Residual [ARMCD=PBO]", "Residual [ARMCD=TRT]"]
        names = {}
        for level, where in zip(("PBO", "TRT"), wheres, strict=True):
            names[f"Variance ARMCD {level}"] = f"{variance}({where})"
            names[f"{theirs} ARMCD {level}"] = f"{ours}({where})"
        return names
    return {theirs: f"{ours}(Residual)", "Residual": f"{variance}(Residual)"}


def test_covariance_parameters_and_their_limits(name: str) -> None:
    fit, slack = fit_of(name), short_of_optimum(name)
    natural = fit.objective().natural(fit.optimum.theta)
    std_error = np.sqrt(np.diag(fit.natural_covariance()))
    # the table has one row per parameter, in the order of the natural parameters for errors
    table = fit.variance_components(ci="satterthwaite")
    places = {label: i for i, label in enumerate(natural.names)}
    names = parameter_names(name)
    for row in listings()[name]["Covariance Parameter Estimates"]:
        key = f"{row['Cov Parm']} {row['Group']}" if "Group" in row else row["Cov Parm"]
        i = places[names[key]]
        reach = slack * std_error[i]
        assert natural.values[i] == pytest.approx(row["Estimate"], abs=last_digit(row["Estimate"], 5) + reach)
        assert table["std_error"][i] == pytest.approx(std_error[i])
        # limits move with the estimate and, by much the same share, with its standard error
        for side, column in (("Lower", "conf_low"), ("Upper", "conf_high")):
            allowed = last_digit(row[side], 5) + 3 * reach
            assert table[column][i] == pytest.approx(row[side], abs=allowed), (key, side)


def test_fixed_effects(name: str) -> None:
    fit, slack = fit_of(name), short_of_optimum(name)
    table = fit.fixed_effects(ddf="satterthwaite")
    rows = {plain(term): i for i, term in enumerate(table["term"])}
    found = 0
    for row in listings()[name]["Solution for Fixed Effects"]:
        if row["StdErr"] is None:
            continue
        i = rows[frozenset(levels(row))]
        error = table["std_error"][i]
        allowed = last_digit(row["Estimate"], 5) + slack * error
        assert table["estimate"][i] == pytest.approx(row["Estimate"], abs=allowed)
        assert error == pytest.approx(row["StdErr"], abs=last_digit(row["StdErr"], 5) + slack * error)
        # degrees of freedom are printed as whole numbers; for weighted rows see below
        if REQUESTS[name].weights is None:
            assert table["df"][i] == pytest.approx(row["DF"], abs=0.5 + 5e-4 * row["DF"])
        found += 1
    assert found == len(rows)


def test_sas_leaves_weights_out_of_the_slopes_of_satterthwaite() -> None:
    """SAS's df of weighted analyses come from ∂Σ/∂θ in place of W^-½ ∂Σ/∂θ W^-½, with W^-½ in all else."""
    fit = fit_of("sas_weighted")
    design = fit.design
    full = full_covariance(fit)
    solved = np.linalg.solve(full.v, full.x) @ full.phi
    covariance = fit.natural_covariance()
    same = design.residual.clusters[:, None] == design.residual.clusters
    slopes = []
    for label in fit.objective().natural(fit.optimum.theta).names:
        a, *b = [VISITS.index(v) for v in re.findall(r"VIS\d", label)]
        element = np.zeros((4, 4))
        element[a, b or a] = element[b or a, a] = 1.0
        moved = element[np.ix_(design.residual.index, design.residual.index)] * same
        slopes.append(np.einsum("ix,ij,jx->x", solved, moved, solved))
    gradient = np.array(slopes)
    df = 2 * np.diag(full.phi) ** 2 / np.einsum("ax,ab,bx->x", gradient, covariance, gradient)
    rows = {plain(term): i for i, term in enumerate(fit.params.names)}
    for row in listings()["sas_weighted"]["Solution for Fixed Effects"]:
        if row["StdErr"] is not None:
            ours = df[rows[frozenset(levels(row))]]
            assert ours == pytest.approx(row["DF"], abs=0.5 + 5e-4 * row["DF"])


def plain(term: str) -> frozenset[str]:
    """Return `ARMCD[T.TRT]:AVISIT[T.VIS2]` as a set of `ARMCD=TRT` and `AVISIT=VIS2`."""
    parts = re.findall(r"(\w+)\[T\.([^\]]*)\]", term)
    return frozenset(f"{factor}={level}" for factor, level in parts) or frozenset(["Intercept"])


def levels(row: dict[str, Any]) -> list[str]:
    if row["Effect"] == "Intercept":
        return ["Intercept"]
    return [f"{factor}={row[factor]}" for factor in row["Effect"].split("*")]


def predictions() -> dict[str, np.ndarray]:
    path = SHARED / "sas" / "mmrm_fev_outp_outpm.json"
    if not path.exists():
        pytest.skip(MISSING)
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return {
        case["id"]: np.array([[np.nan if v is None else v for v in row] for row in case["rows_first_200"]])
        for case in cases
    }


@pytest.mark.parametrize("listing", ["un_kenwardroger_linear", "un_satterthwaite"])
def test_predictions_with_missing_responses(listing: str) -> None:
    printed = predictions()[listing]
    fit = mm.gls("FEV1 ~ ARMCD", fev(), residual="us(AVISIT | USUBJID)")
    given = fit.predict(fev(), se=True, ddf="satterthwaite")
    mean = fit.predict(fev(), level="population", se=True, ddf="satterthwaite")
    # SAS stops a little short of the optimum; its estimates differ in the fifth figure, and predictions
    # by less than a thousandth of their standard errors
    error = printed[:, 3]
    np.testing.assert_allclose(mean["fit"][:200], printed[:, 2], atol=2e-3 * error.min())
    np.testing.assert_allclose(mean["se"][:200], error, rtol=2e-4)
    missing = np.isnan(printed[:, 1])
    assert missing.any()
    gap = np.abs(given["fit"][:200] - printed[:, 4]) / printed[:, 5]
    assert gap[missing].max() < 1e-3
    np.testing.assert_allclose(given["se"][:200][missing], printed[missing, 5], rtol=2e-4)
    np.testing.assert_array_equal(given["fit"][:200][~missing], mean["fit"][:200][~missing])
    np.testing.assert_allclose(given["se"][:200][~missing], printed[~missing, 5], rtol=2e-4)
