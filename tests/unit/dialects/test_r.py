"""Programs of R: what they give, and that anything else is an error with line and column."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.dialects.r.lex import Source
from mixedmodels.dialects.r.parse import parse

PLACED = re.compile(r"line \d+, column \d+: ")
SEED = Path(__file__).parents[4] / "shared" / "seed" / "introduction-to-linear-mixed-models.md"
SCRIPT = """
library(nlme)   # a comment, don't mind the apostrophe
(m <- lme(Y ~ age * sex, data = orth, random = list(id = pdDiag(~ age)),
          weights = varIdent(form = ~ 1 | sex), corr = NULL))
VarCorr(m); fixef(m)
m |> emmeans(pairwise ~ sex, at = list(age = c(8, 14)))
g <- nlme::gls(Y ~ age, orth, correlation = corAR1(0.4, form = ~ 1 | id), method = "ML")
anova(m, type = "marginal")
"""


def _orthodont() -> Any:
    return mm.datasets.load("orthodont")


def test_a_program_gives_steps_with_fits_and_tables() -> None:
    listing = mm.r(SCRIPT, {"orth": _orthodont()})
    assert [step.line for step in listing.steps] == [2, 3, 5, 5, 6, 7, 8]
    assert [len(step.fits) for step in listing.steps] == [0, 1, 0, 0, 0, 1, 0]
    assert list(listing.steps[4].tables) == ["emmeans", "contrasts"]
    assert listing.steps[5].silent
    assert "gls" in listing.steps[5].tables
    assert listing.fits[1].spec.method == "ml"
    assert str(listing.fits[0].spec.random[0]) == "diag(1 + age | id)"
    assert "library(nlme) is noted" in listing.text
    assert listing.objects["m"].fit is listing.fits[0]
    assert "<div" in listing.to_html()


def test_the_tutorial_comes_out_as_printed() -> None:
    rail = {"railData": mm.datasets.load("rail")}
    listing = mm.r(
        """
        (m1.Rails <- lme(travel~1,data=railData,random=~1|Rail))
        VarCorr(m1.Rails)
        emmeans(m1.Rails, specs=-1)
        intervals(m1.Rails, which="fixed") # uses df=12
        m2.Rails <- lm(travel~Rail,data=railData); emmeans(m2.Rails,specs= -1)
        getVarCov(m1.Rails, individuals=c("1", "2"), type="marginal")
        m1a.Rails <- gls(travel~1,data=railData,corr=corCompSymm(form=~1|Rail))
        logLik(m1.Rails);logLik(m1a.Rails)
        """,
        rail,
    )
    components = listing.tables["VarCorr"]
    assert components["sd"].round(6).tolist() == [24.805465, 4.020779]
    mean, six = (step.tables["emmeans"].row(0) for step in listing.steps if "emmeans" in step.tables)
    assert [round(mean[name], 1) for name in ("estimate", "std_error", "df", "conf_low", "conf_high")] == [
        66.5,
        10.2,
        5,
        40.4,
        92.6,
    ]
    assert [round(six[name], 3) for name in ("estimate", "std_error", "df")] == [66.5, 0.948, 12]
    limits = listing.tables["intervals"].row(0)
    assert (round(limits["conf_low"], 5), round(limits["conf_high"], 5)) == (44.33921, 88.66079)
    first = listing.tables["getVarCov 1"]
    assert (round(first["1", "1"], 2), round(first["1", "2"], 2)) == (631.48, 615.31)
    for step in listing.steps[-2:]:
        assert step.tables["logLik"].row(0)["loglik"] == pytest.approx(-61.0885, abs=5e-5)
        assert step.tables["logLik"].row(0)["df"] == 3


@pytest.mark.skipif(not SEED.exists(), reason="the tutorial lies beside the repository")
def test_the_calls_of_the_tutorial_run_as_they_stand() -> None:
    blocks = re.findall(r"```\n(.*?)```", SEED.read_text(encoding="utf-8"), re.DOTALL)
    calls = [b for b in blocks if re.search(r"\b(lme|lmer|gls|lm|emmeans|intervals|getVarCov|VarCorr)\(", b)]
    assert len(calls) == 11
    # the slide closes a bracket that it did not open
    text = "\n".join(calls).replace("groupedData object)  \n)", "groupedData object)  \n")
    orth = _orthodont().assign(sexFac=lambda frame: frame["sex"])
    data = {"railData": mm.datasets.load("rail"), "orthData.grpd": orth, "dentT.grpd": orth}
    listing = mm.r(text, data)
    assert listing.objects["m1.lme"].fit.loglik == pytest.approx(-207.3332, abs=5e-5)
    formula = "Y ~ 0 + fem + fem:age + male + male:age + (0 + fem | id) + (0 + male | id)"
    assert listing.objects["m2.lmer"].fit.loglik == pytest.approx(mm.lmer(formula, orth).loglik, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m$coefficients", r"line 1, column 1: 'm' is not known"),
        ("x <- 3", r"line 1, column 6: a number is no model call"),
        ("a + b", r"arithmetic is no model call"),
        ("system('ls')", r"line 1, column 1: system\(\) is not read here"),
        ("for (i in 1:3) print(i)", r"line 1, column 1: for is not read"),
        ("lme(Y ~ age, orth)", r"lme\(\) needs random"),
        ("\n  lme(Y ~ agee, orth, ~ 1 | id)", r"line 2, column 3: .*agee"),
        ("lme(Y ~ age, orthh, ~ 1 | id)", r"line 1, column 14: 'orthh' is not known. Did you mean 'orth'"),
        (
            "lme(Y ~ age, orth, ~ 1 | id, wieghts = varIdent(form = ~ 1 | sex))",
            r"no argument 'wieghts'.*Did you mean 'weights'",
        ),
        ("lme(Y ~ age, orth, ~ 1 | id, weights = varIdnt())", r"varIdnt is no variance function"),
        (
            "lmer(Y ~ age + (1 | id), orth, subset = age > 8)",
            r"subset = of lmer\(\) is not read; choose the rows before",
        ),
        (
            "m <- lmer(Y ~ age + (1 | id), orth)\nVarCor(m)",
            r"line 2, column 1: VarCor\(\) is not read here. Did you mean 'VarCorr'",
        ),
        ("emmeans(orth, ~ sex)", r"emmeans\(\) takes a fitted model"),
        ("lm(Y ~ age, orth)(1)", r"line 1, column 18: '\(' is not expected here"),
        ("lm(Y ~ age, orth[1:3])", r"brackets \[ \] are not read"),
        ("lm(Y ~ age,\n   orth", r"line 1, column 3: '\(' is never closed"),
        ("anova(lm(Y ~ age, orth), 3)", r"compares fitted models by their names"),
        ("AIC()", r"AIC\(\) needs its object"),
    ],
)
def test_anything_else_is_an_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(mm.MixedModelsError, match=message) as raised:
        mm.r(text, {"orth": _orthodont()})
    assert PLACED.match(str(raised.value))


def test_one_frame_needs_no_name() -> None:
    for data in (mm.datasets.load("rail"), {"rail": mm.datasets.load("rail")}):
        assert mm.r("lme(travel ~ 1, random = ~ 1 | Rail)", data).fits[0].loglik == pytest.approx(
            -61.0885, abs=5e-5
        )
    with pytest.raises(mm.SpecError, match=r"line 1, column 1: lme\(\) needs data"):
        mm.r("lme(travel ~ 1, random = ~ 1 | Rail)")


def test_several_models_are_counted_as_in_r() -> None:
    text = (
        "a <- lmer(Y ~ age + (1 | id), d)\nb <- lme(Y ~ age, d, ~ 1 | id)\nAIC(a, b)\nBIC(a, b)\nanova(a, b)"
    )
    listing = mm.r(text, {"d": _orthodont()})
    # R: AIC(lmer) = AIC(lme); BIC counts n in lme4 and n − p in nlme
    assert listing.tables["AIC"]["df"].tolist() == [4, 4]
    lme4, nlme = listing.tables["BIC"]["bic"]
    assert lme4 > nlme
    assert listing.tables["anova"]["model"].tolist() == ["a", "b"]


WORDS = "lme gls emmeans pairs summary VarCorr pdDiag list c m x y rail Rail travel data random NULL TRUE 1 0.5 1e3"
SIGNS = "( ( ) ) , ~ | + - * / ^ : = <- $ [ ] { } |> %in% :: # ; % \\ “ é ' \" `"
PIECES = (*WORDS.split(), *SIGNS.split(), "\n", "\t", "\u00a0", "'a'", '"b"', "`c d`")


def _outcome(text: str, data: Any = None) -> str:
    """Return the text of the listing, or that of the error."""
    try:
        return f"listing {mm.r(text, data).text}"
    except mm.MixedModelsError as error:
        return str(error)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join) | st.text(max_size=60))
def test_any_text_gives_a_listing_or_an_error_with_its_place(text: str) -> None:
    assert re.match(rf"listing|{PLACED.pattern}", _outcome(text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_programs_with_a_piece_changed_give_a_listing_or_an_error_with_its_place(data: Any) -> None:
    text = "m <- lme(travel ~ 1, data = rail, random = list(Rail = pdDiag(~ 1)), method = 'ML')\nVarCorr(m); anova(m)"
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(start + 6, len(text))))
    changed = text[:start] + data.draw(st.sampled_from(PIECES)) + text[stop:]
    assert re.match(rf"listing|{PLACED.pattern}", _outcome(changed, {"rail": mm.datasets.load("rail")}))


@pytest.mark.parametrize("unit", ["f(x, y = 3)\n", "x + ", "# comment\n", "'text' ", "a <- ", "f(x) |> "])
def test_reading_takes_time_in_proportion_to_the_text(unit: str) -> None:
    def seconds(n: int) -> float:
        begin = time.perf_counter()
        with contextlib.suppress(mm.SpecError):
            parse(Source(unit * n + "x"))
        return time.perf_counter() - begin

    seconds(100)
    assert min(seconds(1600) for _ in range(3)) < 40 * min(seconds(200) for _ in range(3)) + 0.05


def test_deep_and_long_texts_are_refused_with_their_place() -> None:
    for text in (
        "(" * 5000 + ")" * 5000,
        "-" * 5000 + "x",
        "a^" * 5000 + "x",
        "f(" * 5000,
        "x" * 200_000,
        "f()\n" * 2001,
    ):
        with pytest.raises(mm.SpecError, match=PLACED):
            mm.r(text)


def test_a_program_of_two_hundred_lines_is_read_in_twenty_milliseconds() -> None:
    text = SCRIPT * 25
    best = min(_timed(text) for _ in range(5))
    # 20 ms on a machine that is not busy
    assert best < 0.08


def _timed(text: str) -> float:
    begin = time.process_time()
    parse(Source(text))
    return time.process_time() - begin
