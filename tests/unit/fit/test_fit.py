"""The fit itself: attributes, aliases, pickling, what it holds and what it says."""

from __future__ import annotations

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

import mixedmodels as mm
from fitted_models import MODELS, weighted_fit
from mixedmodels.fit import Fit


@pytest.fixture(scope="module")
def sleep() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def test_estimates_carry_names(sleep: Fit) -> None:
    assert list(sleep.params) == ["(Intercept)", "Days"]
    assert sleep.params["Days"] == sleep.beta[1]
    assert sleep.bse["Days"] == pytest.approx(np.sqrt(sleep.vcov[1, 1]), rel=1e-14)
    assert sleep.cov_params()["Days", "(Intercept)"] == sleep.vcov[1, 0]


def test_theta_is_that_of_lme4(sleep: Fit) -> None:
    # lme4 1.1-31, getME(fit, "theta"); its optimiser stops at about 1e-5 relative.
    np.testing.assert_allclose(sleep.theta, [0.966741774, 0.015169059, 0.230909953], atol=2e-5)


def test_theta_of_diagonal_terms_is_their_diagonal() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days || Subject)", mm.datasets.load("sleepstudy"))
    relative = np.sqrt([fit.covariances[0][0][j, j] / fit.sigma2 for j in range(2)])
    np.testing.assert_allclose(fit.theta, relative, rtol=1e-12)


@pytest.mark.parametrize(
    ("method", "aic", "bic"), [("reml", 1755.62827, 1774.78601), ("ml", 1763.93934, 1783.09709)]
)
def test_information_criteria_of_lme4(method: str, aic: float, bic: float) -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"), method=method)
    assert (fit.aic, fit.bic) == pytest.approx((aic, bic), abs=1e-5)
    assert fit.llf == fit.loglik == -fit.criterion / 2
    k, n = 6, 180
    assert fit.aicc == pytest.approx(fit.aic + 2 * k * (k + 1) / (n - k - 1), rel=1e-14)


def test_theta_of_one_common_variance_is_one_number() -> None:
    fit = mm.lmm("y ~ spline(x, degree=2, knots=20)", mm.datasets.load("curve"))
    np.testing.assert_allclose(fit.theta, [np.sqrt(fit.covariances[0][0, 0, 0] / fit.sigma2)], rtol=1e-12)


def test_copies_are_the_fit_itself(sleep: Fit) -> None:
    assert copy.copy(sleep) is sleep
    assert copy.deepcopy(sleep) is sleep


def test_counts(sleep: Fit) -> None:
    assert (sleep.nobs, sleep.ngroups, sleep.df_resid) == (180, {"Subject": 18}, 178)
    assert (sleep.n_parameters, sleep.n_covariance_parameters) == (6, 4)


@pytest.mark.parametrize("name", list(MODELS))
def test_fitted_and_residuals_add_up_to_the_response(name: str) -> None:
    fit = MODELS[name]()
    np.testing.assert_allclose(fit.fitted + fit.resid, fit.response, rtol=1e-12)


def test_offsets_are_part_of_response_and_fitted() -> None:
    fit = weighted_fit()
    assert fit.rows.offset is not None
    np.testing.assert_allclose(fit.response - fit.rows.offset, fit.rows.y)
    np.testing.assert_allclose(fit.linear_predictor, fit.rows.x @ fit.beta + fit.rows.offset)


def test_statsmodels_aliases(sleep: Fit) -> None:
    table = sleep.fixed_effects()
    np.testing.assert_array_equal(np.asarray(sleep.tvalues), table["statistic"])
    np.testing.assert_array_equal(np.asarray(sleep.pvalues), table["p_value"])
    np.testing.assert_array_equal(sleep.conf_int()["conf_low"], table["conf_low"])


@pytest.mark.parametrize("name", list(MODELS))
def test_pickle_keeps_everything_but_the_callers_data(name: str) -> None:
    fit = MODELS[name]()
    fit.random_effects()
    again = pickle.loads(pickle.dumps(fit))
    assert again.inputs.data.given is None
    assert again._cache == {}
    np.testing.assert_array_equal(again.fitted, fit.fitted)
    np.testing.assert_allclose(
        again.random_effects()["std_error"], fit.random_effects()["std_error"], rtol=1e-12
    )
    np.testing.assert_array_equal(again.fixed_effects()["p_value"], fit.fixed_effects()["p_value"])
    assert str(again) == str(fit)


