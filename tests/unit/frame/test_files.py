"""Files read by whichever library is there, and by the standard library alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixedmodels.errors import DataError
from mixedmodels.frame import files


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "d.csv"
    path.write_text('y,g,n\n1.5,a,1\nNA,"b, c",2\n2.5,,3\n', encoding="utf-8")
    return path


def test_standard_library_types_columns_and_finds_missing_values(csv_file: Path) -> None:
    columns = files.read_text(csv_file)
    np.testing.assert_array_equal(columns["y"], [1.5, np.nan, 2.5])
    assert columns["g"].tolist() == ["a", "b, c", None]
    assert columns["n"].dtype == np.float64


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_every_library_reads_the_same_table(csv_file: Path, library: str) -> None:
    frame = files.READERS[library](csv_file, ",")
    y = np.asarray(frame["y"], dtype=float) if library != "pyarrow" else frame["y"].to_pandas().to_numpy()
    np.testing.assert_array_equal(y, [1.5, np.nan, 2.5])
    assert list(frame["n"].to_pylist() if library == "pyarrow" else frame["n"]) == [1, 2, 3]


def test_parquet_goes_round(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pd.DataFrame({"x": [1, 2]}).to_parquet(path)
    assert list(files.read_file(path)["x"]) == [1, 2]


def test_without_a_frame_library_csv_still_reads(csv_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    assert set(files.read_file(csv_file)) == {"y", "g", "n"}
    with pytest.raises(DataError, match="Parquet needs"):
        files.read_file(_parquet_beside(csv_file))


def _parquet_beside(path: Path) -> Path:
    other = path.with_suffix(".parquet")
    other.write_bytes(b"")
    return other


def test_missing_empty_and_ragged_files_are_named(tmp_path: Path, csv_file: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        files.read_file(tmp_path / "nothing.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(DataError, match="is empty"):
        files.read_text(empty)
    csv_file.write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match="row 2 has 1 fields"):
        files.read_text(csv_file)
