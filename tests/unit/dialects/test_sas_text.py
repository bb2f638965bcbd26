"""Models written as steps of SAS."""

from __future__ import annotations

import textwrap

import pytest

import mixedmodels as mm


def _text(formula: str, **options: object) -> str:
    return mm.lmm(formula, mm.datasets.load("orthodont"), **options).to_sas()  # type: ignore[no-any-return, arg-type]


def test_the_model_of_the_tutorial_is_its_program() -> None:
    text = _text("Y ~ 0 + fem + male + fem:age + male:age + (1 | id, by=sex)", variance="ident(sex)")
    assert text == textwrap.dedent("""\
        proc mixed data=data method=reml;
          class id sex;
          model Y = fem male fem*age male*age / noint solution ddfm=kr;
          random intercept / subject=id group=sex;
          repeated / group=sex;
        run;""")


@pytest.mark.parametrize(
    ("formula", "options", "lines"),
    [
        ("Y ~ age + (1 + age | id)", {}, ["random intercept age / subject=id type=un;"]),
        ("Y ~ age + (1 + age || id)", {}, ["random intercept age / subject=id type=un(1);"]),
        ("Y ~ age + (1 + sex | id)", {}, ["random sex / subject=id type=un;"]),
        ("Y ~ age + (1 | sex/id)", {}, ["random intercept / subject=sex;", "random intercept / subject=sex*id;"]),
        ("Y ~ age + (1 | id)", {"ddf": "satterthwaite", "method": "ml"}, ["method=ml;", "ddfm=satterthwaite;"]),
        ("Y ~ age", {"residual": "cs(1 | id, by=sex)"}, ["repeated / subject=id type=cs group=sex;"]),
        ("Y ~ sex", {"residual": "toep(age | id)"}, ["class age id sex;", "repeated age / subject=id type=toep;"]),
        ("Y ~ age", {"residual": "ar1(age | id)"}, ["age_class = age;", "repeated age_class / subject=id type=ar(1);"]),
        ("Y ~ sex", {"residual": "exp(age | id, nugget=True)"}, ["repeated / subject=id type=sp(exp)(age) local;"]),
        ("Y ~ log(age) + I(age^2) + (1 | id)", {}, ["I_age_2 = (age**2);", "model Y = log_age I_age_2 /"]),
        ("Y ~ age + (1 | id)", {"variance": "exp(age)"}, ["repeated / local=exp(age);"]),
        ("Y ~ age + (1 | id)", {"weights": "age"}, ["weight age;"]),
        ("Y ~ age + (1 | id)", {"variance": "fixed(age)"}, ["age_weight = 1/abs(age);", "weight age_weight;"]),
        ("Y ~ age + (1 | id)", {"bounds": "none"}, ["proc mixed data=data method=reml nobound;"]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_parts_of_models_are_statements(formula: str, options: dict[str, object], lines: list[str]) -> None:
    text = _text(formula, **options)
    for line in lines:
        assert line in text


@pytest.mark.parametrize(
    ("formula", "options", "reason"),
    [
        ("Y ~ poly(age, 2) + (1 | id)", {}, r"poly\(\) is no function of a DATA step"),
        ("Y ~ age + offset(age) + (1 | id)", {}, r"PROC MIXED has no offset"),
        (
            "Y ~ age",
            {"residual": "ar1(age | id)", "variance": "ident(sex)"},
            r"GROUP= repeats the whole structure",
        ),
        ("Y ~ age + (1 | id)", {"variance": "power(fitted)"}, r"power\(fitted\).* has no counterpart"),
        ("Y ~ age + diag(1 + sex | id)", {}, r"write 0 \+ factor"),
        ("Y ~ age", {"residual": "rq(age | id)"}, r"rq is not among its covariance structures"),
    ],
)
@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_what_sas_does_not_have_is_told_with_the_reason(
    formula: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(mm.SpecError, match=rf"cannot be written for .*{reason}"):
        _text(formula, **options)


def test_generalised_models_are_glimmix() -> None:
    fit = mm.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mm.datasets.load("cbpp"), "binomial"
    )
    assert "model incidence/trials = period / dist=binomial solution;" in fit.to_sas()
    assert "trials = incidence + size-incidence;" in fit.to_sas()
    counts = mm.glmm("y ~ trt + (1 | subject)", mm.datasets.load("epil"), "poisson", method="rspl")
    assert "proc glimmix data=data method=rspl;" in counts.to_sas()


def test_names_that_differ_in_case_alone_are_refused() -> None:
    data = mm.datasets.load("orthodont").assign(AGE=lambda frame: frame["age"] ** 2)
    with pytest.raises(mm.SpecError, match="'age' and 'AGE' are one name there"):
        mm.lmm("Y ~ age + AGE + (1 | id)", data).to_sas()


def test_names_with_blanks_are_name_literals() -> None:
    data = mm.datasets.load("orthodont").rename(columns={"age": "age in years"})
    assert "model Y = 'age in years'n / solution" in mm.lmm("Y ~ `age in years` + (1 | id)", data).to_sas()


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("Y ~ age * sex + (1 | id)", {}),
        ("Y ~ 0 + fem + male + fem:age + male:age + (1 | id, by=sex)", {"variance": "ident(sex)"}),
        ("Y ~ age * sex", {"residual": "cs(1 | id, by=sex)"}),
        ("Y ~ age + (1 + age | id)", {"method": "ml"}),
        ("Y ~ sex + diag(1 + age | id)", {}),
        ("Y ~ sex + (1 | sex:id)", {}),
        ("Y ~ age + (1 + sex | id)", {}),
        ("Y ~ age + (1 | id)", {"weights": "age"}),
        ("Y ~ sex", {"residual": "us(age | id)"}),
        ("Y ~ sex", {"residual": "ar1(age | id)"}),
        ("Y ~ sex", {"residual": "toep(age | id)"}),
        ("Y ~ sex", {"residual": "hcs(age | id)"}),
        ("Y ~ sex", {"residual": "ante1(age | id)"}),
        ("Y ~ sex", {"residual": "har1(age | id, by=sex)"}),
        ("Y ~ age * sex + (1 | id)", {"variance": "ident(sex)"}),
    ],
)
@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_a_step_that_is_read_again_is_the_same_model(formula: str, options: dict[str, object]) -> None:
    data = mm.datasets.load("orthodont")
    fit = mm.lmm(formula, data, **options)  # type: ignore[arg-type]
    again = mm.sas(fit.to_sas(), data={"data": data}).fits[0]
    assert again.criterion == pytest.approx(fit.criterion, abs=2e-6)
    assert len(again.theta) == len(fit.theta)
