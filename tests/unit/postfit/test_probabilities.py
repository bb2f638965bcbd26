"""Probabilities of ordered categories."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

WINE = mm.datasets.load("wine")
AT = {"temp": ["cold", "warm"], "contact": ["no", "yes"]}


def test_without_random_effects_they_are_those_of_clm() -> None:
    # ordinal 2022.11: predict(clm(rating ~ temp + contact, data = wine), newdata, type = "prob")
    theirs = [
        [0.2067901324, 0.570649704, 0.19229094, 0.023618816, 0.0066504096],
        [0.0046082735, 0.053801284, 0.30420994, 0.363595810, 0.2737846916],
    ]
    table = mm.glm("rating ~ temp + contact", WINE, "ordinal").predict(AT, type="prob")
    assert list(table.names) == ["1", "2", "3", "4", "5"]
    np.testing.assert_allclose(np.column_stack([table[name] for name in table.names]), theirs, atol=2e-7)


def test_levels_of_prediction() -> None:
    fit = mm.glmm("rating ~ temp + contact + (1 | judge)", WINE, "ordinal")
    for level in ("conditional", "population", "averaged"):
        table = fit.predict(type="prob", level=level)
        shares = np.column_stack([table[name] for name in table.names])
        np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-12)
    # averages over judges by a fine grid of their distribution
    sd = float(np.sqrt(np.asarray(fit.random_cov("judge"))[0, 0]))
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    first = fit.params["1|2"]
    mean = float((1 / (1 + np.exp(-(first + sd * nodes)))) @ weights / weights.sum())
    averaged = fit.predict({"temp": ["cold"], "contact": ["no"]}, type="prob", level="averaged")
    assert averaged["1"][0] == pytest.approx(mean, rel=1e-7)
    spaced = mm.glmm("rating ~ temp + (1 | judge)", WINE, "ordinal", thresholds="equidistant")
    shares = spaced.predict({"temp": ["cold"]}, type="prob", level="population")
    edges = np.log(
        np.cumsum([shares[name][0] for name in shares.names][:-1])
        / (1 - np.cumsum([shares[name][0] for name in shares.names][:-1]))
    )
    np.testing.assert_allclose(np.diff(edges), spaced.params["spacing"], rtol=1e-8)


def test_what_has_no_probabilities_says_so() -> None:
    with pytest.raises(SpecError, match="type='prob' is for categories"):
        mm.glm("count ~ mined", mm.datasets.load("salamanders"), "poisson").predict(type="prob")
