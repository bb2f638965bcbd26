"""lme4's language, both ways."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm


def test_lmer_reads_reml() -> None:
    data = mm.datasets.load("sleepstudy")
    for reml, method in ((True, "reml"), (False, "ml")):
        ours = mm.lmm("Reaction ~ Days + (Days | Subject)", data, method=method)  # type: ignore[arg-type]
        assert mm.lmer("Reaction ~ Days + (Days | Subject)", data, REML=reml).criterion == ours.criterion


@pytest.mark.parametrize(
    ("formula", "options", "expected"),
    [
        (
            "Reaction ~ Days + (Days | Subject)",
            {},
            "lmer(Reaction ~ 1 + Days + (1 + Days | Subject), data = data)",
        ),
        (
            "log(Reaction) ~ I(Days^2) + factor(Days) + (1 | Subject)",
            {"method": "ml"},
            "lmer(log(Reaction) ~ 1 + I(Days ^ 2) + factor(Days) + (1 | Subject), data = data, REML = FALSE)",
        ),
        (
            "Reaction ~ C(Subject, contr.sum) + np.log(w) + offset(w) + (0 + Days || Subject)",
            {"weights": "w"},
            "lmer(Reaction ~ 1 + C(factor(Subject), contr.sum) + log(w) + offset(w) + (0 + Days || Subject), "
            "data = data, weights = w)",
        ),
        ("Reaction ~ poly(Days, 2, raw=True)", {}, "lm(Reaction ~ 1 + poly(Days, 2, raw=TRUE), data = data)"),
        (
            "Reaction ~ h + (1 | Subject/h)",
            {"contrasts": {"h": "sum"}},
            "lmer(Reaction ~ 1 + h + (1 | Subject) + (1 | Subject:h), data = data, "
            'contrasts = list(h = "contr.sum"))',
        ),
    ],
)
def test_models_are_written_as_r_calls(formula: str, options: dict[str, object], expected: str) -> None:
    data = mm.datasets.load("sleepstudy").assign(
        w=np.linspace(1, 2, 180), h=lambda d: np.where(d["Days"] < 5, "a", "b")
    )
    if "C(Subject" in formula:
        data = data[data["Days"] > 0]
    assert mm.lmm(formula, data, **options).to_lme4() == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("score ~ Machine + cs(0 + Machine | Worker)", "only `us` and `diag`"),
        ("score ~ Machine + (0 + Machine || Worker)", "keeps the correlations"),
        ("score ~ 1 + (1 | Worker, by=Machine)", "by="),
    ],
)
def test_what_lme4_cannot_say_is_refused_with_the_reason(formula: str, reason: str) -> None:
    fit = mm.lmm(formula, mm.datasets.load("machines"))
    with pytest.raises(mm.SpecError, match=reason):
        fit.to_lme4()


def test_weights_as_an_array_cannot_be_written() -> None:
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), weights=np.ones(18))
    with pytest.raises(mm.SpecError, match="make them a column"):
        fit.to_lme4()


def test_structured_errors_are_not_dropped() -> None:
    orth = mm.datasets.load("orthodont")
    with pytest.raises(mm.SpecError, match=r"residual='ar1\(age \| id\)': errors in lme4 are independent"):
        mm.gls("Y ~ age", orth, residual="ar1(age | id)").to_lme4()
    with pytest.raises(mm.SpecError, match=r"variance='ident\(sex\)'"):
        mm.lmm("Y ~ age + (1 | id)", orth, variance="ident(sex)").to_lme4()
