"""glmmTMB's call read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.generalised import WITH_TRIALS
from ..api.glmm import glmm
from ..control import Control
from ..fit import Fit
from ..spec import NaAction
from .r_text import read_family


def glmmTMB(
    formula: str,
    data: Any,
    family: str = "gaussian",
    ziformula: str = "~0",
    dispformula: str = "~1",
    *,
    REML: bool = False,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    control: Control | None = None,
) -> Fit:
    """Return the model that `glmmTMB::glmmTMB(formula, data, family, ziformula = …, dispformula = …)` fits.

    Parameters
    ----------
    formula
        As in glmmTMB; structures are written `ar1(0 + week | plot)`, `cs(0 + f | g)` …
    data
        As for `glmm`.
    family
        glmmTMB's name, with its link: `"nbinom2"`, `"beta_family"`, `'binomial(link = "probit")'`.
    ziformula, dispformula
        `"~ 0"` for no structural zeros; beside a truncated family the zeros are those of a hurdle.
    REML
        Laplace's approximation over the fixed effects too.
    weights
        As in glmmTMB: trials of a binomial proportion, otherwise how often a row counts in the log-likelihood.
    offset, contrasts, na, subset, control
        As for `glmm`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.datasets.load("salamanders")
    >>> fit = mm.glmmTMB("count ~ spp + mined + (1 | site)", data, "poisson", ziformula="~ mined")
    >>> round(fit.loglik, 3)
    -886.764
    """
    name, link = read_family(family)
    counted = name in WITH_TRIALS
    zeros = None if _same(ziformula, "~0") else ziformula
    truncated = name.startswith("truncated_")
    return glmm(
        formula,
        data,
        name,
        link,
        dispersion=None if _same(dispformula, "~1") else dispformula,
        zero_inflation=None if truncated else zeros,
        hurdle=zeros if truncated else None,
        reml=REML,
        trials=weights if counted else None,
        frequency=None if counted else weights,
        offset=offset,
        contrasts=contrasts,
        na=na,
        subset=subset,
        control=control,
    )


def _same(text: Any, other: str) -> bool:
    return isinstance(text, str) and "".join(text.split()) == other
