"""The covariance of β̂: that of the model, and the one of the fit's tables, adjusted as its df method asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fit import Fit
from ..labelled import LabelledMatrix
from ..typing import Array, Ddf

if TYPE_CHECKING:  # the methods for degrees of freedom stand on this module
    from .ddf import DegreesOfFreedom
    from .sensitivity import Information


def model_vcov(fit: Fit) -> Array:
    """Return (X'V̂⁻¹X)⁻¹ in own coordinates (see `FixedBasis`), covariance parameters taken as known, (rank, rank)."""
    return fit.solution.own_vcov


def vcov(
    fit: Fit, *, ddf: Ddf | DegreesOfFreedom | None = None, information: Information = "observed"
) -> Array:
    """Return the covariance of β̂ of a df method, (p, p), NaN in rows and columns of aliased columns."""
    from .ddf import method_for

    p = len(fit.design.fixed.columns)
    kept = np.array(fit.design.fixed.estimable, dtype=np.intp)
    full = np.full((p, p), np.nan)
    own = method_for(fit, ddf, information=information).vcov(fit)
    full[np.ix_(kept, kept)] = fit.solution.basis.covariance(own)
    return full


def cov_params(fit: Fit, *, ddf: Ddf | None = None, information: Information = "observed") -> LabelledMatrix:
    """Return the covariance of β̂ with names, (p, p), NaN in rows and columns of aliased columns.

    Parameters
    ----------
    ddf
        The method for degrees of freedom whose covariance it is; the fit's own by default, so that the matrix is the
        one of all tables. `"asymptotic"` is that of the model, covariance parameters taken as known.
    information
        The `"observed"` or `"expected"` information that Kenward–Roger's is computed from.

    Notes
    -----
    *Same as* R's `vcov(fit)` for `ddf="asymptotic"`, `pbkrtest::vcovAdj` for Kenward–Roger (`information="expected"`).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> round(float(fit.cov_params()["Days", "Days"]), 4)
    2.3895
    """
    names = fit.design.fixed.columns
    matrix = vcov(fit, ddf=ddf, information=information)
    return LabelledMatrix(names, names, matrix, "Covariance of the fixed effects", fit.backend)
