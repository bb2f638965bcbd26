"""Data for which a likelihood has no finite maximum: directions of β along which no row's density ever falls.

Along such a direction δ the density of every row, at whatever b, rises or stays, and some rise: then so does the
likelihood with b integrated out, and β̂ is infinite. For a binomial row x'δ ≥ 0 where all trials are events, ≤ 0 where
none is, and 0 elsewhere (Albert and Anderson 1984); for counts x'δ ≤ 0 at 0 and 0 elsewhere; an ordinal row rises with
the upper end of its interval and falls with the lower.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..engines.coordinates import FixedBasis
from ..errors import DataError
from ..lazy import LazyModule
from ..likelihood.base import Family
from ..likelihood.families.binomial import Binomial
from ..likelihood.families.ordinal import Ordinal
from ..likelihood.families.truncated import Truncated
from ..likelihood.families.zero_inflated import Hurdle, ZeroInflated
from ..likelihood.responses import Responses
from ..terms.design import Design
from ..terms.observed import Observed
from ..terms.rows import TermRows
from ..typing import Array, Labels

optimize = LazyModule("scipy.optimize")

ENDED = 1e-5
"""A row whose score is smaller than this has next to nothing to gain: a sign that its predictor is running off."""
MOST_ROWS = 20_000
"""Different rows up to which the linear programme is solved."""
NOTHING = 1e-7
"""What is taken for zero in a solution of it, whose constraints are of size one."""
UNBOUNDED = ("logit", "probit", "cloglog", "loglog", "cauchit")
COUNTS = ("poisson", "nb2", "nb1", "geometric", "genpois", "compois")


def recession(observed: Observed, score: Array) -> Array | None:
    """Return δ, (rank,) in the coordinates of the search, along which no density falls; None where none was found.

    Parameters
    ----------
    observed
        The model.
    score
        ∂ℓ/∂η of the rows where the search ended, (P, n).

    Notes
    -----
    The linear programme max Σ s_i x_i'δ with 0 ≤ s_i x_i'δ ≤ 1 (s_i = ±1 says which way a row rises) and x_i'δ = 0 for
    rows that rise neither way, over the rows that differ. It is not solved where every row has something to gain.
    """
    signs = _rising(observed.family, observed.responses)
    if not signs or not any((np.abs(score[a][np.abs(s) == 1.0]) < ENDED).any() for a, s in signs):
        return None
    found = _distinct_rows(observed, signs)
    if found is None:
        return None
    moving, still = found
    size = np.sqrt(np.mean(np.vstack([moving, still]) ** 2, axis=0))
    size = np.where(size > 0.0, size, 1.0)
    upper = np.vstack([moving, -moving]) / size
    limits = np.concatenate([np.ones(len(moving)), np.zeros(len(moving))])
    equal = still / size if len(still) else None
    answer = optimize.linprog(
        -(moving / size).sum(axis=0), upper, limits, equal, None if equal is None else np.zeros(len(still)),
        bounds=(None, None), method="highs",
    )  # fmt: skip
    if answer.status != 0:
        return None
    delta = answer.x / size
    gains, kept = moving @ delta, still @ delta
    certified = (
        gains.max(initial=0.0) > 0.5 and gains.min() > -NOTHING and np.abs(kept).max(initial=0.0) < NOTHING
    )
    return np.asarray(delta) if certified else None


def _rising(family: Family, responses: Responses) -> list[tuple[int, Array]]:
    """Return predictors with, by row, which way the density rises without end: 1 up, −1 down, 0 neither, NaN both."""
    y, trials = responses.y, responses.trials_or_one
    if isinstance(family, Ordinal):
        # the ends of the outer intervals are infinite
        top = np.where(y == family.levels - 1.0, np.nan, 1.0)
        return [(0, top), (1, np.where(y == 0.0, np.nan, -1.0))]
    if isinstance(family, Binomial) and family.link.name in UNBOUNDED:
        return [(0, np.where(y == trials, 1.0, np.where(y == 0.0, -1.0, 0.0)))]
    if isinstance(family, ZeroInflated):
        return [(len(family.predictors) - 1, np.where(y == 0.0, 1.0, -1.0))]
    if isinstance(family, Hurdle):
        mean = [(a, np.where(y == 0.0, np.nan, s)) for a, s in _rising(family.base, responses)]
        return [(len(family.predictors) - 1, np.where(y == 0.0, 1.0, -1.0)), *mean]
    link = getattr(family, "link", None)
    if link is None or link.name != "log":
        return []
    if isinstance(family, Truncated):
        return [(0, np.where(y == 1.0, -1.0, 0.0))]
    return [(0, np.where(y == 0.0, -1.0, 0.0))] if family.names[0] in COUNTS else []


def _distinct_rows(observed: Observed, signs: list[tuple[int, Array]]) -> tuple[Array, Array] | None:
    """Return s_i x_i of the rows that may rise, and x_i of those that must stay, each once; None for too many."""
    rank = observed.stack.rank
    moving, still = [], []
    for a, sign in signs:
        one = observed.stack.predictors[a]
        usable = ~np.isnan(sign)
        both = np.unique(np.column_stack([sign, one.x])[usable], axis=0)
        if len(both) > MOST_ROWS:
            return None
        wide = np.zeros((len(both), rank))
        wide[:, one.columns] = both[:, 1:]
        up = both[:, 0] != 0.0
        moving.append(both[up, :1] * wide[up])
        still.append(wide[~up])
    together = np.vstack(moving)
    together = together[np.abs(together).max(axis=1, initial=0.0) > 0.0]
    return (together, np.vstack(still)) if len(together) else None


def check_concordant(
    design: Design, rows: tuple[TermRows | None, ...], family: Family, responses: Responses
) -> None:
    """Raise `DataError` where every level of a term has only events or none: its variance has no finite estimate."""
    if not isinstance(family, Binomial):
        return
    events, trials = responses.y, responses.trials_or_one
    for term, own in zip(design.random, rows, strict=True):
        if own is None or term.n_levels < 2 or not _has_intercept(own):
            continue
        by_level = [np.bincount(own.codes, weights, term.n_levels) for weights in (events, trials)]
        mixed = (by_level[0] > 0.0) & (by_level[0] < by_level[1])
        if mixed.any() or by_level[1].max() <= 1.0:
            continue
        raise DataError(
            f"every level of {term.group} has only events or none: the variance of {term.label!r} has no finite "
            "estimate (the likelihood rises as it grows). Use one row for each level, or leave the term out."
        )


def _has_intercept(rows: TermRows) -> bool:
    if rows.values is None:
        return True
    constant: NDArray[np.bool_] = np.ptp(rows.values, axis=0) == 0.0
    return bool((constant & (rows.values[0] != 0.0)).any())


def infinite_coefficients(design: Design, basis: FixedBasis, direction: Array) -> Labels:
    """Return the names of the coefficients that a direction of own coordinates moves."""
    fixed = design.fixed
    written = np.abs(basis.coefficients(direction))
    return tuple(
        fixed.columns[place]
        for place, size in zip(fixed.estimable, written.tolist(), strict=True)
        if size > 1e-9 * written.max()
    )
