"""Powers and products written in the formula are taken about an origin near their column: nothing is lost at 1e6.

Coefficients of the columns as written are compared with those of the centred model, transformed in exact arithmetic.
"""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.terms import centred

SIX_DIGITS = 1e-6
ORIGINS = (2.0**12, 2.0**20)
"""Exact in binary beside x, whose spread is about a quarter: up to four million spreads."""


def data(origin: float = 0.0, unit: float = 1.0) -> dict[str, Any]:
    rng = np.random.default_rng(11)
    g, t = np.repeat(np.arange(16), 7), np.tile(np.arange(7), 16)
    x = t / 8 + rng.integers(0, 8, len(t)) / 64 - 0.4375
    z = rng.integers(-32, 32, len(t)) / 64
    arm = np.array(["a", "b", "c"])[rng.integers(0, 3, len(g))]
    y = 1 + x - 0.8 * x**2 + x * z + 0.5 * (arm == "b") * x + 0.7 * rng.standard_normal(16)[g]
    y = y + 0.5 * rng.standard_normal(len(g))
    return {"y": y, "g": [f"s{i}" for i in g], "arm": arm, "x": (x + origin) * unit, "z": z + origin}


MODELS = {
    "square": "y ~ x + I(x^2) + (1 | g)",
    "cube": "y ~ x + I(x^2) + I(x**3) + arm + (1 | g)",
    "square in groups": "y ~ (x + I(x^2)) * arm + (1 | g)",
    "within groups": "y ~ 0 + arm + arm:x + arm:I(x^2) + (1 | g)",
    "two columns": "y ~ x * z + arm + (1 | g)",
    "two columns in groups": "y ~ x * z * arm + (1 | g)",
    "a product written out": "y ~ x + I(x * x) + (1 | g)",
    "a share of a square": "y ~ arm + x + I(x^2 / 100) + (1 | g)",
    "poly": "y ~ poly(x, 2) * arm + (1 | g)",
    "errors": "y ~ x + I(x^2) + arm",
}


def fit_of(name: str, frame: dict[str, Any]) -> mm.Fit:
    control = mm.Control(decrement=1e-14)
    if name == "errors":
        return mm.gls(MODELS[name], frame, residual="cs(1 | g)", control=control)
    return mm.lmm(MODELS[name], frame, control=control)


def answers(fit: mm.Fit, origin: float) -> dict[str, np.ndarray]:
    """Return what does not depend on the origin."""
    at = {"x": [origin + 0.125], "z": [origin - 0.25]}
    own = at if "z" in fit.spec.formula else {"x": at["x"]}
    means = fit.emmeans("arm" if "arm" in fit.spec.formula else "1", at=own)
    trend = fit.emtrends("x", "arm" if "arm" in fit.spec.formula else "1", at=own)
    new = {
        "x": [origin + 0.25, origin - 0.5],
        "z": [origin, origin + 0.25],
        "arm": ["b", "a"],
        "g": ["s3", "s4"],
    }
    found = fit.predict(new, level="population", se=True)
    last = fit.anova(3).row(-1)
    out = {
        "-2l": np.array([fit.criterion]), "rank": np.array([fit.design.fixed.rank]), "fitted": fit.fitted,
        "student": fit.residuals("student"), "conditional": fit.predict(new), "type 1": fit.anova(1)["statistic"],
        "type 1 df": fit.anova(1)["den_df"], "last": np.array([last["statistic"], last["den_df"]]),
    }  # fmt: skip
    for label, table, names in (
        ("means", means, ("estimate", "std_error", "df")),
        ("trend", trend, ("estimate", "std_error", "df")),
        ("prediction", found, ("fit", "se")),
    ):
        out |= {f"{label} {name}": np.asarray(table[name], dtype=float) for name in names}
    return out


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("name", MODELS)
def test_answers_do_not_depend_on_the_origin(name: str, origin: float) -> None:
    near, far = (answers(fit_of(name, data(o)), o) for o in (0.0, origin))
    for label, values in near.items():
        size = np.abs(values).max()
        np.testing.assert_allclose(far[label], values, rtol=SIX_DIGITS, atol=1e-7 * size, err_msg=label)


def exact(near: mm.Fit, rows: list[list[Fraction]]) -> tuple[np.ndarray, np.ndarray]:
    """Return functions of β̂ and their standard errors in exact arithmetic."""
    beta = [Fraction(float(b)) for b in near.beta]
    covariance = [[Fraction(float(v)) for v in row] for row in near.cov_params(ddf="asymptotic").array]
    estimates = [sum(a * b for a, b in zip(row, beta, strict=True)) for row in rows]
    variances = [
        sum(
            a * v * b for a, line in zip(row, covariance, strict=True) for v, b in zip(line, row, strict=True)
        )
        for row in rows
    ]
    return np.array([float(e) for e in estimates]), np.sqrt([float(v) for v in variances])


