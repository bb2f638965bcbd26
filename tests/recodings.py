"""The same data written in other ways: origins, units, orders, names; and answers read back from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from same_model_cases import Case

COVARIATES = ("x", "dose", "w", "time", "east", "north")
FACTORS = ("arm", "kind", "kindly", "visit", "id", "run", "site", "rater", "half", "quarter")
IN_ORDER = ("visit", "half", "quarter")
"""Factors whose levels stand in an order that structures read; they are renamed in that order."""


@dataclass(frozen=True)
class Recoding:
    """One way of writing data and formula; the defaults are as they are.

    Origins are in units of the spread of a covariate, which is near one throughout.
    """

    origin: float = 0.0
    unit: float = 1.0
    response: float = 1.0
    rows: str = "as given"
    levels: str = "as given"
    coding: str = "treatment"
    terms: str = "as given"
    names: str = "as given"
    threads: int = 1


LEVELS: dict[str, tuple[Any, ...]] = {
    "origin": (0.0, 2019.0, 45000.0, 1e6),
    "unit": (1.0, 1e-9, 86400.0, 1e9),
    "response": (1e-9, 1.0, 1e9, 1e3),
    "rows": ("shuffled", "reversed", "as given", "shuffled"),
    "levels": ("reversed", "renamed", "as given", "reversed"),
    "coding": ("treatment", "sum", "treatment", "sum"),
    "terms": ("reversed", "as given", "reversed", "as given"),
    "names": ("with spaces", "as given", "with spaces", "as given"),
    "threads": (1, 2, 1, 2),
}
"""Four ways of each thing; every case meets all of them in four fits."""
FITS = 4


def recodings(place: int) -> list[Recoding]:
    """Return four recodings that meet every level of `LEVELS`, in other combinations for each place among the cases.

    The order of each factor's levels is drawn by the place, so that over the cases every pair of levels of two factors
    occurs, which a test checks.
    """
    rng = np.random.default_rng(place)
    ways = {name: [values[k] for k in rng.permutation(FITS)] for name, values in LEVELS.items()}
    return [Recoding(**{name: values[row] for name, values in ways.items()}) for row in range(FITS)]


@dataclass(frozen=True)
class Written:
    """Recoded data, and how to write a formula for them and read their labels."""

    recoding: Recoding
    data: pd.DataFrame
    names: dict[str, str]
    tokens: dict[str, str]
    units: dict[str, float]
    origins: dict[str, float]
    order: np.ndarray[Any, Any]

    def write(self, text: str) -> str:
        """Return a formula in the recoded names."""
        return re.sub(r"[A-Za-z]\w*", lambda m: self._written(m.group()), text)

    def _written(self, word: str) -> str:
        new = self.names.get(word, word)
        return f"`{new}`" if " " in new else new

    def read(self, label: Any) -> str:
        """Return a label of the recoded fit in the original names and levels."""
        text = str(label).replace("`", "")
        for new in sorted(self.tokens, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(new)}(?!\w)", f"\0{self.tokens[new]}\0", text)
        return text.replace("\0", "")


def write(data: pd.DataFrame, recoding: Recoding, case: Case) -> Written:
    """Return the data in the other writing."""
    rng = np.random.default_rng(3)
    out, tokens = data.copy(), {}
    units, origins = {"y": 1.0 if case.family else recoding.response}, {"y": 0.0}
    out["y"] = out["y"] * units["y"]
    for name in COVARIATES:
        units[name], origins[name] = scale_of(name, recoding, case)
        out[name] = (out[name] + origins[name]) * units[name]
    for name in FACTORS:
        old = sorted(set(data[name]))
        new = level_names(name, old, recoding.levels)
        out[name] = out[name].map(dict(zip(old, new, strict=True)))
        tokens.update(zip(new, old, strict=True))
    order = {"shuffled": rng.permutation(len(out)), "reversed": np.arange(len(out))[::-1]}.get(
        recoding.rows, np.arange(len(out))
    )
    held = "hold" in case.options  # by natural names, which hold those of the groups
    names = {name: f"the {name} here" for name in out} if recoding.names == "with spaces" and not held else {}
    out = out.iloc[order].rename(columns=names).reset_index(drop=True)
    tokens.update({new: old for old, new in names.items()})
    return Written(recoding, out, names, tokens, units, origins, order)


def scale_of(name: str, recoding: Recoding, case: Case) -> tuple[float, float]:
    """Return the unit and the origin of a covariate under which a case stays one model."""
    origin, unit = recoding.origin, recoding.unit
    if name == "w" or (name == "x" and not case.affine and "x |" in case.formula):
        origin = 0.0
    if name == "dose" and case.moderate:
        origin = min(origin, 50.0)
    if name == "x" and case.near:
        origin = 0.0
    if (name == "w" and not case.units) or (
        name in ("east", "north") and "expa" in f"{case.formula} {case.residual}"
    ):
        # the powers of expa are searched for in the unit of the coordinates as they come
        unit = 1.0
    return unit, origin


def level_names(name: str, old: list[str], how: str) -> list[str]:
    """Return names for the levels of a factor, in an order of their own unless structures read it."""
    if how == "as given":
        return old
    if how == "renamed" or name in IN_ORDER:
        return [f"new {name} {k:02d}z" for k in range(len(old))]
    return [f"z{name}{k:02d}" for k in reversed(range(len(old)))]
