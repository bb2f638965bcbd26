"""Effects of terms on every threshold against ordinal's clm (`glmm/nominal.R` prints `glmm/nominal.json`)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

FOLDER = Path(__file__).parent / "glmm"
RECORDS = json.loads((FOLDER / "nominal.json").read_text())
WINE = mm.datasets.load("wine")
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "wine": ("rating ~ temp", {"nominal": "~ contact"}),
    "probit": ("rating ~ contact", {"nominal": "~ temp", "link": "probit"}),
    "soup": ("SURENESS ~ SOUPTYPE", {"nominal": "~ PROD"}),
    "equidistant": ("SURENESS ~ SOUPTYPE", {"nominal": "~ PROD", "thresholds": "equidistant"}),
}


@cache
def soup() -> pd.DataFrame:
    data = pd.read_csv(FOLDER / "data" / "soup.csv.gz")
    sure = pd.Categorical(data["SURENESS"].astype(str), [str(i) for i in range(1, 7)], ordered=True)
    types = pd.Categorical(data["SOUPTYPE"], ["Self-made", "Canned", "Dry-mix"])
    return data.assign(SURENESS=sure, SOUPTYPE=types)


@cache
def fitted(name: str) -> mm.Fit:
    formula, options = MODELS[name]
    data = WINE if name in ("wine", "probit") else soup()
    return mm.glm(formula, data, "ordinal", **options)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r["model"])
def test_agrees_with_r(record: dict[str, Any]) -> None:
    fit = fitted(record["model"])
    assert fit.loglik == pytest.approx(record["loglik"], abs=1e-6)
    finite = np.abs(np.asarray(record["beta"], float)) < 5.0
    if not finite.all():
        # R stops on the way to estimates that are infinite; ours are shown so
        assert not fit.converged
        return
    np.testing.assert_allclose(fit.beta, record["beta"], rtol=1e-5)
    np.testing.assert_allclose(fit.fixed_effects(ddf="asymptotic")["std_error"], record["se"], rtol=1e-4)


def test_probabilities_follow_the_columns() -> None:
    fit = fitted("wine")
    found = fit.predict(WINE, type="prob")
    again = fit.predict(type="prob")
    for level in found.names:
        np.testing.assert_allclose(found[level], again[level], rtol=1e-12)
    log = np.log([found[str(level)][i] for i, level in enumerate(WINE["rating"])])
    assert log.sum() == pytest.approx(fit.loglik, abs=1e-9)


def test_two_levels_are_those_of_the_location() -> None:
    """With two levels there is one threshold, and an effect on it is one on the location, of the other sign."""
    data = WINE.assign(high=(WINE["rating"].astype(int) > 3).astype(int))
    one = mm.glm("high ~ temp", data, "ordinal", nominal="~ contact")
    two = mm.glm("high ~ temp + contact", data, "ordinal")
    assert one.loglik == pytest.approx(two.loglik, abs=1e-9)
    assert one.params["0|1: contact[T.yes]"] == pytest.approx(-two.params["contact[T.yes]"], rel=1e-6)


def test_random_effects_tests_and_tools() -> None:
    fit = mm.glmm("rating ~ temp + (1 | judge)", WINE, "ordinal", nominal="~ contact")
    smaller = mm.clmm("rating ~ temp + contact + (1 | judge)", WINE)
    # three more parameters
    assert 0.0 < 2.0 * (fit.loglik - smaller.loglik) < 8.0
    assert fit.n_parameters == smaller.n_parameters + 3
    table = fit.anova()
    assert list(table["term"]) == ["temp", "thresholds: contact"]
    assert list(table["num_df"]) == [1.0, 4.0]
    assert (np.asarray(table["den_df"]) > 50.0).all()
    drawn = fit.simulate(1500, seed=1, level="conditional")
    share = fit.predict(type="prob")
    assert np.abs((drawn == 2.0).mean(axis=1) - share["3"]).max() < 4.0 * np.sqrt(0.25 / 1500)
    assert np.isfinite(fit.residuals("quantile", seed=1)).all()


def test_origins_of_numbers_do_not_matter() -> None:
    data = WINE.assign(x=np.arange(72.0) % 7)
    one = mm.glm("rating ~ temp", data, "ordinal", nominal="~ x")
    two = mm.glm("rating ~ temp", data.assign(x=data["x"] + 2000.0), "ordinal", nominal="~ x")
    assert one.loglik == pytest.approx(two.loglik, abs=1e-8)
    np.testing.assert_allclose(one.beta[4:], two.beta[4:], rtol=1e-5)
    np.testing.assert_allclose(one.beta[:4] - 2000.0 * one.beta[4:8], two.beta[:4], rtol=1e-5)


def test_what_is_refused() -> None:
    with pytest.raises(SpecError, match="has an effect on the location too"):
        mm.glm("rating ~ temp + contact", WINE, "ordinal", nominal="~ contact")
    with pytest.raises(SpecError, match="those of family='ordinal'"):
        mm.glm("rating ~ temp", WINE, "multinomial", nominal="~ contact")
    with pytest.raises(SpecError, match="stand in the formula of the location only"):
        mm.glmm("rating ~ temp + (1 | judge)", WINE, "ordinal", nominal="~ contact + (1 | judge)")
