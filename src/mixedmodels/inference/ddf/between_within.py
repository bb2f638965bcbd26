"""Between–within degrees of freedom."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...errors import SpecError
from ...fit import Fit
from ...terms.design import Design
from ...terms.rows import Rows
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
    smallest df of the effects it involves. *Same as* SAS `DDFM=BETWITHIN`.
    """

    name: ClassVar[str] = "between-within"
    note: ClassVar[str] = "between–within"  # type: ignore[misc]

    def of_columns(self, fit: Fit) -> Array:
        design, fixed, rows = fit.design, fit.design.fixed, fit._work.rows()
        subjects = subject_codes(design, rows)
        n_subjects = int(subjects.max()) + 1
        constant = constant_within(rows.x, subjects)
        between = float(n_subjects - constant.sum())
        within = float(design.n - n_subjects - (fixed.rank - constant.sum()))
        residual = design.residual
        unstructured = (
            residual is not None and residual.structure is not None and residual.structure.names[0] == "us"
        )
        if unstructured and not design.random:
            return np.full(fixed.rank, between)
        term_of = [fixed.assign[j] for j in fixed.estimable]
        inside = {term for term, same in zip(term_of, constant, strict=True) if not same}
        return np.array([within if term in inside else between for term in term_of])


def subject_codes(design: Design, rows: Rows) -> Codes:
    """Return the subject of each row, (n,), without gaps: residual clusters, or the outermost group."""
    residual = design.residual
    if residual is not None and residual.structure is not None and rows.residual is not None:
        return _without_gaps(rows.residual.clusters)
    if not design.random:
        raise SpecError(
            "ddf='between-within' needs subjects: a random term or a residual structure; use 'residual'."
        )
    terms = list(zip(design.random, rows.random, strict=True))
    outer, outer_rows = min(terms, key=lambda pair: pair[0].n_levels)
    for term, own in terms:
        home = np.zeros(term.n_levels, np.int32)
        home[own.codes] = outer_rows.codes
        if not np.array_equal(home[own.codes], outer_rows.codes):
            raise SpecError(
                f"ddf='between-within' needs one grouping factor in which the others nest; {term.group} and "
                f"{outer.group} cross. Use 'satterthwaite'."
            )
    return _without_gaps(outer_rows.codes)


def _without_gaps(codes: Codes) -> Codes:
    return np.unique(codes, return_inverse=True)[1].astype(np.int32)