@pytest.mark.parametrize("origin", ORIGINS)
def test_coefficients_are_those_of_the_columns_as_written(origin: float) -> None:
    near, far = (fit_of("cube", data(o)) for o in (0.0, origin))
    c, one, zero = Fraction(origin), Fraction(1), Fraction(0)
    assert near.design.fixed.columns == far.design.fixed.columns
    place = {name: j for j, name in enumerate(near.design.fixed.columns)}
    rows = [[one if i == j else zero for j in range(len(place))] for i in range(len(place))]
    # x' = x - c:  b0 - b1 c + b2 c² - b3 c³ and so on
    for low, columns in (("(Intercept)", 0), ("x", 1), ("I(x ** 2)", 2)):
        for name, degree in (("x", 1), ("I(x ** 2)", 2), ("I(x ** 3)", 3)):
            if degree > columns:
                binomial = Fraction([1, degree, degree * (degree - 1) // 2, 1][columns])
                rows[place[low]][place[name]] = binomial * (-c) ** (degree - columns)
    estimates, errors = exact(near, rows)
    table = far.fixed_effects(ddf="asymptotic")
    np.testing.assert_allclose(table["estimate"], estimates, rtol=SIX_DIGITS)
    np.testing.assert_allclose(table["std_error"], errors, rtol=SIX_DIGITS)
    np.testing.assert_allclose(far.beta, estimates, rtol=SIX_DIGITS)
    np.testing.assert_allclose(
        np.sqrt(np.diag(far.cov_params(ddf="asymptotic").array)), errors, rtol=SIX_DIGITS
    )
    x = far.test("x = 0", ddf="asymptotic")
    assert x["statistic"][0] == pytest.approx(
        (estimates[place["x"]] / errors[place["x"]]) ** 2, rel=SIX_DIGITS
    )
    tests = far.anova(3)
    for i, term in enumerate(tests["term"]):
        if term != "arm":
            t = far.fixed_effects()["statistic"][place[str(term)]]
            assert tests["statistic"][i] == pytest.approx(t**2, rel=SIX_DIGITS)


@pytest.mark.parametrize("contrasts", [None, {"arm": "sum"}])
@pytest.mark.parametrize("name", [n for n in MODELS if n not in ("poly", "cube")])
def test_tests_are_those_of_the_columns_as_written(
    name: str, contrasts: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At thirty spreads from zero the columns as they are still have digits enough to compare with."""
    if contrasts and "arm" not in MODELS[name]:
        pytest.skip("no factor")
    fits = []
    for far in (centred.FAR, np.inf):
        monkeypatch.setattr(centred, "FAR", far)
        fits.append(mm.lmm(MODELS[name], data(8.0), contrasts=contrasts, control=mm.Control(decrement=1e-14)))
    assert (fits[0].design.fixed.written is not None, fits[1].design.fixed.written) == (True, None)
    for kind in (1, 2, 3):
        for column in ("statistic", "den_df", "num_df"):
            np.testing.assert_allclose(
                fits[0].anova(kind)[column], fits[1].anova(kind)[column], rtol=SIX_DIGITS
            )
    for column in ("estimate", "std_error", "df"):
        np.testing.assert_allclose(
            fits[0].fixed_effects()[column], fits[1].fixed_effects()[column], rtol=SIX_DIGITS
        )
    np.testing.assert_allclose(fits[0].vcov, fits[1].vcov, rtol=1e-5, atol=1e-9 * np.abs(fits[1].vcov).max())
    rows = np.random.default_rng(1).normal(size=(2, len(fits[0].design.fixed.columns)))
    for column in ("estimate", "std_error", "df"):
        np.testing.assert_allclose(fits[0].wald(rows)[column], fits[1].wald(rows)[column], rtol=SIX_DIGITS)


def test_a_model_without_the_lower_powers_is_as_written() -> None:
    frame = data(64.0)
    for formula in ("y ~ I(x^2)", "y ~ 0 + x + I(x^2)", "y ~ x + I(x^2):arm + arm", "y ~ I(x^2) + x"):
        fit = mm.lm(formula, frame)
        assert fit.design.fixed.written is None
        raw = {"x": frame["x"], "I(x ** 2)": frame["x"] ** 2}
        for name, values in raw.items():
            if name in fit.design.fixed.columns:
                np.testing.assert_array_equal(
                    fit.rows.fixed.matrix[:, fit.design.fixed.columns.index(name)], values
                )


def test_profiles_pickles_and_refits_are_of_the_columns_as_written() -> None:
    near, far = (mm.lmm(MODELS["square"], data(o), method="ml") for o in (0.0, 64.0))
    limits = [fit.confint(method="profile", terms="I(x ** 2)")["conf_low"] for fit in (near, far)]
    np.testing.assert_allclose(limits[1], limits[0], rtol=1e-5)
    again = pickle.loads(pickle.dumps(far))
    np.testing.assert_array_equal(again.beta, far.beta)
    new = {"x": [64.25]}
    np.testing.assert_allclose(
        again.predict(new, level="population"), near.predict({"x": [0.25]}, level="population"), rtol=1e-9
    )
    np.testing.assert_allclose(far.refit(far.response * 2).beta, 2 * far.beta, rtol=1e-6)
