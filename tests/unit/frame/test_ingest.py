"""The same data in any library give the same frame; data that cannot carry a model are refused by name."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixedmodels.errors import DataError
from mixedmodels.frame.ingest import build_frame
from mixedmodels.frame.model_frame import ModelFrame
from mixedmodels.syntax.formula import read_formula

COLUMNS: dict[str, list[Any]] = {
    "y": [1.5, 2.5, None, 4.5, 5.5, 7.0],
    "k": [1, 2, 3, 4, 5, 6],
    "flag": [True, False, True, True, False, True],
    "g": ["b", "a", "b", "c", "a", "c"],
    "h": [10, 30, 10, 20, 20, 30],
}
FORMULA = "y ~ k + flag + (1 | g) + (1 | h)"


def as_pandas(columns: dict[str, list[Any]]) -> Any:
    return pd.DataFrame(columns)


def as_pandas_nullable(columns: dict[str, list[Any]]) -> Any:
    return pd.DataFrame(columns).convert_dtypes()


def as_pandas_object(columns: dict[str, list[Any]]) -> Any:
    return pd.DataFrame(columns, dtype=object)


def as_pandas_arrow(columns: dict[str, list[Any]]) -> Any:
    return pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)


def as_dict(columns: dict[str, list[Any]]) -> Any:
    return {name: np.array(values, float) if name == "y" else values for name, values in columns.items()}


def as_series(columns: dict[str, list[Any]]) -> Any:
    return {name: pd.Series(values, index=range(5, 11)) for name, values in columns.items()}


LIBRARIES: list[tuple[Callable[[dict[str, list[Any]]], Any], str]] = [
    (as_pandas, "pandas"),
    (as_pandas_nullable, "pandas"),
    (as_pandas_object, "pandas"),
    (as_pandas_arrow, "pandas"),
    (pl.DataFrame, "polars"),
    (pa.table, "pyarrow"),
    (lambda columns: nw.from_native(pl.DataFrame(columns)), "polars"),
    (as_dict, "dict"),
    (as_series, "dict"),
    (lambda columns: {name: pl.Series(values) for name, values in columns.items()}, "dict"),
]


def frame(formula: str, data: Any, **arguments: Any) -> ModelFrame:
    return build_frame(read_formula(formula), data, **arguments)


@pytest.mark.parametrize(("library", "backend"), LIBRARIES)
def test_every_library_gives_the_same_frame(library: Callable[[Any], Any], backend: str) -> None:
    made = frame(FORMULA, library(COLUMNS))
    assert made.n == 5
    assert made.rows is not None
    assert made.rows.tolist() == [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(made.columns["y"].number(), [1.5, 2.5, 4.5, 5.5, 7.0])
    np.testing.assert_array_equal(made.columns["k"].number(), [1, 2, 4, 5, 6])
    np.testing.assert_array_equal(made.columns["flag"].number(), [1, 0, 1, 0, 1])
    g, h = made.factors["g"], made.factors["h"]
    assert g.levels is not None
    assert h.levels is not None
    assert [str(level) for level in g.levels] == ["a", "b", "c"]
    assert g.values.tolist() == [1, 0, 2, 0, 2]
    assert h.levels.tolist() == [10, 20, 30]
    assert h.values.tolist() == [0, 2, 1, 1, 2]
    assert made.backend == backend
    assert [str(note) for note in made.notes] == ["1 of 6 rows dropped: missing values in y"]


CATEGORIES = ["c", "unused", "a", "b"]


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"y": [1.0, 2, 3], "g": pd.Categorical(["a", "c", "b"], categories=CATEGORIES)}),
        pl.DataFrame({"y": [1.0, 2, 3], "g": pl.Series(["a", "c", "b"], dtype=pl.Enum(CATEGORIES))}),
        pa.table({"y": [1.0, 2, 3], "g": pa.DictionaryArray.from_arrays([2, 0, 3], CATEGORIES)}),
        {"y": [1.0, 2, 3], "g": pd.Categorical(["a", "c", "b"], categories=CATEGORIES)},
    ],
)
def test_declared_order_is_kept_and_unused_levels_are_noted(data: Any) -> None:
    made = frame("y ~ (1 | g)", data)
    g = made.factors["g"]
    assert g.levels is not None
    assert g.levels.tolist() == ["c", "a", "b"]
    assert g.values.tolist() == [1, 0, 2]
    assert [str(note) for note in made.notes] == ["1 unused levels of g dropped: unused"]


def test_polars_categoricals_are_sorted_whatever_was_cast_before() -> None:
    pl.Series(["z", "y", "x"]).cast(pl.Categorical)
    made = frame(
        "y ~ (1 | g)", pl.DataFrame({"y": [1.0, 2], "g": pl.Series(["b", "a"]).cast(pl.Categorical)})
    )
    assert made.factors["g"].levels is not None
    assert made.factors["g"].levels.tolist() == ["a", "b"]


def test_arrow_dictionaries_may_differ_between_chunks() -> None:
    chunks = [pa.array(["x", "y"]).dictionary_encode(), pa.array(["z", "y", None]).dictionary_encode()]
    made = frame("y ~ (1 | g)", pa.table({"y": [1.0, 2, 3, 4, 5], "g": pa.chunked_array(chunks)}))
    assert made.factors["g"].values.tolist() == [0, 1, 2, 1]
    assert made.n == 4


def test_row_labels_play_no_part() -> None:
    data = pd.DataFrame(COLUMNS, index=[9, 9, 9, 0, 0, -1])
    shuffled = frame(FORMULA, data)
    plain = frame(FORMULA, pd.DataFrame(COLUMNS))
    for name, column in plain.columns.items():
        np.testing.assert_array_equal(shuffled.columns[name].values, column.values)
    assert shuffled.rows is not None
    assert shuffled.rows.tolist() == [0, 1, 3, 4, 5]


def test_missing_values_of_every_part_are_dropped_together() -> None:
    data = pd.DataFrame(
        {
            "y": [1.0, 2, 3, 4, 5, 6, 7, 8],
            "x": [None, 2.0, 3, 4, 5, 6, 7, 8],
            "g": ["a", None, "a", "b", "b", "a", "b", "a"],
            "o": [1.0, 1, None, 1, 1, 1, 1, 1],
            "w": [1.0, 1, 1, np.nan, 1, 1, 1, 2],
            "other": [None] * 8,
        }
    )
    spec = read_formula("y ~ x + offset(o) + (1 | g)", weights="w")
    made = build_frame(spec, data)
    assert made.rows is not None
    assert made.rows.tolist() == [4, 5, 6, 7]
    assert made.weights is not None
    assert made.weights.tolist() == [1, 1, 1, 2]
    assert str(made.notes[0]) == "4 of 8 rows dropped: missing values in x, o, g, w"
    with pytest.raises(DataError, match=r"x \(1\), o \(1\), g \(1\), w \(1\).*na='raise'"):
        build_frame(spec.with_changes(na="raise"), data)


def test_weights_as_an_array_join_the_missing_rows() -> None:
    data = {"y": [1.0, 2, 3, 4], "x": [1.0, 2, 4, 3]}
    made = frame("y ~ x", data, weights=[1, np.nan, 2, 3])
    assert made.weights is not None
    assert made.weights.tolist() == [1, 2, 3]
    assert made.n == 3
    assert "weights" in str(made.notes[0])


@pytest.mark.parametrize("weights", [[1, 0, 2], [1, -1, 2]])
def test_weights_must_be_positive(weights: list[float]) -> None:
    with pytest.raises(DataError, match="weights must be positive; 'weights' has 1 values"):
        frame("y ~ 1", {"y": [1.0, 2, 3]}, weights=weights)
    with pytest.raises(DataError, match="'w' has 1 values that are not"):
        build_frame(read_formula("y ~ 1", weights="w"), {"y": [1.0, 2, 3], "w": weights})


def test_weights_must_be_one_per_row() -> None:
    with pytest.raises(DataError, match="weights has 2 values for 3 rows"):
        frame("y ~ 1", {"y": [1.0, 2, 3]}, weights=[1, 2])


def test_numbers_are_copied_once() -> None:
    data = pd.DataFrame({"y": [1.0, 2, 3], "x": [1.0, 2, 4]})
    made = frame("y ~ x", data)
    assert not np.shares_memory(made.columns["x"].number(), data["x"].to_numpy())
    assert made.kept is not None
    assert np.shares_memory(made.columns["x"].number(), made.kept.columns["x"].values)


def test_one_group_called_all() -> None:
    assert frame("y ~ homdiag(0 + x + z | all)", {"y": [1.0, 2], "x": [1, 2], "z": [0, 1]}).factors == {}
    data = {"y": [1.0, 2, 3], "x": [1, 2, 3], "all": ["a", "b", "a"]}
    assert list(frame("y ~ (1 | all)", data).factors) == ["all"]


def test_dates_group_but_are_not_numbers() -> None:
    data = pd.DataFrame({"y": [1.0, 2, 3], "day": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-02"])})
    made = frame("y ~ (1 | day)", data)
    assert made.factors["day"].values.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="'day' holds dates where numbers are needed"):
        made.columns["day"].number()


def test_time_zones_and_missing_dates() -> None:
    day = pd.Series(pd.to_datetime(["2024-01-02", None, "2024-01-01"])).dt.tz_localize("UTC")
    made = frame("y ~ (1 | day)", pd.DataFrame({"y": [1.0, 2, 3], "day": day}))
    assert made.factors["day"].values.tolist() == [1, 0]


def test_decimals_are_numbers() -> None:
    arrow = pa.table({"y": pa.array([Decimal("1.00"), Decimal("2.00"), None])})
    for data in (arrow, pl.from_arrow(arrow)):
        assert frame("y ~ 1", data).columns["y"].number().tolist() == [1.0, 2.0]


def test_long_text_columns() -> None:
    values = np.array([f"s{i % 321}" for i in range(20_000)], dtype=object)
    values[5] = None
    expected = sorted({str(v) for v in values if v is not None})
    for data in (
        {"y": np.arange(20_000.0), "g": values},
        {"y": np.arange(20_000.0), "g": values.astype(str)},
    ):
        made = frame("y ~ (1 | g)", data)
        levels = made.factors["g"].levels
        assert levels is not None
        assert [level for level in levels if level != "None"] == expected


def test_structured_arrays() -> None:
    data = np.array([(1.0, "a"), (2.0, "b"), (4.0, "a")], dtype=[("y", float), ("g", "U1")])
    assert frame("y ~ (1 | g)", data).factors["g"].values.tolist() == [0, 1, 0]


def test_the_schema_is_small_and_pickles() -> None:
    schema = frame(FORMULA, pd.DataFrame(COLUMNS)).schema
    assert pickle.loads(pickle.dumps(schema)) == schema
    assert schema.kind("g") == "factor"
    assert schema.kind("k") == "number"
    assert (schema.n_given, schema.n_used) == (6, 5)
    assert len(pickle.dumps(schema)) < 2000


# -- bad input --
def test_an_unknown_column_is_pointed_at_with_a_suggestion() -> None:
    with pytest.raises(DataError) as caught:
        frame("y ~ Dayz + (1 | g)", {"y": [1.0], "Days": [1], "g": ["a"]})
    message = str(caught.value)
    assert "column 'Dayz' is not in the data. Did you mean 'Days'? Columns: y, Days, g." in message
    lines = message.splitlines()
    assert lines[-1].index("^") == lines[-2].index("Dayz")


@pytest.mark.parametrize(
    "formula", ["z ~ x", "y ~ x + (1 | z)", "y ~ x + (z | g)", "y ~ x + offset(z)", "y ~ spline(z)"]
)
def test_an_unknown_column_anywhere(formula: str) -> None:
    with pytest.raises(DataError, match="column 'z' is not in the data"):
        frame(formula, {"y": [1.0, 2], "x": [1, 2], "g": ["a", "b"]})


def test_unknown_option_columns() -> None:
    data = {"y": [1.0, 2], "g": ["a", "b"]}
    with pytest.raises(DataError, match="'sex' is not in the data"):
        frame("y ~ (1 | g, by=sex)", data)
    with pytest.raises(DataError, match="'w' is not in the data"):
        build_frame(read_formula("y ~ 1", weights="w"), data)


@pytest.mark.parametrize("data", [{"y": []}, pd.DataFrame({"y": []}), {}, pl.DataFrame({"y": []})])
def test_an_empty_frame(data: Any) -> None:
    with pytest.raises(DataError, match="no rows"):
        frame("y ~ 1", data)


@pytest.mark.parametrize("missing", [[None, None], [np.nan, np.nan]])
def test_a_column_missing_throughout(missing: list[Any]) -> None:
    for library in (pd.DataFrame, pl.DataFrame, pa.table, dict):
        with pytest.raises(DataError, match="column 'x' is missing in every row"):
            frame("y ~ x", library({"y": [1.0, 2.0], "x": missing}))


def test_no_complete_row() -> None:
    with pytest.raises(DataError, match=r"no row is complete: missing values in y \(1\), x \(1\)"):
        frame("y ~ x", {"y": [1.0, np.nan], "x": [np.nan, 1.0]})


def test_infinite_values_are_named_and_counted() -> None:
    data = {"y": [1.0, np.inf, 3, 4], "x": [-np.inf, np.inf, np.nan, 1]}
    with pytest.raises(DataError, match=r"infinite values in y \(1\), x \(2\)"):
        frame("y ~ x", data)


def test_huge_values_are_not_infinite_but_out_of_range() -> None:
    with pytest.raises(DataError, match=r"'y' has values of size 1e\+308, whose squares"):
        build_frame(read_formula("y ~ 1"), {"y": [1e308, 1e308, -1e308]})
    assert build_frame(read_formula("y ~ 1"), {"y": [1e60, 1e60, -1e60]}).n == 3


def test_columns_of_unequal_length() -> None:
    with pytest.raises(DataError, match="differ in length"):
        frame("y ~ x", {"y": [1.0, 2], "x": [1.0]})


def test_a_single_value_is_no_column() -> None:
    with pytest.raises(DataError, match="'x' of the data is a single value"):
        frame("y ~ x", {"y": [1.0, 2], "x": "ab"})


def test_a_matrix_is_no_column() -> None:
    with pytest.raises(DataError, match="'x' has 2 dimensions"):
        frame("y ~ x", {"y": [1.0, 2], "x": np.zeros((2, 2))})


def test_a_column_name_used_twice() -> None:
    data = pd.DataFrame([[1.0, 2, 3], [4, 5, 7]], columns=["y", "x", "x"])
    with pytest.raises(DataError, match="'x' occurs 2 times"):
        frame("y ~ x", data)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="type complex128"):
        frame("y ~ 1", {"y": np.array([1j, 2])})


def test_lazy_frames_say_what_to_do() -> None:
    with pytest.raises(DataError, match="collect"):
        frame("y ~ 1", pl.DataFrame({"y": [1.0]}).lazy())


@pytest.mark.parametrize("data", [3, "data.csv", [[1, 2]], None])
def test_things_that_are_no_frame(data: Any) -> None:
    with pytest.raises(DataError, match="give a pandas, polars or pyarrow frame"):
        frame("y ~ 1", data)
