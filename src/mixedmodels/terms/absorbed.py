"""What the fixed part holds already: random terms and strata of errors of which it leaves nothing to estimate from.

By restricted likelihood the data are K'y with K'X = 0, so that what is a combination of columns of X has no trace in
them: −2l is flat in its variance, on which the covariance of β̂ depends all the same.
"""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from ..spec import ModelSpec, RandomSpec
from ..typing import Array, Codes, Labels
from .design import FixedTerms, RandomTerm, Residual
from .rows import ErrorRows, FixedRows, Rows, TermRows

LEFT = 1e-7
"""Length of what X leaves of a column, of its own, below which it is a combination of columns of X."""
FIRST_ROWS = 200
"""Rows looked at first, beside four for each column: what is no combination there is none on all rows."""


def check_absorbed(
    spec: ModelSpec,
    fixed: FixedTerms,
    random: tuple[RandomTerm, ...],
    residual: Residual | None,
    rows: Rows,
) -> None:
    """Raise `DataError` where the fixed part leaves nothing to estimate a variance from."""
    if spec.method == "reml":
        for asked, term, own in zip(spec.random, random, rows.random, strict=False):
            _check_term(spec, asked, (term, own), (fixed, rows.fixed))
    if (
        residual is not None
        and rows.residual is not None
        and (spec.method == "reml" or spec.random or spec.smooths)
    ):
        _check_strata(spec, rows.fixed, variance_strata(residual, rows.residual))


def variance_strata(residual: Residual, errors: ErrorRows) -> list[tuple[str, Codes, Labels]]:
    """Return the sets of rows with an error variance of their own: what names them, row → level (n,), and labels."""
    groups = [
        (term.label, rows.groups, term.group_labels)
        for term, rows in zip(residual.variance, errors.variance, strict=True)
        if term.function.names[0] == "ident"
    ]
    if residual.structure is not None and residual.structure.own_variances:
        size = residual.positions.size
        labels = tuple(
            f"{label} {own}".strip() for label in residual.set_labels for own in residual.positions.labels
        )
        groups.append(
            (residual.structure.names[0], residual.sets[errors.clusters] * size + errors.index, labels)
        )
    return groups


def _check_term(
    spec: ModelSpec,
    asked: RandomSpec,
    bound: tuple[RandomTerm, TermRows],
    fixed: tuple[FixedTerms, FixedRows],
) -> None:
    (term, rows), (names_of_x, x) = bound, fixed
    rank = names_of_x.rank
    if asked.coordinates or term.structure.dependent_columns or rank < 2:
        return
    held = _held(spec)
    free = [
        j for j, name in enumerate(term.columns) if f"var({term.label}:{name})".replace(" ", "") not in held
    ]
    values = rows.dense_values()
    own = [j for j in free if _is_combination(x, _level_columns(rows, values[:, j], rank))]
    if not own or not (len(own) == term.n_columns or term.structure.own_variances):
        return
    columns = np.hstack([_level_columns(rows, values[:, j], rank) for j in own])
    whole, names = len(own) == term.n_columns, ", ".join(repr(term.columns[j]) for j in own)
    what, part = ("the whole term", "the random term") if whole else (f"the effects of {names}", names)
    holder = _holder(names_of_x, x, columns)
    raise DataError(
        f"{asked}: the fixed part, by {holder!r}, holds {what} for every level of {term.group!r}, so that by REML "
        f"nothing is left to estimate the variance from. Leave out {holder!r} or {part}, or "
        f"give the variance by hold={{'var({term.label}: {term.columns[own[0]]})': …}}."
    )


def _level_columns(own: TermRows, values: Array, most: int) -> Array:
    """Return the columns of Z of one random column, for the levels that have it, (n, levels); none beyond `most`."""
    first = slice(0, 4 * most + FIRST_ROWS)
    if len(set(own.codes[first][values[first] != 0].tolist())) > most:
        return np.zeros((len(values), 0))
    rows = np.flatnonzero(values)
    codes = own.codes[rows]
    present = np.bincount(codes) > 0
    count = int(np.count_nonzero(present))
    if count > most:
        return np.zeros((len(values), 0))
    out = np.zeros((len(values), count))
    out[rows, (np.cumsum(present) - 1)[codes]] = values[rows]
    return out


def _check_strata(spec: ModelSpec, fixed: FixedRows, strata: list[tuple[str, Codes, Labels]]) -> None:
    held = _held(spec)
    for what, codes, labels in strata:
        counts = np.bincount(codes, minlength=len(labels))
        for level in np.flatnonzero((counts > 0) & (counts <= len(fixed.estimable))):
            rows = np.flatnonzero(codes == level)
            own = "var(Residual)" if not level else labels[level].replace(" ", "")
            if any(own in name for name in held):
                continue
            indicators = np.zeros((len(codes), len(rows)))
            indicators[rows, np.arange(len(rows))] = 1.0
            if not _is_combination(fixed, indicators):
                continue
            count = "the only row" if len(rows) == 1 else f"all {len(rows)} rows"
            end = "by REML nothing is left to estimate the variance there from"
            if spec.method == "ml":
                end = "by maximum likelihood the variance there goes to zero whatever the response"
            name = (
                f"{what}: ratio({labels[level]})" if what.startswith("ident") and level else "var(Residual)"
            )
            raise DataError(
                f"{what}: the fixed part has a parameter of its own for {count} of {labels[level]!r}; {end}. Combine "
                f"levels, leave the parameter out, or give the variance by hold={{{name!r}: …}}."
            )


def _held(spec: ModelSpec) -> set[str]:
    return {(item if isinstance(item, str) else item[0]).replace(" ", "") for item in spec.hold}


def _is_combination(fixed: FixedRows, columns: Array) -> bool:
    """Return whether columns (n, k), k ≥ 1, are combinations of those of X; first of all on some rows."""
    n, k = columns.shape
    x = fixed.x
    step = n // (4 * (x.shape[1] + k) + FIRST_ROWS)
    if k == 0 or (step > 1 and not _spans(x[::step], columns[::step])):
        return False
    return _spans(x, columns)


def _spans(x: Array, columns: Array) -> bool:
    size = np.sqrt(np.einsum("ij,ij->j", x, x))
    q, r = np.linalg.qr(x[:, size > 0] / size[size > 0])
    # on some rows columns of X may be dependent: what rounding leaves of them spans nothing
    q = q[:, np.abs(np.diag(r)) > 1e-10]
    left = columns - q @ (q.T @ columns)
    left = left - q @ (q.T @ left)
    length = np.sqrt(np.einsum("ij,ij->j", columns, columns))
    return bool(np.all(np.sqrt(np.einsum("ij,ij->j", left, left)) <= LEFT * length))


def _holder(fixed: FixedTerms, rows: FixedRows, columns: Array) -> str:
    """Return the first term of the fixed part with which, after those before it, it holds these columns."""
    assign = np.array(fixed.assign)
    for term, name in enumerate(fixed.terms[:-1]):
        kept = rows.matrix[:, assign <= term]
        if kept.shape[1] and _spans(kept, columns):
            return name
    return fixed.terms[-1]
