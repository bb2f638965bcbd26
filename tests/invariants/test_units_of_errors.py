"""Variance functions and ranges give the same model in other units and from other origins of what they are about."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

SUBJECTS, VISITS = 20, 6
FAR = 2000.0
"""An origin, in the units of the simulated covariate."""


@lru_cache
def data() -> pd.DataFrame:
    """Serially correlated errors whose standard deviation grows with w, subjects and items of random effects."""
    rng = np.random.default_rng(5)
    n = SUBJECTS * VISITS
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(SUBJECTS), VISITS),
            "item": np.tile(np.arange(VISITS), SUBJECTS),
            "x": rng.normal(size=n).round(3),
            "w": np.round(np.tile(np.arange(VISITS), SUBJECTS) + rng.uniform(1.0, 1.5, n), 3),
            "u": rng.uniform(0.0, 4.0, n).round(3),
        }
    )
    frame["arm"] = np.where(frame.id % 2, "a", "b")
    frame["time"] = np.round(frame.item + rng.uniform(-0.2, 0.2, n), 3)
    errors = np.empty(n)
    for i in range(SUBJECTS):
        rows = slice(i * VISITS, (i + 1) * VISITS)
        gaps = np.abs(np.subtract.outer(frame.time[rows].to_numpy(), frame.time[rows].to_numpy()))
        errors[rows] = np.linalg.cholesky(np.exp(-gaps / 1.5)) @ rng.normal(size=VISITS)
    effects = 0.7 * rng.normal(size=SUBJECTS)[frame.id] + 0.5 * rng.normal(size=VISITS)[frame.item]
    frame["y"] = 20.0 + 0.5 * frame.x + effects + 0.4 * np.exp(0.2 * frame.w) * errors
    return frame


def fitted(frame: pd.DataFrame, formula: str = "y ~ x + arm + (1 | id)", **options: object) -> mm.Fit:
    return mm.lmm(formula, frame, **options)  # type: ignore[arg-type]


def same(a: mm.Fit, b: mm.Fit, unit: float = 1.0) -> None:
    """Compare a fit with that of `unit` times its response: −2l, fixed effects with SE and df."""
    assert a.converged, a.status
    assert b.converged, b.status
    nu = a.nobs - (len(a.beta) if a.spec.method == "reml" else 0)
    assert b.criterion - 2 * nu * np.log(unit) == pytest.approx(a.criterion, rel=1e-8, abs=1e-7)
    first, second = a.fixed_effects().to_frame("pandas"), b.fixed_effects().to_frame("pandas")
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(second[column] / unit, first[column], rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(second["df"], first["df"], rtol=2e-5)


def natural(fit: mm.Fit) -> dict[str, float]:
    criterion, theta = fit._work.criterion(), fit.optimum.theta
    found = criterion.natural(theta)
    return dict(zip(found.names, found.values.tolist(), strict=True))


Change = Callable[[pd.Series], pd.Series]
UNITS = (1e-9, 1e-3, 1e9)
MODELS = (
    ("y ~ x + arm + (1 | id)", None),
    ("y ~ x + arm", "car1(time | id)"),
    ("y ~ x + arm + (1 | id) + (1 | item)", None),
)


@pytest.mark.parametrize(("formula", "residual"), MODELS)
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", ["exp", "log_linear"])
def test_origin_of_the_covariate(name: str, method: str, formula: str, residual: str | None) -> None:
    options = {"method": method, "variance": f"{name}(w)", "residual": residual}
    here = fitted(data(), formula, **options)
    rate = list(natural(here).values())[-1]
    log_variance = (2.0 if name == "exp" else 1.0) * rate
    for origin, unit in ((FAR, 1.0), (-1e6, 1.0), (FAR, 1e9), (0.0, 1e-9)):
        there = fitted(data().assign(w=unit * (data().w + origin)), formula, **options)
        same(here, there)
        assert list(natural(there).values())[-1] * unit == pytest.approx(rate, rel=1e-4)
        if abs(log_variance * origin) < 600 and residual is None:
            expected = np.log(natural(here)["var(Residual)"]) - log_variance * origin
            assert np.log(natural(there)["var(Residual)"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("formula", "residual"), MODELS)
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", ["power", "const_power", "fixed"])
def test_unit_of_the_covariate(name: str, method: str, formula: str, residual: str | None) -> None:
    options = {"method": method, "variance": f"{name}(w)", "residual": residual}
    here = fitted(data(), formula, **options)
    ours = natural(here)
    power = ours.get(f"{name}(w): power", 0.5)
    for unit in UNITS:
        there = fitted(data().assign(w=unit * data().w), formula, **options)
        same(here, there)
        theirs = natural(there)
        if f"{name}(w): power" in theirs:
            assert theirs[f"{name}(w): power"] == pytest.approx(power, rel=1e-4)
        if f"{name}(w): const" in theirs:
            expected = np.log(ours[f"{name}(w): const"]) + power * np.log(unit)
            assert np.log(theirs[f"{name}(w): const"]) == pytest.approx(expected, rel=1e-4, abs=1e-3)
        expected = np.log(ours["var(Residual)"]) - 2 * power * np.log(unit)
        assert np.log(theirs["var(Residual)"]) == pytest.approx(expected, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("structure", ["car1", "pow", "exp", "gau", "sph", "rq", "lin_sp", "mat"])
def test_unit_and_origin_of_time(structure: str) -> None:
    options = {"residual": f"{structure}(time | id)"}
    here = fitted(data(), "y ~ x + arm", **options)
    for origin, unit in ((0.0, 1e-9), (0.0, 1e9), (1e6, 1.0), (FAR, 1e-3)):
        there = fitted(data().assign(time=unit * (data().time + origin)), "y ~ x + arm", **options)
        same(here, there)
        (ours, theirs) = (
            next(v for k, v in natural(f).items() if not k.startswith("var")) for f in (here, there)
        )
        if structure in ("car1", "pow"):
            if unit > 1e-9:  # in a very long unit of time the correlation one unit apart is zero
                assert np.log(theirs) * unit == pytest.approx(np.log(ours), rel=1e-4)
        else:
            power = -1.0 if structure == "lin_sp" else 1.0
            assert theirs / unit**power == pytest.approx(ours, rel=1e-4)


@pytest.mark.parametrize("structure", ["exp", "gau", "sph", "powa", "expa"])
def test_unit_and_origin_in_the_plane(structure: str) -> None:
    options = {"residual": f"{structure}(time, u | id)"}
    here = fitted(data(), "y ~ x + arm", **options)
    for origin, unit in ((0.0, 1e-9), (0.0, 1e9), (1e5, 1.0)):
        moved = data().assign(time=unit * (data().time + origin), u=unit * (data().u - origin))
        same(here, fitted(moved, "y ~ x + arm", **options))


@pytest.mark.parametrize(
    "variance",
    [
        None, "ident(arm)", "exp(w)", "power(w)", "const_power(w)", "log_linear(w)", "fixed(w)", "power(fitted)",
        "const_power(fitted)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("residual", [None, "car1(time | id)"])
def test_unit_of_the_response(variance: str | None, residual: str | None) -> None:
    formula = "y ~ x + arm" if residual else "y ~ x + arm + (1 | id)"
    options = {"variance": variance, "residual": residual}
    here = fitted(data(), formula, **options)
    for unit in (1e-9, 1e9):
        same(here, fitted(data().assign(y=unit * data().y), formula, **options), unit)


def far_data() -> pd.DataFrame:
    """Return rows of years whose errors' standard deviation grows from year to year."""
    rng = np.random.default_rng(8)
    n = 160
    v = np.tile(np.arange(8), 20)
    spread = np.exp(0.25 * (v - 4))
    y = 1.0 + 0.2 * v + spread * rng.normal(size=n)
    return pd.DataFrame({"id": np.repeat(np.arange(20), 8), "v": v, "year": 2000 + v, "age": 40 + v, "y": y})


