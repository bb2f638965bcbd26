"""Pseudo-likelihood against the loop of glmmPQL run to its end in nlme, and against geeglm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

HERE = Path(__file__).parent / "pseudo"
PRINTED = json.loads((HERE / "models.json").read_text(encoding="utf-8"))
BACTERIA, EPIL, GASOLINE, CBPP = "bacteria.csv", "epil.csv", "gasoline.csv", "cbpp.csv"
LOGS = "y ~ lbase * trt + lage"
MODELS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "bacteria_logit": (BACTERIA, "r ~ trt + late + (1 | ID)", "binomial", {}),
    "bacteria_probit": (BACTERIA, "r ~ trt + late + (1 | ID)", "binomial", {"link": "probit"}),
    "bacteria_cloglog": (BACTERIA, "r ~ trt + late + (1 | ID)", "binomial", {"link": "cloglog"}),
    "bacteria_reml": (BACTERIA, "r ~ trt + late + (1 | ID)", "binomial", {"method": "rspl"}),
    "epil_poisson": (EPIL, f"{LOGS} + v4 + (1 | subject)", "poisson", {}),
    "epil_reml": (EPIL, f"{LOGS} + v4 + (1 | subject)", "poisson", {"method": "rspl"}),
    "epil_ar1": (EPIL, f"{LOGS} + (1 | subject)", "poisson", {"residual": "ar1(period | subject)"}),
    "gasoline_gamma": (GASOLINE, "yield ~ x + (1 | Sample)", "gamma", {}),
    "gasoline_gamma_reml": (GASOLINE, "yield ~ x + (1 | Sample)", "gamma", {"method": "rspl"}),
    "gasoline_inverse": (GASOLINE, "yield ~ x + (1 | Sample)", "inverse_gaussian", {"link": "log"}),
    "gasoline_normal": (GASOLINE, "yield ~ x + (1 | Sample)", "gaussian", {"link": "log"}),
    "cbpp_free": (CBPP, "incidence / size ~ period + (1 | herd)", "binomial", {"method": "rspl"}),
    "ohio_cs": ("", "resp ~ age * smoke", "binomial", {"residual": "cs(1 | id)"}),
    "ohio_cs_reml": ("", "resp ~ age * smoke", "binomial", {"residual": "cs(1 | id)", "method": "rmpl"}),
    "ohio_ar1": ("", "resp ~ age * smoke", "binomial", {"residual": "ar1(age | id)"}),
    "epil_cs": (EPIL, LOGS, "poisson", {"residual": "cs(1 | subject)", "method": "rspl"}),
    "epil_ident": (EPIL, LOGS, "poisson", {"residual": "ar1(period | subject)", "variance": "ident(trt)"}),
}


def frame(name: str) -> pd.DataFrame:
    if not name:
        return mm.datasets.load("ohio").astype({"id": str})
    kinds = {"ID": str, "subject": str, "Sample": str, "herd": str}
    data = pd.read_csv(HERE / name, dtype={key: kinds[key] for key in kinds})
    if "trt" in data:
        levels = {"placebo": "1 placebo", "drug": "2 drug", "drug+": "3 drug+"}
        data["trt"] = data["trt"].replace(levels)
    if "period" in data and "herd" in data:
        data["period"] = data["period"].astype(str)
    return data


def fitted(name: str) -> mm.Fit:
    file, formula, family, options = MODELS[name]
    given = {"method": "mspl", **options}
    if family in ("binomial", "poisson") and "residual" not in given:
        given["dispersion"] = "free"
    return mm.glmm(formula, frame(file), family, **given)


@pytest.mark.parametrize("name", MODELS)
def test_the_loop_around_nlme(name: str) -> None:
    """nlme's optimiser stops at about 1e-7 of its parameters; ours is at the fixed point."""
    fit, printed = fitted(name), PRINTED[name]
    assert fit.converged
    vcov = np.array(printed["vcov"])
    if name in ("ohio_cs", "ohio_ar1", "epil_ident"):
        # gls by ML multiplies the covariance by n / (n − p)
        vcov = vcov * (fit.nobs - len(vcov)) / fit.nobs
    ours = np.sqrt(np.diag(fit.cov_params(ddf="asymptotic")))
    theirs = np.sqrt(np.diag(vcov))
    assert np.abs(fit.beta - np.array(list(printed["beta"].values()))).max() / theirs.max() < 2e-5
    assert ours == pytest.approx(theirs, rel=2e-5)
    assert fit.sigma == pytest.approx(printed["sigma"], rel=2e-5)
    if "random_variance" in printed:
        assert fit.covariances[0][0, 0, 0] == pytest.approx(printed["random_variance"], rel=1e-4)
    assert 2.0 * fit.pseudo_loglik == pytest.approx(2.0 * printed["loglik"], abs=2e-3)


@pytest.mark.parametrize(
    ("name", "case"),
    [("bacteria_logit", "bacteria"), ("epil_poisson", "epil"), ("gasoline_gamma", "gasoline")],
)
def test_glmmpql_as_it_stops(name: str, case: str) -> None:
    """glmmPQL ends where predictors move by 1e-6 of their squares: three digits."""
    printed = PRINTED["glmmPQL"][case]
    assert fitted(name).beta == pytest.approx(np.array(list(printed["beta"].values())), rel=1e-3)


def test_generalised_estimating_equations() -> None:
    """Without random effects the correlation is estimated by likelihood, not by moments: .35461 and .35461 in ohio."""
    printed = PRINTED["geeglm"]
    fit = fitted("ohio_cs")
    assert fit.beta == pytest.approx(np.array(list(printed["ohio_cs"]["beta"].values())), rel=1e-6)
    robust = np.sqrt(np.diag(printed["ohio_cs"]["robust"]))
    assert fit.vcov_robust(kind="CR0", cluster="id").table()["std_error"] == pytest.approx(robust, rel=1e-6)
    free = mm.glmm("resp ~ age * smoke", frame(""), "binomial", method="mspl")
    assert free.beta == pytest.approx(np.array(list(printed["ohio_independence"]["beta"].values())), rel=1e-7)
    robust = np.sqrt(np.diag(printed["ohio_independence"]["robust"]))
    assert free.vcov_robust(kind="CR0", cluster="id").table()["std_error"] == pytest.approx(robust, rel=1e-6)
