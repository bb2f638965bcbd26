"""Models side by side."""

from __future__ import annotations

import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError


def test_terms_are_rows_and_models_columns() -> None:
    sleep = mm.datasets.load("sleepstudy")
    one = mm.lmm("Reaction ~ 1 + (1 | Subject)", sleep)
    two = mm.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    table = mm.model_table(one, two, names=["null", "slopes"])
    rows = {row["term"]: row for row in (table.row(i) for i in range(len(table)))}
    assert list(table.columns) == ["term", "null", "slopes"]
    assert rows["Days"]["null"] == ""
    assert rows["Days"]["slopes"] == "10.467 (1.546)"
    assert rows["sd Residual"]["slopes"] == f"{two.sigma:.3f}"
    assert rows["cor Subject (Intercept), Days"]["slopes"] == "0.066"
    assert rows["AIC"]["slopes"] == f"{two.aic:.1f}"
    assert "10.467" in table.to_html()
    assert "10.467 (1.546)" in table.to_latex()
    assert "| Days |" in table.to_markdown()


def test_limits_and_p_values_stand_in_brackets_on_request() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    assert mm.model_table(fit, show="p")["(1)"][1] == "10.467 (<0.001)"
    low, high = (float(fit.fixed_effects()[name][1]) for name in ("conf_low", "conf_high"))
    assert mm.model_table(fit, show="ci")["(1)"][1] == f"10.467 ({low:.3f}, {high:.3f})"
    assert mm.model_table(fit, show="none")["(1)"][1] == "10.467"


def test_generalised_and_structured_models_stand_beside_others() -> None:
    epil, orth = mm.datasets.load("epil"), mm.datasets.load("orthodont")
    fit = mm.glmm("y ~ trt + base + (1 | subject)", epil, family="poisson")
    rows = dict(zip(*(mm.model_table(fit, exponentiate=True)[name] for name in ("term", "(1)")), strict=True))
    assert rows["base"].startswith("1.0")
    gls = mm.gls("Y ~ age", orth, residual="ar1(age | id)")
    rows = dict(zip(*(mm.model_table(gls)[name] for name in ("term", "(1)")), strict=True))
    assert rows["correlation Residual"].startswith("0.")


def test_what_is_no_fit_or_no_name_is_refused() -> None:
    fit = mm.lm("travel ~ 1", mm.datasets.load("rail"))
    with pytest.raises(SpecError, match="takes fits"):
        mm.model_table()
    with pytest.raises(SpecError, match="2 different names"):
        mm.model_table(fit, fit, names=["a", "a"])
    with pytest.raises(SpecError, match="show"):
        mm.model_table(fit, show="stars")
