"""Whether the covariance model of one fit is a case of another's, by their structures."""

from __future__ import annotations

import numpy as np

from ..covariance.base import Structure
from ..fit import Fit
from ..terms.design import RandomTerm, Residual

DIRECTLY = {
    "homdiag": ("diag", "cs", "ar1", "toep"),
    "diag": ("hcs", "har1", "htoep", "us", "unr"),
    "cs": ("hcs", "toep"),
    "hcs": ("htoep", "us", "unr"),
    "ar1": ("har1", "toep", "arma"),
    "har1": ("ante1", "htoep"),
    "arma": ("toep",),
    "toep": ("htoep",),
    "htoep": ("us", "unr"),
    "ante1": ("us", "unr"),
    "us": ("unr",),
    "unr": ("us",),
}
"""Structure → structures of the same positions that have it as a case."""
WITH_INTERCEPT = frozenset({"cs", "hcs", "toep", "htoep", "us", "unr"})
"""Structures of errors that have a random intercept of their clusters as a case."""


def is_nested(smaller: Fit, larger: Fit) -> bool:
    """Return whether every covariance of the smaller model is known to be one of the larger.

    Notes
    -----
    Terms of the smaller model must each lie in a term of the larger of the same groups, alone or, in an unstructured or
    diagonal one, side by side; errors in a structure that has theirs as a case (`DIRECTLY`). What is not recognised is
    not nested.
    """
    return _errors_nested(smaller, larger) and _terms_nested(smaller, larger)


def _terms_nested(smaller: Fit, larger: Fit) -> bool:
    left = list(larger.design.random)
    taken: list[set[str]] = [set() for _ in left]
    for old in sorted(smaller.design.random, key=lambda term: -term.n_columns):
        home = next((i for i, new in enumerate(left) if _holds(new, old, taken[i])), None)
        if home is not None:
            taken[home] |= set(old.columns)
        elif not _in_errors(old, smaller, larger):
            return False
    return True


def _holds(new: RandomTerm, old: RandomTerm, taken: set[str]) -> bool:
    """Return whether a term has another as a case beside the columns that others have taken."""
    same_levels = new.group == old.group and new.level_parts != () and new.n_levels == old.n_levels
    same_levels |= new.smooth and old.smooth and new.label == old.label
    same_sets = old.n_sets == 1 or old.set_labels == new.set_labels
    if not (same_levels and same_sets and _same_known(new, old)):
        return False
    if set(old.columns) & taken or not set(old.columns) <= set(new.columns):
        return False
    whole = new.columns == old.columns
    if whole and (new.structure == old.structure or _is_case(old.structure, new.structure, old.n_columns)):
        return True
    name = new.structure.names[0]
    inside = old.n_columns == 1 or old.structure.names[0] in ("us", "unr", "diag", "homdiag")
    return inside and (name in ("us", "unr") or (name == "diag" and _is_diagonal(old)))


def _same_known(new: RandomTerm, old: RandomTerm) -> bool:
    """Return whether the levels of both have one known covariance, or none."""
    if new.known is None or old.known is None:
        return new.known is old.known
    if new.known is old.known:
        return True
    if [part.tolist() for part in new.level_parts] != [part.tolist() for part in old.level_parts]:
        return False
    if new.known.covariance is not None and old.known.covariance is not None:
        return bool(np.array_equal(new.known.covariance, old.known.covariance))
    if new.known.precision is None or old.known.precision is None:
        return False
    return bool(abs(new.known.precision - old.known.precision).max() == 0)


def _is_diagonal(term: RandomTerm) -> bool:
    return term.n_columns == 1 or term.structure.names[0] in ("diag", "homdiag")


def _is_case(old: Structure, new: Structure, m: int) -> bool:
    """Return whether a structure of m positions has another as a case."""
    reached, front = set(), [old.names[0]]
    while front:
        name = front.pop()
        if name not in reached:
            reached.add(name)
            front += DIRECTLY.get(name, ())
    name = new.names[0]
    if name not in reached - {old.names[0]}:
        return False
    # banded ones have fewer parameters than all lags
    full = {"toep": m, "htoep": 2 * m - 1}.get(name)
    return full is None or new.size(m) == full


def _errors_nested(smaller: Fit, larger: Fit) -> bool:
    old, new = smaller.design.residual, larger.design.residual
    if old is None:
        # every structure has independent errors of one variance as a case, every variance function one
        return True
    if new is None:
        return False
    functions = {term.label for term in new.variance}
    if not {term.label for term in old.variance} <= functions:
        return False
    return old.structure is None or _structure_nested(old, new)


def _structure_nested(old: Residual, new: Residual) -> bool:
    assert old.structure is not None
    same = new.structure is not None and old.label == new.label
    if not same or (len(old.set_labels) > 1 and old.set_labels != new.set_labels):
        return False
    assert new.structure is not None
    if old.structure == new.structure and old.positions.labels == new.positions.labels:
        return True
    return old.positions.labels == new.positions.labels and _is_case(
        old.structure, new.structure, old.positions.size
    )


def _in_errors(term: RandomTerm, smaller: Fit, larger: Fit) -> bool:
    """Return whether a random intercept is a case of the correlated errors of the larger model."""
    errors = larger.design.residual
    if errors is None or errors.structure is None or smaller.design.residual is not None:
        return False
    name = errors.structure.names[0]
    plain = term.columns == ("(Intercept)",) and term.known is None and term.n_sets == 1
    banded = name in ("toep", "htoep") and not _is_case_of_full(errors.structure, errors.positions.size)
    return plain and errors.label == term.group and name in WITH_INTERCEPT and not banded


def _is_case_of_full(structure: Structure, m: int) -> bool:
    return structure.size(m) == {"toep": m, "htoep": 2 * m - 1}[structure.names[0]]
