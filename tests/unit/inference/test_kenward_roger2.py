"""Kenward and Roger (2009): the formula by dense algebra, its invariance, linear structures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference.ddf import choose_method
from mixedmodels.inference.sensitivity import Information
from mixedmodels.typing import Array

TO_ROUNDING = mm.Control(decrement=1e-12)


def adjusted(fit: mm.Fit, method: str = "kenward-roger2", information: Information = "observed") -> Array:
    own = choose_method(method, information=information).vcov(fit)
    return fit.solution.basis.covariance(own)


def growth(ages: tuple[int, ...]) -> pd.DataFrame:
    data = mm.datasets.load("orthodont", backend="pandas")
    return data[data["age"].isin(ages)].drop(index=[4, 21, 40, 62], errors="ignore")


@pytest.mark.parametrize("information", ["observed", "expected"])
@pytest.mark.parametrize(
    ("linear", "other", "ages"),
    [
        ("us", "hcs", (8, 10)),
        ("us", "ante1", (8, 10)),
        ("cs", "ar1", (8, 10)),
        ("us", "fa0(2)", (8, 10)),
        ("us", "fa0(3)", (8, 10, 14)),
    ],
)
def test_one_family_in_two_parametrisations(
    linear: str, other: str, ages: tuple[int, ...], information: Information
) -> None:
    data = growth(ages)
    a, b = (
        mm.gls("Y ~ age * sex", data, residual=f"{name}(age | id)", control=TO_ROUNDING)
        for name in (linear, other)
    )
    assert a.criterion == pytest.approx(b.criterion, abs=1e-7)
    # optima of the two searches agree to about 1e-8
    np.testing.assert_allclose(
        adjusted(b, information=information), adjusted(a, information=information), rtol=2e-6
    )
    np.testing.assert_allclose(
        adjusted(a, information=information), adjusted(a, "kenward-roger", information), rtol=1e-12
    )
    first = adjusted(b, "kenward-roger", information) / adjusted(a, "kenward-roger", information)
    if other.startswith("fa0"):
        # of full order it is the unstructured matrix, in whose variances and covariances V is linear
        np.testing.assert_allclose(first, 1.0, rtol=2e-6)
    else:
        assert np.abs(first - 1).max() > 1e-3


@pytest.mark.parametrize("other", ["hcs", "fa0(2)"])
def test_random_effects_in_two_parametrisations(other: str) -> None:
    data = mm.datasets.load("sleepstudy", backend="pandas").iloc[:-7]
    a, b = (
        mm.lmm(f"Reaction ~ Days + {name}(1 + Days | Subject)", data, control=TO_ROUNDING)
        for name in ("us", other)
    )
    # differences of traces leave about 1e-8
    np.testing.assert_allclose(adjusted(b), adjusted(a), rtol=2e-6)
    moved = np.abs(adjusted(b, "kenward-roger") / adjusted(a, "kenward-roger") - 1).max()
    # fa0 of full order is read as the unstructured matrix that it is
    assert moved < 2e-6 if other == "fa0(2)" else moved > 1e-5
    assert b.fixed_effects(ddf="kr2")["df"] == pytest.approx(a.fixed_effects(ddf="kr")["df"], rel=1e-5)


@pytest.mark.parametrize("random", ["", " + (1 | id)"])
def test_ratios_of_variances_or_the_variances(random: str) -> None:
    """`ident(sex)` reports a ratio, by=sex the same model has two variances: SAS's scale, on which both are tested."""
    data = mm.datasets.load("orthodont", backend="pandas").drop(index=[3, 10, 44, 45, 90])
    formula = "Y ~ age * sex" + random
    a = mm.lmm(formula, data, residual="homdiag(age | id, by=sex)", control=TO_ROUNDING)
    b = mm.lmm(formula, data, variance="ident(sex)", control=TO_ROUNDING)
    assert a.criterion == pytest.approx(b.criterion, abs=1e-7)
    np.testing.assert_allclose(adjusted(b), adjusted(a), rtol=2e-6)
    np.testing.assert_allclose(adjusted(a), adjusted(a, "kenward-roger"), rtol=1e-12)
    np.testing.assert_allclose(adjusted(b, "kenward-roger"), adjusted(a, "kenward-roger"), rtol=2e-6)


