"""Random slopes far from zero and in other units: the same model gives the same variances, tests and predictions."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit

ORIGINS = {"centred": -1.5, "year": 2018.0, "day": 45_000.0, "far": 1e6}
UNITS = [1e-9, 1e3, 1e9]
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "us": ("y ~ x + (x | g)", {}),
    "crossed": ("y ~ x + (x | g) + (x | h)", {}),
    "sets": ("y ~ x + (x | g, by=arm)", {}),
    "square": ("y ~ x + (x + I(x**2) | g)", {}),
    "sparse": ("y ~ x + (x | g) + (1 | h)", {"control": mm.Control(engine="sparse")}),
    "signed": ("y ~ x + (x | g)", {"bounds": "none"}),
    "serial": ("y ~ x + (x | g)", {"residual": "ar1(1 | g)"}),
    "unequal": ("y ~ x + (x | g)", {"variance": "ident(arm)", "method": "ml"}),
}


@cache
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    m, t = 24, 7
    g = np.repeat(np.arange(m), t)
    x = np.tile(np.arange(t) / 2.0, m) + rng.integers(0, 3, m * t) * 0.25
    b = rng.standard_normal((m, 3)) * [1.0, 0.5, 0.3]
    h = rng.integers(0, 12, m * t)
    effects = b[g, 0] + b[g, 1] * x + b[g, 2] * (x - 1.5) ** 2 + rng.standard_normal((12, 2))[h] @ [0.5, 0.0]
    y = 1 + 0.3 * x + effects + rng.standard_normal(m * t) * 0.7
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "arm": np.where(g % 2, "a", "b")})


@cache
def fitted(name: str, origin: float = 0.0, unit: float = 1.0) -> Fit:
    formula, options = MODELS[name]
    return mm.lmm(formula, data().assign(x=(data()["x"] + origin) * unit), **options)


def slopes(fit: Fit, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances of slopes with their standard errors, in the unit of x as it was."""
    table = fit.variance_components(ci="wald").to_frame()
    chosen = table[(table["kind"] == "variance") & (table["name1"] == "x")]
    return chosen["variance"].to_numpy() * unit**2, chosen["std_error"].to_numpy() * unit**2


