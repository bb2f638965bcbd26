"""Likelihood ratios, means and new rows of generalised models with several predictors."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm

SALAMANDERS = mm.datasets.load("salamanders")
POISSON = mm.glmm("count ~ mined + (1 | site)", SALAMANDERS, "poisson")
NB2 = mm.glmm("count ~ mined + (1 | site)", SALAMANDERS, "nb2")
INFLATED = mm.glmm(
    "count ~ spp + mined + (1 | site)", SALAMANDERS, "poisson", zero_inflation="~ mined + (1 | spp)"
)
ORDINAL = mm.glmm("rating ~ temp + contact + (1 | judge)", mm.datasets.load("wine"), "ordinal")


def test_a_family_with_one_more_parameter_has_the_smaller_as_a_case() -> None:
    row = mm.compare(POISSON, NB2).row(1)
    assert row["df"] == 1
    assert row["statistic"] == pytest.approx(2 * (NB2.loglik - POISSON.loglik), rel=1e-9)
    zeros = mm.glmm("count ~ mined + (1 | site)", SALAMANDERS, "poisson", zero_inflation="~ mined")
    assert mm.compare(POISSON, zeros).row(1)["df"] == 2
    spread = mm.glmm("count ~ mined + (1 | site)", SALAMANDERS, "nb2", dispersion="~ mined")
    assert mm.compare(NB2, spread).row(1)["df"] == 1


def test_other_families_are_not_tested() -> None:
    table = mm.compare(NB2, mm.glmm("count ~ mined + DOY + (1 | site)", SALAMANDERS, "nb1"))
    assert np.isnan(table.row(1)["p_value"])
    assert any("not known to be a case" in note for note in table.notes)


def test_means_read_the_columns_of_their_own_predictor() -> None:
    for fit in (NB2, INFLATED):
        means = fit.emmeans("mined").table
        beta = fit.params
        gap = np.diff(means["estimate"])[0]
        np.testing.assert_allclose(gap, beta["mined[T.no]"], rtol=1e-10)
        assert np.isfinite(means["std_error"]).all()
    latent = ORDINAL.emmeans("temp").table
    np.testing.assert_allclose(np.diff(latent["estimate"]), ORDINAL.params["temp[T.warm]"], rtol=1e-10)
    shares = ORDINAL.emmeans("temp", type="response").table
    assert np.sum(shares["estimate"]) == pytest.approx(len(set(shares["temp"])))


@pytest.mark.parametrize("fit", [NB2, INFLATED, ORDINAL])
def test_new_rows_are_the_rows_of_the_fit(fit: mm.Fit) -> None:
    data = SALAMANDERS if fit is not ORDINAL else mm.datasets.load("wine")
    again = fit.predict(data.head(5), se=True)
    own = fit.predict(se=True)
    np.testing.assert_allclose(again["fit"], own["fit"][:5], rtol=1e-10)
    np.testing.assert_allclose(again["se"], own["se"][:5], rtol=1e-8)
