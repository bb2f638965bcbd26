"""The variance of what is predicted, before any data are known of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..typing import Array
from .base import Target
from .layout import Layout


def own_variance(layout: Layout, matrices: Sequence[Array], target: Target) -> Array:
    """Return τ², the variance of each target itself, (n,), for Σ of every term (sets, p, p)."""
    n = len(target)
    out = np.zeros(n) if target.error is None else target.error.variances().copy()
    parts = zip(layout.terms, matrices, target.codes, target.values, strict=True)
    for term, sigma, codes, values in parts:
        if codes is not None:
            refuse_new_levels(term.n_sets, codes < 0)
            z = np.ones((n, 1)) if values is None else values
            own = sigma[np.where(codes >= 0, term.sets[np.maximum(codes, 0)], 0)]
            out += np.einsum("na,nab,nb->n", z, own, z)
    return out


def refuse_new_levels(sets: int, new: NDArray[np.bool_]) -> None:
    """Raise `FitError` where levels are new and a term has several parameter sets: which is theirs is not known."""
    if sets > 1 and new.any():
        raise FitError(
            "the variance of a prediction for a new level is not defined when the term's covariance differs by group; "
            "predict at the population level instead."
        )
