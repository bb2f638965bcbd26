"""Terms that the data cannot tell apart from something else in the model, refused with the reason."""

from __future__ import annotations

import numpy as np

from ..covariance.unbounded import Unbounded
from ..errors import DataError, Severity, SpecError, Status
from ..frame.model_frame import ModelFrame
from ..spec import ModelSpec, RandomSpec
from ..typing import Array
from .absorbed import variance_strata
from .design import FixedTerms, RandomTerm, Residual
from .rank import null_space
from .rows import ErrorRows, FixedRows, TermRows

OWN_VARIANCES = frozenset({"us", "diag", "hcs", "unr", "banded_us", "htoep"})
"""Structures with a variance for every column, whose sum with that of the errors is all that such data show."""


def check_bounded(
    spec: ModelSpec, residual: Residual | None, errors: ErrorRows | None, fixed: FixedRows
) -> None:
    """Raise `DataError` where the likelihood has no maximum.

    By maximum likelihood an error variance that belongs to rows which the fixed part can fit exactly goes to
    zero, and the likelihood to infinity. Restricted likelihood spends those rows on the fixed part.
    """
    if residual is None or errors is None or spec.method != "ml" or spec.random or spec.smooths:
        return
    x = fixed.x
    for what, codes, labels in variance_strata(residual, errors):
        counts = np.bincount(codes, minlength=len(labels))
        for level in np.flatnonzero((counts > 0) & (counts <= x.shape[1])):
            rows = np.flatnonzero(codes == level)
            if np.linalg.matrix_rank(x[rows]) == len(rows):
                count = "the only row" if len(rows) == 1 else f"all {len(rows)} rows"
                raise DataError(
                    f"{what}: the fixed part can fit {count} of {labels[level]!r} exactly; by maximum likelihood the "
                    "variance there goes to zero and the likelihood to infinity. Combine levels, use a structure "
                    "with fewer variances, or method='reml'."
                )


def check_identifiable(
    asked: RandomSpec,
    term: RandomTerm,
    rows: TermRows,
    spec: ModelSpec,
    frame: ModelFrame,
    fixed: tuple[FixedTerms, FixedRows],
    tolerance: float,
) -> None:
    """Raise `DataError` when no data of this layout can estimate the parameters of a random term."""
    _check_levels(asked, term)
    _check_rows(asked, term, rows, spec, frame)
    _check_count(asked, term, rows, spec, frame)
    _check_columns(asked, term, rows, fixed, tolerance)


