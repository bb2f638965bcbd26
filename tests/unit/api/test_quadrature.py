"""`mm.glmm(method="quadrature")`, and what a Laplace fit says of itself."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
ONE = mm.Control(threads=1)
KEPT = Path(__file__).parents[2] / "reference" / "glmm" / "data"


def kept(name: str, **text: type) -> Any:
    return pytest.importorskip("pandas").read_csv(KEPT / f"{name}.csv.gz", dtype=text)


def cbpp(**options: Any) -> mm.Fit:
    return mm.glmm(CBPP, mm.datasets.load("cbpp"), "binomial", control=ONE, **options)


def toenail(**options: Any) -> mm.Fit:
    formula = "outcome ~ treatment * time + (1 | patientID)"
    return mm.glmm(formula, mm.datasets.load("toenail"), "binomial", control=ONE, **options)


def test_cbpp_by_25_points() -> None:
    fit = cbpp(method="quadrature", points=25)
    assert fit.loglik == pytest.approx(-91.98337, abs=1e-5)
    assert fit.beta == pytest.approx([-1.399230, -0.991404, -1.127819, -1.579471], abs=2e-6)
    table = fit.fixed_effects(ddf="asymptotic")
    assert np.asarray(table["std_error"]) == pytest.approx([0.233512, 0.306768, 0.326768, 0.427594], rel=2e-4)
    assert "maximum likelihood (adaptive quadrature, 25 points)" in str(fit.summary())
    assert fit.status == ()


def test_ohio_and_contraception() -> None:
    ohio = kept("ohio", id=str)
    fit = mm.glmm(
        "resp ~ age * smoke + (1 | id)", ohio, "binomial", method="quadrature", points=25, control=ONE
    )
    assert fit.loglik == pytest.approx(-797.3591572, abs=1e-4)
    assert fit.beta == pytest.approx([-3.128389, -0.216371, 0.462029, 0.105327], rel=1e-4)
    women = kept("contraception", district=str)
    formula = "use ~ a10 + I(a10^2) + urban + livch + (urban | district)"
    fit = mm.glmm(formula, women, "binomial", method="quadrature", points=5, control=ONE)
    assert fit.loglik == pytest.approx(-1180.00834, abs=1e-5)
    variances = np.asarray(fit.variance_components()["variance"])
    assert np.sort(variances)[:3] == pytest.approx([-0.371443, 0.392706, 0.560921], abs=1e-4)


def test_points_by_themselves() -> None:
    usual, few = cbpp(method="quadrature"), cbpp(method="quadrature", points=3)
    assert "15 points" in str(usual.summary())
    assert 1e-3 < abs(few.loglik - usual.loglik) < 0.05
    auto = cbpp(method="quadrature", points="auto")
    assert auto.loglik == pytest.approx(-91.983369, abs=1e-4)
    assert any("points='auto' took 15 points: 23 change" in str(one) for one in auto.status)


def test_one_point_is_laplace() -> None:
    one, laplace = cbpp(method="quadrature", points=1), cbpp()
    assert one.loglik == pytest.approx(laplace.loglik, abs=1e-9)
    assert one.beta == pytest.approx(laplace.beta, abs=1e-5)


def test_what_follows_a_fit() -> None:
    fit = pickle.loads(pickle.dumps(cbpp(method="quadrature", points=9)))
    assert np.isfinite(np.asarray(fit.anova()["p_value"])).all()
    assert len(fit.random_effects()) == 15
    assert np.isfinite(fit.predict(mm.datasets.load("cbpp"))).all()
    assert fit.to_lme4().count("nAGQ = 9") == 1
    assert 0.1 < fit.variance_components(se=True)["std_error"][0] < 0.4


def test_laplace_says_how_far_quadrature_is() -> None:
    (note,) = cbpp().status
    assert str(note) == (
        "at these estimates quadrature with 15 points changes −2 log-likelihood by −0.085, and one step towards its "
        "optimum moves var(herd: (Intercept)) by 0.029 standard errors"
    )
    assert note.severity.name == "NOTE"
    (warned,) = (one for one in toenail().status if one.severity.name == "WARNING")
    assert "Laplace's approximation is rough here" in str(warned)
    assert "moves (Intercept) by" in str(warned)
    assert str(warned).endswith("Use method='quadrature'")
    assert "Laplace's approximation is rough here" in str(toenail().summary())


def test_a_difference_of_many_levels_that_moves_nothing_is_a_note() -> None:
    """500 levels of 20 counts: −2 log-likelihood differs by more than 0.5, no estimate by a tenth of its error."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(500), 20)
    mean = np.exp(0.8 + 0.6 * rng.normal(size=500)[group])
    data = {"y": rng.poisson(rng.gamma(1.7, mean / 1.7)), "group": group}
    (note,) = mm.glmm("y ~ 1 + (1 | group)", data, "nb2", control=ONE).status
    assert note.severity.name == "NOTE"
    assert "moves var(group: (Intercept)) by 0.0" in str(note)


def test_quadrature_says_what_more_points_change() -> None:
    (note,) = (one for one in toenail(method="quadrature").status if "points" in str(one))
    assert note.severity.name == "NOTE"
    assert "23 points change −2 log-likelihood by +0.4" in str(note)
    assert str(note).endswith("points='auto', which raises them until it settles")
    assert cbpp(method="quadrature").status == ()


