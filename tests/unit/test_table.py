"""Tables: formatting of numbers, renderings, frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixedmodels.errors import SpecError
from mixedmodels.formats import format_column, format_number
from mixedmodels.labelled import LabelledMatrix, LabelledVector
from mixedmodels.table import Table


@pytest.fixture
def table() -> Table:
    columns = {
        "term": ["(Intercept)", "x<y"],
        "estimate": np.array([251.40511, np.nan]),
        "df": np.array([17.0, np.inf]),
        "p_value": np.array([1e-12, 0.04]),
    }
    return Table(columns, title="Fixed effects", notes=("df: residual",))


def test_text_aligns_numbers_to_the_right_and_words_to_the_left(table: Table) -> None:
    assert str(table).splitlines() == [
        "Fixed effects",
        "term         estimate   df  p_value",
        "(Intercept)   251.405   17  <0.0001",
        "x<y                 –  Inf   0.0400",
        "df: residual",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1743.62827, 0.5], ["1743.628", "0.500"]),
        ([0.00012345, 0.5], ["0.000123", "0.500000"]),
        ([1e-9, 1.0], ["1.00e-09", "1.00000"]),
        ([0.0, 0.0], ["0", "0"]),
        ([-0.0000001, 100.0], ["-1.00e-07", "100.000"]),
        ([66.5], ["66.5000"]),
        ([123456789.5], ["123456790"]),
        ([5.0, 1e-17], ["5.00000", "1.00e-17"]),
    ],
)
def test_estimates_share_decimals(values: list[float], expected: list[str]) -> None:
    assert format_column(values) == expected


def test_fractional_df_keep_two_decimals() -> None:
    assert format_column([17.0, 3.14159], "df") == ["17.00", "3.14"]


def test_format_number_never_truncates_the_integer_part() -> None:
    assert format_number(123456789.4, 6) == "123456789"
    assert format_number(float("-inf")) == "-Inf"


@pytest.mark.parametrize(
    ("backend", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.Table)]
)
def test_frames_of_every_library_hold_the_same_values(table: Table, backend: str, kind: type) -> None:
    frame = table.to_frame(backend)
    assert isinstance(frame, kind)
    assert list(frame["term"].to_pylist() if backend == "pyarrow" else frame["term"]) == [
        "(Intercept)",
        "x<y",
    ]
    assert float(np.asarray(frame["estimate"])[0]) == 251.40511


def test_text_in_object_columns_becomes_text_not_objects() -> None:
    table = Table({"level": np.array(["a", "b"], dtype=object)})
    assert table.to_frame("polars").schema["level"] == pl.String
    assert table.to_frame("pyarrow").schema.field("level").type == pa.string()


def test_unknown_backend_names_what_is_allowed(table: Table) -> None:
    with pytest.raises(SpecError, match="Did you mean 'polars'"):
        table.to_frame("polar")  # type: ignore[arg-type]


def test_html_escapes_and_latex_escapes(table: Table) -> None:
    assert "x&lt;y" in table.to_html()
    assert "x$<$y" in table.to_latex()
    assert table.to_latex().count("\\\\") == 3


def test_long_tables_are_abridged_in_print_only() -> None:
    table = Table({"i": np.arange(1000)})
    lines = str(table).splitlines()
    assert lines[1].strip() == "0"
    assert lines[-1].strip() == "999"
    assert "… 975 more rows …" in lines
    assert len(table.to_text().splitlines()) == 1001
    assert len(table.to_dict()["i"]) == 1000


def test_unequal_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Table({"a": [1], "b": [1, 2]})


def test_unknown_column_suggests_the_near_one(table: Table) -> None:
    with pytest.raises(SpecError, match="Did you mean 'estimate'"):
        table["estimat"]


def test_row_holds_plain_values(table: Table) -> None:
    assert table.row(0) == {"term": "(Intercept)", "estimate": 251.40511, "df": 17.0, "p_value": 1e-12}


def test_labelled_vector_is_a_mapping_and_an_array() -> None:
    vector = LabelledVector(("a", "b"), np.array([1.0, 2.0]))
    assert dict(vector) == {"a": 1.0, "b": 2.0}
    assert np.allclose(np.exp(vector), np.exp([1.0, 2.0]))  # type: ignore[call-overload]
    assert list(vector.to_frame("pandas").columns) == ["name", "value"]
    with pytest.raises(SpecError, match="no entry 'c'"):
        vector["c"]


def test_labelled_matrix_reads_by_name() -> None:
    matrix = LabelledMatrix(("r",), ("a", "b"), np.array([[1.0, 2.0]]))
    assert matrix["r", "b"] == 2.0
    assert matrix.shape == (1, 2)
    assert np.asarray(matrix).tolist() == [[1.0, 2.0]]
    assert list(matrix.to_frame("polars").columns) == ["name", "a", "b"]
    with pytest.raises(SpecError, match="no row or column 'z'"):
        matrix["z", "a"]


@pytest.mark.parametrize("kind", ["estimate", "statistic", "df", "entry"])
def test_every_cell_shows_three_significant_digits(kind: str) -> None:
    generator = np.random.default_rng(5)
    for _ in range(300):
        sizes = (
            10.0 ** generator.uniform(-12, 9, 5) if kind != "entry" else 10.0 ** generator.uniform(-3, 3, 5)
        )
        values = sizes * generator.choice([-1, 1], 5)
        for value, text in zip(values, format_column(values, kind), strict=True):
            digits = text.lstrip("-").partition("e")[0].replace(".", "").lstrip("0")
            assert len(digits) >= 3 or float(text) == value, (values, text)
            assert float(text) == pytest.approx(value, rel=6e-3)


def test_rounding_error_in_a_matrix_is_shown_as_zero() -> None:
    assert format_column([5.0, 1e-17], "entry") == ["5.00000", "0.00000"]
