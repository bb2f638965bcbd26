"""The teaching data: every set loads in every backend with the same values and level order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mixedmodels import datasets
from mixedmodels.datasets.catalogue import data_folder
from mixedmodels.errors import SpecError

NAMES = datasets.list()


def levels_of(frame: Any, name: str) -> list[str]:
    return list(frame[name].cat.categories)


def test_every_promised_data_set_exists() -> None:
    promised = (
        "rail orthodont sleepstudy dyestuff dyestuff2 penicillin pastes cake oats machines ergostool "
        "latin_square stores curve insteval ovary bodyweight cbpp epil salamanders owls ohio toenail wine"
    )
    assert set(promised.split()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_backends_agree(name: str) -> None:
    record = datasets.describe(name)
    pandas = datasets.load(name)
    polars = datasets.load(name, backend="polars")
    arrow = datasets.load(name, backend="pyarrow")
    plain = datasets.load(name, backend="dict")
    assert list(pandas.columns) == polars.columns == arrow.column_names == list(plain)
    for column in record.columns:
        if column.is_factor:
            assert levels_of(pandas, column.name) == list(column.levels)
            assert pandas[column.name].cat.ordered == (column.kind == "ordered")
            assert polars[column.name].dtype.categories.to_list() == list(column.levels)
            assert arrow[column.name].chunk(0).dictionary.to_pylist() == list(column.levels)
        expected = plain[column.name].tolist()
        assert len(expected) == record.rows
        assert pandas[column.name].to_list() == polars[column.name].to_list() == expected
        assert arrow[column.name].to_pylist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_provenance_is_complete(name: str) -> None:
    record = datasets.describe(name)
    assert record.title
    assert record.source
    assert record.licence
    assert all(column.meaning for column in record.columns)
    assert record.source in str(record)


def test_every_level_occurs() -> None:
    for name in NAMES:
        plain = datasets.load(name, backend="dict")
        for column in datasets.describe(name).columns:
            if column.is_factor:
                assert set(plain[column.name].tolist()) == set(column.levels), (name, column.name)


def test_orthodont_is_the_tutorial_frame() -> None:
    frame = datasets.load("orthodont")
    assert list(frame.columns) == ["id", "age", "Y", "sex", "fem", "male"]
    assert frame["Y"].head(5).tolist() == [21.0, 20.0, 21.5, 23.0, 21.0]
    sex_of_id = frame.groupby("id", observed=True)["sex"].first().tolist()
    assert sex_of_id == ["F"] * 11 + ["M"] * 16
    np.testing.assert_array_equal(frame["fem"] + frame["male"], 1)


def test_insteval_marginal_counts() -> None:
    # Counts of table(InstEval$y) in R.
    counts = np.bincount(datasets.load("insteval", backend="dict")["y"], minlength=6)
    assert counts.tolist() == [0, 10186, 12951, 17609, 16921, 15754]


def test_package_data_stay_small() -> None:
    sizes = {entry.name: len(entry.read_bytes()) for entry in data_folder().iterdir()}
    assert sizes["insteval.bin.gz"] + sizes["insteval.json"] <= 400_000
    assert sum(sizes.values()) < 1_000_000


@pytest.mark.parametrize(
    ("name", "expected"), [("rails", "Did you mean 'rail'"), ("zzz", "Available: bodyweight")]
)
def test_unknown_name_is_an_error_with_a_suggestion(name: str, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        datasets.load(name)


def test_unknown_backend_is_an_error() -> None:
    with pytest.raises(SpecError, match=r"Did you mean 'polars'.*Allowed: pandas, polars, pyarrow, dict"):
        datasets.load("rail", backend="polar")