def test_compare_wants_one_method_and_the_same_points() -> None:
    smaller = "cbind(incidence, size - incidence) ~ 1 + (1 | herd)"
    data = mm.datasets.load("cbpp")
    few, many, laplace = cbpp(method="quadrature", points=7), cbpp(method="quadrature", points=25), cbpp()
    null = mm.glmm(smaller, data, "binomial", method="quadrature", points=25, control=ONE)
    table = mm.compare(null, many)
    assert table["statistic"][1] == pytest.approx(2.0 * (many.loglik - null.loglik))
    for one, two in ((few, many), (laplace, many)):
        with pytest.raises(SpecError, match="fit all with the same method and points"):
            mm.compare(one, two)
    alone = mm.glm("cbind(incidence, size - incidence) ~ period", data, "binomial", control=ONE)
    assert np.isfinite(mm.compare(alone, many)["p_value"][1])


def test_a_hurdle_shares_the_factor_of_the_mean() -> None:
    salamanders = mm.datasets.load("salamanders")
    options = {"family": "poisson", "hurdle": "~ mined + (1 | site)", "control": ONE}
    fit = mm.glmm("count ~ mined + (1 | site)", salamanders, method="quadrature", **options)
    apart = mm.glmm("count ~ mined + (1 | site)", salamanders, method="quadrature", points=21, **options)
    assert fit.converged
    assert fit.loglik == pytest.approx(apart.loglik, abs=1e-3)


def test_laplace_is_warned_of_one_factor_among_several() -> None:
    rng = np.random.default_rng(2)
    child = np.repeat(np.arange(300), 3)
    town = rng.integers(12, size=300)[child]
    eta = 1.0 + 4.0 * rng.normal(size=300)[child] + 0.5 * rng.normal(size=12)[town]
    data = {
        "hit": (rng.random(900) < 1.0 / (1.0 + np.exp(-eta))).astype(float),
        "child": [f"c{k}" for k in child],
        "town": [f"t{k}" for k in town],
    }
    fit = mm.glmm("hit ~ 1 + (1 | child) + (1 | town)", data, "binomial", control=ONE)
    said = [str(one) for one in fit.status if one.severity.name == "WARNING"]
    assert any("far off for the effects of child" in one for one in said)
    assert not any("effects of town" in one.partition(":")[0] for one in said)


@pytest.mark.parametrize(
    ("random", "options", "reason"),
    [
        ("(1 | herd) + (1 | period)", {}, "one grouping factor, and here there are herd, period"),
        ("(1 | herd)", {"points": 101}, "points=101 must be a whole number from 1 to 100"),
        ("(1 | herd)", {"points": "many"}, "points='many' must be a whole number from 1 to 100"),
        ("(1 | herd)", {"reml": True}, "method='quadrature' is maximum likelihood"),
        ("(1 | herd)", {"residual": "cs(herd)"}, "residual= and variance= describe errors"),
    ],
)
def test_refusals(random: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        mm.glmm(
            f"incidence ~ period + {random}",
            mm.datasets.load("cbpp"),
            "poisson",
            method="quadrature",
            control=ONE,
            **options,
        )


def test_a_model_without_random_effects_has_nothing_to_integrate() -> None:
    data = mm.datasets.load("cbpp")
    alone = mm.glmm("incidence ~ period", data, "poisson", method="quadrature", control=ONE)
    assert alone.loglik == mm.glm("incidence ~ period", data, "poisson", control=ONE).loglik
    table = cbpp(method="quadrature", points=9).ranova()
    assert np.isfinite(np.asarray(table["p_value"])[1])


@pytest.mark.parametrize("method", ["laplace", "quadrature"])
def test_refit_to_other_responses(method: str) -> None:
    epil = mm.datasets.load("epil")
    formula = "y ~ trt + base + offset(log(age)) + (1 | subject)"
    fit = mm.glmm(formula, epil, "poisson", method=method, control=ONE)
    same = fit.refit(np.asarray(epil["y"], float))
    assert same.loglik == pytest.approx(fit.loglik, abs=1e-9)
    assert same.beta == pytest.approx(fit.beta, abs=1e-6)
    drawn = np.ravel(fit.simulate(1, seed=4))
    moved = mm.glmm(formula, epil.assign(y=drawn), "poisson", method=method, control=ONE)
    again = fit.refit(drawn)
    assert again.loglik == pytest.approx(moved.loglik, abs=1e-8)
    assert again.vcov == pytest.approx(moved.vcov, rel=1e-4)
    tested = fit.test_dispersion(12, seed=1)
    assert "Pearson / df" in str(tested)


def test_points_are_those_of_quadrature() -> None:
    with pytest.raises(SpecError, match="points= are those of method='quadrature'"):
        cbpp(points=7)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_degrees_of_freedom_of_linear_models_are_refused(ddf: str) -> None:
    with pytest.raises(SpecError, match=f"ddf='{ddf}' is defined for linear mixed models"):
        cbpp().fixed_effects(ddf=ddf)
