"""ordinal's `clmm` read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.glmm import glmm
from ..control import Control
from ..errors import SpecError
from ..fit import Fit
from ..spec import NaAction


def clmm(
    formula: str,
    data: Any,
    link: str = "logit",
    threshold: str = "flexible",
    nAGQ: int = 1,
    *,
    weights: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    control: Control | None = None,
) -> Fit:
    """Return the cumulative-link mixed model that `ordinal::clmm(formula, data, link, threshold)` fits.

    Parameters
    ----------
    formula
        The response is an ordered factor, or numbers whose order is that of the levels.
    data, contrasts, na, subset, control
        As for `glmm`.
    link, threshold
        `"logit"`, `"probit"`, `"cloglog"`, `"loglog"`, `"cauchit"`; `"flexible"`.
    nAGQ
        1 for Laplace's approximation, more for quadrature points.
    weights
        How many equal rows a row stands for.

    Notes
    -----
    Links are those of `clm` of the same package, SAS and McCullagh (1980): `"cloglog"` is log(−log(1 − p)). The `clmm`
    of version 2022.11 has `"cloglog"` and `"loglog"` exchanged.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.clmm("rating ~ temp + contact + (1 | judge)", mm.datasets.load("wine"))
    >>> round(fit.loglik, 4)
    -81.5654
    """
    if isinstance(nAGQ, bool) or not isinstance(nAGQ, int) or nAGQ < 1:
        raise SpecError(f"nAGQ={nAGQ!r} must be 1 (Laplace) or a number of quadrature points.")
    return glmm(
        formula,
        data,
        "ordinal",
        link,
        thresholds=threshold,
        method="laplace" if nAGQ == 1 else "quadrature",
        points=None if nAGQ == 1 else nAGQ,
        frequency=weights,
        contrasts=contrasts,
        na=na,
        subset=subset,
        control=control,
    )
