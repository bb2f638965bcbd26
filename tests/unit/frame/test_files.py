"""Files read by whichever library is there, and by the standard library alone."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError
from mixedmodels.frame import files


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "d.csv"
    path.write_text('y,g,n\n1.5,a,1\nNA,"b, c",2\n2.5,,3\n', encoding="utf-8")
    return path


def test_standard_library_types_columns_and_finds_missing_values(csv_file: Path) -> None:
    columns = files.columns_of(files.read_text(csv_file))
    np.testing.assert_array_equal(columns["y"], [1.5, np.nan, 2.5])
    assert columns["g"].tolist() == ["a", "b, c", None]
    assert columns["n"].dtype == np.float64


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_every_library_reads_the_same_table(csv_file: Path, library: str) -> None:
    frame = files.READERS[library](files.read_text(csv_file).normalised())
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
    with pytest.raises(DataError, match="Parquet is read by"):
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


TABLE = mm.datasets.load("sleepstudy").rename(columns={"Subject": "Sujété"})


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", None])
@pytest.mark.parametrize(
    ("options", "remark"),
    [
        ({}, None),
        ({"encoding": "utf-8-sig"}, None),
        ({"encoding": "latin-1"}, "encoding Windows-1252"),
        ({"encoding": "utf-16"}, "encoding utf-16"),
        ({"encoding": "utf-16-le"}, "encoding utf-16-le"),
        ({"sep": ";", "decimal": ","}, "separated by semicolons, decimal commas"),
        ({"sep": ";"}, "separated by semicolons"),
        ({"sep": "\t"}, "separated by tabs"),
        ({"sep": "|"}, "separated by bars"),
        ({"sep": " ", "index": True}, "separated by spaces"),
    ],
)
def test_form_of_text_is_found_and_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    remark: str | None,
    library: str | None,
) -> None:
    path = tmp_path / "d.csv"
    TABLE.to_csv(path, **{"index": False, **options})
    if options.get("index"):
        path.write_text(path.read_text().replace('"" ', "", 1))
    monkeypatch.setattr(files, "find_spec", lambda name: name if name == library else None)
    said: list[str] = []
    frame = files.read_file(path, said.append)
    assert said == ([] if remark is None else [f"d.csv: {remark}"])
    reaction = np.asarray(frame["Reaction"], dtype=float)
    np.testing.assert_allclose(reaction, TABLE["Reaction"])
    assert [str(int(float(str(value)))) for value in frame["Sujété"]] == TABLE["Sujété"].tolist()


def test_columns_named_twice_and_binary_files_are_refused(tmp_path: Path) -> None:
    for content, message in (
        (b"a,a\n1,2\n", "names 'a' twice"),
        (b"a,b\n", "no rows"),
        (b"\x00\x01\x02" * 99, "is no text"),
    ):
        path = tmp_path / "d.csv"
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            files.read_file(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("d.dta", "cannot be read as Stata's .dta"),
        ("d.sas7bdat", "cannot be read as SAS's .sas7bdat"),
        ("d.rds", "R's .rds is not read; write it by `write.csv"),
        ("d.parquet", "cannot be read as Parquet"),
    ],
)
def test_broken_files_of_other_programs_are_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"no such thing")
    with pytest.raises(DataError, match=message):
        files.read_file(tmp_path / name)


def test_other_programs_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TABLE.to_stata(tmp_path / "d.dta", write_index=False, version=118)
    frame = files.read_file(tmp_path / "d.dta")
    np.testing.assert_allclose(frame["Reaction"], TABLE["Reaction"])
    (tmp_path / "d.xlsx").write_bytes(b"PK")
    monkeypatch.setattr(files, "find_spec", lambda name: name if name == "pandas" else None)
    with pytest.raises(
        DataError, match=r"Excel's .xlsx is read by pandas and openpyxl; `pip install openpyxl`"
    ):
        files.read_file(tmp_path / "d.xlsx")


def test_text_of_sas_transport_files_is_text(tmp_path: Path) -> None:
    pyreadstat = pytest.importorskip("pyreadstat")
    table = pd.DataFrame({"y": [1.0, 2.0], "who": ["é1", "b"]})
    pyreadstat.write_xport(table, tmp_path / "d.xpt", file_format_version=5)
    frame = files.read_file(tmp_path / "d.xpt")
    assert all(isinstance(value, str) for value in frame["who"])


def test_the_sheet_and_the_header_of_a_workbook_are_found_and_said(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    path, said = tmp_path / "d.xlsx", []
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"about": ["read me"]}).to_excel(book, sheet_name="README", index=False)
        TABLE.to_excel(book, sheet_name="data", index=False, startrow=3)
    frame = files.read_file(path, said.append)
    np.testing.assert_allclose(frame["Reaction"], TABLE["Reaction"])
    assert said == ["d.xlsx: sheet 'data' is read, not 'README'", "d.xlsx: the header is in row 4"]
    pd.DataFrame().to_excel(path)
    with pytest.raises(DataError, match="no sheet has a header and rows"):
        files.read_file(path)


def test_workbooks_without_their_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice of sheet and header, by a stand-in for the reader of cells."""

    class Book:
        sheets: ClassVar = {
            "README": pd.DataFrame([["about"], ["read me"]]),
            "data": pd.DataFrame([["Trial 7", None], [None, None], ["x", "y"], [1.0, 2.0], [3.0, None]]),
        }
        sheet_names: ClassVar = list(sheets)

        def __init__(self, file: Path) -> None:
            pass

        def __enter__(self) -> Book:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def parse(self, name: str, header: int | None) -> pd.DataFrame:
            cells = self.sheets[name]
            if header is None:
                return cells
            return pd.DataFrame(cells.iloc[header + 1 :].to_numpy(), columns=cells.iloc[header])

    path, said = tmp_path / "d.xlsx", []
    path.write_bytes(b"PK")
    monkeypatch.setattr(files, "find_spec", lambda name: name)
    monkeypatch.setattr(pd, "ExcelFile", Book)
    frame = files.read_file(path, said.append)
    assert frame.columns.tolist() == ["x", "y"]
    assert len(frame) == 2
    assert said == ["d.xlsx: sheet 'data' is read, not 'README'", "d.xlsx: the header is in row 3"]
