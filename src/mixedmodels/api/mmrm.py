"""`mm.mmrm`: repeated measures with a residual structure written inside the formula."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..control import Control
from ..fit import Fit, Inputs
from ..spec import Method, NaAction
from ..syntax.formula import read_formula
from ..syntax.repeated import split_residual
from ..syntax.start_values import StartValues
from ..typing import Ddf
from .run import fit_model, refuse_random


def mmrm(
    formula: str,
    data: Any,
    *,
    variance: str | None = None,
    weights: Any = None,
    method: Method = "reml",
    ddf: Ddf = "auto",
    start: StartValues = None,
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the mixed model for repeated measures: a residual structure written inside the formula.

    Parameters
    ----------
    formula
        `"y ~ base + arm * visit + us(visit | id)"`; `us(visit | id, by=arm)` for a covariance of each arm.
    data, variance, weights, method, ddf, start, hold, contrasts, na, subset, context, control
        As for `lmm`.

    Notes
    -----
    *Same as* `mmrm::mmrm`, SAS PROC MIXED with REPEATED visit / SUBJECT=id TYPE=UN.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.mmrm("Y ~ sex * age + us(age | id)", mm.datasets.load("orthodont"), method="ml")
    >>> round(fit.criterion, 4), fit.engine
    (419.477, 'clusters')
    """
    fixed, residual = split_residual(formula)
    spec = read_formula(
        fixed,
        residual=residual,
        variance=variance,
        weights=weights,
        method=method,
        ddf=ddf,
        start=start,
        hold=hold,
        contrasts=contrasts,
        na=na,
        context=context,
    )
    refuse_random(spec, "mmrm")
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, subset=subset, context=context), control or Control())
