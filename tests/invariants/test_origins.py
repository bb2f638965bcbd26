"""Origin and unit of a covariate move nothing that is invariant in exact arithmetic: x centred gives the same.

The coefficients of lower order are other functions of β in another origin; fits, tests of the top order, means and
predictions are the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

SIX_DIGITS = 1e-6
TIGHT = mm.Control(decrement=1e-14)
UNITS = (2.0**-30, 1.0, 2.0**30)
"""About 1e-9 to 1e9, and exact: rounding x³ by itself moves a coefficient by 1e-6 at 1e3 spreads from zero."""


@dataclass(frozen=True)
class Model:
    """A model of one kind of equations, its random part and options."""

    random: str
    options: dict[str, Any] = field(default_factory=dict)
    engine: str = "auto"


MODELS = {
    "blocked": Model("(1 | g)", engine="blocked"),
    "sparse": Model("(1 | g) + (1 | h)", engine="sparse"),
    "clusters": Model("(1 | g)", {"residual": "ar1(t | g)"}, "clusters"),
    "whitened": Model("(1 | g) + (1 | h)", {"residual": "ar1(t | g)"}, "sparse"),
    "signed": Model("(1 | g)", {"bounds": "none"}),
    "weights": Model("(1 | g)", {"weights": "w"}, "blocked"),
}


def data(degree: int, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Sixteen subjects at up to seven times, one in five missing, and x (binary fractions, exact at any origin)."""
    rng = np.random.default_rng(seed)
    g, t = np.repeat(np.arange(16), 7), np.tile(np.arange(7), 16)
    keep = rng.random(len(g)) < 0.8
    g, t = g[keep], t[keep]
    x = t / 8 + rng.integers(0, 8, len(t)) / 64
    x = x - 0.4375
    h, arm = rng.integers(0, 5, len(g)), g % 2
    y = 1 + sum((0.5 - arm) * x**k for k in range(1, degree + 1)) + 0.7 * rng.standard_normal(16)[g]
    y = y + 0.4 * rng.standard_normal(5)[h] + 0.5 * rng.standard_normal(len(g))
    frame = {
        "y": y, "g": [f"s{i}" for i in g], "h": [f"h{i}" for i in h], "t": t,
        "arm": np.array(["a", "b"])[arm], "w": rng.uniform(0.3, 3, len(g)),
    }  # fmt: skip
    return frame, x


def fit_of(model: Model, frame: dict[str, Any], x: np.ndarray, degree: int) -> mm.Fit:
    powers = " + ".join(["x", *(f"I(x^{k})" for k in range(2, degree + 1))])
    by = "*" if degree == 1 else "+"
    return mm.lmm(
        f"y ~ {powers} {by} arm + {model.random}",
        {**frame, "x": x},
        control=mm.Control(engine=model.engine, decrement=1e-14),
        **model.options,
    )


