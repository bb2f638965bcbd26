"""Ratios in broom's table, and the share of a constant mean."""

from __future__ import annotations

import numpy as np

import mixedmodels as mm


def test_tidy_adds_the_ratios_of_the_fixed_effects() -> None:
    fit = mm.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mm.datasets.load("cbpp"),
        family="binomial",
    )
    table, own = fit.tidy(exponentiate=True), fit.fixed_effects(exponentiate=True)
    assert np.allclose(table["ratio"][:4], own["ratio"])
    assert np.allclose(table["ratio"][:4], np.exp(table["estimate"][:4]))
    assert np.isnan(table["ratio"][4:]).all()
    assert "ratio" not in fit.tidy().columns


def test_a_constant_mean_has_no_variance() -> None:
    rail = mm.datasets.load("rail")
    for factor in (1.0, 1e-6, 1e7):
        fit = mm.lmm("travel ~ 1 + (1 | Rail)", rail.assign(travel=rail["travel"] * factor))
        assert fit.icc()["variance"][-1] == 0.0
