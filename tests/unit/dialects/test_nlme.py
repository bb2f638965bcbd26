"""nlme's language read: what it means, and what is refused with line and column."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm


@pytest.mark.parametrize(
    ("random", "bars"),
    [
        ("~ 1 | id", ["(1 | id)"]),
        ("~1+age|id # slopes", ["(1 + age | id)"]),
        ("~ 1 | sex/id", ["(1 | sex)", "(1 | sex:id)"]),
        ("list(sex = ~ 1, id = pdDiag(~ age))", ["(1 | sex)", "diag(1 + age | sex:id)"]),
        ("list(id = pdDiag(form = ~ -1 + fem + male))", ["diag(0 + fem + male | id)"]),
        (
            "list(id = pdBlocked(list(pdIdent(~ 1), pdIdent(~ fem + male - 1))))",
            ["(1 | id)", "homdiag(0 + fem + male | id)"],
        ),
        (
            'list(id = pdBlocked(list(~ 1, ~ age - 1), pdClass = "pdIdent"))',
            ["(1 | id)", "homdiag(0 + age | id)"],
        ),
        ("list(id = pdCompSymm(~ fem + male - 1))", ["cs(0 + fem + male | id)"]),
        ("list(id = nlme::pdLogChol(~ age))", ["(1 + age | id)"]),
        ("list(`id` = ~ age)", ["(1 + age | id)"]),
    ],
)
def test_random_effects_are_bars(random: str, bars: list[str]) -> None:
    fit = mm.lme("Y ~ age", mm.datasets.load("orthodont"), random, method="ML")
    assert [str(term) for term in fit.spec.random] == bars
    assert fit.spec.ddf == "inner-outer"


@pytest.mark.parametrize(
    ("correlation", "weights", "residual", "variance"),
    [
        ("corAR1(form = ~ 1 | id)", None, "ar1(1 | id)", []),
        ("corAR1(0.4, ~ as.integer(factor(age)) | id)", None, "ar1(age | id)", []),
        ("corCAR1(form = ~ age | id)", "varIdent(form = ~1|sex)", "car1(age | id)", ["ident(sex)"]),
        ("corARMA(form = ~ 1 | id, p = 1, q = 1)", None, "arma(1, 1)(1 | id)", []),
        (
            "corCompSymm(form = ~ 1 | sex/id)",
            "varPower(form = ~ age | sex)",
            "cs(1 | sex:id)",
            ["power(age, by=sex)"],
        ),
        ("corSymm(form = ~ as.integer(factor(age)) | id)", "varIdent(form = ~ 1 | age)", "us(age | id)", []),
        (
            'corExp(form = ~ age | id, nugget = TRUE, metric = "man")',
            "varExp(form = ~ age)",
            "exp(age | id, nugget=True)",
            ["exp(age)"],
        ),
        ("corGaus(form = ~ age | id)", "varConstPower(form = ~ age)", "gau(age | id)", ["const_power(age)"]),
        (None, "varComb(varIdent(form = ~ 1 | sex), varPower())", None, ["ident(sex)", "power(fitted)"]),
        (None, "varIdent(form = ~ 1 | sex * age)", None, ["ident(sex, age)"]),
        (None, "~ age", None, ["fixed(age)"]),
    ],
)
@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_errors_are_structures_and_functions(
    correlation: str | None, weights: str | None, residual: str | None, variance: list[str]
) -> None:
    fit = mm.gls("Y ~ age", mm.datasets.load("orthodont"), correlation=correlation, weights=weights)
    assert (None if fit.spec.residual is None else str(fit.spec.residual)) == residual
    assert [str(function) for function in fit.spec.variance] == variance


def test_held_values_are_held() -> None:
    data = mm.datasets.load("orthodont")
    fit = mm.gls(
        "Y ~ age", data, correlation="corAR1(0.4, ~ 1 | id, fixed = TRUE)", weights="varPower(fixed = 0.5)"
    )
    held = dict(fit.spec.hold)
    assert held == {"correlation(Residual)": 0.4, "power(fitted): power": 0.5}
    powers = mm.gls("Y ~ age", data, weights="varPower(form = ~ age, fixed = 0.5)")
    assert powers.loglik == pytest.approx(mm.gls("Y ~ age", data, weights="varFixed(~ age)").loglik, abs=1e-6)


def test_inverse_columns_are_precisions_and_columns_stay_columns() -> None:
    data = mm.datasets.load("orthodont")
    inverse = mm.lme("Y ~ age", data, "~ 1 | id", weights="varFixed(~ 1/age)")
    assert inverse.spec.weights == "age"
    assert inverse.loglik == mm.lme("Y ~ age", data, "~ 1 | id", weights="age").loglik


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"random": "~ 1"}, r"random=, line 1, column 1: name the group"),
        ({"random": "pdDiag(~ age)"}, r"name the group"),
        ({"random": "list(~ 1)"}, r"column 6: name the group of every element"),
        ({"random": "list(id = pdDag(~ age))"}, r"column 11: pdDag is no class of .* Did you mean 'pdDiag'"),
        ({"random": "list(id = pdDiag(c(1, 2), ~ age))"}, r"takes a formula alone"),
        ({"random": "~ 1 | id + sex"}, r"grouping side takes columns joined by /"),
        ({"random": 3}, r"random=3 must be R text"),
        (
            {"random": "~ 1 | id", "correlation": "corAr1()"},
            r"corAr1 is no class of correlations. Did you mean 'corAR1'",
        ),
        (
            {"random": "~ 1 | id", "correlation": "corAR1(form = ~ age | id)"},
            r"'age' \(8, 10, 12, 14\) are not consecutive",
        ),
        (
            {"random": "~ 1 | sex/id", "correlation": "corAR1(form = ~ 1 | id)"},
            r"must be those of the random effects, \| sex/id",
        ),
        (
            {"random": "~ 1 | id", "correlation": "corSymm(form = ~ 1 | id)"},
            r"general correlations are fitted with a variance",
        ),
        ({"random": "~ 1 | id", "correlation": "corExp()"}, r"needs its coordinates"),
        ({"random": "~ 1 | id", "correlation": "corARMA(form = ~ 1)"}, r"needs an order"),
        (
            {"random": "~ 1 | id", "correlation": "corCompSymm(0.3, ~ 1 | id, TRUE)"},
            r"values of corCompSymm\(\) are not held",
        ),
        ({"random": "~ 1 | id", "weights": "varIdent()"}, r"needs its groups, form = ~ 1 \| g"),
        (
            {"random": "~ 1 | id", "weights": "varPower(form = ~ resid(.))"},
            r"depend on residuals are not fitted",
        ),
        (
            {"random": "~ 1 | id", "weights": "varPower(fom = ~ age)"},
            r"no argument 'fom'.*Did you mean 'form'",
        ),
        ({"random": "~ 1 | id", "weights": "varFixed(~ age + 1)"}, r"make anything else a column"),
        ({"random": "~ 1 | id", "method": "REMl2"}, r"method='reml2' is not known"),
    ],
)
def test_what_is_not_said_is_refused_in_words(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        mm.lme("Y ~ age", mm.datasets.load("orthodont"), **arguments)  # type: ignore[arg-type]


def test_two_languages_for_one_thing_are_refused() -> None:
    data = mm.datasets.load("rail")
    with pytest.raises(mm.SpecError, match="residual= and correlation= say the same"):
        mm.gls("travel ~ 1", data, correlation="corCompSymm(form = ~ 1 | Rail)", residual="cs(1 | Rail)")
    with pytest.raises(mm.SpecError, match="random effects of lme stand in random ="):
        mm.lme("travel ~ 1 | Rail", data, "~ 1 | Rail")


def test_nlme_stops_at_missing_values() -> None:
    data = mm.datasets.load("orthodont").assign(Y=lambda frame: frame["Y"].where(frame["age"] > 8, np.nan))
    with pytest.raises(mm.DataError):
        mm.lme("Y ~ age", data, "~ 1 | id")
    assert mm.lme("Y ~ age", data, "~ 1 | id", na="drop").nobs == 81