def check(name: str, origin: float, unit: float) -> None:
    usual, other = fitted(name), fitted(name, origin, unit)
    assert other.converged
    # log|X'V⁻¹X| is that of the columns written
    shift = 2 * np.log(unit) if other.design.reml else 0.0
    # −2l to 1e-8, estimates to what a search that ends at a ten-thousandth of a standard error knows
    assert other.criterion - shift == pytest.approx(usual.criterion, rel=1e-8)
    close = {"rtol": 2e-5}
    if name != "square":
        for found, expected in zip(slopes(other, unit), slopes(usual, 1.0), strict=True):
            np.testing.assert_allclose(found, expected, **close)
    residual = [f.variance_components()["variance"][-1] for f in (other, usual)]
    np.testing.assert_allclose(residual[0], residual[1], **close)
    rows = data().assign(x=(data()["x"] + origin) * unit).iloc[:9]
    for level in ("conditional", "population"):
        found = other.predict(rows, level=level)
        np.testing.assert_allclose(found, usual.predict(data().iloc[:9], level=level), rtol=1e-5, atol=1e-5)
    if name != "signed":
        se = [
            f.predict(d, se=True, ddf="asymptotic")["se"]
            for f, d in ((other, rows), (usual, data().iloc[:9]))
        ]
        np.testing.assert_allclose(se[0], se[1], rtol=1e-4)
    for what in ("pearson", "scaled"):
        own = [f.residuals(what, level="marginal") for f in (other, usual)]
        np.testing.assert_allclose(own[0], own[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("origin", list(ORIGINS))
@pytest.mark.parametrize("name", [name for name in MODELS if name != "square"])
def test_origins(name: str, origin: str) -> None:
    check(name, ORIGINS[origin], 1.0)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", list(MODELS))
def test_units(name: str, unit: float) -> None:
    check(name, 0.0, unit)


@pytest.mark.parametrize("origin", [-1.5, 100.0, 2018.0])
def test_squares(origin: float) -> None:
    """A square far from zero is known to rounding of x² alone, 1e-16 times the squared ratio of origin to spread."""
    check("square", origin, 1.0)


def test_a_singular_covariance_is_named_in_the_columns_written() -> None:
    frame = data().assign(y=data()["y"] - 0.0)
    rng = np.random.default_rng(5)
    u = rng.standard_normal(24)[frame["g"]]
    frame["y"] = 1 + 0.3 * frame["x"] + u * (2.0 + frame["x"]) + 0.5 * rng.standard_normal(len(frame))
    usual = mm.lmm("y ~ x + (x | g)", frame)
    far = mm.lmm("y ~ x + (x | g)", frame.assign(x=frame["x"] + 2000.0))
    assert usual.singular == far.singular
    assert far.criterion == pytest.approx(usual.criterion, rel=1e-8)


def test_held_and_starting_values_are_those_of_the_columns_written() -> None:
    formula, options = MODELS["us"]
    year, large = data().assign(x=data()["x"] + 2018.0), data().assign(x=data()["x"] * 1e6)
    free = fitted("us")
    value = float(slopes(free, 1.0)[0][0])
    started = mm.lmm(formula, year, start={"var(g: x)": 2 * value}, **options)
    assert started.criterion == pytest.approx(free.criterion, rel=1e-8)
    held = mm.lmm(formula, large, hold={"var(g: x)": value * 1e-12}, **options)
    assert held.criterion - 2 * np.log(1e6) == pytest.approx(free.criterion, rel=1e-7)
    np.testing.assert_allclose(slopes(held, 1.0)[0][0], value * 1e-12, rtol=1e-9)


HELD_SIGMA = np.array([[1.2, 0.1], [0.1, 0.4]])
HOLDS = {
    "the error variance": ("var(Residual)",),
    "a slope's variance": ("var(g: x)",),
    "a slope's variance and its covariance": ("var(g: x)", "cov(g: (Intercept), x)"),
    "a slope's variance and that of errors": ("var(g: x)", "var(Residual)"),
}


@pytest.mark.parametrize("options", [{}, {"bounds": "none"}, {"variance": "ident(arm)"}], ids=str)
@pytest.mark.parametrize("what", HOLDS)
def test_what_is_held_is_held_wherever_a_covariate_has_its_zero(what: str, options: dict[str, Any]) -> None:
    """Slopes far from zero are fitted in coordinates of their own with linear functions of Σ held."""
    if "variance" in options and "var(Residual)" in HOLDS[what]:
        pytest.skip("errors have a variance for each arm")
    rng = np.random.default_rng(3)
    g, t = np.repeat(np.arange(20), 6), np.tile(np.arange(6.0), 20)
    b = rng.multivariate_normal([0, 0], [[1, 0.2], [0.2, 0.3]], 20)
    y = 1 + 0.5 * t + b[g, 0] + b[g, 1] * t + 0.7 * rng.standard_normal(len(g))
    data = {"g": g, "y": y, "arm": np.where(g % 2, "a", "b")}
    found = []
    for origin, unit in ((0.0, 1.0), (2016.0, 1.0), (45000.0, 1e-3), (0.0, 1e6)):
        a = np.array([[1.0, -origin / unit], [0.0, 1.0 / unit]])
        sigma = a @ HELD_SIGMA @ a.T
        values = {
            "var(g: x)": sigma[1, 1], "cov(g: (Intercept), x)": sigma[0, 1], "var(Residual)": 0.5
        }  # fmt: skip
        hold = {name: float(values[name]) for name in HOLDS[what]}
        fit = mm.lmm("y ~ x + (x | g)", {**data, "x": origin + unit * t}, hold=hold, **options)
        assert fit.converged
        components = fit.variance_components()["variance"]
        slopes = fit.fixed_effects()
        slope = int(np.flatnonzero(slopes["term"] == "x")[0])
        found.append(
            [
                fit.criterion - 2 * np.log(unit), unit * slopes["estimate"][slope],
                unit * slopes["std_error"][slope], min(slopes["df"][slope], 1e4), unit**2 * components[1], fit.sigma2,
            ]
        )  # fmt: skip
        if "var(g: x)" in hold:
            assert components[1] == pytest.approx(hold["var(g: x)"], rel=1e-9)
    for other in found[1:]:
        # what is held is given in sixteen digits about zero: of the covariance at 45,000 six are left. Where nothing
        # of a slope's variance is free its df are anything above 1e4
        np.testing.assert_allclose(other, found[0], rtol=1e-6, atol=1e-8)
