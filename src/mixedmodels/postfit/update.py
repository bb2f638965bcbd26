"""The same model with changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

from ..api.run import fit_model
from ..control import Control
from ..errors import SpecError
from ..fit import Fit, Inputs
from ..spec import Approximation, Bounds, Information, Method, NaAction
from ..syntax.formula import read_formula
from ..syntax.start_values import StartValues
from ..terms.encoding import own_functions
from ..typing import Ddf
from .formula_changes import change_formula, with_own_contrasts
from .update_generalised import KEEP, update_generalised


def update(
    fit: Fit,
    formula: str | None = None,
    *,
    data: Any = None,
    residual: str | None = KEEP,
    variance: str | None = KEEP,
    weights: Any = KEEP,
    method: Method | Approximation | None = None,
    ddf: Ddf | None = None,
    bounds: Bounds | None = None,
    contrasts: Mapping[str, Any] | None = KEEP,
    start: StartValues = KEEP,
    hold: Mapping[str, float] | Iterable[str] | None = KEEP,
    known: Mapping[str, Any] | None = KEEP,
    na: NaAction | None = None,
    subset: Any = KEEP,
    context: Mapping[str, Any] | None = KEEP,
    control: Control | None = None,
    family: str = KEEP,
    link: str | None = KEEP,
    dispersion: str | None = KEEP,
    zero_inflation: str | None = KEEP,
    hurdle: str | None = KEEP,
    points: int | Literal["auto"] | None = KEEP,
    reml: bool = KEEP,
    information: Information = KEEP,
    trials: Any = KEEP,
    frequency: Any = KEEP,
    offset: Any = KEEP,
) -> Fit:
    """Return the model fitted again with some arguments changed.

    Parameters
    ----------
    formula
        A new formula, in which `.` stands for what was there: `". ~ . + x"`, `". ~ . - (1 | g)"`, `"log(y) ~
        ."`.
    data
        Other data. A fit keeps the columns of its model; others are taken from the data it was given, as long as those
        are what they were, and after unpickling are given here.
    residual, variance, weights, method, ddf, bounds, contrasts, start, hold, known, na, subset, context, control
        As for `lmm`; left as they were unless given.
    family, link, dispersion, zero_inflation, hurdle, points, reml, information, trials, frequency, offset
        As for `glmm`, for fits of it; `method` is `glmm`'s then.

    Notes
    -----
    *Same as* `update` in R.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.update(". ~ . - (Days | Subject) + (1 | Subject)", method="ml").spec.formula
    'Reaction ~ Days + (1 | Subject)'
    """
    spec, before = fit.spec, fit.inputs
    if data is None and before is None:
        raise fit._work.no_data("update without data=")
    if spec.sampling and (
        data is not None or any(each is not KEEP for each in (residual, variance, weights, known, hold))
    ):
        raise SpecError(
            "update: a meta-analysis keeps its data and sampling variances; call mm.meta for others, instead of data=, "
            "variance=, weights=, residual=, known= or hold=."
        )
    functions = own_functions(fit.design) if context is KEEP else context
    generalised = {
        "family": family,
        "link": link,
        "dispersion": dispersion,
        "zero_inflation": zero_inflation,
        "hurdle": hurdle,
        "points": points,
        "reml": reml,
        "information": information,
        "trials": trials,
        "frequency": frequency,
        "offset": offset,
    }
    given_now = {name: value for name, value in generalised.items() if value is not KEEP}
    if spec.likelihood is not None:
        shared = {"residual": residual, "variance": variance, "weights": weights, "contrasts": contrasts}
        shared |= {"start": start, "hold": hold}
        given_now |= {name: value for name, value in shared.items() if value is not KEEP}
        given_now |= {name: value for name, value in (("method", method), ("ddf", ddf), ("na", na)) if value}
        return update_generalised(fit, formula, data, given_now, known, subset, functions, control)
    if given_now:
        raise SpecError(
            f"update: {next(iter(given_now))}= is an argument of glmm, and this fit is of a linear model."
        )
    new_weights = spec.weights if weights is KEEP else weights
    changed = read_formula(
        spec.formula if formula is None else change_formula(spec.formula, formula),
        residual=spec.residual if residual is KEEP else residual,
        variance=spec.variance if variance is KEEP else variance,
        weights=new_weights,
        method=cast(Method, (spec.moments or spec.method) if method is None else method),
        ddf=spec.ddf if ddf is None else ddf,
        bounds=spec.bounds if bounds is None else bounds,
        start=spec.start_values if start is KEEP else start,
        hold=_as_given(spec.hold) if hold is KEEP else hold,
        contrasts=dict(spec.contrasts) if contrasts is KEEP else contrasts,
        na=spec.na if na is None else na,
        context=functions,
    )
    if contrasts is KEEP:
        changed = with_own_contrasts(changed)
    array = None if isinstance(new_weights, str) else weights
    if weights is KEEP:
        array = before.weights if before is not None and data is None else None
        if array is None and before is not None and before.weights is not None:
            raise SpecError(
                "update: weights were given as an array for the old data; give weights= for the new."
            )
    matrices = None if known is KEEP else known
    if known is KEEP and before is not None and before.known is not None:
        matrices = {name: own for name, own in before.known.items() if changed.uses_known(name)}
    rows = subset
    if subset is KEEP:
        rows = None if before is None else before.subset
        if data is not None and rows is not None and not isinstance(rows, str):
            raise SpecError(
                "update: subset= was given for the old data; give subset= for the new, None for all rows."
            )
    changed = changed.with_changes(sampling=spec.sampling)
    given = before.data if data is None and before is not None else data
    inputs = Inputs(given, array, matrices, rows, functions)
    return fit_model(changed, inputs, fit.control if control is None else control)


def _as_given(hold: tuple[str, ...] | tuple[tuple[str, float], ...]) -> Any:
    return dict(hold) if hold and isinstance(hold[0], tuple) else hold
