"""Wald tests of hypotheses given as a matrix, as coefficients by name, or as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SpecError, suggest
from ..fit import Fit
from ..table import Table
from ..typing import Array
from .sensitivity import Information
from .wald import wald

Hypothesis = str | Mapping[str, float] | ArrayLike


def linear_test(
    fit: Fit,
    L: Hypothesis | Sequence[Hypothesis],
    rhs: ArrayLike = 0.0,
    *,
    joint: bool = True,
    ddf: str | None = None,
    information: Information = "observed",
    level: float = 0.95,
) -> Table:
    """Return the Wald test of Lβ = rhs.

    Parameters
    ----------
    fit
        The fitted model.
    L
        A matrix (k, p), one column for each column of X; a dict of coefficients by column; text such as
        `"fem:age = male:age"` or `"2*x1 - x2 = 1"`, several separated by commas, or the name of a term; or a list of
        dicts or texts.
    rhs
        Hypothesised values, added to those that text gives.
    joint
        One F test of all rows; otherwise an estimate and t test for each.
    ddf, information
        Degrees-of-freedom method, the fit's own by default, and the information it is computed from.
    level
        Confidence level of the intervals without `joint`.

    Returns
    -------
    Table
        `num_df den_df statistic p_value`, or a row per function. Functions that are not estimable are named
        in a note.

    Notes
    -----
    *Same as* SAS `CONTRAST` (joint) and `ESTIMATE`, `lmerTest::contest`, `car::linearHypothesis`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.test("Days = 10")["p_value"].round(4)
    array([0.7661])
    """
    rows, targets, labels = read_hypotheses(fit, L)
    targets = targets + np.broadcast_to(np.asarray(rhs, dtype=float), (len(rows),))
    return wald(fit, rows, targets, ddf=ddf, joint=joint, level=level, labels=labels, information=information)


def read_hypotheses(fit: Fit, L: Any) -> tuple[Array, Array, list[str]]:
    """Return the rows (k, p), the values they are compared with (k,) and their names; a term stands for its columns."""
    columns = fit.design.fixed.columns
    if isinstance(L, str):
        L = _split_top(L, ",")
    if isinstance(L, Mapping):
        L = [L]
    if isinstance(L, (list, tuple)) and L and all(isinstance(one, (str, Mapping)) for one in L):
        L = [each for one in L for each in _columns_of(fit, one)]
        read = [_read_text(one, columns) if isinstance(one, str) else _read_dict(one, columns) for one in L]
        return (
            np.array([row for row, _, _ in read]),
            np.array([v for _, v, _ in read]),
            [n for _, _, n in read],
        )
    rows = np.atleast_2d(np.asarray(L, dtype=float))
    return rows, np.zeros(len(rows)), [f"L{i + 1}" for i in range(len(rows))]


def _columns_of(fit: Fit, one: Hypothesis) -> Sequence[Hypothesis]:
    """Return the columns of a term named by a text; anything else by itself."""
    fixed = fit.design.fixed
    name = one.strip() if isinstance(one, str) else ""
    if name in fixed.columns or name not in fixed.terms:
        return [one]
    index = fixed.terms.index(name)
    own = [column for column, of in zip(fixed.columns, fixed.assign, strict=True) if of == index]
    return [{column: 1.0} for column in own]


def _read_dict(weights: Mapping[str, float], columns: Sequence[str]) -> tuple[Array, float, str]:
    row = np.zeros(len(columns))
    for name, weight in weights.items():
        row[_place(name, columns)] += float(weight)
    return row, 0.0, " ".join(f"{weight:+g} {name}" for name, weight in weights.items())


def _read_text(text: str, columns: Sequence[str]) -> tuple[Array, float, str]:
    sides = _split_top(text, "=")
    if len(sides) > 2:
        raise SpecError(f"test: {text!r} has more than one '='; separate hypotheses by commas.")
    if not all(side.strip() for side in sides):
        raise SpecError(f"test: nothing stands on one side of '=' in {text!r}; write for example 'x = 0'.")
    row, value = np.zeros(len(columns)), 0.0
    for side, sign in zip(sides, (1.0, -1.0), strict=False):
        for term, factor in _terms(side, columns):
            if term is None:
                value -= sign * factor
            else:
                row[term] += sign * factor
    if not row.any():
        raise SpecError(f"test: {text!r} names no coefficient. Columns: {', '.join(columns)}.")
    return row, value, text.strip()


def _terms(side: str, columns: Sequence[str]) -> list[tuple[int | None, float]]:
    """Return the terms of a linear expression as (column, factor), None standing for the constant."""
    found: list[tuple[int | None, float]] = []
    for sign, body in _signed(side, columns):
        factor, name = sign, body
        left, star, right = body.partition("*")
        if star and name not in columns:
            number, other = (left, right) if _number(left) is not None else (right, left)
            value = _number(number)
            if value is None:
                raise SpecError(f"test: {body.strip()!r} is not a number times a coefficient.")
            factor, name = sign * value, other.strip()
        constant = _number(name) if name not in columns else None
        found.append((None, factor * constant) if constant is not None else (_place(name, columns), factor))
    return found


def _signed(side: str, columns: Sequence[str]) -> list[tuple[float, str]]:
    """Split an expression at signs outside brackets and outside names of columns."""
    parts: list[tuple[float, str]] = []
    sign, start, depth, i = 1.0, 0, 0, 0
    longest = sorted(columns, key=len, reverse=True)

    def close(stop: int) -> None:
        if body := side[start:stop].strip().strip("`"):
            parts.append((sign, body))

    while i < len(side):
        name = next((c for c in longest if side.startswith(c, i) and _ends(side, i + len(c))), None)
        if name and (i == 0 or not (side[i - 1].isalnum() or side[i - 1] in "_:.")):
            i += len(name)
            continue
        character = side[i]
        depth += (character in "([") - (character in ")]")
        exponent = i > 1 and character in "+-" and side[i - 1] in "eE" and side[i - 2].isdigit()
        if character in "+-" and depth == 0 and not exponent:
            close(i)
            sign = (-1.0 if character == "-" else 1.0) * (
                sign if not side[start:i].strip() and start else 1.0
            )
            start = i + 1
        i += 1
    close(len(side))
    return parts


def _ends(text: str, place: int) -> bool:
    return place == len(text) or not (text[place].isalnum() or text[place] in "_:.[")


def _split_top(text: str, separator: str) -> list[str]:
    """Split text at a separator outside brackets."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _place(name: str, columns: Sequence[str]) -> int:
    name = name.strip().strip("`")
    if name in columns:
        return list(columns).index(name)
    swapped = {frozenset(column.split(":")): i for i, column in enumerate(columns)}
    if frozenset(name.split(":")) in swapped:
        return swapped[frozenset(name.split(":"))]
    raise SpecError(f"test: no coefficient {name!r}.{suggest(name, columns)} Columns: {', '.join(columns)}.")
