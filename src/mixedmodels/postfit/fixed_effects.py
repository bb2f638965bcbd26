"""The table of fixed effects."""

from __future__ import annotations

import numbers

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.ddf import method_for
from ..inference.sensitivity import Information
from ..inference.wald import empty_cells, estimate_rows
from ..table import Table


def fixed_effects(
    fit: Fit, *, ddf: str | None = None, information: Information = "observed", level: float = 0.95
) -> Table:
    """Return β̂ with standard errors, t tests and confidence intervals, one row per column of X.

    Parameters
    ----------
    ddf
        Degrees-of-freedom method: `"kenward-roger"`, `"satterthwaite"`, `"residual"` (n − rank X),
        `"asymptotic"` (normal) … The fit's own by default, where `"auto"` is Kenward–Roger for REML fits (first order
        where V is not linear in its parameters), Satterthwaite for ML fits, and residual where σ² is all there is.
    information
        What Kenward–Roger and Satterthwaite are computed from: the `"observed"` information, as in SAS, or the
        `"expected"`, as in pbkrtest.
    level
        Confidence level of the intervals.

    Returns
    -------
    Table
        `term estimate std_error df statistic p_value conf_low conf_high`, and after `term` the `component` (`"mean"`,
        `"dispersion"`, `"zero"` …) of a generalised model. Aliased columns are missing; the others are estimated with
        aliased coefficients set to zero.

    Notes
    -----
    *Same as* SAS `MODEL … / SOLUTION CL`, `summary(fit)$coefficients` of lme4 and nlme.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> fit.fixed_effects(ddf="asymptotic")["std_error"].round(4)
    array([10.171])
    """
    method = method_for(fit, ddf, information=information)
    fixed = fit.design.fixed
    p, kept = len(fixed.columns), list(fixed.estimable)
    everything = np.ones(len(kept), dtype=bool)
    inner = estimate_rows(
        fit,
        fixed.functions(np.eye(p))[np.ix_(kept, kept)],
        np.zeros(len(kept)),
        method,
        level,
        everything,
    )
    columns = {}
    for name, values in inner.columns().items():
        columns[name] = np.full(p, np.nan)
        columns[name][kept] = values
    notes = [f"df: {method.describe(fit)}", *empty_cells(inner, [fixed.columns[j] for j in kept])]
    if fixed.aliased:
        notes.append(f"aliased with earlier columns: {', '.join(fixed.aliased)}")
    alone = ("mean",) * p if fit.spec.likelihood is not None else ()
    components = fixed.components or alone
    named = {"component": list(components)} if components else {}
    return Table(
        {"term": list(fixed.columns), **named, **columns}, "Fixed effects", tuple(notes), fit.backend
    )


def conf_int(
    fit: Fit,
    level: float = 0.95,
    *,
    alpha: float | None = None,
    ddf: str | None = None,
    information: Information = "observed",
) -> Table:
    """Return confidence intervals of β, columns `term conf_low conf_high`.

    Parameters
    ----------
    level
        Confidence level.
    alpha
        One less the confidence level, as statsmodels has it.
    ddf
        Degrees-of-freedom method; the fit's own by default.
    information
        As for `fixed_effects`.
    """
    if alpha is not None:
        if not isinstance(alpha, numbers.Real) or not 0 < alpha < 1:
            raise SpecError(f"alpha={alpha!r} must lie between 0 and 1, for example 0.05.")
        level = 1 - float(alpha)
    elif isinstance(level, numbers.Real) and 0 < level < 0.5:
        raise SpecError(
            f"level={level!r} is the confidence level, for example 0.95; for statsmodels' alpha write alpha={level!r}."
        )
    table = fixed_effects(fit, ddf=ddf, information=information, level=level)
    columns = {name: table[name] for name in ("term", "conf_low", "conf_high")}
    return Table(columns, f"{100 * level:g}% confidence intervals", table.notes, fit.backend)
