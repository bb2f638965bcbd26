"""Means of a response of categories against emmeans (`category_means/means.R` prints the figures)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

FIGURES = json.loads((Path(__file__).parent / "category_means" / "figures.json").read_text())
ESTIMATES, ERRORS = 2e-4, 2e-3
"""clmm stops at gradients of 1e-3 to 1e-4 and differences its Hessian; clm is closer."""


def fitted(name: str) -> mm.Fit:
    wine = mm.datasets.load("wine")
    if name == "fixed":
        return mm.glm("rating ~ temp + contact", wine, "ordinal")
    if name == "mixed":
        return mm.glmm("rating ~ temp + contact + (1 | judge)", wine, "ordinal")
    return mm.glmm("rating ~ temp * contact + (1 | judge)", wine, "ordinal", link="probit")


def agree(table: Any, labels: list[str], figures: dict[str, Any]) -> None:
    order = [labels.index(level) for level in figures["level"]]
    np.testing.assert_allclose(np.asarray(table["estimate"])[order], figures["estimate"], atol=ESTIMATES)
    np.testing.assert_allclose(np.asarray(table["std_error"])[order], figures["std_error"], rtol=ERRORS)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("scale", ["latent", "mean", "prob", "cumulative"])
def test_means_agree_with_emmeans(name: str, scale: str) -> None:
    table = fitted(name).emmeans("temp", type=scale).table
    labels = [str(level) for level in table["temp"]]
    if "rating" in table:
        labels = [f"{temp} {rating}" for temp, rating in zip(labels, table["rating"], strict=True)]
        assert np.all((table["conf_low"] > 0) & (table["conf_high"] < 1))
    agree(table, labels, FIGURES[name][scale])


@pytest.mark.parametrize("name", FIGURES)
def test_differences_of_probabilities(name: str) -> None:
    table = fitted(name).emmeans("temp", type="prob").contrast("pairwise").table
    agree(table, [str(level) for level in table["rating"]], FIGURES[name]["pairs"])


def test_the_response_may_be_what_is_compared() -> None:
    fit = fitted("mixed")
    means = fit.emmeans("rating", by="temp", type="prob")
    apart = fit.emmeans("temp", type="prob")
    assert sorted(means.table["estimate"]) == pytest.approx(sorted(apart.table["estimate"]))
    assert set(means.contrast("pairwise").table["temp"]) == {"cold", "warm"}
    whole = fit.emmeans("1", type="prob").table
    assert float(np.sum(whole["estimate"])) == pytest.approx(1.0)
    with pytest.raises(SpecError, match="one number for each mean"):
        fit.emmeans("rating", type="mean")


def test_unordered_categories_have_probabilities() -> None:
    wine = mm.datasets.load("wine")
    fit = mm.glm("rating ~ temp", wine, "multinomial")
    table = fit.emmeans("temp", type="prob").table
    cold = {
        str(r): p
        for t, r, p in zip(table["temp"], table["rating"], table["estimate"], strict=True)
        if t == "cold"
    }
    shares = wine[wine["temp"] == "cold"]["rating"].astype(str).value_counts(normalize=True)
    # a saturated model: probabilities are shares
    assert cold == pytest.approx({level: float(shares.get(level, 0.0)) for level in cold}, abs=1e-6)
    with pytest.raises(SpecError, match="probabilities alone"):
        fit.emmeans("temp")


def test_nominal_effects_move_thresholds() -> None:
    """P(y ≤ k) of a model whose thresholds have an effect are what predict gives, averaged over the other factor."""
    wine = mm.datasets.load("wine")
    with pytest.warns(mm.ConvergenceWarning, match="no finite estimate of 4|5"):
        fit = mm.glm("rating ~ contact", wine, "ordinal", nominal="~ temp")
    table = fit.emmeans("temp", type="prob", ddf="asymptotic").table
    at = {"temp": ["cold", "cold"], "contact": ["no", "yes"]}
    mean = {
        name: float(np.mean(values))
        for name, values in fit.predict(at, type="prob", level="population").items()
    }
    cold = [p for t, p in zip(table["temp"], table["estimate"], strict=True) if t == "cold"]
    # nobody rated the cold wines 5: that threshold is infinite, and the probability is zero
    assert cold == pytest.approx(list(mean.values()), abs=1e-8)
