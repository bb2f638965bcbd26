"""Programs of R as people write them after a tutorial: parts by `$`, update, car, emmeans, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.dialects.listing import Listing
from r_scripts import scripts
from sas_programs import frames

BLOCKS = "m <- lmer(y ~ trt + x + (1 | block), data = rcbd)\n"
GROWTH = "m <- lme(Y ~ age * sex, data = dent, random = ~ age | id)\n"


def run(text: str) -> Listing:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        return mm.r(text, frames())


def last(text: str) -> Any:
    return next(iter(run(text).steps[-1].tables.values()))


@pytest.mark.parametrize("name", scripts())
def test_scripts_run(name: str) -> None:
    listing = run(scripts()[name])
    assert listing.fits
    assert listing.text


def test_parts_of_a_summary() -> None:
    fit = mm.lme("Y ~ age * sex", frames()["dent"], random="~ age | id")
    for text in ("summary(m)$tTable", 'summary(m)[["coefficients"]]', "coef(summary(m))"):
        found = last(GROWTH + text)
        np.testing.assert_allclose(found["estimate"], fit.fixed_effects()["estimate"], rtol=1e-8)
        assert found["df"].tolist() == [79, 79, 25, 79]
    assert last(GROWTH + "m$sigma")["sigma"][0] == pytest.approx(fit.sigma)
    assert last(GROWTH + "intervals(m)$fixed")["term"].tolist() == list(fit.params.names)


def test_summary_of_lmer_has_the_df_of_lmertest_where_it_is_loaded() -> None:
    expected = mm.lmer("y ~ trt + x + (1 | block)", frames()["rcbd"]).fixed_effects(ddf="satterthwaite")
    found = last("library(lmerTest)\n" + BLOCKS + "summary(m)$coefficients")
    np.testing.assert_allclose(found["df"], expected["df"], rtol=1e-6)


def test_parts_by_group() -> None:
    random = last(GROWTH + "ranef(m)$id")
    assert list(random.names) == ["level", "term", "estimate", "std_error"]
    assert len(random) == 54
    assert len(last(GROWTH + "coef(m)$id")) == 27
    assert len(last(BLOCKS + "VarCorr(m)$block")) == 1
    with pytest.raises(mm.SpecError, match="no such group"):
        run(BLOCKS + "VarCorr(m)$blok")


def test_parts_of_means() -> None:
    both = BLOCKS + "emmeans(m, pairwise ~ trt)"
    assert len(last(both + "$contrasts")) == 6
    assert len(last(both + "$emmeans")) == 4
    weights = last(BLOCKS + "contrast(emmeans(m, ~ trt), list(a_b = c(1, -1, 0, 0)))")
    pairs = last(BLOCKS + 'pairs(emmeans(m, ~ trt), adjust = "none")')
    assert weights["estimate"][0] == pytest.approx(pairs["estimate"][0])
    assert len(last(BLOCKS + "cld(emmeans(m, ~ trt))")) == 4


def test_update_changes_the_formula_and_arguments() -> None:
    data = frames()["dent"]
    text = GROWTH + 'm0 <- update(m, . ~ . - age:sex, method = "ML", random = ~ 1 | id)\nlogLik(m0)'
    expected = mm.lme("Y ~ age + sex", data, random="~ 1 | id", method="ML")
    assert last(text)["loglik"][0] == pytest.approx(expected.loglik, abs=1e-6)
    full = last(BLOCKS + "update(m, . ~ . - x, REML = FALSE)\nlogLik(update(m, . ~ . - x, REML = FALSE))")
    own = mm.lmer("y ~ trt + (1 | block)", frames()["rcbd"], REML=False)
    assert full["loglik"][0] == pytest.approx(own.loglik, abs=1e-6)
    power = mm.lme("Y ~ age * sex", data, random="~ age | id", weights="varIdent(form = ~ 1 | sex)")
    text = (
        GROWTH
        + "m1 <- update(m, weights = varIdent(form = ~ 1 | sex))\nlogLik(update(m1, weights = NULL)); logLik(m1)"
    )
    assert last(text)["loglik"][0] == pytest.approx(power.loglik, abs=1e-6)
    plain = run(text).steps[-2].tables["logLik"]["loglik"][0]
    assert plain == pytest.approx(mm.lme("Y ~ age * sex", data, random="~ age | id").loglik, abs=1e-6)


def test_limits_of_some_parameters() -> None:
    assert last(BLOCKS + 'confint(m, parm = "x", method = "Wald")')["term"].tolist() == ["x"]
    assert len(last(BLOCKS + 'confint(m, parm = "beta_", method = "Wald")')) == 5
    assert len(last(BLOCKS + 'confint(m, parm = "theta_", method = "Wald")')) == 2


def test_anova_of_car() -> None:
    fit = mm.lmer("y ~ trt + x + (1 | block)", frames()["rcbd"])
    found = last("library(car)\n" + BLOCKS + 'Anova(m, test.statistic = "F")')
    expected = fit.anova(type=2, ddf="kenward-roger", information="expected")
    np.testing.assert_allclose(found["statistic"], expected["statistic"], rtol=1e-8)
    assert any("contr.sum" in note for note in run(BLOCKS + "Anova(m, type = 3)").notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plot(m)", r"line 2, column 1: plot\(\) draws"),
        ("d <- read.csv('x.csv')", r"line 2, column 6: read.csv\(\) prepares data"),
        ("fixef(m)['x']", r"line 2, column 9: brackets \[ \] are not read"),
        ("summary(m)$nonsense", r"\$nonsense of a fitted model"),
        ("rcbd$y", "columns of data are not taken out"),
        ("m$", "stands the name of a part|ends where"),
        ("m$1", "right of \\$ stands the name of a part"),
        ("m[[1]]", "in quotation marks"),
        ("update(rcbd, y ~ x)", r"update\(\) takes a fitted model"),
        ("update(. ~ ., m)", r"update\(\) takes|formula|fitted model"),
        ("update(m, nonsense = 1)", "no argument 'nonsense'"),
        ("contrast(emmeans(m, ~ trt), list(c(1, -1, 0, 0)))", "have names"),
        ('emtrends(m, ~ 1, var = "x") |> pairs() |> pairs()', "no means to compare"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message) as caught:
        run(BLOCKS + text)
    assert "line 2, column" in str(caught.value)
