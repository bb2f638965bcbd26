"""`mm.lmm`: the linear mixed model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..control import Control
from ..fit import Fit, Inputs
from ..spec import Bounds, Method, Moments, NaAction
from ..syntax.formula import read_formula
from ..syntax.start_values import StartValues
from ..typing import Ddf
from .run import fit_model


def lmm(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: Any = None,
    method: Method | Moments = "reml",
    ddf: Ddf = "auto",
    known: Mapping[str, Any] | None = None,
    bounds: Bounds = "psd",
    start: StartValues = None,
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
    client: Any = None,
) -> Fit:
    """Return the linear mixed model y = Xβ + Zb + e fitted by REML or maximum likelihood.

    Parameters
    ----------
    formula
        `"y ~ fixed + (effects | group)"`, for example `"Reaction ~ Days + (Days | Subject)"`.
    data
        A pandas, polars or pyarrow frame, any frame narwhals reads, or a dict of arrays. Data larger than memory: a
        path or pattern of Parquet or CSV files, a pyarrow `Dataset`, a polars `LazyFrame`, a DuckDB relation, anything
        with `__arrow_c_stream__`, or a Dask `DataFrame`, which are summed in batches (see the guide to huge data).
    residual, variance
        Covariance of the errors: a structure `"ar1(week | id)"`, `"us(visit | id, by=arm)"`, and functions
        `"ident(sex)"`, `"power(age)"`, `"power(fitted)"`, `"exp(x)"`, `"const_power(x)"`, `"fixed(x)"`,
        `"log_linear(z1 + z2)"`, or products of them, that multiply the standard deviation.
    weights
        Name of a column, or an array (rows of the data,), of known precision weights w_i > 0: var(e_i) =
        σ²/w_i.
    method
        `"reml"` or `"ml"`; for variance components also `"type1"`, `"type2"`, `"type3"` and `"mivque0"`, the method of
        moments, whose analysis of variance is `fit.mean_squares()`.
    ddf
        Degrees-of-freedom method of the fit's tables: `"kenward-roger"`, `"satterthwaite"`, `"residual"`,
        `"asymptotic"` …; `"auto"` is `"residual"` where σ² is the only covariance parameter, for REML fits
        `"kenward-roger"` where V is linear in its parameters (variances, `us`, `cs`, `toep`, `ident`), otherwise
        `"kenward-roger-linear"` (correlations, ranges, loadings, variance functions), for ML fits `"satterthwaite"`.
    known
        Covariance or precision matrices named in the formula by `cov=` or `precision=`.
    bounds
        `"psd"`: covariance matrices of random effects are positive semidefinite; `"none"`: they need not be,
        as long as the covariance V of the data is positive definite, so that variances may be negative.
    start, hold
        Natural-scale values by parameter name to start from, or to hold fixed. Several values for a name, or a
        list of mappings, make `start` a grid: the likelihood is evaluated at every combination, and the search
        starts from the best (`fit.start_grid()` has them all).
    contrasts
        Coding of factors: `{"sex": "sum"}`, `{"arm": "treatment('placebo')"}`, or a matrix with a row for every level;
        treatment coding by default.
    na
        `"drop"` rows with missing values in any column used (the fit says how many), `"exclude"` them and keep their
        places in residuals, fitted values and `augment` (NaN), or `"raise"`.
    subset
        Rows to use: true and false for each row (an array, a Series, or the name of such a column), or places of rows.
    context
        Functions of your own that the formula calls, by name: `{"f": f}`. Each gets arrays and returns one number for
        every row; it is kept with the fit for new data.
    control
        Tolerances and resources.
    client
        A Dask client whose workers read the files of a pattern, or sum the partitions of a Dask `DataFrame`.

    Notes
    -----
    b ~ N(0, G(θ)), e ~ N(0, R(θ)), R = σ²W⁻¹ unless `residual` or `variance` say otherwise, and otherwise
    W^-½ S Σ_R S W^-½ by cluster, S the diagonal of the variance functions. θ minimises −2l with β profiled
    out. *Same as* `lme4::lmer`, SAS PROC MIXED with RANDOM and REPEATED statements, `nlme::lme` with
    `correlation` and `weights`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> round(fit.criterion, 4), fit.beta.round(3)
    (1743.6283, array([251.405,  10.467]))
    """
    spec = read_formula(
        formula,
        residual=residual,
        variance=variance,
        weights=weights,
        method=method,
        ddf=ddf,
        bounds=bounds,
        start=start,
        hold=hold,
        contrasts=contrasts,
        na=na,
        context=context,
    )
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, known, subset, context, client=client), control or Control())