def serial() -> tuple[pd.DataFrame, list[Array]]:
    """Eight subjects, two to six visits, and the positions of the visits of each."""
    rng = np.random.default_rng(4)
    visits = [np.sort(rng.choice(6, size, replace=False)) for size in (2, 3, 4, 5, 6, 6, 3, 4)]
    ids = np.repeat(np.arange(8), [len(v) for v in visits])
    time = np.concatenate(visits)
    y = rng.standard_normal(len(ids)) + 0.8 * rng.standard_normal(8)[ids] + 0.3 * time
    data = pd.DataFrame({"y": y, "id": ids, "time": time.astype(float), "visit": time, "arm": ids % 2})
    return data, visits


def dense(data: pd.DataFrame, v: Callable[[Array], Array], theta: Array) -> Array:
    """The covariance of the paper by its definition, derivatives of V by differences, expected information."""
    x = np.column_stack([np.ones(len(data)), data["time"], data["arm"]])
    k, h = len(theta), 1e-4
    unit = h * np.eye(k)
    inverse = np.linalg.inv(v(theta))
    first = [(v(theta + e) - v(theta - e)) / (2 * h) for e in unit]
    second = [
        [
            (v(theta + a + b) - v(theta + a - b) - v(theta - a + b) + v(theta - a - b)) / (4 * h * h)
            for b in unit
        ]
        for a in unit
    ]
    phi = np.linalg.inv(x.T @ inverse @ x)
    projection = inverse - inverse @ x @ phi @ x.T @ inverse
    moved = [projection @ one for one in first]
    w = 2 * np.linalg.inv([[np.sum(a * b.T) for b in moved] for a in moved])
    p = [-x.T @ inverse @ one @ inverse @ x for one in first]
    middle = np.zeros((3, 3))
    bend = np.zeros(k)
    for a in range(k):
        for b in range(k):
            q = x.T @ inverse @ first[a] @ inverse @ first[b] @ inverse @ x
            r = x.T @ inverse @ second[a][b] @ inverse @ x
            middle += w[a, b] * (q - p[a] @ phi @ p[b] - 0.25 * r)
            bend += w[a, b] * np.array([np.sum((projection @ second[a][b]) * m.T) for m in moved])
    bias = -0.25 * w @ bend
    slope = sum(one * slope for one, slope in zip(bias, p, strict=True))
    return np.asarray(phi + 2 * phi @ middle @ phi + phi @ slope @ phi)


def test_the_formula_by_dense_algebra_on_two_scales() -> None:
    data, visits = serial()
    fit = mm.gls("y ~ time + arm", data, residual="ar1(visit | id)", control=TO_ROUNDING)
    natural = fit._work.criterion().natural(fit.optimum.theta)
    starts = np.cumsum([0, *map(len, visits)])

    def v(theta: Array) -> Array:
        out = np.zeros((len(data), len(data)))
        for own, start in zip(visits, starts, strict=False):
            place = slice(start, start + len(own))
            out[place, place] = theta[0] * theta[1] ** np.abs(own[:, None] - own)
        return out

    found = adjusted(fit, information="expected")
    # second differences with step 1e-4 are good to about 1e-7
    np.testing.assert_allclose(found, dense(data, v, natural.values), rtol=1e-5)
    moved = np.array([np.log(natural.values[0]), np.arctanh(natural.values[1])])
    np.testing.assert_allclose(
        found, dense(data, lambda t: v(np.array([np.exp(t[0]), np.tanh(t[1])])), moved), rtol=1e-5
    )


def test_only_for_reml() -> None:
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), method="ml")
    with pytest.raises(mm.SpecError, match=r"kenward-roger2.*REML"):
        fit.fixed_effects(ddf="kenward-roger2")
