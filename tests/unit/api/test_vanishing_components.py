"""A share of zeros or an overdispersion that the data do not have: infinite, said, and the fit is the simpler one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

ONE = mm.Control(threads=1)


def counts(scale: float = 1.2) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    group, x = np.repeat(np.arange(30), 10), rng.normal(size=300)
    mean = np.exp(scale + 0.3 * x + 0.5 * rng.normal(size=30)[group])
    return {"y": rng.poisson(mean), "x": x, "g": [f"g{k}" for k in group]}


@pytest.mark.parametrize(
    ("family", "options", "row", "said"),
    [
        ("poisson", {"zero_inflation": "~ 1"}, -np.inf, "no structural zeros are left"),
        ("nb2", {}, np.inf, "no overdispersion is left: the fit is that of family 'poisson'"),
        ("nb1", {}, -np.inf, "no overdispersion is left: the fit is that of family 'poisson'"),
    ],
)
def test_what_is_not_there_is_infinite(family: str, options: dict[str, str], row: float, said: str) -> None:
    data = counts()
    simple = mm.glmm("y ~ x + (1 | g)", data, "poisson", control=ONE)
    fit = mm.glmm("y ~ x + (1 | g)", data, family, control=ONE, **options)
    assert fit.converged
    assert any(said in str(one) for one in fit.status)
    # the supremum itself: what is left of the component is e⁻¹⁵ at most
    assert fit.loglik == pytest.approx(simple.loglik, abs=1e-4)
    table = fit.fixed_effects()
    assert table["estimate"][2] == row
    for column in ("std_error", "statistic", "p_value"):
        assert np.isnan(table[column][2])
    assert np.asarray(table["std_error"])[:2] == pytest.approx(np.asarray(simple.bse), rel=1e-4)
    assert "Inf" in str(fit)


def test_binomial_is_the_limit_of_betabinomial() -> None:
    rng = np.random.default_rng(4)
    group, trials = np.repeat(np.arange(20), 8), np.full(160, 12)
    chance = 1.0 / (1.0 + np.exp(-0.3 - 0.6 * rng.normal(size=20)[group]))
    data = {"y": rng.binomial(trials, chance), "m": trials, "g": [f"g{k}" for k in group]}
    formula = "cbind(y, m - y) ~ 1 + (1 | g)"
    fit = mm.glmm(formula, data, "betabinomial", control=ONE)
    plain = mm.glmm(formula, data, "binomial", control=ONE)
    assert any("the fit is that of family 'binomial'" in str(one) for one in fit.status)
    assert fit.loglik == pytest.approx(plain.loglik, abs=1e-4)


def test_overdispersion_of_large_counts_is_there() -> None:
    """k of 1e7 beside counts of 1e8 multiplies their variance by 11."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(20), 10)
    mean = 1e8 * np.exp(0.1 * rng.normal(size=20)[group])
    data = {"y": rng.poisson(rng.gamma(1e7, mean / 1e7)), "g": [f"g{k}" for k in group]}
    fit = mm.glmm("y ~ 1 + (1 | g)", data, "nb2", control=ONE)
    assert not any("overdispersion" in str(one) for one in fit.status)
    assert 0.5e7 < float(fit.dispersion) < 2e7
