"""Bases against mgcv's: penalised fits at given smoothing parameters, at the rows and at new ones."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixedmodels.smooths import SMOOTHS, Basis, Given, Margin, learn_tensor

FOLDER = Path(__file__).parent / "smooths"
REFERENCE = json.loads((FOLDER / "bases.json").read_text())
CHAIN = np.diag([1.0, 1.0, 1.0], 1) + np.diag([1.0, 1.0, 1.0], -1)
"""Regions a - b - c - d."""


def columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@cache
def arguments(
    names: tuple[str, ...], where: str
) -> tuple[tuple[np.ndarray, ...], tuple[tuple[str, ...] | None, ...]]:
    """Return the variables of a case and the levels of its factors."""
    data, learned = columns(REFERENCE[where]), columns(REFERENCE["data"])
    values, levels = [], []
    for name in names:
        if learned[name].dtype.kind == "U":
            known = np.unique(learned[name])
            values.append(np.searchsorted(known, data[name]).astype(np.int32))
            levels.append(tuple(known.tolist()))
        else:
            values.append(data[name].astype(np.float64))
            levels.append(None)
    return tuple(values), tuple(levels)


def learn(case: dict[str, Any]) -> Basis:
    x, levels = arguments(tuple(case["variables"]), "data")
    if case["kind"] != "s":
        counts = case.get("d") or [1] * len(case["bs"])
        margins = tuple(
            Margin(SMOOTHS[bs], Given(k=k), count)
            for bs, k, count in zip(case["bs"], case["k"], counts, strict=True)
        )
        return learn_tensor(case["kind"], x, margins, case["id"])
    m = case["m"]
    given = Given(
        k=case["k"][0],
        m=tuple(m) if isinstance(m, list) else m,
        knots=None if case["knots"] is None else np.array(case["knots"]["x"]),
        levels=levels,
        known=CHAIN if case["bs"] == ["mrf"] else None,
        margin="cr" if 'bs = "cr"' in case["call"].partition("xt")[2] else "tp",
    )
    return SMOOTHS[case["bs"][0]].learn(x, given)


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["id"])
def test_penalised_fits_are_those_of_mgcv(case: dict[str, Any]) -> None:
    basis = learn(case)
    assert basis.size == case["columns"]
    assert basis.null_dimension == case["null"]
    names = tuple(case["variables"])
    design = basis.design(arguments(names, "data")[0])
    # mgcv orders the penalties of t2 by margins, free last; ours count up from the first margin.
    order = (0, 2, 1) if case["kind"] == "t2" else range(len(basis.penalties))
    penalties = [basis.scales[j] * basis.penalties[j] for j in order]
    values, vectors = np.linalg.eigh(sum(w * s for w, s in zip(case["lambda"], penalties, strict=True)))
    root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    left, sizes, right = np.linalg.svd(np.vstack((design, root)), full_matrices=False)
    keep = sizes > 1e-11 * sizes[0]
    left, sizes, right = left[: len(design), keep], sizes[keep], right[keep]
    y = np.array(REFERENCE["y"])
    coefficients = right.T @ ((left.T @ y) / sizes[:, None])
    scale = np.abs(y).max()
    # Eigenvectors of thin plates and processes are known to 1e-9 or so; far outside the data that is multiplied.
    np.testing.assert_allclose(np.sum(left**2), case["edf"], atol=1e-7)
    np.testing.assert_allclose(np.sum(left**2, axis=1), case["leverages"], atol=1e-7)
    np.testing.assert_allclose(design @ coefficients, case["fitted"], atol=1e-7 * scale)
    values, _ = arguments(names, "new")
    # mgcv takes the slope at the last knot from the right, where piecewise lines have none: it goes on level, ours on.
    rows = values[0] <= 1.0 if case["id"] == "ps-linear" else slice(None)
    expected = np.array(case["new"])[rows]
    new = (basis.design(values) @ coefficients)[rows]
    np.testing.assert_allclose(new, expected, atol=1e-6 * max(scale, np.abs(expected).max()))
