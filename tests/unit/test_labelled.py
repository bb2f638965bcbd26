"""Labelled vectors, matrices and tables behave as the arrays, frames and dicts that users take them for."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.labelled import LabelledVector


@pytest.fixture(scope="module")
def sleep() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def test_arithmetic_comparison_and_rounding_keep_the_names(sleep: Fit) -> None:
    params = sleep.params
    ratio = params / sleep.bse
    assert isinstance(ratio, LabelledVector)
    np.testing.assert_allclose(ratio, sleep.tvalues)
    assert ratio.names == params.names
    assert dict(params > 100) == {"(Intercept)": True, "Days": False}
    assert params[params > 100].names == ("(Intercept)",)
    assert dict(round(params, 1)) == dict(params.round(1)) == {"(Intercept)": 251.4, "Days": 10.5}
    np.testing.assert_allclose(2 * params - np.array([1.0, 2.0]), 2 * sleep.beta - [1, 2])
    assert np.exp(-params)["Days"] == pytest.approx(np.exp(-sleep.beta[1]))
    assert params["Days"] == params[1] == params[-1] == params[["Days"]][0]
    assert (params == params).all()
    assert params.index.tolist() == ["(Intercept)", "Days"]
    assert np.array([1.0, 0.0]) @ params == pytest.approx(params["(Intercept)"])
    with pytest.raises(ValueError, match="neither true nor false"):
        bool(params == params)


def test_operands_with_names_are_matched_by_name(sleep: Fit) -> None:
    params = sleep.params
    series = pd.Series({"Days": 1.0, "(Intercept)": 2.0})
    assert dict(params - series) == {
        "(Intercept)": params["(Intercept)"] - 2,
        "Days": params["Days"] - 1,
    }
    assert dict(series - params) == dict(-(params - series))
    turned = LabelledVector(("Days", "(Intercept)"), np.array([1.0, 2.0]))
    assert dict(params + turned) == dict(params + series)
    with pytest.raises(mm.SpecError, match=r"entries 0, 1 do not match .*use to_numpy"):
        params + pd.Series([1.0, 2.0])


def test_pandas_reads_vectors_matrices_and_tables(sleep: Fit) -> None:
    frame = pd.DataFrame({"b": sleep.params, "se": sleep.bse})
    assert frame.index.tolist() == ["(Intercept)", "Days"]
    assert frame.loc["Days", "se"] == sleep.bse["Days"]
    pd.testing.assert_series_equal(pd.Series(sleep.params), sleep.params.to_series())
    for table in (sleep.anova(), sleep.random_effects(), sleep.variance_components()):
        pd.testing.assert_frame_equal(pd.DataFrame(table), table.to_frame("pandas"))
        assert pl.DataFrame(table).columns == list(table)
    matrix = sleep.cov_params()
    frame = pd.DataFrame(matrix)
    assert frame.loc["Days", "(Intercept)"] == matrix["Days", "(Intercept)"] == matrix["(Intercept)"]["Days"]
    np.testing.assert_array_equal(2 * matrix, 2 * np.asarray(matrix))
    means = mm.lmm("Reaction ~ C(Days) + (1 | Subject)", mm.datasets.load("sleepstudy")).emmeans("Days")
    assert pd.DataFrame(means)["Days"].tolist() == list(range(10))


def test_they_can_be_copied_pickled_and_written_but_not_changed(sleep: Fit) -> None:
    for thing in (sleep.params, sleep.anova(), sleep.cov_params(), sleep.emmeans("1")):
        for twin in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
            assert str(twin) == str(thing)
        with pytest.raises(TypeError, match="cannot be changed"):
            thing["new"] = 1  # type: ignore[index]
    assert json.loads(json.dumps(sleep.params))["Days"] == sleep.params["Days"]


def test_tables_have_heads_and_are_written_for_documents(sleep: Fit) -> None:
    table = sleep.random_effects()
    assert len(table.head()) == 5
    assert table.head(3)["level"].tolist() == ["308", "308", "309"]
    assert table.tail(1).row(0) == table.row(-1)
    assert len(table.tail(0)) == 0
    lines = sleep.anova().to_markdown().splitlines()
    assert lines[2:4] == [
        "| term | num\\_df | den\\_df | statistic | p\\_value |",
        "| :--- | ---: | ---: | ---: | ---: |",
    ]
    summary = sleep.summary()
    assert "Subject & (Intercept) & 612.090 & 24.7405" in summary.to_latex()
    assert summary.to_latex().count("\\begin{tabular}") == summary.to_latex().count("\\end{tabular}") == 3
    assert "| Subject | (Intercept) | 612.090 | 24.7405 |  |" in summary.to_markdown()


def test_levels_come_back_in_the_type_of_the_data() -> None:
    data = mm.datasets.load("sleepstudy").assign(
        Subject=lambda d: d["Subject"].astype(int), arm=lambda d: d["Subject"] % 2
    )
    fit = mm.lmm("Reaction ~ Days * C(arm) + (Days | Subject)", data)
    effects = fit.random_effects().to_frame()
    assert effects["level"].dtype == np.int64
    wide = fit.coefficients(wide=True).to_frame()
    assert list(wide.columns[:4]) == ["group", "level", "(Intercept)", "Days"]
    merged = data.merge(wide, left_on="Subject", right_on="level")
    assert len(merged) == 180
    long = fit.coefficients()
    days = long["estimate"][(long["term"] == "Days") & (long["level"] == 308)]
    assert wide.loc[wide["level"] == 308, "Days"].item() == days.item()
    assert fit.emmeans("arm")["arm"].tolist() == [0, 1]
    assert fit.emmeans("Days", at={"Days": [0, 2.5]})["Days"].tolist() == [0.0, 2.5]
    assert fit.emmeans("arm").contrast("pairwise")["contrast"].tolist() == ["arm0 - arm1"]


def test_levels_of_several_types_make_frames_of_every_library() -> None:
    data = mm.datasets.load("penicillin")
    fit = mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", data.assign(plate=data["plate"].cat.codes))
    levels = fit.random_effects()["level"].tolist()
    assert levels[:2] == [0, 1]
    assert levels[-1] == "F"
    assert fit.random_effects().to_frame("polars")["level"][0] == "0"
    assert fit.random_effects().to_frame("pyarrow")["level"][0].as_py() == "0"
    assert np.isnan(fit.coefficients(wide=True)["(Intercept)"]).sum() == 0
