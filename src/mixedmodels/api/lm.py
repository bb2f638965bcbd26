"""`mm.lm`: least squares with the tools of a mixed model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..control import Control
from ..fit import Fit, Inputs
from ..spec import NaAction
from ..syntax.formula import read_formula
from ..typing import Ddf
from .run import fit_model, refuse_random


def lm(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    ddf: Ddf = "auto",
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the linear model y = Xβ + e fitted by (weighted) least squares, with every tool of a mixed
    model.

    Parameters
    ----------
    formula
        `"y ~ fixed"`, without random terms.
    data, weights, ddf, contrasts, na, subset, context, control
        As for `lmm`.

    Notes
    -----
    σ̂² = RSS/(n − rank X), the REML estimate, and the criterion is the restricted one, as in `nlme::gls`; the
    log-likelihood that R prints for `lm` is that of `lmm(formula, data, method="ml")`. *Same as* `lm` in R.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lm("travel ~ 1", mm.datasets.load("rail"))
    >>> fit.beta, round(fit.sigma, 4)
    (array([66.5]), 23.645)
    """
    spec = read_formula(formula, weights=weights, ddf=ddf, contrasts=contrasts, na=na, context=context)
    refuse_random(spec, "lm")
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, subset=subset, context=context), control or Control())
