"""What users of R and statsmodels try first: subsets, scalars, lists of models, other spellings of an argument."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit

SLEEP = mm.datasets.load("sleepstudy")
FORMULA = "Reaction ~ Days + (1 | Subject)"


@pytest.fixture(scope="module")
def fit() -> Fit:
    return mm.lmm(FORMULA, SLEEP)


def test_rows_left_out_keep_their_places() -> None:
    data = SLEEP.set_axis([f"r{i}" for i in range(180)][::-1])
    data.loc["r3", "Reaction"] = np.nan
    data.loc["r100", "Subject"] = None
    fit = mm.lmm(FORMULA, data, na="exclude")
    assert fit.nobs == 178
    for values in (
        fit.resid,
        fit.fitted,
        fit.residuals("pearson"),
        fit.predict(),
        fit.predict(se=True)["se"],
    ):
        assert len(values) == 180
        assert np.isnan(values).sum() == 2
    frame = fit.augment().to_frame()
    pd.testing.assert_index_equal(frame.index, data.index)
    assert frame[".resid"].isna().sum() == 2
    assert frame.loc["r3", "Subject"] == "372"
    assert frame["Subject"].isna().tolist() == data["Subject"].isna().tolist()
    dropped = mm.lmm(FORMULA, data)
    pd.testing.assert_index_equal(dropped.augment().to_frame().index, data.index.drop(["r3", "r100"]))
    np.testing.assert_array_equal(dropped.resid, fit.resid[~np.isnan(fit.resid)])
    polars = mm.lmm(FORMULA, pl.DataFrame(data), na="exclude").augment().to_frame()
    assert polars["Subject"].null_count() == 1


def test_a_subset_is_the_model_of_those_rows() -> None:
    late = SLEEP["Days"] > 2
    right = mm.lmm(FORMULA, SLEEP[late])
    shuffled = late.sample(frac=1, random_state=1)
    for subset in (late, late.to_numpy(), shuffled, np.flatnonzero(late), late.tolist()):
        found = mm.lmm(FORMULA, SLEEP, subset=subset)
        assert found.criterion == pytest.approx(right.criterion, abs=1e-9)
        assert "126 of 180 rows chosen by subset" in str(found)
    named = mm.lmm(FORMULA, pl.DataFrame(SLEEP.assign(late=late)), subset="late")
    assert named.criterion == pytest.approx(right.criterion, abs=1e-9)
    assert named.update(method="ml").nobs == 126
    assert found.augment().to_frame().index.tolist() == SLEEP.index[late].tolist()
    assert len(mm.lmm(FORMULA, SLEEP, subset=late, na="exclude").resid) == 180


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ("Days>2", "Did you mean 'Days'"),
        ([True], "subset has 1 values for 180 rows"),
        ([500], "places go from 0 to 179"),
        ([1, 1], "twice"),
        (SLEEP["Days"] > 100, "leaves no row"),
        (np.full(180, 2.5), "values of type float64"),
    ],
)
def test_subsets_that_make_no_sense_are_refused(subset: object, message: str) -> None:
    with pytest.raises(mm.DataError, match=message):
        mm.lmm(FORMULA, SLEEP, subset=subset)


def test_predictions_take_single_values(fit: Fit) -> None:
    both = fit.predict({"Days": [3, 4], "Subject": "308"})
    assert fit.predict({"Days": 3, "Subject": "308"})[0] == both[0]
    assert fit.predict({"Days": 4, "Subject": np.array("308")})[0] == both[1]
    assert fit.predict({"Days": 3}, level="population")[0] == pytest.approx(fit.beta @ [1, 3])


def test_predictions_of_a_transformed_response_transform_back() -> None:
    fit = mm.lmm("log(Reaction) ~ Days + (1 | Subject)", SLEEP)
    rows = {"Days": [0, 3], "Subject": "308"}
    plain = fit.predict(rows, interval="prediction")
    back = fit.predict(rows, interval="prediction", type="response")
    for column in ("fit", "lower", "upper"):
        np.testing.assert_allclose(back[column], np.exp(plain[column]))
    np.testing.assert_allclose(back["se"], np.exp(plain["fit"]) * plain["se"])
    np.testing.assert_allclose(fit.predict(type="response"), np.exp(fit.predict()))
    assert "transformed back from log(Reaction)" in back.notes[-1]
    squared = mm.lmm("I(Reaction**2) ~ Days + (1 | Subject)", SLEEP)
    with pytest.raises(mm.SpecError, match="has no known inverse"):
        squared.predict(type="response")


def test_the_response_itself_needs_no_transforming(fit: Fit) -> None:
    np.testing.assert_array_equal(fit.predict(type="response"), fit.predict())


def test_other_spellings(fit: Fit) -> None:
    assert fit.formula == FORMULA
    assert mm.lmm(FORMULA, SLEEP, method="REML").criterion == fit.criterion  # type: ignore[arg-type]
    assert mm.lmm(FORMULA, SLEEP, method="ML").spec.method == "ml"  # type: ignore[arg-type]
    smaller = fit.update(". ~ . - Days")
    assert str(mm.compare([fit, smaller])) == str(mm.compare(fit, smaller))
    assert str(fit.conf_int(alpha=0.1)) == str(fit.conf_int(0.9))
    with pytest.raises(mm.SpecError, match=r"for statsmodels' alpha write alpha=0.05"):
        fit.conf_int(0.05)
    with pytest.raises(mm.SpecError, match="alpha=5"):
        fit.conf_int(alpha=5)
    assert len(fit.bootstrap(20, seed=1).replicates) == 20
    with pytest.raises(mm.SpecError, match="stat='sigma' must be a function"):
        fit.bootstrap("sigma")
    with pytest.raises(mm.SpecError, match=r"n=2.5 must be a whole number"):
        fit.bootstrap(n=2.5)  # type: ignore[arg-type]
    assert str(fit.confint(terms=None)) == str(fit.confint())


def test_hypotheses_are_named(fit: Fit) -> None:
    assert fit.wald("Days").row(0) == {
        "term": "Days",
        **{k: v for k, v in fit.fixed_effects().row(1).items() if k != "term"},
    }
    assert fit.wald(["Days", "(Intercept)"])["estimate"].tolist() == fit.beta[::-1].tolist()
    cake = mm.lmm("angle ~ recipe + temperature + (1 | recipe:replicate)", mm.datasets.load("cake"))
    own = cake.anova()
    assert cake.test("recipe")["statistic"][0] == pytest.approx(own["statistic"][0])
    assert cake.wald("temperature", joint=True)["p_value"][0] == pytest.approx(own["p_value"][1])


def test_the_figures_of_a_fit_are_listed(fit: Fit) -> None:
    assert "fit.plot.trajectories(…)" in repr(fit.plot)
    assert not [name for name in dir(fit.plot) if name == "fit"]
    with pytest.raises(mm.SpecError, match=r"call one of them: fit\.plot\.trajectories\(\)"):
        fit.plot()  # type: ignore[operator]
