"""lme4's `glmer(formula, data, family, nAGQ)` read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.generalised import WITH_TRIALS
from ..api.glmm import glmm
from ..control import Control
from ..errors import SpecError
from ..fit import Fit
from ..spec import NaAction
from .r_text import read_family


def glmer(
    formula: str,
    data: Any,
    family: str,
    nAGQ: int = 1,
    *,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    control: Control | None = None,
) -> Fit:
    """Return the model that `lme4::glmer(formula, data, family, nAGQ = …)` fits.

    Parameters
    ----------
    formula
        As in lme4; `(x || g)` removes correlations among the columns of factors too.
    data
        As for `glmm`.
    family
        `"binomial"`, `"poisson"`, `'binomial(link = "probit")'`, `"Gamma(log)"` …
    nAGQ
        1 for Laplace's approximation, more for as many points of adaptive Gauss–Hermite quadrature.
    weights
        As in lme4: trials of a binomial proportion, otherwise known precisions of a family with a dispersion.
    offset, contrasts, na, subset, control
        As for `glmm`.

    Raises
    ------
    SpecError
        For `nAGQ=0`, whose estimates of β ignore the integral over b.

    Notes
    -----
    The curvature of the rows is the expected one, as in lme4. Estimates agree with those of lme4 to its tolerance; with
    `nAGQ` above 1 its log-likelihood leaves out the saturated model, which is kept here.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> cbpp = mm.datasets.load("cbpp")
    >>> fit = mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, "binomial")
    >>> round(fit.loglik, 4)
    -92.0263
    """
    if isinstance(nAGQ, bool) or not isinstance(nAGQ, int) or nAGQ < 1:
        raise SpecError(
            f"nAGQ={nAGQ!r} must be 1 (Laplace) or a number of quadrature points; nAGQ=0 maximises jointly over β "
            "and b, which is biased, and is not offered."
        )
    name, link = read_family(family)
    trials = weights if name in WITH_TRIALS else None
    return glmm(
        formula,
        data,
        name,
        link,
        method="laplace" if nAGQ == 1 else "quadrature",
        points=None if nAGQ == 1 else nAGQ,
        information="expected",
        trials=trials,
        weights=None if name in WITH_TRIALS else weights,
        offset=offset,
        contrasts=contrasts,
        na=na,
        subset=subset,
        control=control,
    )
