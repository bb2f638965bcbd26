"""The verbs: read the formula, build the numbers, find the optimum, return the fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from .control import Control
from .criterion import Criterion, check_identified, linear_part
from .engines import Layout, choose_engine
from .engines.base import Equations
from .engines.plan import check_parameters
from .errors import ConvergenceWarning, Severity, SpecError, carried_through
from .fit import Fit, Inputs, conditional_mean
from .frame.ingest import build_frame
from .frame.model_frame import ModelFrame
from .optimise.alternate import alternate, alternate_near
from .optimise.batched import optimise_near
from .optimise.newton import optimise
from .optimise.optimum import Optimum
from .optimise.start import Start
from .spec import Bounds, Method, ModelSpec, NaAction
from .syntax.formula import read_formula
from .syntax.repeated import split_residual
from .syntax.start_values import StartValues
from .terms.build import build_design
from .terms.design import Design
from .terms.rows import Rows
from .tool import load
from .typing import Array
from .workings import build_criterion, own_columns


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
    start: StartValues = None,
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
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
        Covariance of the errors: a structure `"ar1(week | id)"`, `"us(visit | id, by=arm)"`, and functions
        `"ident(sex)"`, `"power(age)"`, `"power(fitted)"`, `"exp(x)"`, `"const_power(x)"`, `"fixed(x)"`,
        `"log_linear(z1 + z2)"`, or products of them, that multiply the standard deviation.
    weights
        Name of a column, or an array (rows of the data,), of known precision weights w_i > 0: var(e_i) =
        σ²/w_i.
    method
        `"reml"` or `"ml"`.
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
    return fit_model(spec, Inputs(data, array, known, subset, context), control or Control())


def lm(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    ddf: str = "auto",
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
    _refuse_random(spec, "lm")
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, subset=subset, context=context), control or Control())


def gls(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: Any = None,
    method: Method = "reml",
    ddf: str = "auto",
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
    _refuse_random(spec, "gls")
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, known, subset=subset, context=context), control or Control())


def mmrm(
    formula: str,
    data: Any,
    *,
    variance: str | None = None,
    weights: Any = None,
    method: Method = "reml",
    ddf: str = "auto",
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
    _refuse_random(spec, "mmrm")
    array = None if isinstance(weights, str) else weights
    return fit_model(spec, Inputs(data, array, subset=subset, context=context), control or Control())


def _refuse_random(spec: ModelSpec, verb: str) -> None:
    if spec.random or spec.splines:
        terms = ", ".join(str(term) for term in (*spec.random, *spec.splines))
        raise SpecError(f"formula: {terms} is a random term, which `{verb}` does not fit; use `lmm`.")


def fit_model(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a spec to data: frame, design, objective, optimum, fit."""
    load("inference.ddf:check_method")(spec.ddf)
    if not isinstance(control, Control):
        raise SpecError(f"control={control!r} must be settings, for example mm.Control(threads=1).")
    if inputs.known is not None and not isinstance(inputs.known, Mapping):
        kind = type(inputs.known).__name__
        raise SpecError(
            f"known= must map names to matrices, for example known={{'A': matrix}}, not a {kind}."
        )
    frame = build_frame(
        spec,
        inputs.data,
        weights=inputs.weights,
        known=inputs.known,
        subset=inputs.subset,
        context=inputs.context,
    )
    threads = control.threads_for(frame.n)
    tolerance, room = control.rank_tolerance, control.room
    with carried_through("the fit"):
        design, rows = build_design(spec, frame, rank_tolerance=tolerance, threads=threads, memory=room)
    with carried_through("the fit"):
        rows, criterion, optimum, engine = search(spec, design, rows, control, spec.start_values)
        _warn(optimum)
        return Fit.from_optimum(
            spec,
            frame.schema,
            design,
            rows,
            criterion,
            optimum,
            engine=engine,
            control=control,
            notes=frame.notes + design.notes + control.notes,
            inputs=_owned(spec, inputs, frame, design) if control.keep_data else None,
        )


def _warn(optimum: Optimum) -> None:
    """Warn of a fit that did not converge where the verb was called."""
    if not optimum.converged:
        stalled = [status for status in optimum.statuses if status.severity is Severity.WARNING]
        warnings.warn(" ".join(f"{status}." for status in stalled), ConvergenceWarning, stacklevel=4)


