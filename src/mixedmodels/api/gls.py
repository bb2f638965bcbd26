"""`mm.gls`: correlated or heterogeneous errors without random terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..control import Control
from ..fit import Fit, Inputs
from ..spec import Method, NaAction
from ..syntax.formula import read_formula
from ..syntax.start_values import StartValues
from ..typing import Ddf
from .run import fit_model, refuse_random


def gls(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: Any = None,
    method: Method = "reml",
    ddf: Ddf = "auto",
    known: Mapping[str, Any] | None = None,
    start: StartValues = None,
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the linear model y = Xβ + e with correlated or heterogeneous errors, fitted by REML or ML.

    Parameters
    ----------
    formula
        `"y ~ fixed"`, without random terms.
    data, residual, variance, weights, method, ddf, known, start, hold, contrasts, na, subset, context, control
        As for `lmm`.

    Notes
    -----
    *Same as* `nlme::gls`, SAS PROC MIXED with a REPEATED statement alone.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.gls("travel ~ 1", mm.datasets.load("rail"), residual="cs(1 | Rail)")
    >>> round(fit.loglik, 4)
    -61.0885
    """
    spec = read_formula(
        formula,
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
    refuse_random(spec, "gls")
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, known, subset=subset, context=context), control or Control())
