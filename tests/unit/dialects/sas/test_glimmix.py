"""PROC GLIMMIX: the fits are those of `glmm`, on SAS's columns of X."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm

PROGRAM = """proc glimmix data=cbpp method={method}; class herd period; model incidence/size = period / s dist=bin;
random int / subject=herd; lsmeans period / ilink diff oddsratio cl; run;"""


@pytest.mark.parametrize(
    ("method", "ours"), [("rspl", "rspl"), ("laplace", "laplace"), ("quad(qpoints=5)", "quadrature")]
)
def test_events_and_trials(method: str, ours: str) -> None:
    cbpp = mm.datasets.load("cbpp")
    listing = mm.sas(PROGRAM.format(method=method), data={"cbpp": cbpp})
    points = 5 if ours == "quadrature" else None
    fit = mm.glmm("incidence / size ~ period + (1 | herd)", cbpp, "binomial", method=ours, points=points)
    table = listing.tables["ParameterEstimates"]
    mine = fit.params
    last = mine["(Intercept)"] + mine["period[T.4]"]
    np.testing.assert_allclose(table["Estimate"][0], last, rtol=1e-4)
    assert table["Estimate"][-1] == 0.0
    means = listing.tables["LSMeans"]
    np.testing.assert_allclose(means["Mu"], 1 / (1 + np.exp(-means["Estimate"])), rtol=1e-9)
    diffs = listing.tables["Diffs"]
    np.testing.assert_allclose(diffs["OddsRatio"], np.exp(diffs["Estimate"]), rtol=1e-9)


def test_binary_models_the_first_level_unless_told() -> None:
    data = mm.datasets.load("cbpp").assign(sick=lambda d: (d["incidence"] > 1).astype(int))
    first, event = (
        mm.sas(f"proc glimmix data=d; model sick{what} = size / s dist=binary; run;", data={"d": data})
        for what in ("", "(event='1')")
    )
    np.testing.assert_allclose(
        first.tables["ParameterEstimates"]["Estimate"],
        -event.tables["ParameterEstimates"]["Estimate"],
        rtol=1e-6,
    )
    assert any("probability that sick = 0" in note for note in first.notes)


def test_normal_is_the_linear_model() -> None:
    rail = mm.datasets.load("rail")
    text = "class rail; model travel = / s; random rail; run;"
    left, right = (
        mm.sas(f"proc {name} data=rail; {text}", data={"rail": rail}) for name in ("glimmix", "mixed")
    )
    np.testing.assert_allclose(left.tables["CovParms"]["Estimate"], right.tables["CovParms"]["Estimate"])


def test_overdispersion_and_scale() -> None:
    cbpp = mm.datasets.load("cbpp")
    listing = mm.sas(
        "proc glimmix data=c; class period; model incidence/size = period / dist=bin; random _residual_; run;",
        data={"c": cbpp},
    )
    fit = mm.glm("incidence / size ~ period", cbpp, "binomial")
    pearson = float(np.sum(fit.residuals("pearson") ** 2)) / fit.df_resid
    assert listing.tables["CovParms"]["Estimate"][0] == pytest.approx(pearson, rel=1e-4)
    negative = mm.sas(
        "proc glimmix data=c method=laplace; class herd period; model incidence = period / dist=negbin; run;",
        data={"c": cbpp},
    )
    theta = mm.glm("incidence ~ period", cbpp, "nb2").dispersion
    assert negative.tables["CovParms"]["Estimate"][-1] == pytest.approx(1 / theta, rel=1e-4)
