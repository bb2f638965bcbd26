"""Between–within degrees of freedom."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import SpecError
from ...fit import Fit
from ...likelihood.families.multinomial import Multinomial
from ...terms.design import Design, FixedTerms, RandomTerm
from ...terms.rows import Rows, TermRows
from ...typing import Array, Codes
from .by_column import ByColumn, constant_within


class BetweenWithin(ByColumn):
    """Subjects − rank of the part of X between subjects, or n − subjects − rank of the rest.

    Notes
    -----
    SAS documentation, MODEL statement, DDFM=BETWITHIN: an effect that changes within any subject has the
    within-subject degrees of freedom, others and the intercept those between. With an unstructured residual
    covariance and no random effects every effect has those between. Subjects are the clusters of the
    residual structure, otherwise the grouping factor in which all others nest. A function takes the
    smallest df of the effects it involves; coefficients of predictors beside the mean have infinite ones. *Same as*
    SAS `DDFM=BETWITHIN`.
    """

    name: ClassVar[str] = "between-within"
    note: ClassVar[str] = "between–within"  # type: ignore[misc]

    def of_columns(self, fit: Fit) -> Array:
        design, fixed, rows = fit.design, fit.design.fixed, fit._work.rows()
        subjects = subject_codes(design, rows)
        n_subjects = int(subjects.max()) + 1
        x, own = _as_read(fit, fixed, rows)
        constant = constant_within(x, subjects)
        between = float(n_subjects - constant[own].sum())
        within = float(design.n - n_subjects - (~constant[own]).sum())
        residual = design.residual
        unstructured = (
            residual is not None and residual.structure is not None and residual.structure.names[0] == "us"
        )
        if unstructured and not design.random:
            return np.full(fixed.rank, between)
        term_of = [fixed.assign[j] for j in fixed.estimable]
        inside = {term for term, same in zip(term_of, constant, strict=True) if not same}
        found = np.array([within if term in inside else between for term in term_of])
        return np.where(_elsewhere(fixed), np.inf, found)


def nested(design: Design, rows: Rows) -> bool:
    """Return whether there is a grouping factor in which all others nest; curves are none."""
    terms = _grouped(design, rows)
    if not terms:
        return False
    _, outer = min(terms, key=lambda pair: pair[0].n_levels)
    return all(_home(own.codes, term.n_levels, outer.codes) is not None for term, own in terms)


def _grouped(design: Design, rows: Rows) -> list[tuple[RandomTerm, TermRows]]:
    """Return the random terms of grouping factors with their rows, without smooths."""
    pairs = zip(design.random, rows.random, strict=True)
    return [(term, own) for term, own in pairs if not term.smooth]


def _home(codes: Codes, count: int, outer: Codes) -> Codes | None:
    """Return the outer level of each level, (count,), None where some lie in several."""
    home = np.zeros(count, np.int32)
    home[codes] = outer
    return home if np.array_equal(home[codes], outer) else None


def _elsewhere(fixed: FixedTerms) -> NDArray[np.bool_]:
    """Return which estimable columns are of a predictor beside the mean, whose tests are asymptotic, (rank,)."""
    if not fixed.components:
        return np.zeros(fixed.rank, dtype=bool)
    return np.array([fixed.components[j] not in ("mean", "threshold") for j in fixed.estimable])


def _as_read(fit: Fit, fixed: FixedTerms, rows: Rows) -> tuple[Array, NDArray[np.intp]]:
    """Return X with every column as its own predictor reads it, and which columns take degrees of freedom.

    Those of unordered categories read the same columns for every level but the first, which count once.
    """
    known = fit.distribution
    if known is None or not isinstance(known.family, Multinomial):
        return _with_thresholds(fixed, rows)
    part = rows.parts[0].rows.fixed.matrix
    whole = np.tile(part, len(known.levels) - 1)[:, list(fixed.estimable)]
    return whole, np.flatnonzero(np.array(fixed.estimable) < part.shape[1])


def _with_thresholds(fixed: FixedTerms, rows: Rows) -> tuple[Array, NDArray[np.intp]]:
    """Return X with the columns of terms that have effects on thresholds, and which columns take degrees of freedom.

    Those are of the mean; thresholds count as one intercept, and a column with an effect on each of them as one column.
    """
    kept = ~_elsewhere(fixed)
    thresholds = [k for k, j in enumerate(fixed.estimable) if fixed.components[j : j + 1] == ("threshold",)]
    if not thresholds:
        return rows.x, np.flatnonzero(kept)
    nominal = rows.parts[1].rows.x if len(rows.parts) > 1 else np.empty((len(rows), 0))
    count = sum(fixed.assign[fixed.estimable[k]] == 0 for k in thresholds)
    first = thresholds[::count]
    kept[[k for k in thresholds if k not in first]] = False
    x = rows.x.copy()
    x[:, thresholds[count:]] = np.repeat(nominal, count, axis=1)
    return x, np.flatnonzero(kept)


def subject_codes(design: Design, rows: Rows) -> Codes:
    """Return the subject of each row, (n,), without gaps: residual clusters, or the outermost group."""
    residual = design.residual
    if residual is not None and residual.structure is not None and rows.residual is not None:
        return _without_gaps(rows.residual.clusters)
    terms = _grouped(design, rows)
    if not terms:
        raise SpecError(
            "ddf='between-within' needs subjects: a random term or a residual structure; use 'residual'."
        )
    outer, outer_rows = min(terms, key=lambda pair: pair[0].n_levels)
    for term, own in terms:
        if _home(own.codes, term.n_levels, outer_rows.codes) is None:
            raise SpecError(
                f"ddf='between-within' needs one grouping factor in which the others nest; {term.group} and "
                f"{outer.group} cross. Use 'satterthwaite'."
            )
    return _without_gaps(outer_rows.codes)


def _without_gaps(codes: Codes) -> Codes:
    return np.unique(codes, return_inverse=True)[1].astype(np.int32)
