"""The units of a covariate move estimates by that factor and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.inference.directions import independent_directions
from mixedmodels.typing import Array

RNG = np.random.default_rng(0)
DATA = {
    "y": RNG.standard_normal(120) + np.repeat(RNG.standard_normal(12), 10),
    "x": RNG.standard_normal(120),
    "z": RNG.uniform(1, 5, 120),
    "g": np.repeat([f"g{i}" for i in range(12)], 10),
    "f": np.tile(["a", "b", "c"], 40),
}


def _fit(unit: float, formula: str = "y ~ x + z + f + (x | g)") -> Fit:
    return mm.lmm(formula, {**DATA, "x": DATA["x"] * unit})


def _columns(table: mm.Table, *names: str) -> Array:
    return np.concatenate([table[name] for name in names])


FACTS: dict[str, Callable[[Fit], Array]] = {
    "t tests": lambda f: _columns(f.fixed_effects(ddf="kenward-roger"), "df", "statistic"),
    "t tests, satterthwaite": lambda f: _columns(f.fixed_effects(ddf="satterthwaite"), "df", "statistic"),
    "type 1": lambda f: _columns(f.anova(1), "num_df", "den_df", "statistic"),
    "type 2": lambda f: _columns(f.anova(2), "num_df", "den_df", "statistic"),
    "type 3": lambda f: _columns(f.anova(3), "num_df", "den_df", "statistic"),
    "joint": lambda f: _columns(f.test(["x = 0", "z = 0"]), "num_df", "den_df", "statistic"),
    "joint tests": lambda f: _columns(f.joint_tests(), "num_df", "den_df", "statistic"),
    "means": lambda f: np.r_[f.emmeans("f").row(0)["std_error"], f.emmeans("f").row(0)["df"]],
    "relative errors": lambda f: (
        f.variance_components(se=True)["std_error"] / f.variance_components()["variance"]
    ),
    "correlation limits": lambda f: np.array(
        [f.confint().row(1)["conf_low"], f.confint().row(1)["conf_high"]]
    ),
    "prediction errors": lambda f: f.predict(se=True)["se"],
    "intercept errors": lambda f: f.random_effects()["std_error"][::2],
    "residuals": lambda f: f.residuals("student"),
}


@pytest.mark.parametrize("name", list(FACTS))
@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e6, 1e9])
def test_inference_does_not_know_units(name: str, unit: float) -> None:
    # optima are found to 1e-4 standard errors
    np.testing.assert_allclose(FACTS[name](_fit(unit)), FACTS[name](_fit(1.0)), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("unit", [1.0, 1e9])
def test_estimability_does_not_know_units(unit: float) -> None:
    data = {**DATA, "x": unit * (DATA["x"] + 3), "h": np.where(DATA["f"] == "a", "p", "q")}
    fit = mm.lmm("y ~ x + f + h + (1 | g)", data)
    assert np.isnan(fit.wald([0, 0, 0, 0, 1])["estimate"][0])  # h alone is not estimable
    row = np.zeros(5)
    row[[0, 1, 4]] = 1.0, 3 * unit, 1.0  # nor is h's effect at a mean of x
    assert np.isnan(fit.wald(row)["estimate"][0])
    assert np.isfinite(fit.wald([1, 3 * unit, 0, 0, 0])["estimate"][0])
    with pytest.warns(UserWarning, match="not estimable"):
        assert np.isnan(fit.predict({"x": [3 * unit], "f": ["a"], "h": ["q"]}, level="population"))[0]


def test_directions_of_one_size_are_eigenvectors() -> None:
    half = RNG.standard_normal((4, 3))
    values, _ = independent_directions(half @ half.T)
    assert len(values) == 3
    expected = np.linalg.eigvalsh(half @ half.T)[1:]
    np.testing.assert_allclose(values, expected, rtol=1e-10)
    scale = np.array([1e-8, 1.0, 1e8, 1.0])
    sizes, turned = independent_directions(scale[:, None] * (half @ half.T) * scale)
    assert len(sizes) == 3
    np.testing.assert_allclose(
        turned @ (scale[:, None] * (half @ half.T) * scale) @ turned.T, np.diag(sizes), atol=1e-10
    )
