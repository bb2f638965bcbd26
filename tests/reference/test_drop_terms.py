"""Single term deletions against lme4's drop1 and lmerTest's ranova."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import mixedmodels as mm

EXPECTED = json.loads((Path(__file__).parent / "drop_terms" / "drop_terms.json").read_text())
MODELS = {
    "sleepstudy": ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    "uncorrelated": ("sleepstudy", "Reaction ~ Days + (Days || Subject)"),
    "cake": ("cake", "angle ~ recipe + temperature + (1 | recipe:replicate)"),
}


@pytest.mark.parametrize("case", MODELS)
def test_deletions_agree_with_lme4_and_lmertest(case: str) -> None:
    name, formula = MODELS[case]
    fit = mm.lmm(formula, mm.datasets.load(name))
    expected = EXPECTED[case]
    dropped, random = fit.drop1(), fit.ranova()
    assert dropped["term"].tolist() == expected["drop1"]["term"]
    # optimisers that stop at different points of a flat maximum
    np.testing.assert_allclose(dropped["aic"], expected["drop1"]["aic"], rtol=1e-7)
    own = fit.anova()
    for column in ("num_df", "den_df", "statistic", "p_value"):
        np.testing.assert_array_equal(dropped[column][1:], own[column])
    for column in ("n_parameters", "statistic", "df", "p_value"):
        found = np.array(expected["ranova"][column], dtype=float)
        np.testing.assert_allclose(random[column], found, rtol=1e-5)
    if name != "cake":
        # the ordered factor of cake is coded otherwise in R, which shifts restricted likelihoods
        np.testing.assert_allclose(random["loglik"], expected["ranova"]["loglik"], rtol=1e-7)


def test_a_dropped_factor_takes_its_coding_along() -> None:
    oats = mm.datasets.load("oats")
    formula = "yield ~ Variety + nitro + (1 | Block)"
    usual, summed = mm.lmm(formula, oats), mm.lmm(formula, oats, contrasts={"Variety": "sum"})
    np.testing.assert_allclose(summed.drop1()["aic"], usual.drop1()["aic"], rtol=1e-8)
