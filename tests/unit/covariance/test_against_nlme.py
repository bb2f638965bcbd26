"""Correlation matrices of nlme's classes, as printed by `nlme_correlations.R`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixedmodels.covariance import Positions, bind
from mixedmodels.spec import StructureSpec

PRINTED = json.loads(Path(__file__).with_name("nlme_correlations.json").read_text())


def positions(which: str) -> Positions:
    plane = PRINTED["plane"]
    columns = {"t": ["t"], "xy": ["x", "y"]}.get(which)
    coordinates = (
        None if columns is None else np.array([[row[c] for c in columns] for row in plane], dtype=float)
    )
    return Positions(5, tuple("abcde"), coordinates)


@pytest.mark.parametrize("case", PRINTED["cases"], ids=lambda case: case["structure"][0])
def test_correlation_matrix(case: dict[str, Any]) -> None:
    nugget = case.get("nugget", [0.0])[0]
    name, order = case["structure"][0], tuple(case.get("order", ()))
    structure = bind(StructureSpec(name, order=order, nugget=nugget > 0.0))
    at = positions(case.get("coordinates", [""])[0])
    variance = 3.0
    values = np.array(case["values"])
    if name == "cs":
        natural = variance * np.r_[1.0 - values, values]
    else:
        natural = np.r_[variance * (1.0 - nugget), values]
    if nugget:
        natural = np.r_[natural, variance * nugget]
    sigma = structure.matrix(structure.from_natural(natural, at), at)
    # nlme maps its parameters to an unconstrained scale and back, and jsonlite prints 15 digits.
    np.testing.assert_allclose(sigma / variance, np.array(case["matrix"]), rtol=0.0, atol=1e-12)