def numbers(fit: mm.Fit, x: np.ndarray, degree: int, unit: float, ddf: str) -> dict[str, np.ndarray]:
    """Return what does not depend on the origin of x, coefficients of the top order in units of x."""
    top = fit.fixed_effects(ddf=ddf)
    rows = [i for i, term in enumerate(top["term"]) if (f"x ** {degree}" if degree > 1 else "x") in str(term)]
    out = {f"coefficients {n}": np.asarray(top[n], float)[rows] for n in ("df", "statistic", "p_value")}
    for name in ("estimate", "std_error"):
        out[f"coefficients {name}"] = np.asarray(top[name], float)[rows] * unit**degree
    test = fit.wald(np.eye(len(fit.design.fixed.columns))[rows], joint=True, ddf=ddf)
    for name in ("den_df", "statistic", "p_value"):
        out[f"joint test {name}"] = np.asarray(test[name], float)
    at = float(np.sort(x)[len(x) // 3])
    means = fit.emmeans("arm", at={"x": [at]}, ddf=ddf)
    for name in ("estimate", "std_error", "df"):
        out[f"emmeans {name}"] = np.asarray(means[name], float)
    contrast = means.contrast("pairwise")
    for name in ("estimate", "std_error", "df", "p_value"):
        out[f"pairs {name}"] = np.asarray(contrast[name], float)
    new = {"x": [at, at], "arm": ["a", "b"]}
    population = fit.predict(new, level="population", interval="confidence", ddf=ddf)
    powers = np.array([at**k for k in range(degree + 1)])
    half = np.zeros((1, len(fit.design.fixed.columns)))
    half[0, : degree + 1] = powers
    wald = fit.wald(half, ddf=ddf)
    for name in ("estimate", "std_error", "df"):
        out[f"wald {name}"] = np.asarray(wald[name], float)
    for name in population.names:
        out[f"population {name}"] = np.asarray(population[name], float)
    conditional = fit.predict(se=True)
    for name in conditional.names:
        out[f"conditional {name}"] = np.asarray(conditional[name], float)
    out["studentised"] = np.asarray(fit.residuals("student"))
    return out


def agree(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    for name, values in wanted.items():
        size = np.abs(values).max()
        atol = SIX_DIGITS * 1e-3 if "p_value" in name else SIX_DIGITS * size * 0.1
        np.testing.assert_allclose(found[name], values, rtol=SIX_DIGITS, atol=atol, err_msg=name)


@pytest.mark.parametrize("ddf", ["kenward-roger", "satterthwaite"])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("degree", "origin"), [(1, 2.0**10), (1, 2.0**18), (2, 2.0**10), (2, 2.0**13), (3, 2.0**8)]
)
@pytest.mark.parametrize("name", MODELS)
def test_origin_and_unit_of_a_covariate(name: str, degree: int, origin: float, unit: float, ddf: str) -> None:
    model = MODELS[name]
    frame, x = data(degree, 3 + degree)
    centred = fit_of(model, frame, x, degree)
    moved = fit_of(model, frame, (x + origin) * unit, degree)
    agree(numbers(moved, (x + origin) * unit, degree, unit, ddf), numbers(centred, x, degree, 1.0, ddf))


@pytest.mark.parametrize(("start", "step"), [(2016.0, 0.5), (1990.0, 1.0)])
def test_a_parabola_in_calendar_years(start: float, step: float) -> None:
    frame, _ = data(2, 1)
    time = step * np.asarray(frame["t"])
    fits = [
        mm.lmm("y ~ x + I(x^2) + (1 | g)", {**frame, "x": x}, control=TIGHT) for x in (start + time, time)
    ]
    found = []
    for fit, zero in zip(fits, (start, 0.0), strict=True):
        at = zero + 3 * step
        mean = fit.emmeans("1", at={"x": [at]})
        slope = fit.wald([[0.0, 1.0, 2 * at]])
        found.append(
            [
                mean["std_error"][0], mean["df"][0], fit.wald([[1.0, at, at * at]])["std_error"][0],
                fit.predict({"x": [at]}, level="population", se=True)["se"][0],
                slope["std_error"][0], slope["df"][0], fit.fixed_effects()["std_error"][2],
                fit.vcov[2, 2], fit.cov_params(ddf="asymptotic").array[2, 2],
            ]
        )  # fmt: skip
    np.testing.assert_allclose(found[0], found[1], rtol=SIX_DIGITS)


@pytest.mark.parametrize("kind", ["CR0", "CR2"])
def test_sandwich_of_a_parabola_in_calendar_years(kind: str) -> None:
    frame, x = data(2, 1)
    fits = [mm.lmm("y ~ x + I(x^2) + (1 | g)", {**frame, "x": own}, control=TIGHT) for own in (2016 + x, x)]
    tables = [fit.vcov_robust(kind).table() for fit in fits]
    for name in ("estimate", "std_error", "df", "p_value"):
        assert tables[0][name][2] == pytest.approx(tables[1][name][2], rel=SIX_DIGITS)


def test_standard_errors_of_calendar_years_are_those_known() -> None:
    frame, _ = data(2, 1)
    x = 2016 + 0.5 * np.asarray(frame["t"])
    fit = mm.lmm("y ~ x + I(x^2) + (1 | g)", {**frame, "x": x})
    # the covariance by column of X cancels to nothing in mean values: its largest entry is 1e12 times theirs
    assert fit.vcov[0, 0] > 1e9
    assert np.all(np.asarray(fit.predict(level="population", se=True)["se"]) > 0.05)
