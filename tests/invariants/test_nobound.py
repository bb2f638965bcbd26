"""Covariances without bounds: identities with analysis of variance, compound symmetry, and between engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

TIGHT = mm.Control(decrement=1e-14)


def one_way(seed: int, repel: float, sizes: list[int]) -> pd.DataFrame:
    """Return clusters of the sizes given, with mean deviations shrunk by `repel` (negative: spread)."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(len(sizes)), sizes)
    e = rng.standard_normal(len(g))
    means = pd.Series(e).groupby(g).transform("mean").to_numpy()
    frame = pd.DataFrame({"g": [f"g{i:02d}" for i in g], "x": rng.standard_normal(len(g))})
    frame["w"] = rng.uniform(0.5, 2.0, len(g))
    frame["sex"] = np.where(g % 2 == 0, "F", "M")
    frame["y"] = 3 + 0.5 * frame["x"] + e - repel * means
    return frame


def split_plot(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(f"b{i}", f"w{j}", f"s{k}") for i in range(4) for j in range(3) for k in range(4)]
    frame = pd.DataFrame(rows, columns=["block", "whole", "sub"])
    frame["y"] = rng.standard_normal(48)
    return frame


def test_dyestuff2_is_the_analysis_of_variance() -> None:
    data = mm.datasets.load("dyestuff2")
    y = np.reshape(np.asarray(data["Yield"]), (6, 5))
    between, within = 5 * y.mean(axis=1).var(ddof=1), y.var(axis=1, ddof=1).mean()
    fit = mm.lmm("Yield ~ 1 + (1 | Batch)", data, bounds="none", control=TIGHT)
    assert between < within
    assert fit.covariances[0].item() == pytest.approx((between - within) / 5, rel=1e-9)
    assert fit.sigma2 == pytest.approx(within, rel=1e-9)
    assert fit.vcov.item() == pytest.approx(between / 30, rel=1e-9)
    for ddf in ("satterthwaite", "kenward-roger"):
        # the Hessian is by central differences, good to 1e-7
        assert fit.fixed_effects(ddf=ddf)["df"].item() == pytest.approx(5, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_balanced_split_plots_have_the_tests_of_the_analysis_of_variance(seed: int) -> None:
    data = split_plot(seed)
    fit = mm.lmm("y ~ whole * sub + (1 | block) + (1 | block:whole)", data, bounds="none", control=TIGHT)
    expected = split_plot_anova(data)
    for ddf in ("satterthwaite", "kenward-roger"):
        table = fit.anova(ddf=ddf)
        np.testing.assert_allclose(table["den_df"], [6, 27, 27], rtol=1e-9)
        # the second layout has a variance whose information is 1e-5 of the others': its Hessian by central
        # differences, and with it Kenward and Roger's covariance, keeps nine digits
        np.testing.assert_allclose(table["statistic"], expected, rtol=1e-8)


def split_plot_anova(data: pd.DataFrame) -> list[float]:
    """Return F of whole plots, subplots and their interaction from mean squares."""
    y = data["y"].to_numpy().reshape(4, 3, 4)
    mean = y.mean()
    block, whole, sub = y.mean((1, 2)) - mean, y.mean((0, 2)) - mean, y.mean((0, 1)) - mean
    plots = y.mean(2) - mean - block[:, None] - whole
    cells = y.mean(0) - mean - whole[:, None] - sub
    rest = y - mean - block[:, None, None] - whole[:, None] - plots[:, :, None] - sub - cells
    whole_error = 4 * np.sum(plots**2) / 6
    error = np.sum(rest**2) / 27
    return [
        16 * np.sum(whole**2) / 2 / whole_error,
        12 * np.sum(sub**2) / 3 / error,
        4 * np.sum(cells**2) / 6 / error,
    ]


@pytest.mark.parametrize("repel", [0.9, 0.5, -0.3, -2.0])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_random_intercept_is_compound_symmetry(repel: float, method: Any) -> None:
    data = one_way(4, repel, [2, 3, 4, 4, 3, 2, 4, 4, 3, 4, 4, 2])
    mixed = mm.lmm("y ~ x + (1 | g)", data, bounds="none", method=method, control=TIGHT)
    errors = mm.gls("y ~ x", data, residual="cs(1 | g)", method=method, control=TIGHT)
    assert mixed.criterion == pytest.approx(errors.criterion, abs=1e-9)
    np.testing.assert_allclose(mixed.beta, errors.beta, rtol=1e-8)
    np.testing.assert_allclose(mixed.vcov, errors.vcov, rtol=1e-8)
    np.testing.assert_allclose(mixed.marginal_cov("g02").array, errors.marginal_cov("g02").array, rtol=1e-7)
    for ddf in ("satterthwaite", "kenward-roger")[: 1 + (method == "reml")]:
        ours, theirs = (fit.fixed_effects(ddf=ddf) for fit in (mixed, errors))
        np.testing.assert_allclose(ours["df"], theirs["df"], rtol=1e-5)
        np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=1e-6)
    table = mixed.variance_components(se=True)
    theirs_table = errors.variance_components(se=True)
    # Residual then covariance there, the covariance first here
    np.testing.assert_allclose(table["std_error"], theirs_table["std_error"][::-1], rtol=1e-5)


