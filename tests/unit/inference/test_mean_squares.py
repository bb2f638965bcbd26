"""Analyses of variance with expected mean squares, and variance components by moments."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def unbalanced() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    data = pd.DataFrame(
        {
            "a": np.repeat(list("pqrstu"), 12),
            "b": np.tile(np.repeat(list("klm"), 4), 6),
            "x": rng.normal(size=72),
        }
    )
    effect = dict(zip("pqrstu", 2.0 * rng.normal(size=6), strict=True))
    data["y"] = 10.0 + data["a"].map(effect) + rng.normal(size=18).repeat(4) + rng.normal(size=72)
    return data.sample(frac=0.75, random_state=1).reset_index(drop=True)


def variances(fit: mm.Fit) -> list[float]:
    return [*(float(term[0, 0, 0]) for term in fit.covariances), fit.sigma2]


def test_balanced_designs_have_one_answer() -> None:
    data = mm.datasets.load("oats")
    formula = "yield ~ Variety * factor(nitro) + (1 | Block) + (1 | Block:Variety)"
    reml = variances(mm.lmm(formula, data))
    for method in ("type1", "type2", "type3", "mivque0"):
        # REML's search ends within 1e-6 of its standard errors
        assert variances(mm.lmm(formula, data, method=method)) == pytest.approx(reml, rel=1e-5)


def test_the_split_plot_table() -> None:
    """Yates' oats, as in every textbook: MS 3175.06, 601.33, 177.08; F 1.49 on 2 and 10, 37.69 and .30 on 45."""
    data = mm.datasets.load("oats")
    fit = mm.lmm("yield ~ Variety * factor(nitro) + (1 | Block) + (1 | Block:Variety)", data, method="type1")
    table = fit.mean_squares()
    at = {name: i for i, name in enumerate(table["source"].tolist())}
    assert table["mean_square"][at["Block"]] == pytest.approx(3175.056, abs=1e-3)
    assert table["mean_square"][at["Block:Variety"]] == pytest.approx(601.331, abs=1e-3)
    assert table["mean_square"][at["Residual"]] == pytest.approx(177.083, abs=1e-3)
    assert table["statistic"][at["Variety"]] == pytest.approx(1.4853, abs=1e-4)
    assert table["error_df"][at["Variety"]] == pytest.approx(10.0)
    assert table["error_term"][at["Variety"]] == "MS(Block:Variety)"
    assert table["statistic"][at["C(nitro)"]] == pytest.approx(37.6856, abs=1e-3)
    assert table["expected"][at["Block"]] == "Var(Residual) + 4 Var(Block:Variety) + 12 Var(Block)"


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_expectations_are_those_of_quadratic_forms(kind: int, unbalanced: pd.DataFrame) -> None:
    """Means of mean squares over responses drawn from the model."""
    formula = "y ~ x + (1 | a) + (1 | a:b)"
    fit = mm.lmm(formula, unbalanced, method=f"type{kind}")
    table = fit.mean_squares()
    true = {"Var(a)": 4.0, "Var(a:b)": 1.0, "Var(Residual)": 2.0}
    rng = np.random.default_rng(3)
    group, cell = (pd.factorize(key)[0] for key in (unbalanced["a"], unbalanced["a"] + unbalanced["b"]))
    drawn = []
    for _ in range(300):
        y = (
            2.0 * rng.normal(size=6)[group]
            + rng.normal(size=18)[cell]
            + np.sqrt(2.0) * rng.normal(size=len(group))
        )
        drawn.append(
            mm.lmm(formula, unbalanced.assign(y=y), method=f"type{kind}").mean_squares()["mean_square"]
        )
    means, errors = np.mean(drawn, axis=0), np.std(drawn, axis=0) / np.sqrt(300)
    for i, source in enumerate(table["source"].tolist()):
        if source == "x":
            continue
        parts = [part.rpartition(" ") for part in table["expected"][i].split(" + ")]
        expected = sum(float(size or 1.0) * true[name] for size, _, name in parts)
        # four Monte Carlo errors
        assert abs(means[i] - expected) < 4.0 * errors[i]


