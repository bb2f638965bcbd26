"""Families of contrasts among k levels: one function each, one line in `CONTRASTS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from itertools import pairwise as neighbours
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SpecError, suggest
from ..inference.multiplicity import FamilyKind
from ..registry import look_up
from ..typing import Array, Labels


@dataclass(frozen=True, slots=True, eq=False)
class ContrastSet:
    """m contrasts of k levels.

    Parameters
    ----------
    names
        One name per contrast, (m,).
    weights
        Coefficients of the levels, (m, k).
    kind
        What the family is, for the choice of an adjustment.
    adjust
        The adjustment that suits it.
    """

    names: Labels
    weights: Array
    kind: FamilyKind = "other"
    adjust: str = "none"


MOST_PAIRED = 1_000
"""Means whose pairs are compared: half a million contrasts, whose coefficients take 4 GB."""
Labelled = Sequence[str]
"""Names of levels, those with a sign in them in parentheses already."""


def _bound_pairs(k: int) -> None:
    """Refuse more pairs than their matrix of coefficients has room for, before any is made."""
    if k > MOST_PAIRED:
        raise SpecError(
            f"contrast: {k:,} means have {k * (k - 1) // 2:,} pairs; at most {MOST_PAIRED:,} are compared with one "
            "another. Use 'trt.vs.ctrl' or 'consec', compare within by=, or give fewer levels with at=."
        )


def pairwise(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus every later one."""
    _bound_pairs(len(levels))
    return _pairs(levels, [(i, j) for i, j in combinations(range(len(levels)), 2)])


