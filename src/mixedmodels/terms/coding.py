"""Contrast codings of a factor: the columns that stand for its levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import SpecError, suggest
from ..syntax.tree import Coding, Flag, Items, Node, Number, Text
from ..typing import Array, Labels


def sum_to_zero(k: int) -> Array:
    """Return deviations of every level but the last, which is −1 throughout, (k, k − 1)."""
    return np.vstack([np.eye(k - 1), -np.ones((1, k - 1))])


def helmert(k: int, *, reverse: bool = True, scale: bool = False) -> Array:
    """Return each level against the mean of those before it, (k, k − 1): column j is −1 (j times), then j.

    `reverse=False` compares with those after it; `scale` divides a column by the number of levels it compares.
    """
    out = np.zeros((k, k - 1))
    for j in range(1, k):
        out[:j, j - 1] = -1.0
        out[j, j - 1] = j
        if scale:
            out[:, j - 1] /= j + 1
    return out if reverse else np.asarray(out[::-1, ::-1])


def difference(k: int, *, backward: bool = True) -> Array:
    """Return each level against the one before, (k, k − 1): coefficients are differences of neighbouring means."""
    out = np.tile(np.arange(1, k) / k, (k, 1))
    out[np.arange(k)[:, None] <= np.arange(k - 1)[None, :]] -= 1.0
    return out if backward else -out


def polynomial(k: int, scores: Sequence[float] | None = None) -> Array:
    """Return orthonormal polynomials of degree 1 to k − 1 at scores, equally spaced by default, (k, k − 1)."""
    at = np.arange(k) if scores is None else np.asarray(scores, dtype=float)
    q, r = np.linalg.qr(np.vander(at - at.mean(), k, increasing=True))
    return np.asarray((q * np.sign(np.diagonal(r)))[:, 1:])


@dataclass(frozen=True, slots=True, eq=False)
class CodedColumns:
    """The columns that stand for k levels: `matrix` (k, m), and what stands in brackets behind the factor's name."""

    matrix: Array
    fields: Labels


INDICATORS = Coding("full")
"""A column for every level."""
TREATMENT = Coding("treatment")


def code_levels(coding: Coding, levels: Sequence[object], label: str) -> CodedColumns:
    """Return the columns of a coding of levels; `SpecError` where it does not go with them.

    Examples
    --------
    >>> code_levels(TREATMENT, ["F", "M"], "sex").fields
    ('T.M',)
    """
    names, k = [str(level) for level in levels], len(levels)
    options = {name: _constant(node) for name, node in coding.options}
    if coding.kind == "full":
        return CodedColumns(np.eye(k), tuple(names))
    if coding.kind in ("treatment", "sas"):
        return _against_one(coding.kind, names, options.get("base"), label)
    if coding.kind == "matrix":
        return _own_matrix(coding, k, label)
    if coding.kind == "sum":
        return CodedColumns(sum_to_zero(k), tuple(f"S.{name}" for name in names[:-1]))
    if coding.kind == "helmert":
        shown = names[1:] if options.get("reverse", True) else names[:-1]
        return CodedColumns(helmert(k, **options), tuple(f"H.{name}" for name in shown))
    if coding.kind == "diff":
        shown = names[1:] if options.get("backward", True) else names[:-1]
        return CodedColumns(difference(k, **options), tuple(f"D.{name}" for name in shown))
    scores = options.get("scores")
    if scores is not None and (len(scores) != k or len(set(scores)) != k):
        raise SpecError(
            f"{label}: poly contrasts have {len(scores)} scores for {k} levels; give a different one each."
        )
    fields = [[".L", ".Q", ".C"][d - 1] if d <= 3 else f"^{d}" for d in range(1, k)]
    return CodedColumns(polynomial(k, scores), tuple(fields))


def _against_one(kind: str, names: list[str], base: Any, label: str) -> CodedColumns:
    place = 0 if kind == "treatment" else len(names) - 1
    if base is not None:
        wanted = str(int(base)) if isinstance(base, float) and base == int(base) else str(base)
        if wanted not in names:
            raise SpecError(
                f"{label}: {wanted!r} is no level.{suggest(wanted, names)} Levels: {', '.join(names[:10])}"
                f"{' …' if len(names) > 10 else ''}."
            )
        place = names.index(wanted)
    fields = tuple(f"T.{name}" for j, name in enumerate(names) if j != place)
    return CodedColumns(np.delete(np.eye(len(names)), place, axis=1), fields)


def _own_matrix(coding: Coding, k: int, label: str) -> CodedColumns:
    matrix = np.array(coding.matrix, dtype=float)
    rows, width = matrix.shape
    if rows != k:
        raise SpecError(f"{label}: the contrast matrix has {rows} rows for {k} levels.")
    if np.linalg.matrix_rank(np.column_stack([np.ones(k), matrix])) <= width:
        raise SpecError(f"{label}: the columns of the contrast matrix, and a constant, are not independent.")
    return CodedColumns(matrix, tuple(str(j) for j in range(1, width + 1)))


def _constant(node: Node) -> Any:
    if isinstance(node, Items):
        return [_constant(one) for one in node.values]
    assert isinstance(node, (Number, Text, Flag))
    return node.value
