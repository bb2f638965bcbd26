"""A column that is no number says which value is in the way, and what to do about it."""

from __future__ import annotations

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
