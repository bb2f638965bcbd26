"""Refitting to other responses and data, and updating."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import mixedmodels as mm
from fitted_models import MODELS, weighted_fit
from mixedmodels.fit import Fit
from mixedmodels.postfit.refit import Refits


@pytest.fixture(scope="module")
def sleep() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


@pytest.mark.parametrize("name", list(MODELS))
def test_a_refit_is_the_fit_of_the_new_response(name: str) -> None:
    fit = MODELS[name]()
    y = fit.simulate(1, seed=11)[:, 0]
    refitted = fit.refit(y)
    assert isinstance(refitted, Fit)
    assert fit.inputs is not None
    data = (
        dict(fit.inputs.data.given)
        if isinstance(fit.inputs.data.given, dict)
        else fit.inputs.data.given.copy()
    )
    column = fit.spec.response
    new = np.array(data[column], dtype=float)
    new[slice(None) if fit.rows.used is None else fit.rows.used] = y
    data[column] = new
    fresh = fit.update(data=data)
    assert refitted.criterion == pytest.approx(fresh.criterion, abs=1e-6)
    # Both searches stop within 1e-4 standard errors of the same optimum.
    np.testing.assert_allclose(refitted.beta, fresh.beta, rtol=1e-5)


def test_many_responses_give_the_same_as_one_by_one(sleep: Fit) -> None:
    responses = sleep.simulate(4, seed=2)
    many = sleep.refit(responses)
    assert isinstance(many, Refits)
    assert len(many) == 4
    for i in range(4):
        one = sleep.refit(responses[:, i])
        np.testing.assert_allclose(many.beta[i], one.beta, rtol=1e-8)
        assert many.criterion[i] == pytest.approx(one.criterion, abs=1e-8)
        assert many.sigma2[i] == pytest.approx(one.sigma2, rel=1e-8)
    assert list(many.table()) == ["(Intercept)", "Days", "sigma", "criterion", "converged", "singular"]


def test_refit_leaves_the_fit_as_it_was(sleep: Fit) -> None:
    before = sleep.random_effects()["std_error"].copy()
    fresh = pickle.loads(pickle.dumps(sleep))
    sleep.refit(3 * sleep.response)
    np.testing.assert_array_equal(sleep.random_effects()["std_error"], before)
    fresh.refit(3 * fresh.response)
    np.testing.assert_allclose(fresh.random_effects()["std_error"], before, rtol=1e-12)


def test_the_response_may_cover_all_rows_of_the_data() -> None:
    fit = weighted_fit()
    assert fit.inputs is not None
    whole = np.array(fit.inputs.data.given["y"])
    assert len(whole) == fit.nobs + 1
    again = fit.refit(whole)
    assert again.criterion == pytest.approx(fit.criterion, abs=1e-7)


def test_a_frame_is_new_data() -> None:
    data = mm.datasets.load("sleepstudy")
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", data)
    half = data[data["Days"] < 5]
    again = fit.refit(half)
    assert again.nobs == 90
    assert again.criterion == mm.lmm("Reaction ~ Days + (1 | Subject)", half).criterion


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(7), "has 7 rows and the model 180"),
        (np.full(180, np.nan), "missing or infinite"),
        (np.ones((180, 2, 2)), "3 dimensions"),
    ],
)
def test_unusable_responses_are_named(sleep: Fit, y: np.ndarray, message: str) -> None:
    with pytest.raises(mm.DataError, match=message):
        sleep.refit(y)


def test_update_changes_what_is_given_and_keeps_the_rest() -> None:
    data = mm.datasets.load("sleepstudy").assign(w=np.linspace(1, 2, 180))
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", data, weights="w")
    smaller = fit.update(". ~ . - (Days | Subject) + (1 | Subject)", method="ml")
    direct = mm.lmm("Reaction ~ Days + (1 | Subject)", data, weights="w", method="ml")
    assert smaller.criterion == direct.criterion
    assert smaller.spec.weights == "w"
    unweighted = fit.update(weights=None)
    assert unweighted.rows.weights is None
    assert fit.update(ddf="asymptotic").fixed_effects()["df"].tolist() == [np.inf, np.inf]


def test_update_keeps_weights_given_as_an_array_with_their_data() -> None:
    data = mm.datasets.load("sleepstudy")
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", data, weights=np.linspace(1, 2, 180))
    assert fit.update(method="ml").rows.weights is not None
    with pytest.raises(mm.SpecError, match="give weights= for the new"):
        fit.update(data=data)


def test_an_unpickled_fit_updates_from_its_own_columns(sleep: Fit) -> None:
    again = pickle.loads(pickle.dumps(sleep))
    assert again.update(method="ml").criterion == sleep.update(method="ml").criterion
    assert again.update(data=mm.datasets.load("sleepstudy")).criterion == sleep.criterion


def test_what_becomes_of_a_dict_of_arrays_changes_no_fit() -> None:
    data = {name: np.array(values) for name, values in mm.datasets.load("sleepstudy").items()}
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", data)
    before = str(fit.emtrends("Days")), str(fit.augment())
    data["Reaction"][:] = 0.0
    data["Days"] = None  # type: ignore[assignment]
    assert (str(fit.emtrends("Days")), str(fit.augment())) == before
    assert fit.update(". ~ 1 + (1 | Subject)").nobs == 180
