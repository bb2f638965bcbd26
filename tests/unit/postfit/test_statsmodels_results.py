"""Fits in the shape of statsmodels' results, and what marginaleffects makes of them where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit

pytest.importorskip("patsy", reason="patsy is not installed: pip install patsy")

MODELS: dict[str, Any] = {
    "slopes": lambda: mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy")),
    "factors": lambda: mm.lmm("Y ~ sex * poly(age, 2) + (age | id)", mm.datasets.load("orthodont")),
    "counts": lambda: mm.glmm(
        "y ~ log(base + 1) * trt + age + offset(age) + (1 | subject)", mm.datasets.load("epil"), "poisson"
    ),
    "shares": lambda: mm.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mm.datasets.load("cbpp"), "binomial"
    ),
}


def mean(fit: Fit, data: Any) -> np.ndarray:
    kind = {} if fit.distribution is None else {"type": "response"}
    return np.asarray(fit.predict(data, level="population", **kind))


@pytest.mark.parametrize("name", MODELS)
def test_means_are_those_of_the_fit(name: str) -> None:
    fit = MODELS[name]()
    results = fit.to_statsmodels()
    np.testing.assert_array_equal(results.params, fit.beta)
    np.testing.assert_array_equal(results.cov_params(), fit.vcov)
    kind = {} if fit.distribution is None else {"type": "response"}
    own = fit.predict(level="population", **kind)
    np.testing.assert_allclose(results.model.predict(results.params, results.model.exog), own, rtol=1e-10)
    # a buffer that is filled anew is read anew
    buffer = results.model.exog.copy()
    results.model.predict(results.params, buffer)
    buffer[:] = buffer[::-1]
    np.testing.assert_allclose(results.predict(buffer), own[::-1], rtol=1e-10)


def test_what_has_no_such_shape_is_named() -> None:
    owls = mm.datasets.load("ovary")
    with pytest.raises(mm.SpecError, match="or smooths"):
        mm.lmm("follicles ~ s(Time, bs='cr') + (1 | Mare)", owls).to_statsmodels()
    wine = mm.glmm("rating ~ temp + (1 | judge)", mm.datasets.load("wine"), "ordinal")
    with pytest.raises(mm.SpecError, match="to_statsmodels"):
        wine.to_statsmodels()
    data = mm.datasets.load("sleepstudy").rename(columns={"Days": "day of"})
    odd = mm.lmm("Reaction ~ `day of` + (1 | Subject)", data)
    with pytest.raises(mm.SpecError, match="rename 'day of'"):
        odd.to_statsmodels()


@pytest.mark.parametrize("name", MODELS)
def test_marginaleffects_takes_them(name: str) -> None:
    me = pytest.importorskip("marginaleffects", reason="marginaleffects is not installed")
    fit = MODELS[name]()
    results = fit.to_statsmodels()
    found = np.asarray(me.predictions(results)["estimate"])
    frame = results.model.data.frame
    np.testing.assert_allclose(found, mean(fit, frame), rtol=1e-8)
    if name == "slopes":
        slope = me.avg_slopes(results, variables="Days")
        row = fit.fixed_effects().row(1)
        assert slope["estimate"][0] == pytest.approx(row["estimate"], rel=1e-6)
        # theirs is by differences of means in every coefficient
        assert slope["std_error"][0] == pytest.approx(row["std_error"], rel=2e-3)
    factor = {"slopes": None, "factors": "sex", "counts": "trt", "shares": "period"}[name]
    if factor is not None:
        table = me.avg_comparisons(results, variables=factor)
        low, high = frame[factor].cat.categories[:2]
        expected = np.mean(
            mean(fit, frame.assign(**{factor: high})) - mean(fit, frame.assign(**{factor: low}))
        )
        assert table["estimate"][0] == pytest.approx(expected, rel=1e-8)
    if name == "counts":
        step = 1e-4
        ahead, behind = (mean(fit, frame.assign(base=frame["base"] + s)) for s in (step, -step))
        slope = me.avg_slopes(results, variables="base")["estimate"][0]
        assert slope == pytest.approx(np.mean(ahead - behind) / (2 * step), rel=1e-3)