def test_estimates_equate_the_two(unbalanced: pd.DataFrame) -> None:
    fit = mm.lmm("y ~ x + (1 | a) + (1 | a:b)", unbalanced, method="type3")
    table = fit.mean_squares()
    own = dict(zip(("Var(a)", "Var(a:b)", "Var(Residual)"), variances(fit), strict=True))
    for i, source in enumerate(table["source"].tolist()):
        if source == "x":
            continue
        parts = [part.rpartition(" ") for part in table["expected"][i].split(" + ")]
        expected = sum(float(size or 1.0) * own[name] for size, _, name in parts)
        # coefficients are printed to six digits
        assert table["mean_square"][i] == pytest.approx(expected, rel=1e-5)


def test_negative_estimates_are_kept() -> None:
    rng = np.random.default_rng(11)
    data = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "y": rng.normal(size=30)})
    data["y"] -= 0.8 * data.groupby("g")["y"].transform("mean")
    fit = mm.lmm("y ~ 1 + (1 | g)", data, method="type3")
    means = data.groupby("g")["y"].mean()
    within = data["y"] - data["g"].map(means)
    error = float(np.sum(within**2)) / 24
    assert fit.sigma2 == pytest.approx(error)
    assert fit.covariances[0][0, 0, 0] == pytest.approx(float(means.var()) - error / 5)
    assert fit.covariances[0][0, 0, 0] < 0


def test_mivque0_is_one_step_from_independence(unbalanced: pd.DataFrame) -> None:
    x = np.column_stack([np.ones(len(unbalanced)), unbalanced["x"]])
    m = np.eye(len(x)) - x @ np.linalg.solve(x.T @ x, x.T)
    z = [pd.get_dummies(key).to_numpy(float) for key in (unbalanced["a"], unbalanced["a"] + unbalanced["b"])]
    parts = [z[0] @ z[0].T, z[1] @ z[1].T, np.eye(len(x))]
    s = [[np.trace(m @ one @ m @ two) for two in parts] for one in parts]
    y = m @ unbalanced["y"].to_numpy()
    expected = np.linalg.solve(s, [y @ one @ y for one in parts])
    fit = mm.lmm("y ~ x + (1 | a) + (1 | a:b)", unbalanced, method="mivque0")
    assert variances(fit) == pytest.approx(expected, rel=1e-8)


def test_order_of_rows_names_and_pickling_change_nothing(unbalanced: pd.DataFrame) -> None:
    fit = mm.lmm("y ~ x + (1 | a) + (1 | a:b)", unbalanced, method="type3")
    other = unbalanced.sample(frac=1, random_state=5).assign(a=lambda d: d["a"].map(lambda one: f"zz {one}"))
    again = mm.lmm("y ~ x + (1 | a) + (1 | a:b)", other.rename(columns={"a": "my a"}).rename(columns={"my a": "a"}),
                   method="TYPE3")  # fmt: skip
    assert variances(again) == pytest.approx(variances(fit), rel=1e-9)
    assert pickle.loads(pickle.dumps(fit)).beta == pytest.approx(fit.beta)
    assert fit.update(". ~ . - x").spec.moments == "type3"


def test_what_goes_by_a_likelihood_is_refused(unbalanced: pd.DataFrame) -> None:
    fit = mm.lmm("y ~ x + (1 | a) + (1 | a:b)", unbalanced, method="type3")
    reml = fit.update(method="reml")
    assert reml.spec.moments is None
    for call in (
        lambda: fit.profile(),
        lambda: fit.confint("profile"),
        lambda: mm.compare(fit, reml),
        lambda: fit.refit(unbalanced["y"].to_numpy()),
        lambda: fit.covtest("zerog"),
        lambda: fit.bootstrap(n=5),
    ):
        with pytest.raises(mm.SpecError, match=r"fit\.update\(method='reml'\)"):
            call()
    assert "method of moments (type3)" in str(fit)


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ x + (x | a)", {}, "several columns"),
        ("y ~ x", {}, "no random terms"),
        ("y ~ x + (1 | a)", {"residual": "ar1(x | a)"}, "structured errors"),
        ("y ~ x + a + (1 | a)", {}, "nothing is left to estimate the variance from"),
        ("y ~ x + (1 | a, by=b)", {}, "the term"),
    ],
)
def test_other_models_are_refused(
    formula: str, options: dict[str, str], message: str, unbalanced: pd.DataFrame
) -> None:
    with pytest.raises((mm.SpecError, mm.DataError), match=message):
        mm.lmm(formula, unbalanced, method="type3", **options)
