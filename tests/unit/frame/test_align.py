"""Rows are matched by the labels of pandas, or refused; never by place where labels say otherwise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm

SLEEP = mm.datasets.load("sleepstudy")
WEIGHTS = pd.Series(np.random.default_rng(1).uniform(1, 2, 180))
SHUFFLED = np.random.default_rng(2).permutation(180)
FORMULA = "Reaction ~ Days + (1 | Subject)"


def test_weights_follow_the_labels_of_the_data() -> None:
    right = mm.lmm(FORMULA, SLEEP, weights=WEIGHTS.to_numpy()).criterion
    for data, weights in ((SLEEP, WEIGHTS.iloc[SHUFFLED]), (SLEEP.iloc[SHUFFLED], WEIGHTS)):
        assert mm.lmm(FORMULA, data, weights=weights).criterion == pytest.approx(right, abs=1e-9)
    late = SLEEP["Days"] > 2
    some = mm.lmm(FORMULA, SLEEP[late], weights=WEIGHTS).criterion
    assert some == pytest.approx(mm.lmm(FORMULA, SLEEP[late], weights=WEIGHTS[late].to_numpy()).criterion)
    twice = pd.concat([SLEEP, SLEEP])
    again = mm.lmm(FORMULA, twice, weights=pd.concat([WEIGHTS, WEIGHTS])).criterion
    assert again == pytest.approx(mm.lmm(FORMULA, twice, weights=np.tile(WEIGHTS, 2)).criterion)


@pytest.mark.parametrize(
    ("data", "weights", "message"),
    [
        (
            SLEEP[30:],
            WEIGHTS[30:].reset_index(drop=True),
            r"weights has row labels 0, 1, 2 …, the data 30, 31, 32 …",
        ),
        (SLEEP, WEIGHTS[:100], "weights has 100 values for 180 rows"),
        (pl.DataFrame(SLEEP), WEIGHTS.iloc[SHUFFLED], "and the data none to match them with"),
        (pd.concat([SLEEP, SLEEP]), pd.concat([WEIGHTS, WEIGHTS]).iloc[::-1], "labels repeat"),
    ],
)
def test_labels_that_do_not_match_are_refused(data: object, weights: pd.Series, message: str) -> None:
    with pytest.raises(mm.DataError, match=message):
        mm.lmm(FORMULA, data, weights=weights)


def test_responses_follow_the_labels_of_the_data() -> None:
    y = 2 * SLEEP["Reaction"] + WEIGHTS
    fit = mm.lmm(FORMULA, SLEEP)
    assert fit.refit(y.iloc[SHUFFLED]).criterion == pytest.approx(fit.refit(y.to_numpy()).criterion, abs=1e-9)
    with pytest.raises(mm.DataError, match="refit: the response has row labels 7, 8"):
        fit.refit(y.set_axis(np.arange(7, 187)))
    gap = SLEEP.assign(Days=SLEEP["Days"].where(SLEEP.index != 4).astype(float))
    holed = mm.lmm(FORMULA, gap)
    own = holed.refit(y.drop(4).to_numpy()).criterion
    assert holed.refit(y.iloc[SHUFFLED]).criterion == pytest.approx(own, abs=1e-9)
    assert holed.refit(y.drop(4).sort_index(ascending=False)).criterion == pytest.approx(own, abs=1e-9)


def test_series_in_a_dict_are_matched_with_each_other() -> None:
    data = {"Reaction": SLEEP["Reaction"].iloc[SHUFFLED], "Days": SLEEP["Days"], "Subject": SLEEP["Subject"]}
    assert mm.lmm(FORMULA, data).criterion == pytest.approx(mm.lmm(FORMULA, SLEEP).criterion, abs=1e-9)
    with pytest.raises(mm.DataError, match="column 'Days' has row labels"):
        mm.lmm(FORMULA, {**data, "Days": SLEEP["Days"].set_axis(np.arange(180) + 3)})


@pytest.mark.parametrize("step", [1, 10**15])
def test_identifiers_beyond_the_integers_of_floating_point_stay_apart(step: int) -> None:
    ids = np.uint64(2**63) + np.repeat(np.arange(18, dtype=np.uint64) * np.uint64(step), 10)
    right = mm.lmm(FORMULA, SLEEP).criterion
    listed = [int(i) for i in ids]
    frame = SLEEP.assign(Subject=ids)
    for data in (
        frame,
        pl.DataFrame(frame),
        {**SLEEP, "Subject": listed},
        {**SLEEP, "Subject": ids.astype(object)},
    ):
        fit = mm.lmm(FORMULA, data)
        assert fit.criterion == pytest.approx(right, abs=1e-9)
        assert [int(level) for level in fit.random_effects()["level"]] == listed[::10]
    missing = [None, *listed[1:]]
    nullable = SLEEP.assign(Subject=pd.array(missing, dtype="UInt64"))
    polars = pl.DataFrame(SLEEP).with_columns(pl.Series("Subject", missing, dtype=pl.UInt64))
    for data in (nullable, polars, polars.to_arrow(), {**SLEEP, "Subject": missing}):
        assert mm.lmm(FORMULA, data).ngroups == {"Subject": 18}


def test_a_condition_that_is_missing_somewhere_is_no_condition() -> None:
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "g": list("aabb")})
    condition = pd.array([True, True, None, True], dtype="boolean")
    with pytest.raises(mm.DataError, match=r"subset is missing in some rows.*fillna"):
        mm.lm("y ~ 1", data, subset=condition)


def test_switches_are_true_or_false() -> None:
    with pytest.raises(mm.SpecError, match="control: keep_data='no' must be True or False"):
        mm.Control(keep_data="no")  # type: ignore[arg-type]
