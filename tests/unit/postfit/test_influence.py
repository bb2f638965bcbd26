"""Deletion diagnostics: one step against refits and dense algebra, every kind of model and of set."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit
from mixedmodels.postfit import removed_rows
from mixedmodels.typing import Array


def crossed(n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"a": rng.integers(0, 9, n), "b": rng.integers(0, 7, n), "x": rng.normal(size=n)})
    data["w"] = rng.uniform(0.5, 2.0, n)
    data["y"] = data.x + rng.normal(size=9)[data.a] + rng.normal(size=7)[data.b] + rng.normal(size=n)
    return data


def dense(fit: Fit, kept: Array, v: Array) -> tuple[Array, Array]:
    """Return β̂ and its covariance from some rows at known V."""
    x, y = fit.rows.x[kept], fit.rows.y[kept]
    inverse = np.linalg.inv(v[np.ix_(kept, kept)])
    phi = np.linalg.inv(x.T @ inverse @ x)
    return phi @ x.T @ inverse @ y, phi


def marginal(fit: Fit) -> Array:
    at = removed_rows.CovarianceAt.of(fit)
    return at.among(np.arange(fit.nobs)[None], at.errors())[0]


MODELS = {
    "crossed": lambda d: mm.lmm("y ~ x + (1 | a) + (1 | b)", d),
    "weights": lambda d: mm.lmm("y ~ x + (x | a)", d, weights="w", method="ml"),
    "variances": lambda d: mm.lmm("y ~ x + (1 | a)", d, variance="exp(w)"),
    "errors": lambda d: mm.gls("y ~ x", d, residual="cs(1 | a)"),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("by", ["obs", "b"])
def test_fixed_effects_without_rows_are_those_of_dense_algebra(name: str, by: str) -> None:
    data = crossed()
    fit = MODELS[name](data)
    table, v = fit.influence(by=by), marginal(fit)
    levels = np.arange(fit.nobs) if by == "obs" else data["b"].to_numpy()
    for i in range(0, len(table), 5):
        kept = levels != table["level"][i]
        beta, phi = dense(fit, kept, v)
        delta, inverse = fit.beta - beta, np.linalg.inv(fit.cov_params(ddf="asymptotic"))
        assert table["cooks_d"][i] == pytest.approx(delta @ inverse @ delta / 2, rel=1e-7)
        press = np.sum((fit.rows.y - fit.rows.x @ beta)[~kept] ** 2)
        assert table["press"][i] == pytest.approx(press, rel=1e-9)
        scale = table["covratio"][i] / np.linalg.det(inverse @ phi)
        assert np.sqrt(scale) * np.trace(inverse @ phi) - 2 == pytest.approx(
            table["covtrace"][i], abs=1e-8
        ) or np.sqrt(scale) * np.trace(inverse @ phi) - 2 == pytest.approx(-table["covtrace"][i], abs=1e-8)


@pytest.mark.parametrize("by", ["obs", "a"])
def test_equations_and_matrices_give_the_same(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = MODELS["crossed"](crossed())
    formed = fit.influence(by=by)
    monkeypatch.setattr(removed_rows, "LARGEST", 10)
    solved = fit.influence(by=by)
    for column in formed.names[1:]:
        # second differences of −2l carry rounding of 1e-9
        np.testing.assert_allclose(solved[column], formed[column], rtol=1e-5, atol=1e-7, err_msg=column)


def far_from_refits(groups: int) -> dict[str, float]:
    """Return the largest error of one step by measure, relative to the largest value."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(groups), 5)
    data = {"g": g, "x": rng.normal(size=len(g))}
    data["y"] = data["x"] + rng.normal(size=groups)[g] + rng.normal(size=len(g))
    fit = mm.lmm("y ~ x + (1 | g)", data)
    step, exact = fit.influence(by="g"), fit.influence(by="g", refit=True, threads=2)
    names = ("cooks_d", "mdffits", "press", "dfbetas[x]", "cooks_d_theta", "likelihood_displacement")
    return {name: float(np.abs(step[name] - exact[name]).max() / np.abs(exact[name]).max()) for name in names}


