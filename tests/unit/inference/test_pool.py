"""Pooling over imputations: what is pooled, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit
from mixedmodels.inference.pool import d1_df


def imputed() -> list[Fit]:
    rng = np.random.default_rng(1)
    oats = mm.datasets.load("oats")
    draws = [oats.assign(y=oats["yield"] + rng.normal(size=len(oats)) * 5) for _ in range(4)]
    return [mm.lmm("y ~ Variety + nitro + (1 | Block/Variety)", one) for one in draws]


def test_means_contrasts_and_tests_are_pooled_with_their_names() -> None:
    fits = imputed()
    pooled = mm.pool(fits)
    assert pooled["term"].tolist() == list(fits[0].params.index)
    np.testing.assert_allclose(pooled["estimate"], np.mean([fit.beta for fit in fits], axis=0), rtol=1e-12)
    assert (pooled["df"] < np.mean([fit.fixed_effects()["df"] for fit in fits], axis=0)).all()
    means = mm.pool([fit.emmeans("Variety") for fit in fits])
    assert "Variety" in means.columns
    assert len(means) == 3
    pairs = mm.pool([fit.emmeans("Variety").contrast("pairwise") for fit in fits])
    assert len(pairs) == 3
    tests = mm.pool([fit.test("nitro", joint=False) for fit in fits])
    assert tests["estimate"][0] == pytest.approx(pooled["estimate"][-1])


def test_imputations_that_agree_are_one_fit() -> None:
    fit = imputed()[0]
    table, own = mm.pool([fit, fit, fit]), fit.fixed_effects()
    np.testing.assert_allclose(table["std_error"], own["std_error"], rtol=1e-12)
    assert (table["riv"] == 0).all()
    # Barnard and Rubin's df fall short of those of complete data even so
    np.testing.assert_allclose(table["df"], (own["df"] + 1) / (own["df"] + 3) * own["df"], rtol=1e-12)


def test_joint_tests_go_with_the_terms() -> None:
    row = mm.pool(imputed(), joint="Variety").row(0)
    assert row["num_df"] == 2
    assert 0 < row["p_value"] < 1
    assert d1_df(3, 1, 0.5, 100.0) == pytest.approx(2 * 2 * 9 / 2)
    assert d1_df(5, 2, 0.5, np.inf) == pytest.approx(4 + 4 * (1 + 0.75 / 0.5) ** 2)


def test_what_cannot_be_pooled_is_named() -> None:
    fits = imputed()
    with pytest.raises(SpecError, match="at least 2"):
        mm.pool(fits[:1])
    with pytest.raises(SpecError, match="table 2 has other rows"):
        mm.pool(
            [
                fits[0],
                mm.lmm("y ~ nitro + (1 | Block)", mm.datasets.load("oats").rename(columns={"yield": "y"})),
            ]
        )
    with pytest.raises(SpecError, match="dfcom=-1"):
        mm.pool(fits, dfcom=-1)
    with pytest.raises(SpecError, match="columns estimate and std_error"):
        mm.pool([fit.anova() for fit in fits])
    with pytest.raises(SpecError, match="pools fits"):
        mm.pool([fit.fixed_effects() for fit in fits], joint="Variety")
