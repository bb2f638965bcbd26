"""Any text gives a result, or an error with line and column, in time linear in the text."""

from __future__ import annotations

import contextlib
import re
import time
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.dialects.sas.lex import tokenize
from mixedmodels.dialects.sas.macro import resolve
from mixedmodels.dialects.sas.statements import split_steps
from sas_programs import frames, programs

PLACE = re.compile(r"line \d+, column \d+: ")
WORDS = """
proc mixed data=rcbd ; class block trt model y = x random repeated / type=un subject=
group= ( ) * | @ 2 'a' " lsmeans estimate contrast 1 -1 . ,
run data set do end if then else output % & &a %let %macro %mend %do
%to ; datalines 0.5 1e9 [ ] { } int intercept ar(1) sp(exp)(x) ddfm=kr where by
sort input $ @@ array lsmestimate slice parms hold=1 ** <> ^= ods output /* */
* 'n' 'a'n '1jan2020'd glimmix dist=bin random _residual_ first.x last. drop=x
"""
TEXTS = list(programs().values())


def read(text: str) -> None:
    found = resolve(text)
    split_steps(found, tokenize(found))


def check(text: str, run: bool) -> None:
    """Read a text, or run it: the errors of reading have a place, those of a model are the package's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if run:
            with contextlib.suppress(mm.MixedModelsError):
                mm.sas(text, data=frames())
            return
        try:
            read(text)
        except mm.SpecError as error:
            message = str(error)
        else:
            return
    assert PLACE.match(message)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    check(text, run=False)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(WORDS.split()), max_size=25).map(" ".join))
def test_any_words_run_or_are_refused(text: str) -> None:
    check(text, run=True)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(TEXTS), st.integers(0, 10_000), st.integers(1, 30), st.sampled_from(["", *WORDS.split()])
)
def test_programs_with_a_piece_replaced(text: str, place: int, length: int, piece: str) -> None:
    at = place % len(text)
    check(text[:at] + piece + text[at + length :], run=True)


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        "a*",
        "'",
        "/*",
        "%macro m;",
        "do;",
        "not ",
        "-",
        "&a",
        "%m ",
        "[1, 1] ",
        "a|",
        "x@@;",
        "if 1 then ",
    ],
)
def test_long_texts_take_linear_time(piece: str) -> None:
    def seconds(count: int) -> float:
        begin = time.process_time()
        check("proc mixed data=rcbd; model y = " + piece * count, run=False)
        return time.process_time() - begin

    seconds(1000)
    assert seconds(20_000) < 2.0


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "proc mixed data=rcbd; model y = trt / solve; run;",
            "line 1, column 39: 'solve' is no option of MODEL",
        ),
        (
            "proc mixed data=rcbd; modle y = trt; run;",
            "line 1, column 23: PROC MIXED has no statement 'modle'",
        ),
        ("proc mixd data=rcbd; run;", "PROC MIXD is not done"),
        ("proc mixed data=rcbd; model y = trt / influence; run;", "option influence of MODEL is not done"),
        (
            "proc mixed data=rcbd;\nclass trt;\nmodel y = trt;\nrandom trt / type=xx; run;",
            "line 4, column 19: type=xx",
        ),
        (
            "proc mixed data=rcbd; class trt; model y=trt; estimate 'a' trt 1 1 1 1 1; run;",
            "trt has 4 columns",
        ),
        (
            "proc mixed data=rcbd; class trt; model y=trt; lsmeans x; run;",
            "x is no effect of CLASS variables",
        ),
        ("proc mixed data=rcbd; class trt; model y=trt; contrast 'a' x 1; run;", "x is no effect of MODEL"),
        ("proc mixed data=rcbd; model y = “x”; run;", "typographic quote"),
        (
            "proc mixed data=rcbd; class trt; model y=trt; lsmeans trt / adjust=smm; run;",
            "adjust=smm is not done",
        ),
        ("proc mixed data=rcbd; class trt(ref='Z'); model y=trt; run;", "'Z' is no level of trt"),
        ("proc mixed data=rcbd; by trt; model y=x; run;", "not sorted|needs|BY"),
        ("%macro a; %a %mend; %a", "macros call one another|more than"),
        ("%do i=1 %to 100000000; x %end;", "more than 10,000 turns"),
        ("%let a=&b; ", "&b has no value"),
        ("x = 1;", "stands outside a step"),
        ("proc mixed data=rcbd; by; class trt; model y=trt; run;", "BY names variables"),
    ],
)
def test_messages(program: str, message: str) -> None:
    if "by trt" in program:
        program = (
            program.replace("rcbd;", "visits;")
            .replace("by trt", "by visit")
            .replace("model y=x", "model y=base")
        )
    with pytest.raises(mm.SpecError, match=message) as caught:
        mm.sas(program, data=frames())
    assert "line " in str(caught.value)


@pytest.mark.parametrize("statement", ["set", "merge"])
def test_data_sets_that_multiply_are_refused(statement: str) -> None:
    """Each step reads the last one's rows a thousandfold; what is refused is the third, before a row of it is made."""
    many = " q" * 1_000
    program = f"data q; set d; run; data q; set{many}; run; data q; {statement}{many}; run;"
    with pytest.raises(mm.SpecError, match="more than 1,000,000 rows together"):
        mm.sas(program, {"d": {"x": [1.0, 2.0]}})


def test_contrasts_of_many_rows_are_refused() -> None:
    program = f"proc mixed data=d; model y = x; contrast 'x' {'x 1, ' * 1_001} x 1; run;"
    with pytest.raises(mm.SpecError, match="at most 1,000 rows together"):
        mm.sas(program, {"d": {"x": [1.0, 2.0, 4.0], "y": [1.0, 3.0, 4.0]}})