@pytest.mark.parametrize("name", ["rail", "orthodont"])
def test_positive_optima_are_those_with_bounds(name: str) -> None:
    formula = {"rail": "travel ~ 1 + (1 | Rail)", "orthodont": "Y ~ sex * age + (age | id)"}[name]
    data = mm.datasets.load(name)
    free = mm.lmm(formula, data, bounds="none", control=TIGHT)
    usual = mm.lmm(formula, data, control=TIGHT)
    assert free.criterion == pytest.approx(usual.criterion, abs=1e-9)
    np.testing.assert_allclose(free.covariances[0], usual.covariances[0], rtol=1e-6)
    assert free.status == ()


@pytest.mark.parametrize("repel", [0.8, -1.0])
def test_groups_of_compound_symmetry(repel: float) -> None:
    """RANDOM INTERCEPT / GROUP=SEX with REPEATED / GROUP=SEX is REPEATED / TYPE=CS GROUP=SEX."""
    data = one_way(9, repel, [4] * 16)
    mixed = mm.lmm("y ~ x + (1 | g, by=sex)", data, variance="ident(sex)", bounds="none", control=TIGHT)
    errors = mm.gls("y ~ x", data, residual="cs(1 | g, by=sex)", control=TIGHT)
    assert mixed.criterion == pytest.approx(errors.criterion, abs=1e-8)
    assert (mixed.covariances[0] < 0).any() == (repel > 0)
    np.testing.assert_allclose(mixed.vcov, errors.vcov, rtol=1e-7)


def test_orthodont_by_sex() -> None:
    data = mm.datasets.load("orthodont")
    fixed = "Y ~ 0 + fem + male + fem:age + male:age"
    mixed = mm.lmm(f"{fixed} + (1 | id, by=sex)", data, variance="ident(sex)", bounds="none", control=TIGHT)
    errors = mm.gls(fixed, data, residual="cs(1 | id, by=sex)", control=TIGHT)
    assert mixed.loglik == pytest.approx(-207.3332, abs=1e-4)
    assert errors.loglik == pytest.approx(mixed.loglik, abs=1e-9)


@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | sex)", "y ~ x + diag(x | g)"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_engines_agree(formula: str, weights: str | None) -> None:
    data = one_way(6, 0.5, [6, 7, 8, 9, 6, 5, 8, 7, 9, 6, 8, 7, 6, 9])
    first, second = (
        mm.lmm(
            formula, data, weights=weights, bounds="none", control=mm.Control(engine=engine, decrement=1e-14)
        )
        for engine in ("signed", "clusters")
    )
    assert first.criterion == pytest.approx(second.criterion, abs=1e-9)
    for ours, theirs in zip(first.covariances, second.covariances, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        first._work.natural_covariance(), second._work.natural_covariance(), rtol=1e-5, atol=1e-8
    )
    for tool in ("fixed_effects", "random_effects"):
        ours, theirs = getattr(first, tool)().to_frame(), getattr(second, tool)().to_frame()
        numbers = ours.select_dtypes("number").columns
        np.testing.assert_allclose(ours[numbers], theirs[numbers], rtol=1e-5, atol=1e-7)
    at = {"x": [0.3, -0.2], "g": ["g01", "g05"], "sex": ["F", "M"], "w": [1.0, 2.0]}
    at = pd.DataFrame(at)
    for level in ("conditional", "population"):
        ours, theirs = (fit.predict(at, level=level, se=True).to_frame() for fit in (first, second))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_estimates_satisfy_their_equations_in_dense_algebra() -> None:
    """∂(−2l)/∂σ² = tr(PV̇) − y'PV̇Py = 0 at a negative component of a crossed design."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"a": np.repeat(np.arange(8), 12), "b": np.tile(np.arange(6), 16)})
    e = rng.standard_normal(96)
    data["y"] = (
        e - 0.8 * pd.Series(e).groupby(data["a"]).transform("mean") + rng.standard_normal(6)[data["b"]]
    )
    data[["a", "b"]] = data[["a", "b"]].astype(str)
    fit = mm.lmm("y ~ 1 + (1 | a) + (1 | b)", data, bounds="none", control=TIGHT)
    assert fit.covariances[0].item() < 0 < fit.covariances[1].item()
    z = [(data[name].to_numpy()[:, None] == data[name].to_numpy()).astype(float) for name in "ab"] + [
        np.eye(96)
    ]
    v = sum(s * m for s, m in zip([c.item() for c in fit.covariances] + [fit.sigma2], z, strict=True))
    inverse = np.linalg.inv(v)
    one = np.ones((96, 1))
    p = inverse - inverse @ one @ one.T @ inverse / inverse.sum()
    py = p @ data["y"].to_numpy()
    for m in z:
        assert np.trace(p @ m) == pytest.approx(py @ m @ py, rel=1e-7)
    value = 95 * np.log(2 * np.pi) + np.linalg.slogdet(v)[1] + np.log(inverse.sum()) + data["y"] @ py
    assert fit.criterion == pytest.approx(value, abs=1e-9)
