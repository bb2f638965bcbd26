"""Reads the reference cases: one folder per case with the R script, the JSON it printed, and its data."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels import datasets

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """One model of a case: what to fit, what R printed, and how close the two must be."""

    case: str
    id: str
    formula: str
    data: str | dict[str, Any]
    method: str
    weights: str | None
    options: dict[str, Any]
    expected: dict[str, Any]
    criterion_tolerance: float
    estimate_tolerance: float

    @property
    def name(self) -> str:
        return f"{self.case}-{self.id}"

    def frame(self) -> pd.DataFrame:
        """Return the data of the model, factors as categoricals in R's level order."""
        if isinstance(self.data, str):
            return datasets.load(self.data, backend="pandas")
        frame = read_frame(FOLDER / self.case / self.data["file"], json.dumps(self.data["columns"]))
        for column, value in self.data.get("where", {}).items():
            frame = frame[frame[column] == value]
        return frame

    def known(self) -> dict[str, pd.DataFrame] | None:
        """Return the known matrices the formula names, with level labels on both axes."""
        files = self.options.get("known")
        if files is None:
            return None
        return {name: read_matrix(FOLDER / self.case / file) for name, file in files.items()}


@cache
def read_frame(path: Path, columns: str) -> pd.DataFrame:
    """Return a CSV file as a frame; `columns` is the JSON text of names, kinds and level orders."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    described = json.loads(columns)
    assert header == [column["name"] for column in described], path
    texts = list(zip(*rows, strict=True))
    return pd.DataFrame(
        {column["name"]: parse_column(column, text) for column, text in zip(described, texts, strict=True)}
    )


def parse_column(column: dict[str, Any], text: tuple[str, ...]) -> Any:
    if column["kind"] == "factor":
        return pd.Categorical(text, categories=column["levels"])
    return np.array(text, dtype=np.int64 if column["kind"] == "integer" else np.float64)


@cache
def read_matrix(path: Path) -> pd.DataFrame:
    """Return a square matrix whose header row names its rows and columns."""
    matrix = pd.read_csv(path)
    return matrix.set_axis(matrix.columns, axis=0)


def read_models(pattern: str = "*") -> Iterator[ReferenceModel]:
    """Yield the models of every case whose folder matches `pattern`."""
    for path in sorted(FOLDER.glob(f"{pattern}/result.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        for model in case["models"]:
            tolerance = model.get("tolerance") or case["tolerance"]
            assert tolerance["reason"], path
            yield ReferenceModel(
                case=case["case"],
                id=model["id"],
                formula=model["formula"],
                data=model["data"],
                method=model["method"],
                weights=model.get("weights"),
                options=model.get("options") or {},
                expected=model["expected"],
                criterion_tolerance=tolerance["criterion"],
                estimate_tolerance=tolerance["estimate"],
            )


def plain_name(name: str) -> str:
    """Return a column name as R would print it: `Variety[T.Victory]` → `VarietyVictory`.

    Interactions are sorted, because `a:b` and `b:a` are one term.
    """
    parts = []
    for part in name.split(":"):
        part = re.sub(r"\b(?:factor|C)\((\w+)\)", r"\1", part)
        text = re.sub(r"\[(?:T\.)?(.*?)\]", r"\1", part.strip())
        parts.append(
            "(Intercept)" if text in ("Intercept", "1") else re.sub(r"\s+", "", text).replace("**", "^")
        )
    return ":".join(sorted(parts))


def plain_level(group: str, level: str) -> frozenset[tuple[str, str]]:
    """Return a level of a crossed factor by its parts, so that `a:b` and `b:a` agree."""
    factors = re.sub("[()]", "", group).split(":")
    labels = level.split(":") if len(factors) > 1 else [level]
    assert len(factors) == len(labels), (group, level)
    return frozenset(zip(factors, labels, strict=True))


def plain_group(group: str) -> frozenset[str]:
    """Return the factors that cross to a grouping factor."""
    return frozenset(re.sub("[()]", "", group).split(":"))
