"""What programs of the corpus give is what the same model gives when it is asked of the package directly."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.dialects.listing import Listing
from sas_programs import frames, programs

MEAN = "y ~ base + C(arm) * C(visit)"
STRUCTURES = {
    "cs": "cs", "csh": "hcs", "ar(1)": "ar1", "arh(1)": "har1", "un": "us", "toep": "toep", "toeph": "htoep",
    "ante(1)": "ante1", "un(1)": "diag", "hf": "hf", "unr": "unr",
}  # fmt: skip
Asked = tuple[str, str, dict[str, Any]]
LINEAR: dict[str, Asked] = {
    "rcbd": ("rcbd", "y ~ trt + (1 | block)", {}),
    "rcbd covariate": ("rcbd", "y ~ trt + x + trt:x + (1 | block)", {"ddf": "kenward-roger"}),
    "rcbd no intercept": ("rcbd", "y ~ 0 + trt + (1 | block)", {}),
    "rcbd subject": ("rcbd", "y ~ trt + (1 | block)", {}),
    "rcbd fixed blocks": ("rcbd", "y ~ C(block) + trt", {}),
    "rcbd ratio of errors": ("rcbd", "y ~ trt + (1 | block)", {"variance": "ident(trt)"}),
    "rcbd log-linear errors": ("rcbd", "y ~ trt", {"variance": "log_linear(x)"}),
    "rcbd weight": ("rcbd", "y ~ trt + (1 | block)", {"weights": "x"}),
    "rcbd nobound": ("rcbd", "y ~ trt + (1 | block)", {"bounds": "none"}),
    "rcbd held": ("rcbd", "y ~ trt + (1 | block)", {"hold": {"var(block)": 0.8, "var(Residual)": 0.5}}),
    "rcbd ref": ("rcbd", "y ~ trt + (1 | block)", {}),
    "rcbd order freq": ("rcbd", "y ~ trt + (1 | block)", {}),
    "hplmixed": ("rcbd", "y ~ trt + (1 | block)", {}),
    "hpmixed": ("rcbd", "y ~ trt + (1 | block)", {}),
    "intercept alone": ("rail", "travel ~ 1 + (1 | Rail)", {}),
    "split plot": ("split", "yield ~ whole * C(sub) + (1 | rep) + (1 | rep:whole)", {"ddf": "satterthwaite"}),
    "split plot nested": ("split", "yield ~ whole * C(sub) + (1 | rep) + (1 | rep:whole)", {}),
    "split plot subjects": ("split", "yield ~ whole * C(sub) + (1 | rep) + (1 | rep:whole)", {}),
    "strip plot": ("split", "yield ~ whole * C(sub) + (1 | rep) + (1 | rep:whole) + (1 | rep:sub)", {}),
    "errors by plot": ("split", "yield ~ whole * C(sub)", {"residual": "cs(1 | rep:whole)"}),
    "random and errors": ("visits", "y ~ arm * C(visit) + (1 | id)", {"residual": "ar1(visit | id)"}),
    "groups of subjects": ("visits", "y ~ arm + C(visit) + (1 | id, by=arm)", {}),
    "subject in centre": ("visits", "y ~ arm + C(visit) + (1 | id)", {}),
    "crossover": ("cross", "lauc ~ sequence + C(period) + treat + (1 | subject)", {}),
    "merged": ("rcbd", "y ~ trt + block**2 + (1 | block)", {}),
    "narrow": ("split", "yield ~ whole * C(sub) + (1 | rep) + (1 | rep:whole)", {}),
    "subjects": ("dent", "Y ~ age + sex + (age | id)", {"ddf": "satterthwaite"}),
    "upper case": ("rcbd", "y ~ trt + (1 | block)", {}),
    "comments": ("rcbd", "y ~ trt + (1 | block)", {}),
    "macro variables": ("rcbd", "y ~ trt + (1 | block)", {}),
    "tutorial one": ("dent", "Y ~ fem + male + fem:age + male:age + (1 | id, by=sex)", {"variance": "ident(sex)"}),
    "tutorial two": ("dent", "Y ~ fem + male + fem:age + male:age", {"residual": "cs(age | id, by=sex)"}),
    **{
        f"mmrm {kind} {method}": (
            "visits", MEAN, {"residual": f"{ours}(visit | id)", "method": method},
        )
        for kind, ours in STRUCTURES.items()
        for method in ("reml", "ml")
    },
}  # fmt: skip
GENERALISED: dict[str, Asked] = {
    f"glimmix {dist} {ours}": ("counts", f"{left} ~ dose + (1 | site)", {"family": family, **options})
    for left, dist, family in (("dead / n", "binomial", "binomial"), ("count", "poisson", "poisson"))
    for ours, options in (
        ("rspl", {"method": "rspl"}), ("laplace", {}), ("quad(qpoints=5)", {"method": "quadrature", "points": 5}),
        ("mspl", {"method": "mspl"}), ("rmpl", {"method": "rmpl"}), ("mmpl", {"method": "mmpl"}),
    )
}  # fmt: skip
PROGRAMS = programs()


def run(name: str) -> Listing:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        return mm.sas(PROGRAMS[name], data=frames())


def fitted(asked: Asked) -> Any:
    data, formula, options = asked
    formula = formula.replace("block**2", "I(block**2)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        verb = mm.glmm if "family" in options else mm.lmm
        return verb(formula, frames()[data], **options)


def parameters(fit: Any) -> np.ndarray:
    """Return the covariance parameters by size: names differ between a formula and SAS's columns."""
    return np.sort(fit._work.parameters().natural(fit.optimum.theta).values)


def test_all_are_programs_of_the_corpus() -> None:
    assert {*LINEAR, *GENERALISED} <= set(PROGRAMS)
    assert len(LINEAR) + len(GENERALISED) >= 60


@pytest.mark.parametrize("name", LINEAR)
def test_linear(name: str) -> None:
    listing, fit = run(name), fitted(LINEAR[name])
    own = listing.fits[-1]
    assert own.loglik == pytest.approx(fit.loglik, abs=2e-6)
    np.testing.assert_allclose(parameters(own), parameters(fit), rtol=2e-4, atol=1e-5)
    ddf = LINEAR[name][2].get("ddf")
    if ddf is None or "Tests3" not in listing.tables:
        return
    tests, expected = listing.tables["Tests3"], fit.anova(3)
    # effects stand in the order of the program, which is that of the formula
    np.testing.assert_allclose(tests["FValue"], expected["statistic"], rtol=1e-4)
    np.testing.assert_allclose(tests["DenDF"], expected["den_df"], rtol=2e-3)


@pytest.mark.parametrize("name", GENERALISED)
def test_generalised(name: str) -> None:
    listing, fit = run(name), fitted(GENERALISED[name])
    own = listing.fits[-1]
    np.testing.assert_allclose(parameters(own), parameters(fit), rtol=1e-4, atol=1e-6)
    table = listing.tables["ParameterEstimates"]
    np.testing.assert_allclose(table["Estimate"], np.asarray(fit.params), rtol=1e-4)
    if not fit.distribution.pseudo:
        assert own.loglik == pytest.approx(fit.loglik, abs=1e-5)