def _owned(spec: ModelSpec, inputs: Inputs, frame: ModelFrame, design: Design) -> Inputs:
    """Return what a fit keeps of what it was given: copies of its own."""
    summed = spec.residual is not None and spec.residual.structure.name == "lin"
    known = deepcopy(inputs.known) if summed else _known_in_design(design)
    return replace(
        inputs,
        data=frame.kept,
        weights=deepcopy(inputs.weights),
        known=known or None,
        subset=deepcopy(inputs.subset),
    )


def _known_in_design(design: Design) -> dict[str, Any]:
    """Return the known covariances of random terms as the design holds them, with their levels."""
    return {
        term.known.name: (
            term.known.covariance if term.known.precision is None else term.known.precision,
            term.level_parts[0],
        )
        for term in design.random
        if term.known is not None
    }


def search(
    spec: ModelSpec,
    design: Design,
    rows: Rows,
    control: Control,
    start: Start = None,
    near: Array | None = None,
) -> tuple[Rows, Criterion, Optimum, str]:
    """Return rows, variance functions of the fitted mean settled, their criterion and optimum, and the engine's name.

    Criterion and optimum are about the random columns in coordinates of their own. `near` is θ̂ of a neighbouring fit.
    """
    check_parameters(design, control)
    own, own_rows = own_columns(spec, design, rows, control)
    layout = Layout.of(own)
    engine = choose_engine(layout, own_rows, control)
    equations = engine.equations(layout, own_rows, control)
    if not equations.homogeneous:
        check_identified(own, equations, [item if isinstance(item, str) else item[0] for item in spec.hold])
    criterion, optimum = fit_equations(spec, own, equations, control, start, near)
    return replace(rows, residual=criterion.equations.rows.residual), criterion, optimum, engine.name


def fit_equations(
    spec: ModelSpec,
    design: Design,
    equations: Equations,
    control: Control,
    start: Start = None,
    near: Array | None = None,
) -> tuple[Criterion, Optimum]:
    """Return criterion and optimum of a design on its equations, variance functions of the fitted mean settled.

    Notes
    -----
    Such functions take the fitted mean as known; it is renewed after each fit until the criterion moves by
    less than 1e-8, as in nlme (`optimise.alternate`).
    """
    criterion = build_criterion(spec, design, equations)
    known = fitted_covariate(design, equations.rows)
    if known is None:
        optimum = (
            optimise(criterion, control, start) if near is None else optimise_near(criterion, control, near)
        )
        return criterion, optimum
    renewal = _FittedMean(spec, design, equations)
    if near is None:
        return alternate(criterion, known, renewal, control, start)
    return alternate_near(criterion, known, renewal, control, near)


@dataclass(frozen=True, slots=True)
class _FittedMean:
    """The fitted mean that variance functions take as known."""

    spec: ModelSpec
    design: Design
    equations: Equations

    def read(self, criterion: Criterion, theta: Array) -> Array:
        return conditional_mean(self.equations.rows, linear_part(criterion).solve(theta)[0])

    def at(self, known: Array) -> Criterion:
        rows = _renewed(self.design, self.equations.rows, known)
        return build_criterion(self.spec, self.design, self.equations.with_rows(rows))


def fitted_covariate(design: Design, rows: Rows) -> Array | None:
    """Return the fitted mean in the variance functions of a model, (n,), None where they have none."""
    if design.residual is None or rows.residual is None:
        return None
    terms = zip(design.residual.variance, rows.residual.variance, strict=True)
    return next((own.covariate for term, own in terms if term.fitted), None)


def start_near(fit: Fit) -> Array | None:
    """Return θ̂ as the start of a search for another response or other rows, None for a search from scratch.

    A singular θ̂ is no good start, and −2l of errors correlated over distances may have several minima.
    """
    residual = fit.design.residual
    structure = None if residual is None else residual.structure
    if fit.singular or (residual and structure and structure.ranges(residual.positions)):
        return None
    return fit.optimum.theta


def _renewed(design: Design, rows: Rows, mean: Array) -> Rows:
    """Return the rows with the fitted mean in variance functions of it."""
    assert design.residual is not None
    fitted = [k for k, term in enumerate(design.residual.variance) if term.fitted]
    return rows.with_covariates(dict.fromkeys(fitted, mean))