def revpairwise(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus every earlier one."""
    _bound_pairs(len(levels))
    return _pairs(levels, [(j, i) for j in range(len(levels)) for i in range(j)])


def control(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus the reference."""
    k = len(levels)
    made = _pairs(levels, [(i, ref) for i in range(k) if i != ref])
    return ContrastSet(made.names, made.weights, "control", "dunnettx")


def last_control(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus the last."""
    return control(levels, len(levels) - 1)


def consecutive(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus the one before it."""
    made = _pairs(levels, [(i, i - 1) for i in range(1, len(levels))])
    return ContrastSet(made.names, made.weights, "other", "mvt")


def polynomial(levels: Labelled, ref: int) -> ContrastSet:
    """Orthogonal polynomials at equally spaced scores with integer coefficients, at most of degree 6."""
    k = len(levels)
    degrees = min(k - 1, 6)
    powers = np.vander(np.arange(k) - (k - 1) / 2, degrees + 1, increasing=True)
    q, r = np.linalg.qr(powers)
    q = q * np.sign(np.diagonal(r))
    names = ("linear", "quadratic", "cubic", "quartic", "degree 5", "degree 6")[:degrees]
    rows = [_whole_numbers(q[:, d]) for d in range(1, degrees + 1)]
    return ContrastSet(names, np.array(rows).reshape(degrees, k))


def effects(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus the mean of all."""
    k = len(levels)
    return ContrastSet(tuple(f"{level} effect" for level in levels), np.eye(k) - 1.0 / k, "other", "bh")


def deleted_effects(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus the mean of the others."""
    k = len(levels)
    weights = np.eye(k) * (1.0 + 1.0 / (k - 1)) - 1.0 / (k - 1) if k > 1 else np.zeros((1, 1))
    return ContrastSet(tuple(f"{level} effect" for level in levels), weights, "other", "bh")


def helmert(levels: Labelled, ref: int) -> ContrastSet:
    """Every level minus the mean of those before it."""
    k = len(levels)
    weights = np.zeros((k - 1, k))
    for i in range(1, k):
        weights[i - 1, :i] = -1.0 / i
        weights[i - 1, i] = 1.0
    return ContrastSet(tuple(f"{level} vs earlier" for level in levels[1:]), weights)


def mean_change(levels: Labelled, ref: int) -> ContrastSet:
    """The mean of the levels after each cut minus the mean of those before it."""
    k = len(levels)
    weights = np.zeros((k - 1, k))
    for i in range(1, k):
        weights[i - 1, :i] = -1.0 / i
        weights[i - 1, i:] = 1.0 / (k - i)
    names = tuple(f"{a}|{b}" for a, b in neighbours(levels))
    return ContrastSet(names, weights, "other", "mvt")


CONTRASTS: Mapping[str, Callable[[Labelled, int], ContrastSet]] = {
    "pairwise": pairwise,
    "revpairwise": revpairwise,
    "trt.vs.ctrl": control,
    "trt.vs.ctrlk": last_control,
    "consec": consecutive,
    "poly": polynomial,
    "eff": effects,
    "del.eff": deleted_effects,
    "helmert": helmert,
    "mean_chg": mean_change,
}
ALIASES: Mapping[str, str] = {
    "trt.vs.ctrl1": "trt.vs.ctrl",
    "dunnett": "trt.vs.ctrl",
    "tukey": "pairwise",
    "pairs": "pairwise",
}


def choose_contrasts(
    method: Any, levels: Labelled, ref: Any = None, *, plain: Labelled | None = None
) -> ContrastSet:
    """Return the contrasts a user asked for among named levels.

    Parameters
    ----------
    method
        Name of a family; a dict of coefficients by contrast name, each a sequence (k,) or a dict by level; a data frame
        with a column for each contrast and a row for each level, by name where its index holds names; or a matrix
        (m, k).
    levels
        Names of the k levels.
    ref
        Reference level of comparisons with a control, by name; by default the first.
    plain
        The levels as they stand in the data, by which they may be named too.

    Examples
    --------
    >>> choose_contrasts("consec", ["A", "B", "C"]).names
    ('B - A', 'C - B')
    >>> choose_contrasts({"ends": {"C": 1, "A": -1}}, ["A", "B", "C"]).weights
    array([[-1.,  0.,  1.]])
    """
    known = (levels, levels if plain is None else plain)
    if isinstance(method, str):
        family = look_up("contrast", method, CONTRASTS, ALIASES)
        if len(levels) < 2:
            return ContrastSet((), np.zeros((0, len(levels))))
        return family(levels, 0 if ref is None else _place(str(ref), known, "ref"))
    if hasattr(method, "columns"):
        method = _by_column(method, known)
    if isinstance(method, Mapping):
        rows = [_row(str(name), row, known) for name, row in method.items()]
        return ContrastSet(tuple(map(str, method)), np.array(rows).reshape(len(rows), len(levels)))
    matrix = np.atleast_2d(np.asarray(method, dtype=float))
    if matrix.ndim != 2 or matrix.shape[1] != len(levels):
        raise SpecError(
            f"contrast: the matrix has shape {matrix.shape}; give a column for each of {len(levels)} means: "
            f"{', '.join(levels)}."
        )
    return ContrastSet(tuple(f"contrast {i + 1}" for i in range(len(matrix))), matrix)


def _by_column(frame: Any, known: tuple[Labelled, Labelled]) -> dict[str, Any]:
    """Return the columns of a data frame by name, by level too where its index names levels."""
    index = [str(label) for label in getattr(frame, "index", [])]
    named = any(label in names for names in known for label in index)
    columns = {str(name): np.asarray(frame[name], dtype=float) for name in frame.columns}
    return {
        name: dict(zip(index, values, strict=True)) if named else values for name, values in columns.items()
    }


def _row(name: str, row: ArrayLike | Mapping[Any, float], known: tuple[Labelled, Labelled]) -> Array:
    levels = known[0]
    if isinstance(row, Mapping):
        out = np.zeros(len(levels))
        for level, weight in row.items():
            out[_place(str(level), known, f"contrast {name!r}")] = weight
        return out
    values = np.asarray(row, dtype=float)
    if values.shape != (len(levels),):
        raise SpecError(
            f"contrast {name!r} has {values.size} coefficients; give one for each of {len(levels)} means: "
            f"{', '.join(levels)}."
        )
    return values


def _place(level: str, known: tuple[Labelled, Labelled], what: str) -> int:
    for levels in known:
        if level in levels:
            return list(levels).index(level)
    levels = known[1]
    raise SpecError(
        f"{what}: {level!r} is not among the means.{suggest(level, levels)} Means: {', '.join(levels)}."
    )


def _pairs(levels: Labelled, pairs: Sequence[tuple[int, int]]) -> ContrastSet:
    weights = np.zeros((len(pairs), len(levels)))
    for row, (i, j) in enumerate(pairs):
        weights[row, i], weights[row, j] = 1.0, -1.0
    names = tuple(f"{levels[i]} - {levels[j]}" for i, j in pairs)
    return ContrastSet(names, weights, "pairwise", "tukey")


def _whole_numbers(column: Array) -> Array:
    """Return the smallest integers proportional to an orthogonal polynomial, itself where there are none."""
    smallest = np.abs(column[np.abs(column) > 1e-9]).min()
    for factor in range(1, 1001):
        scaled = column / smallest * factor
        if np.allclose(scaled, np.round(scaled), atol=1e-7 * factor, rtol=0):
            whole = np.round(scaled).astype(int)
            return np.asarray(whole // gcd(*map(int, whole)), dtype=float)
    return column
