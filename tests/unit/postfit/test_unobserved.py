"""Random effects without data: kriging at new points, new levels of separate parameter sets, unobserved kin."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.typing import Array

RULES = {
    "exp": lambda d, r: np.exp(-d / r),
    "gau": lambda d, r: np.exp(-((d / r) ** 2)),
    "sph": lambda d, r: np.where(d < r, 1 - 1.5 * d / r + 0.5 * (d / r) ** 3, 0.0),
    "pow": lambda d, rho: rho**d,
}
"""Correlation by distance, written out again."""
SETTINGS = {"exp": 2.0, "gau": 2.5, "sph": 4.0, "pow": 0.6}


def field(fields: int = 2, points: int = 25, seed: int = 3) -> dict[str, Array]:
    """Return two or three records at each of some points of several fields."""
    rng = np.random.default_rng(seed)
    f, x, y, v = [], [], [], []
    for g in range(fields):
        place = rng.uniform(0, 8, (points, 2)).round(2)
        d = np.linalg.norm(place[:, None] - place[None], axis=2)
        b = np.linalg.cholesky(4.0 * np.exp(-d / 2.0) + 1e-9 * np.eye(points)) @ rng.standard_normal(points)
        at = np.repeat(np.arange(points), rng.integers(1, 4, points))
        f += [f"f{g}"] * len(at)
        x, y = [*x, *place[at, 0]], [*y, *place[at, 1]]
        v += list(10 + 0.3 * place[at, 0] + b[at] + rng.standard_normal(len(at)))
    return {"field": np.array(f), "x": np.array(x), "y": np.array(y), "v": np.array(v)}


def krige(fit: Fit, data: dict[str, Array], new: dict[str, Array], between: Array, own: Array, v: Array):
    """Return prediction and its variance from V of the data, covariances (m, n) with it, variances (m,)."""
    x = np.column_stack([np.ones(len(data["x"])), data["x"]])
    x0 = np.column_stack([np.ones(len(new["x"])), new["x"]])
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    beta = phi @ x.T @ inverse @ data["v"]
    mean = x0 @ beta + between @ inverse @ (data["v"] - x @ beta)
    gap = x0 - between @ inverse @ x
    variance = own - np.einsum("mn,nk,mk->m", between, inverse, between)
    return mean, variance + np.einsum("ma,ab,mb->m", gap, phi, gap)


@pytest.mark.parametrize("engine", ["blocked", "sparse"])
@pytest.mark.parametrize("name", list(RULES))
def test_new_points_are_kriged(name: str, engine: str) -> None:
    data = field()
    parameter = "correlation" if name == "pow" else "range"
    fit = mm.lmm(
        f"v ~ x + {name}(x, y | field)",
        data,
        hold={"var(field)": 4.0, f"{parameter}(field)": SETTINGS[name]},
        control=mm.Control(engine=engine),
    )
    new = {"field": np.array(["f0", "f1", "f1", "f0"]), "x": np.array([4.0, 1.5, 30.0, data["x"][0]]),
           "y": np.array([4.0, 6.5, 30.0, data["y"][0]])}  # fmt: skip
    where, at = np.column_stack([data["x"], data["y"]]), np.column_stack([new["x"], new["y"]])

    def covariances(first: Array, second: Array) -> Array:
        gaps = np.linalg.norm(first[:, None] - second[None], axis=2)
        return np.asarray(4.0 * RULES[name](gaps, SETTINGS[name]))

    same = data["field"][:, None] == data["field"][None]
    v = same * covariances(where, where) + fit.sigma2 * np.eye(len(where))
    between = (new["field"][:, None] == data["field"][None]) * covariances(at, where)
    mean, variance = krige(fit, data, new, between, np.full(4, 4.0), v)
    table = fit.predict(new, se=True, ddf="asymptotic")
    np.testing.assert_allclose(table["fit"], mean, rtol=1e-8)
    np.testing.assert_allclose(table["se"] ** 2, variance, rtol=1e-8)
    limits = fit.predict(new, interval="prediction", ddf="asymptotic")
    half = (limits["upper"] - limits["lower"]) / 2
    np.testing.assert_allclose(half**2, 1.959963984540054**2 * (variance + fit.sigma2), rtol=1e-8)


def test_a_nugget_is_part_of_a_new_point() -> None:
    data = field(points=40)
    fit = mm.lmm("v ~ x + exp(x, y | field, nugget=True)", data,
                 hold={"var(field)": 3.0, "range(field)": 2.0, "nugget(field)": 0.8})  # fmt: skip
    far = {"field": ["f0"], "x": [300.0], "y": [300.0]}
    x = np.array([1.0, 300.0])
    assert fit.predict(far)[0] == pytest.approx(x @ fit.beta, rel=1e-12)
    assert fit.predict(far, se=True, ddf="asymptotic")["se"][0] ** 2 == pytest.approx(
        x @ fit.solution.vcov @ x + 3.8, rel=1e-9
    )


@pytest.mark.parametrize("level", ["conditional", "population"])
def test_new_observations_at_new_points_and_in_new_fields_vary_as_all_do(level: str) -> None:
    data = field()
    fit = mm.lmm("v ~ x + exp(x, y | field)", data)
    new = {"field": ["f9"], "x": [4.0], "y": [4.0]}
    table = fit.predict(new, level=level, interval="prediction", new_levels="population", ddf="asymptotic")
    x = np.array([1.0, 4.0])
    total = x @ fit.solution.vcov @ x + fit.covariances[0][0][0, 0] + fit.sigma2
    half = (table["upper"][0] - table["lower"][0]) / 2
    assert half**2 == pytest.approx(1.959963984540054**2 * total, rel=1e-9)


def test_kriging_through_dense_points_stays_finite() -> None:
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, 80)
    data = {"t": t, "y": np.sin(6 * t) + 0.1 * rng.standard_normal(80), "all": ["a"] * 80}
    fit = mm.lmm("y ~ 1 + gau(t | all)", data)
    at = np.linspace(0.003, 0.997, 61)
    table = fit.predict({"t": at, "all": ["a"] * 61}, se=True, ddf="asymptotic")
    # the curve is smooth: between neighbours of the grid the prediction is their interpolation to 1e-3
    np.testing.assert_allclose(table["fit"], np.interp(at, t, fit.fitted), atol=2e-3)
    assert np.all(table["se"] < 0.1)
    assert np.all(table["se"] > 0)


def test_kriging_with_correlated_errors() -> None:
    data = field(points=15)
    data["visit"] = np.concatenate([np.arange((data["field"] == f).sum()) for f in ("f0", "f1")])
    fit = mm.lmm("v ~ x + exp(x, y | field)", data, residual="ar1(visit | field)",
                 hold={"var(field)": 4.0, "range(field)": 2.0})  # fmt: skip
    new = {"field": np.array(["f0"]), "x": np.array([4.0]), "y": np.array([4.0]), "visit": np.array([999])}
    where, at = np.column_stack([data["x"], data["y"]]), np.array([[4.0, 4.0]])
    same = data["field"][:, None] == data["field"][None]
    v = np.zeros((len(where), len(where)))
    for f in ("f0", "f1"):
        own = np.flatnonzero(data["field"] == f)
        v[np.ix_(own, own)] = np.asarray(fit.marginal_cov(f, group="field"))
    assert np.all(v[~same] == 0)
    between = (
        (data["field"] == "f0")[None] * 4.0 * np.exp(-np.linalg.norm(at[:, None] - where[None], axis=2) / 2)
    )
    mean, variance = krige(fit, data, new, between, np.full(1, 4.0), v)
    table = fit.predict(new, se=True, ddf="asymptotic")
    np.testing.assert_allclose(table["fit"], mean, rtol=1e-7)
    np.testing.assert_allclose(table["se"] ** 2, variance, rtol=1e-7)


@pytest.mark.parametrize("how", ["blocked", "sparse", "structured errors"])
def test_new_levels_have_the_variance_of_their_own_set(how: str) -> None:
    data = mm.datasets.load("orthodont")
    residual = "ar1(age | id)" if how == "structured errors" else None
    engine = "auto" if residual else how
    fit = mm.lmm(
        "Y ~ sex * age + (age | id, by=sex)", data, residual=residual, control=mm.Control(engine=engine)
    )
    sexes = list(fit.design.random[0].set_labels)
    new = {"id": ["a", "b"], "sex": sexes, "age": [9.0, 9.0]}
    with pytest.raises(mm.DataError, match="level of 'id'"):
        fit.predict(new)
    se = fit.predict(new, se=True, ddf="asymptotic", new_levels="population")["se"]
    population = fit.predict(new, se=True, level="population", ddf="asymptotic")["se"]
    z = np.array([1.0, 9.0])
    own = [z @ fit.random_cov(by=s).array @ z for s in sexes]
    np.testing.assert_allclose(se**2 - population**2, own, rtol=1e-8)
    assert abs(own[0] - own[1]) > 0.01


def test_new_levels_without_their_set_are_refused() -> None:
    data = mm.datasets.load("orthodont")
    fit = mm.lmm("Y ~ age + (1 | id, by=sex)", data)
    assert np.isfinite(fit.predict({"id": ["1"], "age": [9.0]}, se=True)["se"][0])
    with pytest.raises(mm.DataError, match="new level of 'id', whose variance depends on 'sex'"):
        fit.predict({"id": ["new"], "age": [9.0]}, se=True, new_levels="population")


@pytest.mark.parametrize("option", ["cov", "precision"])
def test_kin_without_records_are_predicted(option: str) -> None:
    rng = np.random.default_rng(4)
    names = [f"a{i}" for i in range(12)]
    half = rng.standard_normal((12, 20)) / np.sqrt(20)
    a = half @ half.T + 0.5 * np.eye(12)
    rows = np.repeat(np.arange(8), 3)
    data = {"animal": np.array(names)[rows], "y": 5 + rng.standard_normal(8)[rows] + rng.standard_normal(24)}
    matrix = a if option == "cov" else np.linalg.inv(a)
    fit = mm.lmm(f"y ~ 1 + (1 | animal, {option}=K)", data, known={"K": (matrix, names)},
                 hold={"var(animal: Intercept)": 0.7})  # fmt: skip
    z = np.eye(12)[rows]
    v = 0.7 * z @ a @ z.T + fit.sigma2 * np.eye(24)
    inverse, x = np.linalg.inv(v), np.ones((24, 1))
    phi = 1 / (x.T @ inverse @ x)
    residual = data["y"] - fit.beta[0]
    between = 0.7 * a[8:] @ z.T
    p = inverse - inverse @ x @ phi @ x.T @ inverse
    table = fit.random_effects()
    chosen = [list(table["level"]).index(name) for name in names[8:]]
    np.testing.assert_allclose(table["estimate"][chosen], between @ inverse @ residual, rtol=1e-7, atol=1e-10)
    expected = np.diag(0.7 * a[8:, 8:] - between @ p @ between.T)
    np.testing.assert_allclose(table["std_error"][chosen] ** 2, expected, rtol=1e-7)
    gap = 1 - between @ inverse @ x
    mean_variance = np.diag(0.7 * a[8:, 8:] - between @ inverse @ between.T + gap @ phi @ gap.T)
    predicted = fit.predict({"animal": names[8:]}, se=True, ddf="asymptotic")
    np.testing.assert_allclose(predicted["fit"], fit.beta[0] + between @ inverse @ residual, rtol=1e-8)
    np.testing.assert_allclose(predicted["se"] ** 2, mean_variance, rtol=1e-7)
