"""`augment(newdata=)` and `tidy(conf_level=)`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm

RAIL = mm.datasets.load("rail", backend="pandas")
FIT = mm.lmm("travel ~ 1 + (1 | Rail)", RAIL)


def test_new_rows_keep_their_columns_library_and_labels() -> None:
    new = pd.DataFrame({"Rail": ["2", "1"], "note": ["a", "b"]}, index=[7, 9])
    found = FIT.augment(new).to_frame()
    assert list(found.columns) == ["Rail", "note", ".fitted", ".fixed"]
    assert list(found.index) == [7, 9]
    np.testing.assert_allclose(found[".fitted"], FIT.predict(new))
    assert isinstance(FIT.augment(pl.from_pandas(new)).to_frame(), pl.DataFrame)
    with pytest.raises(mm.DataError, match="new"):
        FIT.augment({"Rail": ["new"]})
    unseen = FIT.augment({"Rail": ["new"]}, new_levels="population")
    assert unseen[".fitted"][0] == pytest.approx(unseen[".fixed"][0])


def test_a_confidence_level_by_brooms_name() -> None:
    ours, theirs = FIT.tidy(level=0.9), FIT.tidy(conf_level=0.9)
    np.testing.assert_array_equal(ours["conf_low"], theirs["conf_low"])
    with pytest.raises(mm.SpecError, match="conf_level=90"):
        FIT.tidy(conf_level=90)
