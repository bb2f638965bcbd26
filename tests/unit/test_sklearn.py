"""The scikit-learn estimator: scikit-learn's own checks, groups by routing, and the numbers of `mm.lmm`."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import mixedmodels as mm
from mixedmodels.sklearn import MixedModelRegressor
from mixedmodels.typing import Array


@pytest.mark.parametrize(
    ("estimator", "check"),
    list(estimator_checks_generator(MixedModelRegressor())),
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", "model"),
)
def test_scikit_learn_accepts_it(estimator: MixedModelRegressor, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def grouped() -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 6)
    x = rng.normal(size=(180, 2))
    return x, x @ [1.0, -0.5] + rng.normal(size=30)[groups] + 0.3 * rng.normal(size=180), groups


def test_numbers_are_those_of_lmm() -> None:
    x, y, groups = grouped()
    model = MixedModelRegressor(random="1 + x0").fit(x, y, groups=groups)
    fit = mm.lmm("y ~ a + b + (1 + a | g)", {"y": y, "a": x[:, 0], "b": x[:, 1], "g": groups})
    np.testing.assert_allclose(model.predict(x, groups=groups), fit.fitted, rtol=1e-6)
    np.testing.assert_allclose(model.predict(x), fit.linear_predictor, rtol=1e-6)
    new = model.predict(x[:2], groups=[groups[0], 99])
    assert new[0] == pytest.approx(fit.fitted[0], rel=1e-6)
    assert new[1] == pytest.approx(fit.linear_predictor[1], rel=1e-6)


def test_a_formula_names_columns_of_a_frame() -> None:
    sleep = mm.datasets.load("sleepstudy")
    model = MixedModelRegressor("Days + (Days | Subject)").fit(sleep[["Days", "Subject"]], sleep["Reaction"])
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    np.testing.assert_allclose(model.predict(sleep[["Days", "Subject"]]), fit.fitted, rtol=1e-7)
    with pytest.raises(mm.SpecError, match="data frame"):
        MixedModelRegressor("Days").fit(sleep[["Days"]].to_numpy(), sleep["Reaction"])


def test_groups_reach_it_through_pipelines_by_metadata_routing() -> None:
    x, y, groups = grouped()
    with sklearn.config_context(enable_metadata_routing=True):
        own = MixedModelRegressor().set_fit_request(groups=True).set_predict_request(groups=True)
        pipeline = make_pipeline(StandardScaler(), own)
        pipeline.fit(x, y, groups=groups)
        assert pipeline[-1].fit_.ngroups == {"group": 30}
        scores = cross_val_score(
            make_pipeline(StandardScaler(), MixedModelRegressor().set_fit_request(groups=True)),
            x, y, cv=GroupKFold(3), params={"groups": groups},
        )  # fmt: skip
    assert scores.shape == (3,)