def test_a_fit_cannot_be_changed(sleep: Fit) -> None:
    with pytest.raises(AttributeError):
        sleep.sigma2 = 1.0  # type: ignore[misc]


def test_tools_show_their_documentation_and_signature(sleep: Fit) -> None:
    import inspect

    assert "newdata" in inspect.signature(sleep.predict).parameters
    assert "fit" not in inspect.signature(sleep.predict).parameters
    assert Fit.predict.__doc__ is not None
    assert "random_effects" in dir(sleep)
    assert "trajectories" in dir(sleep.plot)


def test_singular_fits_say_so() -> None:
    fit = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2"))
    assert fit.singular
    assert fit.converged
    assert "variance of (Intercept) for Batch is zero" in str(fit.status[0])
    np.testing.assert_array_equal(fit.random_effects()["estimate"], 0.0)


def test_aliased_columns_are_missing_and_named() -> None:
    data = mm.datasets.load("sleepstudy").assign(twice=lambda d: 2 * d["Days"])
    fit = mm.lmm("Reaction ~ Days + twice + (1 | Subject)", data)
    assert np.isnan(fit.params["twice"])
    assert np.isnan(fit.vcov[2]).all()
    assert fit.df_resid == 178
    assert any("twice" in str(status) for status in fit.status)
    table = fit.fixed_effects()
    assert np.isnan(table["estimate"][2])
    assert not np.isnan(table["estimate"][:2]).any()


def test_rescaled_weights_only_rescale_the_residual_variance() -> None:
    data = mm.datasets.load("sleepstudy").assign(w=np.linspace(0.5, 2, 180))
    one = mm.lmm("Reaction ~ Days + (Days | Subject)", data, weights="w")
    ten = mm.lmm("Reaction ~ Days + (Days | Subject)", data, weights=10 * data["w"].to_numpy())
    # Optima are found to 1e-4 standard errors at worst.
    assert ten.sigma2 == pytest.approx(10 * one.sigma2, rel=1e-6)
    assert ten.criterion == pytest.approx(one.criterion, abs=1e-7)
    np.testing.assert_allclose(ten.fixed_effects()["std_error"], one.fixed_effects()["std_error"], rtol=1e-6)


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "dict"])
def test_tables_come_back_in_the_library_of_the_data(backend: str) -> None:
    data = mm.datasets.load("rail", backend=backend)
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", data)
    assert fit.backend == backend
    kind = dict if backend == "dict" else type(data)
    assert isinstance(fit.fixed_effects().to_frame(), kind)
    assert fit.loglik == pytest.approx(-61.0885, abs=5e-5)


def test_held_parameters_stay_and_are_not_counted() -> None:
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"),
                 hold={"var(Subject: Intercept)": 1000.0})  # fmt: skip
    assert fit.covariances[0][0, 0, 0] == pytest.approx(1000.0, rel=1e-10)
    assert fit.n_covariance_parameters == 1
    table = fit.variance_components(se=True)
    assert np.isnan(table["std_error"][0])
    assert table["std_error"][1] > 0


def test_hold_by_name_alone_needs_a_value() -> None:
    with pytest.raises(mm.SpecError, match="has no value"):
        mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"), hold=["var(Residual)"])


def test_threads_may_share_a_fit(sleep: Fit) -> None:
    fit = sleep.update()
    expected = fit.predict(se=True)["se"].copy()
    done = threading.Event()
    wrong: list[object] = []

    def predict() -> None:
        while not done.is_set():
            try:
                if not np.allclose(fit.predict(se=True)["se"], expected, rtol=1e-8):
                    wrong.append("se")
            except Exception as error:
                wrong.append(error)

    def profile() -> None:
        # moves the factorisation far from the estimates, again and again
        try:
            fit.confint("profile", terms="sd(Residual)", likelihood="reml")
            fit.refit(fit.simulate(20, seed=1))
        finally:
            done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=predict), threading.Thread(target=profile)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
