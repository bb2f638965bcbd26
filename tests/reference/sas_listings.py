"""Listings that SAS printed of the FEV data, the models they are of, and how closely figures must agree."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.inference.sensitivity import sensitivity
from mixedmodels.postfit.error_side import whole_clusters

SHARED = Path(os.environ.get("MIXEDMODELS_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
FILES = ("mmrm_fev_structures", "mmrm_fev_kenward_roger", "mmrm_fev_empirical_sandwich")
MISSING = f"figures and data of SAS are not at {SHARED}"
PRESENT = all((SHARED / "sas" / f"{file}.json").exists() for file in FILES)
VISITS = ("VIS1", "VIS2", "VIS3", "VIS4")


@dataclass(frozen=True)
class Request:
    """The model of one listing: fixed part, structure, reference levels of the factors, options."""

    fixed: str
    residual: str
    visits: tuple[str, ...] = VISITS
    references: tuple[tuple[str, str], ...] = ()
    method: str = "reml"
    weights: str | None = None
    ddf: str = "satterthwaite"
    robust: bool = False


VISIT_ONE_LAST = ("VIS2", "VIS3", "VIS4", "VIS1")
FULL = (("AVISIT", "VIS1"), ("RACE", "Asian"), ("SEX", "Male"), ("ARMCD", "PBO"))
ARM = (("ARMCD", "PBO"),)
KENWARD_ROGER = {
    "ar1": "ar1(visit | USUBJID)",
    "cs": "cs(visit | USUBJID)",
    "us": "us(visit | USUBJID)",
    "spexp": "exp(VISITN, VISITN2 | USUBJID)",
}
REQUESTS = {
    "sas_adh_ml": Request("1", "ante1(visit | USUBJID)", method="ml"),
    "sas_ar1_ml": Request("1", "ar1(visit | USUBJID)", method="ml"),
    "sas_ar1_reml": Request("1", "ar1(visit | USUBJID)"),
    "sas_coef_ci_ml_ar1": Request(
        "ARMCD + SEX", "ar1(visit | USUBJID)", references=(*ARM, ("SEX", "Male")), method="ml"
    ),
    "sas_coef_ci_reml_un": Request("ARMCD + SEX", "us(visit | USUBJID)", references=(*ARM, ("SEX", "Male"))),
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
    **{f"kr_{kind}": Request("ARMCD", text, references=ARM) for kind, text in KENWARD_ROGER.items()},
    **{f"kr1_{kind}": Request("ARMCD", text, references=ARM) for kind, text in KENWARD_ROGER.items()},
    **{
        f"empirical_{kind}{suffix}": Request(
            "ARMCD",
            f"{kind}(visit | USUBJID)",
            references=ARM,
            weights=weights,
            ddf="between-within",
            robust=True,
        )
        for kind in ("ar1", "cs")
        for suffix, weights in (("", None), ("_weighted", "WEIGHT"))
    },
}


@cache
def cases() -> dict[str, dict[str, Any]]:
    """Return every listing of the three files by its id."""
    found: dict[str, dict[str, Any]] = {}
    for file in FILES if PRESENT else ():
        path = SHARED / "sas" / f"{file}.json"
        found |= {case["id"]: case for case in json.loads(path.read_text(encoding="utf-8"))["cases"]}
    return found


def printed(name: str) -> dict[str, Any]:
    results: dict[str, Any] = cases()[name]["results"]
    return results


def request_of(name: str) -> Request:
    """Return the model of a listing; the Kenward–Roger variant is what its own program says."""
    asked = REQUESTS[name]
    if not name.startswith("kr"):
        return asked
    linear = "ddfm=kr(linear)" in cases()[name]["program"]
    return replace(asked, ddf="kenward-roger-linear" if linear else "kenward-roger")


@cache
def fev() -> pd.DataFrame:
    return pd.read_csv(SHARED / "data" / "fev_data.csv")


def fev_for(asked: Request) -> pd.DataFrame:
    """Return the data with levels in the order of the listing."""
    data = fev().copy()
    data["visit"] = pd.Categorical(data["AVISIT"], asked.visits)
    for column, reference in asked.references:
        others = [level for level in sorted(data[column].unique()) if level != reference]
        data[column] = pd.Categorical(data[column], [reference, *others])
    return data


@cache
def fit_of(name: str) -> Fit:
    return fit_request(request_of(name))


@cache
def fit_request(asked: Request) -> Fit:
    return mm.gls(
        f"FEV1 ~ {asked.fixed}",
        fev_for(asked),
        residual=asked.residual,
        method=asked.method,
        weights=asked.weights,
        ddf=asked.ddf,
    )


@cache
def tools_of(name: str) -> Any:
    """Return what a listing's estimates, tests and means are asked of: the fit, or its sandwich.

    The degrees of freedom of SAS's weighted Satterthwaite listing are those of `without_weights`.
    """
    asked, fit = request_of(name), fit_of(name)
    if asked.robust:
        return fit.vcov_robust("CR0", ddf=asked.ddf)
    return without_weights(fit) if asked.weights else fit


def without_weights(fit: Fit) -> Fit:
    """Return a fit whose Satterthwaite df come from ∂Σ/∂θ in place of W^-½ ∂Σ/∂θ W^-½, all else as it is."""
    rows = fit.rows
    residual = rows.residual
    inverse = whole_clusters(fit, "a test").equations._inverse_matrix()
    solved = inverse @ fit.solution.basis.rows(rows.x)
    same = residual.clusters[:, None] == residual.clusters
    p = []
    for block in fit._work.criterion().model.residual_blocks:
        for slope in block.structure.d_matrix(fit.optimum.theta[block.place], block.positions):
            moved = slope[np.ix_(residual.index, residual.index)] * same
            p.append(-solved.T @ moved @ solved)
    copy = replace(fit, _cache={})
    copy._work.keep("sensitivity observed", lambda: replace(sensitivity(fit), p=np.array(p)))
    return copy


def last_digit(value: float, significant: int) -> float:
    """Return half a unit of the last digit SAS printed: `significant` figures, four decimals at most."""
    if value == 0:
        return 5e-5
    decimals = min(significant - 1 - int(np.floor(np.log10(abs(value)))), 4)
    return 0.5001 * 10.0 ** -max(decimals, 0)


def short_of_optimum(name: str) -> float:
    """Return √δ, δ the height of SAS's last criterion above ours.

    SAS stops when the predicted decrease is 1e-8 of the criterion. −2l is then δ above its minimum, and a
    parameter may be √δ of its standard errors away from the estimate, whatever digits are printed.
    """
    gap = printed(name)["objective_final"] - fit_of(name).criterion
    return float(np.sqrt(max(gap, 0.0) + 5e-9))
