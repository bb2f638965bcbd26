"""A column that is no number says which value is in the way, and what to do about it."""

from __future__ import annotations

import io

import pandas as pd
import pytest

import mixedmodels as mm

SLEEP = mm.datasets.load("sleepstudy")
TEXT = SLEEP["Reaction"].map(lambda value: f"{value:.2f}").astype(object)
DATES = pd.to_datetime("2020-01-01") + pd.to_timedelta(SLEEP["Days"], unit="D")


def spoilt() -> pd.Series:
    out = TEXT.copy()
    out[7] = "n.d."
    return out


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (TEXT, r"the text reads as numbers throughout: convert it, pandas.to_numeric\(data\['z'\]\)"),
        (TEXT.str.replace(".", ","), "the text reads as numbers throughout"),
        (spoilt(), r"most of it reads as numbers, but not 'n.d.' \(first in row 8 of those used\)"),
        (DATES, r"holds dates.*days since the first, \(data\['z'\] - data\['z'\].min\(\)\).dt.days"),
        (
            SLEEP["Subject"].map(lambda level: f"s{level}").astype(object),
            r"such as 's308', 's309'.*factor\(z\)",
        ),
    ],
)
@pytest.mark.parametrize("formula", ["z ~ Days + (1 | Subject)", "Reaction ~ log(z) + (1 | Subject)"])
def test_what_is_no_number_is_refused_with_a_remedy(column: pd.Series, message: str, formula: str) -> None:
    with pytest.raises(mm.DataError, match=message):
        mm.lmm(formula, SLEEP.assign(z=column))


def test_the_row_counted_is_one_of_the_model() -> None:
    frame = SLEEP.assign(z=spoilt())
    with pytest.raises(mm.DataError, match=r"'n.d.' \(first in row 3 of those used\)"):
        mm.lmm("z ~ Days + (1 | Subject)", frame[5:])


def a_file(sep: str, **options: object) -> pd.DataFrame:
    rows = [
        f"P{p};{1 + 7 * v:02d}.0{1 + p % 4}.2024;{100 + p % 3 + v},5;{v},25"
        for p in range(8)
        for v in range(4)
    ]
    text = "\n".join(["Patient ID;day of visit;y;dose, mg", *rows]) + "\n"
    return pd.read_csv(io.StringIO(text), sep=sep, **options)


def test_files_of_another_country_are_told_by_what_they_look_like() -> None:
    with pytest.raises(mm.DataError, match="read the file with sep=';', and decimal=','"):
        mm.lmm("y ~ `dose, mg` + (1 | `Patient ID`)", a_file(","))
    with pytest.raises(mm.DataError, match="read the file with decimal=','"):
        mm.lmm("y ~ `dose, mg` + (1 | `Patient ID`)", a_file(";"))
    data = a_file(";", decimal=",")
    fit = mm.lmm("y ~ `dose, mg` + (1 | `Patient ID`)", data)
    assert fit.params["dose, mg"] == pytest.approx(1.0)
    with pytest.raises(mm.SpecError, match="in back-ticks: `Patient ID`"):
        mm.lmm("y ~ 1 + (1 | Patient ID)", data)


def test_text_of_dates_is_told() -> None:
    data = a_file(";", decimal=",")
    notes = str(mm.lmm("y ~ `day of visit` + (1 | `Patient ID`)", data).status)
    assert "day of visit is text that reads as dates, taken as a factor of 16 levels" in notes
    meant = str(mm.lmm("y ~ factor(`day of visit`) + (1 | `Patient ID`)", data).status)
    assert "reads as dates" not in meant