def test_years_and_ages() -> None:
    centred, raw = (
        fitted(far_data(), "y ~ v", residual="ar1(v | id)", variance=f"exp({name})") for name in ("v", "year")
    )
    same(centred, raw)
    assert raw.optimum.iterations <= centred.optimum.iterations + 1
    assert fitted(far_data(), "y ~ v", residual="ar1(v | id)", variance="power(age)").converged


def test_a_variance_too_far_to_be_read_is_noted() -> None:
    fit = fitted(far_data(), "y ~ v", residual="ar1(v | id)", variance="power(year)")
    assert fit.converged
    assert np.isfinite(list(natural(fit).values())).all()
    assert any("no number holds" in status.message for status in fit.status)


def test_new_rows_by_the_same_map() -> None:
    options = {"variance": "exp(w)", "residual": "car1(time | id)"}
    new = data().iloc[[3, 40, 77]].assign(time=lambda d: d.time + 0.4)
    here = fitted(data(), "y ~ x + arm", **options).predict(new, interval="prediction").to_frame("pandas")
    moved = [frame.assign(w=frame.w + FAR, time=(frame.time + FAR) * 365.25) for frame in (data(), new)]
    there = (
        fitted(moved[0], "y ~ x + arm", **options).predict(moved[1], interval="prediction").to_frame("pandas")
    )
    columns = here.select_dtypes("number").columns.difference(["w", "time"])
    np.testing.assert_allclose(there[columns], here[columns], rtol=1e-5)


def test_held_and_given_parameters_are_the_users() -> None:
    frame = data().assign(w=data().w - 2.0)
    best = fitted(frame, "y ~ x + arm", variance="exp(w)")
    values = natural(best)
    for names in (["var(Residual)"], ["exp(w): expon"], list(values)):
        hold = {name: values[name] for name in names}
        held = fitted(frame, "y ~ x + arm", variance="exp(w)", hold=hold)
        assert held.criterion == pytest.approx(best.criterion, rel=1e-9)
        for name, value in hold.items():
            assert natural(held)[name] == pytest.approx(value, rel=1e-12)
    started = fitted(frame, "y ~ x + arm", variance="exp(w)", start=values)
    assert started.criterion == pytest.approx(best.criterion, rel=1e-10)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_a_correlation_per_unit_that_cannot_be_printed_is_told_at_a_distance(unit: float) -> None:
    rng = np.random.default_rng(4)
    g, t = np.repeat(np.arange(20), 6), np.tile(np.arange(6.0), 20)
    y = rng.standard_normal(20)[g] + np.cumsum(rng.standard_normal(120)) * 0.3
    usual = mm.gls("y ~ 1", {"g": g, "t": t, "y": y}, residual="car1(t | g)")
    rho = float(usual.variance_components()["sd"][1])
    assert not usual.variance_components().notes
    (note,) = (
        mm.gls("y ~ 1", {"g": g, "t": t * unit, "y": y}, residual="car1(t | g)").variance_components().notes
    )
    assert f"at distance {unit:.3g}" in note
    assert f"correlation {rho:.4f}" in note