def test_one_step_comes_near_the_refit_as_levels_become_many() -> None:
    few, many = far_from_refits(60), far_from_refits(240)
    for name, error in many.items():
        # what a step leaves out is of the order of the share of a level: a quarter, by chance a half
        assert error < few[name] / 2, name


def test_maximum_likelihood_counts_the_fixed_effects_in_the_displacement() -> None:
    data = crossed()
    fit = MODELS["weights"](data)
    found = fit.influence(by="a", refit=True)
    level = int(found["level"][2])
    other = mm.lmm(fit.formula, data[data.a != level], weights="w", method="ml")
    whole = mm.lmm(
        fit.formula,
        data,
        weights="w",
        method="ml",
        hold={name: float(v) for name, v in natural(other).items()},
    )
    gap = whole.beta - other.beta
    lost = whole.criterion - fit.criterion + gap @ np.linalg.solve(whole.cov_params(ddf="asymptotic"), gap)
    assert found["likelihood_displacement"][2] == pytest.approx(lost, rel=1e-5, abs=1e-6)


def natural(fit: Fit) -> dict[str, float]:
    found = fit._work.criterion().natural(fit.optimum.theta)
    return dict(zip(found.names, found.values.tolist(), strict=True))


def test_a_level_that_alone_determines_an_effect_is_left_empty_and_named() -> None:
    data = crossed()
    data["only"] = (data.a == 4).astype(float)
    fit = mm.lmm("y ~ x + only + (1 | b)", data)
    for refit in (False, True):
        table = fit.influence(by="a", refit=refit)
        alone = table["level"] == 4
        assert np.isnan(table["cooks_d"][alone]).all()
        assert np.isfinite(table["cooks_d"][~alone]).all()
        told = next(note for note in table.notes if "estimable" in note)
        assert "4" in told


def test_generalised_models_are_fitted_again() -> None:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(8), 12)
    y = rng.poisson(np.exp(0.5 + rng.normal(size=8)[g] * 0.4))
    data = {"g": g, "x": rng.normal(size=96), "y": y}
    fit = mm.glmm("y ~ x + (1 | g)", data, family="poisson")
    with pytest.raises(SpecError, match="refit=True"):
        fit.influence(by="g")
    table = fit.influence(by="g", refit=True)
    other = mm.glmm("y ~ x + (1 | g)", {k: np.asarray(v)[g != 3] for k, v in data.items()}, family="poisson")
    gap = fit.beta - other.beta
    inverse = np.linalg.inv(np.asarray(fit.cov_params(ddf="asymptotic")))
    assert table["cooks_d"][3] == pytest.approx(gap @ inverse @ gap / 2, rel=1e-4)
    assert (table["likelihood_displacement"] > 0).all()
    assert not {"press", "dffits"} & set(table.names)
    assert table.notes[0].startswith("no dffits and press")


def test_every_likelihood_is_fitted_again_without_rows_of_a_data_frame() -> None:
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(6), 20)
    x, w = rng.normal(size=120), rng.integers(1, 4, size=120)
    rate = np.exp(0.4 + 0.5 * x + 0.5 * rng.normal(size=6)[g])
    y = np.where(rng.random(120) < 0.25, 0, rng.poisson(rate))
    data = {"g": g, "x": x, "y": y, "w": w, "size": np.full(120, 2.0)}
    formula = "y ~ x + offset(log(size)) + (1 | g)"
    options = {"zero_inflation": "~ 1", "frequency": "w"}
    fit = mm.glmm(formula, data, family="poisson", **options)
    kept = {name: np.asarray(values)[g != 2] for name, values in data.items()}
    other = mm.glmm(formula, kept, family="poisson", **options)
    for array in data.values():
        # a fit owns its rows
        array[:] = 0
    table = pickle.loads(pickle.dumps(fit)).influence(by="g", refit=True)
    gap = np.asarray(fit.beta - other.beta)
    error = np.sqrt(np.diag(np.asarray(other.cov_params(ddf="asymptotic"))))
    found = [table[f"dfbetas[{name}]"][2] for name in fit.design.fixed.columns]
    assert len(found) == 3
    np.testing.assert_allclose(found, gap / error, rtol=2e-4, atol=1e-5)


