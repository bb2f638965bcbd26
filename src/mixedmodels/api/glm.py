"""`mm.glm`: the generalised linear model, without random effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..control import Control
from ..fit import Fit
from ..spec import NaAction
from ..typing import Ddf
from .generalised import generalised_inputs, read_generalised
from .run import fit_model, refuse_random


def glm(
    formula: str,
    data: Any,
    family: str = "gaussian",
    link: str | None = None,
    *,
    dispersion: str | None = None,
    zero_inflation: str | None = None,
    hurdle: str | None = None,
    nominal: str | None = None,
    thresholds: str = "flexible",
    trials: Any = None,
    weights: Any = None,
    frequency: Any = None,
    offset: Any = None,
    ddf: Ddf = "auto",
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the generalised linear model g(E y) = Xβ fitted by maximum likelihood, with every tool of `glmm`.

    Parameters
    ----------
    formula
        `"y ~ fixed"`, without random terms; the response as for `glmm`.
    data, family, link, dispersion, zero_inflation, hurdle, nominal, thresholds, trials, weights, frequency, offset
        As for `glmm`.
    ddf, contrasts, na, subset, context, control
        As for `lmm`.

    Notes
    -----
    The dispersion of gaussian, gamma and inverse Gaussian responses is estimated by maximum likelihood, where R's `glm`
    divides Pearson's statistic by n − p. *Same as* `glm` in R, SAS PROC GENMOD.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.glm("count ~ mined", mm.datasets.load("salamanders"), family="poisson")
    >>> fit.beta.round(4)
    array([-1.2192,  2.0368])
    """
    spec = read_generalised(
        formula,
        family,
        link,
        dispersion=dispersion,
        zero_inflation=zero_inflation,
        hurdle=hurdle,
        nominal=nominal,
        thresholds=thresholds,
        trials=trials,
        weights=weights,
        frequency=frequency,
        offset=offset,
        ddf=ddf,
        contrasts=contrasts,
        na=na,
        context=context,
    )
    refuse_random(spec, "glm")
    inputs = generalised_inputs(
        data,
        weights=weights,
        subset=subset,
        context=context,
        trials=trials,
        frequency=frequency,
        offset=offset,
    )
    return fit_model(spec, inputs, control or Control())
