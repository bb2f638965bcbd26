"""Exponentials of coefficients, where they are ratios."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

SALAMANDERS = mm.datasets.load("salamanders")


def test_ratios_are_exponentials_of_every_component() -> None:
    fit = mm.glm("count ~ mined", SALAMANDERS, "nb2", zero_inflation="~ mined")
    table = fit.fixed_effects(exponentiate=True)
    for ratio, of in (("ratio", "estimate"), ("ratio_low", "conf_low"), ("ratio_high", "conf_high")):
        np.testing.assert_allclose(table[ratio], np.exp(table[of]))
    assert "ratios of means; ratios of dispersions; odds ratios of a zero" in " ".join(table.notes)


def test_thresholds_have_no_ratio() -> None:
    fit = mm.glm("rating ~ temp", mm.datasets.load("wine"), "ordinal")
    table = fit.fixed_effects(exponentiate=True)
    thresholds = table["component"] == "threshold"
    assert np.isnan(table["ratio"][thresholds]).all()
    assert table["ratio"][~thresholds] == pytest.approx(np.exp(table["estimate"][~thresholds]))


def test_other_links_have_none() -> None:
    with pytest.raises(SpecError, match="links log, logit, cloglog, and this fit has link 'probit'"):
        mm.glm("I(count > 0) ~ mined", SALAMANDERS, "binomial", "probit").fixed_effects(exponentiate=True)
    with pytest.raises(SpecError, match="link 'identity'"):
        mm.lm("count ~ mined", SALAMANDERS).fixed_effects(exponentiate=True)