def test_refits_with_a_known_covariance_keep_it() -> None:
    rng = np.random.default_rng(6)
    root = rng.normal(size=(12, 12))
    names = [f"s{i}" for i in range(12)]
    a = pd.DataFrame(np.eye(12) + root @ root.T / 12, index=names, columns=names)
    g = np.repeat(np.arange(12), 4)
    data = pd.DataFrame({"g": np.array(names)[g], "y": rng.normal(size=12)[g] + rng.normal(size=48)})
    fit = mm.lmm("y ~ 1 + (1 | g, cov=A)", data, known={"A": a})
    exact, step = fit.influence(by="g", refit=True), fit.influence(by="g")
    other = mm.lmm("y ~ 1 + (1 | g, cov=A)", data[data.g != "s3"], known={"A": a})
    at = exact["level"].tolist().index("s3")
    assert exact["dfbetas[(Intercept)]"][at] * (fit.beta - other.beta)[0] > 0
    assert exact["cooks_d"][at] == pytest.approx(
        (fit.beta - other.beta)[0] ** 2 / float(np.asarray(fit.cov_params(ddf="asymptotic"))[0, 0]), rel=1e-4
    )
    assert np.isfinite(step["cooks_d"]).all()


def test_external_residuals_are_refused_where_errors_have_several_variances() -> None:
    fit = MODELS["variances"](crossed())
    with pytest.raises(SpecError, match="student-external"):
        fit.residuals("student-external")


def test_leverages_are_the_slopes_of_fitted_values() -> None:
    data = crossed(60)
    for fit in (MODELS["crossed"](data), MODELS["errors"](data)):
        v = marginal(fit)
        x = fit.rows.x
        inverse = np.linalg.inv(v)
        hat = x @ np.linalg.inv(x.T @ inverse @ x) @ x.T @ inverse
        np.testing.assert_allclose(fit.leverage("marginal"), np.diag(hat), rtol=1e-8)
        if fit.design.random:
            p = inverse @ (np.eye(60) - hat)
            np.testing.assert_allclose(fit.leverage(), 1 - fit.sigma2 * np.diag(p), rtol=1e-8)


def test_a_perfect_fit_has_no_measures_and_says_why() -> None:
    fit = mm.lm("y ~ x", {"x": np.arange(6.0), "y": 2.0 * np.arange(6.0)})
    table = fit.influence()
    assert np.isnan(table["cooks_d"]).all()
    assert table.notes[0].startswith("no measures: ")
    assert fit.check()["verdict"][0] == "problem"


def test_arguments_that_are_not_known_are_named() -> None:
    fit = MODELS["crossed"](crossed())
    with pytest.raises(SpecError, match="neither 'obs' nor"):
        fit.influence(by="aa")
    with pytest.raises(SpecError, match="refit="):
        fit.influence(refit="yes")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="threads="):
        fit.influence(refit=True, threads=0)


def test_a_long_step_is_said_to_be_rough() -> None:
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(20), 5)
    b = np.append(rng.normal(size=19), 3.0)
    fit = mm.lmm("y ~ 1 + (1 | g)", {"g": g, "y": b[g] + 0.5 * rng.normal(size=100)})
    step, exact = fit.influence(by="g"), fit.influence(by="g", refit=True)
    assert step["cooks_d_theta"][19] > 4.0 * exact["cooks_d_theta"][19]
    assert "rough (refit=True is exact) without g 19" in step.notes[-1]
    assert "rough" not in " ".join(exact.notes)
