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
from ..typing import Array, Ddf, Labels

RATIOS = {"log": "ratios of means", "logit": "odds ratios", "cloglog": "hazard ratios"}
"""What the exponential of a coefficient is, by link."""


def fixed_effects(
    fit: Fit,
    *,
    ddf: Ddf | None = None,
    information: Information = "observed",
    level: float = 0.95,
    exponentiate: bool = False,
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
    exponentiate
        Add `ratio ratio_low ratio_high`, the exponentials of estimates and limits: ratios of means (log link), odds
        ratios (logit), hazard ratios (cloglog). Thresholds have none; `SpecError` for other links.

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
    notes = [f"df: {method.describe(fit)}", *empty_cells(fit, inner, [fixed.columns[j] for j in kept])]
    if fixed.aliased:
        notes.append(f"aliased with earlier columns: {', '.join(fixed.aliased)}")
    alone = ("mean",) * p if fit.spec.likelihood is not None else ()
    components = fixed.components or alone
    named = {"component": list(components)} if components else {}
    if exponentiate:
        notes.append(_add_ratios(fit, columns, components))
    return Table(
        {"term": list(fixed.columns), **named, **columns}, "Fixed effects", tuple(notes), fit.backend
    )


def _add_ratios(fit: Fit, columns: dict[str, Array], components: Labels) -> str:
    """Add exponentials of estimates and limits where they are ratios, and return the note that says of what."""
    if fit.link not in RATIOS:
        raise SpecError(
            f"exponentiate=True gives ratios for the links {', '.join(RATIOS)}, and this fit has link {fit.link!r}."
        )
    known = np.array([component != "threshold" for component in components])
    for new, old in (("ratio", "estimate"), ("ratio_low", "conf_low"), ("ratio_high", "conf_high")):
        with np.errstate(over="ignore"):
            columns[new] = np.where(known, np.exp(columns[old]), np.nan)
    said = f"ratios: {RATIOS[fit.link]}"
    others = [name for name in dict.fromkeys(components) if name not in ("mean", "threshold")]
    meant = {
        "zero": "odds ratios of a zero",
        "hurdle": "odds ratios of a zero",
        "dispersion": "ratios of dispersions",
    }
    return "; ".join([said, *(meant[name] for name in others if name in meant)])


def conf_int(
    fit: Fit,
    level: float = 0.95,
    *,
    alpha: float | None = None,
    ddf: Ddf | None = None,
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