def _check_levels(asked: RandomSpec, term: RandomTerm) -> None:
    counts = np.bincount(term.sets, minlength=term.n_sets)
    single = np.flatnonzero(counts == 1)
    n_parameters = term.structure.size(term.n_columns)
    if not len(single) or term.n_columns > n_parameters:
        return
    level = term.levels[int(np.flatnonzero(term.sets == single[0])[0])]
    where = f" for {asked.by}={term.set_labels[single[0]]!r}" if asked.by else ""
    raise DataError(
        f"{asked}: grouping factor {term.group!r} has one level{where}, {level!r}: one draw of "
        f"{_counted(term.n_columns, 'effect')} says nothing about "
        f"{_counted(n_parameters, 'variance parameter')}. Use a factor with more levels, a structure that "
        "shares one variance over several columns (homdiag), or make the term fixed."
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _check_rows(
    asked: RandomSpec, term: RandomTerm, rows: TermRows, spec: ModelSpec, frame: ModelFrame
) -> None:
    free_errors = _free_errors(spec, frame)
    if rows.values is not None or term.known is not None or not free_errors or term.n_levels < frame.n:
        return
    held = {(item if isinstance(item, str) else item[0]).replace(" ", "").lower() for item in spec.hold}
    if held & {"var(residual)", f"var({term.label}:(intercept))".replace(" ", "").lower()}:
        return
    raise DataError(
        f"{asked}: grouping factor {term.group!r} has as many levels ({term.n_levels}) as rows, "
        "so its variance cannot be told from the residual variance. Leave the term out, or group by "
        "something observed repeatedly."
    )


def _check_count(
    asked: RandomSpec, term: RandomTerm, rows: TermRows, spec: ModelSpec, frame: ModelFrame
) -> None:
    """Raise where a term with a variance for every column has as many columns as there are rows, and σ² is free."""
    count = term.n_levels * term.n_columns
    free_errors = _free_errors(spec, frame)
    if (
        not free_errors
        or term.n_columns < 2
        or count < frame.n
        or term.known is not None
        or asked.structure.name not in OWN_VARIANCES
    ):
        return
    if rows.values is None or asked.coordinates or any("var(" in str(held).lower() for held in spec.hold):
        return
    raise DataError(
        f"{asked}: {term.n_columns} columns for each of {term.n_levels} levels of {term.group!r} are {count} random "
        f"effects for {frame.n} rows, so that their variances cannot be told from that of the errors. Use a structure "
        "that shares a variance (homdiag, cs, ar1), hold var(Residual), or write the term as residual=."
    )


def _free_errors(spec: ModelSpec, frame: ModelFrame) -> bool:
    """Return whether the errors are independent with one variance to be estimated."""
    return spec.likelihood is None and spec.residual is None and not spec.variance and _constant(frame)


def note_exchangeable(
    asked: RandomSpec, term: RandomTerm, rows: TermRows, spec: ModelSpec, frame: ModelFrame
) -> tuple[Status, ...]:
    """Return a warning where the residual variance can be exchanged for variances of a term of several columns.

    Such a term has a direction B of its Σ with z_i'Bz_l = 1 for i = l and 0 for other rows of one level, so that
    Σ − δB with σ² + δ leaves V as it is. A level with more rows than columns rules it out; otherwise B is sought by
    least squares, among the slopes of Σ at correlated effects where Σ is not linear in its parameters.
    """
    free_errors = _free_errors(spec, frame)
    held = {(item if isinstance(item, str) else item[0]).replace(" ", "").lower() for item in spec.hold}
    if rows.values is None or term.known is not None or not free_errors or "var(residual)" in held:
        return ()
    if term.n_columns < 2 or asked.coordinates or frame.n > term.n_levels * term.n_columns:
        return ()
    if np.bincount(rows.codes).max() > term.n_columns:
        return ()
    b = _slopes(term)
    gram = np.zeros((term.n_levels, term.n_columns, term.n_columns))
    np.add.at(gram, rows.codes, rows.values[:, :, None] * rows.values[:, None, :])
    for s in range(term.n_sets):
        moved = np.einsum("jab,kbc->kjac", gram[term.sets == s], b)
        normal = np.einsum("kjac,ljca->kl", moved, moved)
        forms = np.einsum("kjaa->k", moved)
        count = float(np.count_nonzero(term.sets[rows.codes] == s))
        if count - forms @ np.linalg.lstsq(normal, forms)[0] > 1e-9 * count:
            return ()
    return (
        Status(
            Severity.WARNING,
            f"{asked}: with no more than one row of a level for each column, var(Residual) can be exchanged for its "
            "variances without changing the covariance of the data: only their sums are determined",
            f"Write residual='{term.structure.names[0]}(…)' in place of the term, or hold var(Residual)",
        ),
    )


def _slopes(term: RandomTerm) -> Array:
    """Return ∂Σ of the parameters of a term, (k, p, p), at unequal and correlated effects."""
    structure, at = term.structure, term.positions
    if structure.linear:
        basis = Unbounded(structure) if structure.bounded else structure
        return basis.d_matrix(np.zeros(basis.size(term.n_columns)), at)
    places = np.arange(term.n_columns)
    lag = np.abs(np.subtract.outer(places, places))
    sd = 1.0 + 0.1 * places
    return structure.d_matrix(structure.start((0.8 * 0.6**lag + 0.2 * (lag == 0)) * np.outer(sd, sd), at), at)


def _constant(frame: ModelFrame) -> bool:
    return frame.weights is None or bool((frame.weights == frame.weights[0]).all())


def _check_columns(
    asked: RandomSpec,
    term: RandomTerm,
    rows: TermRows,
    fixed: tuple[FixedTerms, FixedRows],
    tolerance: float,
) -> None:
    if rows.values is None or asked.coordinates or term.structure.dependent_columns:
        return
    if rows.values is fixed[1].matrix:
        estimable, null_basis = fixed[0].estimable, fixed[0].null_basis
    else:
        estimable, null_basis = null_space(rows.values, tolerance)
    if len(estimable) == term.n_columns:
        return
    names = [term.columns[j] for j in np.flatnonzero(null_basis[:, 0])]
    if len(names) == 1:
        reason = f"column {names[0]!r} is zero in every row"
    else:
        reason = f"columns {', '.join(map(repr, names))} are linearly dependent"
    raise DataError(f"{asked}: {reason}, so their variances cannot be told apart; leave {names[-1]!r} out.")


def check_overlap(asked: tuple[RandomSpec, ...], terms: tuple[RandomTerm, ...]) -> None:
    """Raise `SpecError` when two unstructured terms give the same levels the same column."""
    for i, second in enumerate(asked):
        for j, first in enumerate(asked[:i]):
            both = (first, second)
            plain = all(
                t.structure.name in ("us", "diag") and not (t.by or t.cov or t.precision) for t in both
            )
            shared = [name for name in terms[i].columns if name in terms[j].columns]
            if plain and first.group == second.group and shared:
                raise SpecError(
                    f"{first} and {second} both hold {shared[0]!r}, whose variance can be split between them "
                    "at will; keep it in one of them."
                )
