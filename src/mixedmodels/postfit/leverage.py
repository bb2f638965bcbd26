"""How much each fitted value depends on its own observation."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..registry import check_choice
from ..typing import Array
from .deletion_sets import deletion_sets
from .error_side import error_variances
from .removed_rows import CovarianceAt, inverted_clusters, removed
from .residuals import LEVELS


def leverage(fit: Fit, level: str = "conditional") -> Array:
    """Return ∂ŷ_i/∂y_i of the observations used at V̂, (n,); with `na="exclude"` of all, NaN where not used.

    Parameters
    ----------
    level
        `"conditional"`: of ŷ = Xβ̂ + Zb̂; `"marginal"`: of Xβ̂.

    Notes
    -----
    Diagonals of I − RP and of XΦX'V⁻¹, Φ = (X'V⁻¹X)⁻¹ and P = V⁻¹ − V⁻¹XΦX'V⁻¹. Marginal ones add up to the rank of
    X, conditional ones to the effective number of parameters of Hodges and Sargent (2001). *Same as* `hatvalues` of
    `lm` and of `lmer` (conditional), SAS `INFLUENCE` (marginal).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> float(fit.leverage("marginal").sum().round(6)), float(fit.leverage().sum().round(4))
    (1.0, 5.9566)
    """
    check_choice("level", level, LEVELS)
    found = _marginal(fit)
    if level == "conditional" and (fit.design.random or fit.design.residual is not None):
        found = _conditional(fit)
    return fit.in_place(found)


def _marginal(fit: Fit) -> Array:
    here = removed(fit, deletion_sets(fit, "obs"))
    x = fit.solution.basis.rows(fit._work.rows().x)
    return np.asarray(np.einsum("na,ab,nb->n", x, here.phi, here.weights))


def _conditional(fit: Fit) -> Array:
    residual = fit.design.residual
    if residual is None or residual.structure is None:
        return np.asarray(1.0 - fit._work.equations().conditional_residual_variances() / error_variances(fit))
    at = CovarianceAt.of(fit)
    errors, here = at.errors(), removed(fit, deletion_sets(fit, "obs"))
    out = np.empty(fit.nobs)
    for rows, inverse in inverted_clusters(at):
        w = here.weights[rows]
        p = inverse - w @ here.phi @ w.transpose(0, 2, 1)
        assert not isinstance(errors, np.ndarray)
        out[rows] = 1.0 - np.einsum("mij,mji->mi", errors.among(rows), p)
    return out
