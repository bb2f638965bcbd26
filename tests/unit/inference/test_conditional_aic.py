"""The conditional AIC against the trace of the hat matrix, dense and by differences, and a printed figure."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from dense_equations import DenseEquations, equal_errors
from models import Model

TO_ROUNDING = mm.Control(decrement=1e-13)


def fits() -> dict[str, mm.Fit]:
    sleep = mm.datasets.load("sleepstudy", backend="pandas")
    rng = np.random.default_rng(1)
    weighted = sleep.iloc[:-20].assign(w=rng.uniform(0.5, 2, 160), group=rng.integers(0, 2, 160))
    relation = 0.5 * np.eye(18) + 0.5
    return {
        "slopes": mm.lmm("Reaction ~ Days + (Days | Subject)", sleep, control=TO_ROUNDING),
        "ml": mm.lmm("Reaction ~ Days + (1 | Subject)", sleep, method="ml", control=TO_ROUNDING),
        "weights": mm.lmm("Reaction ~ Days + (Days || Subject)", weighted, weights="w", control=TO_ROUNDING),
        "nested": mm.lmm(
            "strength ~ 1 + (1 | batch / cask)", mm.datasets.load("pastes"), control=TO_ROUNDING
        ),
        "held": mm.lmm(
            "Reaction ~ Days + (1 | Subject)", sleep, hold={"var(Residual)": 900.0}, control=TO_ROUNDING
        ),
        "known": mm.lmm(
            "Reaction ~ Days + (1 | Subject, cov=A)", sleep, known={"A": relation}, control=TO_ROUNDING
        ),
        "precision": mm.lmm(
            "Reaction ~ Days + (1 | Subject, precision=Q)",
            sleep,
            known={"Q": np.linalg.inv(relation)},
            control=TO_ROUNDING,
        ),
        "singular": mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2"), control=TO_ROUNDING),
    }


FITS = fits()


@pytest.mark.parametrize("name", FITS)
def test_degrees_of_freedom_are_traces(name: str) -> None:
    fit = FITS[name]
    table = fit.conditional_aic()
    scale = 0 if name == "held" else 1
    equations = DenseEquations.of(Model.of_fit(fit))
    equations.factor(equal_errors(fit.covariances, fit.sigma2))
    hat = np.eye(fit.nobs) - equations.r @ equations.p
    np.testing.assert_allclose(hat @ fit.rows.y, fit.fitted, rtol=1e-6)
    assert table["df"][0] == pytest.approx(np.trace(hat) + scale, rel=1e-6)


@pytest.mark.parametrize("name", ["slopes", "ml", "weights", "nested", "held", "precision"])
def test_estimation_is_the_derivative_of_the_fitted_values(name: str) -> None:
    fit = FITS[name]
    y, step, total = fit.response, 1e-3 * fit.sigma, 0.0
    for i in range(fit.nobs):
        moved = np.repeat(y[:, None], 2, axis=1)
        moved[i] += [step, -step]
        up, down = (fit.refit(column).fitted[i] for column in moved.T)
        total += (up - down) / (2 * step)
    # central differences of refits: 1e-7 relative
    assert fit.conditional_aic()["df"][2] == pytest.approx(total + (name != "held"), rel=1e-6)


def test_a_variance_on_the_boundary_stays_there() -> None:
    singular, without = FITS["singular"], mm.lm("Yield ~ 1", mm.datasets.load("dyestuff2"))
    np.testing.assert_allclose(
        singular.conditional_aic()["caic"], without.conditional_aic()["caic"], rtol=1e-8
    )
    assert without.conditional_aic()["df"].tolist()[::2] == [2, 2]


def test_figures_of_caic4() -> None:
    # cAIC4 (documentation of the package): conditional log-likelihood -824.51, 31.30 degrees of freedom, 1711.62.
    # The derivative itself, by refits in the test above, is 31.25.
    table = FITS["slopes"].conditional_aic()
    assert round(table["loglik"][2], 2) == -824.51
    assert table["df"][2] == pytest.approx(31.30, abs=0.06)
    assert table["caic"][2] == pytest.approx(1711.62, abs=0.12)


def test_finite_sample_correction_is_unbiased() -> None:
    """E{n log σ̂² + …} of new data from the same groups, with known variance ratios, by simulation."""
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(5), 3)
    data = {"y": rng.standard_normal(15), "group": group, "x": np.tile([0.0, 1.0, 2.0], 5)}
    held = {"var(group: (Intercept))": 1.0}
    fit = mm.lmm("y ~ x + (1 | group)", data, hold={**held, "var(Residual)": 1.0})
    equations = DenseEquations.of(Model.of_fit(fit))
    equations.factor(equal_errors([np.ones((1, 1, 1))]))
    n, p, draws = 15, 2, 40_000
    b, e, new = (rng.standard_normal((k, draws)) for k in (5, n, n))
    mean = data["x"][:, None] + b[group]
    y = mean + e
    py = equations.p @ y
    sigma2 = np.einsum("id,id->d", y, py) / (n - p)
    own = n * np.log(2 * np.pi * sigma2) + np.sum(py**2, axis=0) / sigma2
    others = n * np.log(2 * np.pi * sigma2) + np.sum((mean + new - y + py) ** 2, axis=0) / sigma2
    rho = n - np.trace(equations.p)
    k = ((n - p - 1) * (rho + 1) + p + 1) / (n - p - 2)
    gap = others - own
    assert gap.mean() == pytest.approx(2 * k, abs=4 * gap.std() / np.sqrt(draws))


def test_compare_shows_it() -> None:
    small, large = FITS["ml"], FITS["slopes"]
    table = mm.compare(
        FITS["slopes"],
        mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy")),
        conditional=True,
    )
    assert table["caic"][1] == pytest.approx(large.conditional_aic()["caic"][2])
    assert "caic" not in mm.compare(small, large)


STRUCTURED = {
    "serial": ("Y ~ age + (1 | id)", {"residual": "ar1(age | id)"}),
    "unequal": ("Y ~ age * sex + (1 | id)", {"variance": "ident(sex)"}),
    "slopes": ("Y ~ age + (age | id)", {"variance": "ident(sex)", "method": "ml"}),
    "marginal": ("Y ~ age + sex", {"residual": "cs(1 | id)"}),
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_errors(name: str) -> None:
    """Against dense V and R by their definition, and differences of fitted values of refits."""
    formula, options = STRUCTURED[name]
    data = mm.datasets.load("orthodont", backend="pandas").drop(index=[3, 10, 44, 45])
    fit = mm.lmm(formula, data, control=TO_ROUNDING, **options)
    n, x, v, r = fit.nobs, fit.rows.x, np.zeros((fit.nobs,) * 2), np.zeros((fit.nobs,) * 2)
    for level in data["id"].unique():
        rows = np.flatnonzero(data["id"] == level)
        v[np.ix_(rows, rows)] = np.asarray(fit.marginal_cov(str(level)))
        r[np.ix_(rows, rows)] = np.asarray(fit.residual_cov(str(level)))
    inverse = np.linalg.inv(v)
    p = inverse - inverse @ x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse)
    count = len(fit.optimum.theta) - sum(term.n_theta for term in fit.design.random)
    table = fit.conditional_aic()
    assert table["df"][0] == pytest.approx(n - np.trace(r @ p) + count, rel=1e-6)
    assert np.isnan(table["df"][1])
    deviance = n * np.log(2 * np.pi) + np.linalg.slogdet(r)[1] + fit.resid @ np.linalg.solve(r, fit.resid)
    assert -2 * table["loglik"][0] == pytest.approx(deviance, rel=1e-9)
    y, step, total = fit.response, 1e-2, 0.0
    for i in range(n):
        up, down = (fit.refit(y + sign * step * (np.arange(n) == i)).fitted[i] for sign in (1, -1))
        total += (up - down) / (2 * step)
    assert table["df"][2] == pytest.approx(total + count, rel=1e-5)


def test_every_engine_has_it() -> None:
    data, found = mm.datasets.load("orthodont"), []
    for engine in ("blocked", "sparse", "clusters"):
        control = mm.Control(engine=engine, decrement=1e-13)
        found.append(mm.lmm("Y ~ age + (age | id)", data, control=control).conditional_aic()["df"])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-6)
