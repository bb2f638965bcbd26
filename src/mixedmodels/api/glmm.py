"""`mm.glmm`: the generalised linear mixed model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ..control import Control
from ..fit import Fit
from ..spec import Approximation, Information, NaAction
from ..syntax.start_values import StartValues
from ..typing import Ddf
from .generalised import generalised_inputs, read_generalised
from .run import fit_model


def glmm(
    formula: str,
    data: Any,
    family: str,
    link: str | None = None,
    *,
    dispersion: str | None = None,
    zero_inflation: str | None = None,
    hurdle: str | None = None,
    nominal: str | None = None,
    thresholds: str = "flexible",
    method: Approximation = "laplace",
    points: int | Literal["auto"] | None = None,
    reml: bool = False,
    information: Information = "observed",
    residual: str | None = None,
    variance: str | None = None,
    trials: Any = None,
    weights: Any = None,
    frequency: Any = None,
    offset: Any = None,
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
    """Return the generalised linear mixed model g(E[y | b]) = Xβ + Zb, b ~ N(0, G).

    Parameters
    ----------
    formula
        `"y ~ fixed + (effects | group)"`. The response is a number, 0/1, boolean or a factor of two levels,
        `cbind(events, others)`, `events / trials`, or an ordered factor.
    data
        As for `lmm`.
    family, link
        Name of the distribution of a row given b (`"binomial"`, `"poisson"`, `"nb2"`, `"beta"`, `"ordinal"` …; R's and
        SAS's names do too) and of its link, the family's default where it is None.
    dispersion, zero_inflation, hurdle
        Formulas without a response, `"~ mined + (1 | site)"`: log-linear model of the dispersion, logit of the share of
        structural zeros, logit of a zero where all others are of the truncated distribution.
    nominal, thresholds
        Ordinal models: a formula of terms with an effect on every threshold, `"~ contact"` (τ_k + w'γ_k, as in `clm`),
        and how thresholds are spaced: `"flexible"`, `"equidistant"`, `"symmetric"`.
    method
        How b is integrated out: `"laplace"`, `"quadrature"` (adaptive Gauss–Hermite; one grouping factor, three effects
        a level at most), or pseudo-likelihood as in PROC GLIMMIX: `"rspl"`, `"mspl"`, `"rmpl"`, `"mmpl"`.
    points
        Quadrature points a dimension: 15, 9 and 7 for one, two and three effects a level where nothing is said;
        `"auto"` raises them until −2 log-likelihood moves by less than 1e-4.
    reml
        Laplace's approximation over the fixed effects too, as mgcv's REML and `REML = TRUE` of glmmTMB, for models
        with one formula; standard errors take the covariance parameters as known.
    information
        Curvature of the rows in Laplace's determinant: `"observed"`, or `"expected"` as lme4 has it; the two are one
        for canonical links.
    residual, variance
        As for `lmm`, with pseudo-likelihood.
    trials, weights, frequency, offset
        Column names or arrays: trials of a binomial row; known precisions that divide the dispersion; how many equal
        rows a row stands for; what is added to the linear predictor.
    ddf, known, start, hold, contrasts, na, subset, context, control
        As for `lmm`.

    Raises
    ------
    SpecError, DataError
        For arguments that do not go together, and for responses outside what the family allows.

    Notes
    -----
    Laplace's −2 log-likelihood is 2h(û) + log |M| with û the mode of h(u) = −Σ ℓ_i + ½u'u and M its second derivatives;
    all constants of the density are kept, so that it compares with that of other families. *Same as* `glmmTMB::glmmTMB`
    (`"laplace"`), `lme4::glmer`, SAS PROC GLIMMIX with `METHOD=LAPLACE`, `QUAD`, `RSPL` …

    Examples
    --------
    >>> import mixedmodels as mm
    >>> cbpp = mm.datasets.load("cbpp")
    >>> fit = mm.glmm("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    >>> round(fit.loglik, 4), fit.beta.round(3)
    (-92.0263, array([-1.399, -0.992, -1.129, -1.58 ]))
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
        method=method,
        points=points,
        reml=reml,
        information=information,
        residual=residual,
        variance=variance,
        trials=trials,
        weights=weights,
        frequency=frequency,
        offset=offset,
        ddf=ddf,
        start=start,
        hold=hold,
        contrasts=contrasts,
        na=na,
        context=context,
    )
    inputs = generalised_inputs(
        data,
        weights=weights,
        known=known,
        subset=subset,
        context=context,
        trials=trials,
        frequency=frequency,
        offset=offset,
    )
    return fit_model(spec, inputs, control or Control())
