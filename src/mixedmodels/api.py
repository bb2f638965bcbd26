"""The verbs: read the formula, build the numbers, find the optimum, return the fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .control import Control
from .engines import choose_engine
from .errors import SpecError
from .fit import Fit, Inputs, build_objective
from .frame.ingest import build_frame
from .optimise.newton import optimise
from .spec import Bounds, Method, ModelSpec, NaAction
from .syntax.formula import read_formula
from .terms.build import build_design
from .tool import load


def lmm(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: Any = None,
    method: Method = "reml",
    ddf: str = "auto",
    known: Mapping[str, Any] | None = None,
    bounds: Bounds = "psd",
    start: Mapping[str, float] | None = None,
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, str] | None = None,
    na: NaAction = "drop",
    control: Control | None = None,
) -> Fit:
    """Return the linear mixed model y = Xβ + Zb + e fitted by REML or maximum likelihood.

    Parameters
    ----------
    formula
        `"y ~ fixed + (effects | group)"`, for example `"Reaction ~ Days + (Days | Subject)"`.
    data
        A pandas, polars or pyarrow frame, any frame narwhals reads, or a dict of arrays.
    residual, variance
        Residual structure and variance function. This version fits independent errors: leave both out.
    weights
        Name of a column, or an array (rows of the data,), of known precision weights w_i > 0: var(e_i) =
        σ²/w_i.
    method
        `"reml"` or `"ml"`.
    ddf
        Degrees-of-freedom method of the fit's tables: `"kenward-roger"`, `"satterthwaite"`, `"residual"`,
        `"asymptotic"` …; `"auto"` is Kenward–Roger for REML fits and Satterthwaite for ML fits.
    known
        Covariance or precision matrices named in the formula by `cov=` or `precision=`.
    bounds
        `"psd"`: covariance matrices are positive semidefinite.
    start, hold
        Natural-scale values by parameter name to start from, or to hold fixed.
    contrasts
        Coding of factors: `{"sex": "sum"}`; treatment coding by default.
    na
        `"drop"` rows with missing values in any column used (the fit says how many) or `"raise"`.
    control
        Tolerances and resources.

    Notes
    -----
    b ~ N(0, G(θ)), e ~ N(0, σ²W⁻¹); θ minimises −2l with β and σ² profiled out. *Same as* `lme4::lmer`, SAS
    PROC MIXED with RANDOM statements, `nlme::lme` where random effects are nested.

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
    )
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, known), control or Control())


def lm(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    ddf: str = "auto",
    contrasts: Mapping[str, str] | None = None,
    na: NaAction = "drop",
    control: Control | None = None,
) -> Fit:
    """Return the linear model y = Xβ + e fitted by (weighted) least squares, with every tool of a mixed
    model.

    Parameters
    ----------
    formula
        `"y ~ fixed"`, without random terms.
    data, weights, ddf, contrasts, na, control
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
    spec = read_formula(formula, weights=weights, ddf=ddf, contrasts=contrasts, na=na)
    if spec.random or spec.splines:
        terms = ", ".join(str(term) for term in (*spec.random, *spec.splines))
        raise SpecError(f"formula: {terms} is a random term, which `lm` does not fit; use `lmm`.")
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array), control or Control())


def fit_model(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a spec to data: frame, design, objective, optimum, fit."""
    load("inference.ddf:choose_method")(spec.ddf)
    frame = build_frame(spec, inputs.data, weights=inputs.weights, known=inputs.known)
    design = build_design(spec, frame, rank_tolerance=control.rank_tolerance)
    engine = choose_engine(design, control)
    objective = build_objective(spec, design, engine.system(design, control))
    optimum = optimise(objective, control, dict(spec.start) or None)
    return Fit.from_optimum(
        spec,
        frame.schema,
        design,
        objective,
        optimum,
        engine=engine.name,
        control=control,
        notes=frame.notes + design.notes,
        inputs=inputs,
    )
