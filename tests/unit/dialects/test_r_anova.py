"""`anova` of lmer fits in programs of R goes by maximum likelihood, as lme4's does."""

from __future__ import annotations

import pytest

import mixedmodels as mm

PROGRAM = """m1 <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
m0 <- lmer(Reaction ~ Days + (1 | Subject), sleepstudy)
anova(m0, m1)
anova(m0, m1, refit = FALSE)
"""


def test_models_are_refitted_by_maximum_likelihood_unless_told_not_to() -> None:
    """R 4.2, lme4 1.1-31: Chisq 42.139 with AIC 1802.1 and 1763.9; 42.837 without refitting."""
    listing = mm.r(PROGRAM, data={"sleepstudy": mm.datasets.load("sleepstudy")})
    tables = [table for step in listing.steps for table in step.tables.values()]
    first, second = (table for table in tables if "delta_aic" in getattr(table, "columns", ()))
    assert first["statistic"][1] == pytest.approx(42.139, abs=5e-4)
    assert first["aic"].round(1).tolist() == [1802.1, 1763.9]
    assert second["statistic"][1] == pytest.approx(42.837, abs=5e-4)
    assert "refitting models with ML" in listing.text
