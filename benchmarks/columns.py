"""Columns on disk as raw little-endian numbers: Python and R read the same bits without a common format.

A cached case is a folder: `columns.json` (row count and one entry per column) and one file per column. A
number is float64, an integer is int32, a factor is its int32 codes from 0 with its labels in a text file,
one per line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Factor:
    """A categorical column: integer codes from 0 and the labels they stand for."""

    codes: NDArray[np.int32]
    labels: tuple[str, ...]


Column = NDArray[np.float64] | NDArray[np.int32] | Factor


def compact_factor(codes: NDArray[np.integer], prefix: str) -> Factor:
    """A factor holding only the levels that occur, labelled so that alphabetical order is code order."""
    present, compact = np.unique(codes, return_inverse=True)
    width = len(str(present[-1]))
    labels = tuple(f"{prefix}{level:0{width}d}" for level in present)
    return Factor(compact.astype(np.int32), labels)


def interaction(first: Factor, second: Factor) -> Factor:
    """The factor of the combinations of two factors that occur, labelled `first:second`."""
    cell = first.codes.astype(np.int64) * len(second.labels) + second.codes
    present, compact = np.unique(cell, return_inverse=True)
    count = len(second.labels)
    labels = tuple(f"{first.labels[c // count]}:{second.labels[c % count]}" for c in present)
    return Factor(compact.astype(np.int32), labels)


def columns_of(frame: pd.DataFrame) -> dict[str, Column]:
    """The columns of a frame: numbers float64, integers int32, everything else factors in level order."""
    columns: dict[str, Column] = {}
    for name in frame.columns:
        series = frame[name]
        if isinstance(series.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(series.dtype):
            category = series.astype("category").cat.remove_unused_categories()
            labels = tuple(str(label) for label in category.cat.categories)
            columns[str(name)] = Factor(category.cat.codes.to_numpy(np.int32), labels)
        elif pd.api.types.is_integer_dtype(series.dtype):
            columns[str(name)] = series.to_numpy(np.int32)
        else:
            columns[str(name)] = series.to_numpy(np.float64)
    return columns


def write_columns(columns: Mapping[str, Column], folder: Path) -> None:
    """Write the columns to a folder; the description comes last, so half a cache is never taken for one."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    rows = 0
    for name, column in columns.items():
        kind, numbers = _kind_and_numbers(column)
        numbers.tofile(folder / f"{name}.bin")
        if isinstance(column, Factor):
            (folder / f"{name}.labels").write_text("\n".join(column.labels) + "\n", encoding="utf-8")
        entries.append({"name": name, "kind": kind})
        rows = len(numbers)
    (folder / "columns.json").write_text(json.dumps({"rows": rows, "columns": entries}), encoding="utf-8")


def _kind_and_numbers(column: Column) -> tuple[str, NDArray[np.generic]]:
    if isinstance(column, Factor):
        return "factor", column.codes.astype("<i4")
    if column.dtype.kind == "i":
        return "integer", column.astype("<i4")
    return "number", column.astype("<f8")


def read_frame(folder: Path) -> pd.DataFrame:
    """The cached columns as a pandas frame; factors become categoricals with text labels."""
    description = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
    columns: dict[str, object] = {}
    for entry in description["columns"]:
        name, kind = entry["name"], entry["kind"]
        numbers = np.fromfile(folder / f"{name}.bin", dtype="<f8" if kind == "number" else "<i4")
        if kind == "factor":
            labels = (folder / f"{name}.labels").read_text(encoding="utf-8").splitlines()
            columns[name] = pd.Categorical.from_codes(numbers, categories=labels)
        else:
            columns[name] = numbers
    return pd.DataFrame(columns)
