"""What a reader wants to know about a fit, as facts and tables; text and HTML are two renderings of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engines import RANDOM_ENGINES, Layout
from ..errors import MixedModelsError, Severity, carried_through
from ..fit import Fit
from ..formats import format_number
from ..inference.ddf import automatic_for, method_for
from ..inference.sensitivity import Information
from ..inference.smooth_posterior import smooths_of
from ..postfit.fixed_effects import fixed_effects
from ..postfit.smooths import known_scale, smooths
from ..table import Table
from ..terms.smooth import Curve
from ..typing import Ddf
from .generalised import criterion_digits, generalised_facts, generalised_title, pseudo_criterion
from .html import summary_html
from .markup import summary_latex, summary_markdown
from .random_table import random_table
from .text import summary_text

QUICK = ("residual", "asymptotic", "between-within")
"""Methods that cost next to nothing."""
PRINTED_FLOPS = 2e9
"""Arithmetic that printing may spend on degrees of freedom: about half a second."""


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """A title, labelled facts, tables and notes.

    Parameters
    ----------
    title
        What kind of model was fitted and how.
    facts
        Pairs (label, sentence): formula, data, convergence.
    tables
        Criterion, random effects, fixed effects.
    notes
        What to bear in mind, one line each.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return summary_text(self.title, self.facts, self.tables, self.notes)

    __repr__ = __str__

    def to_html(self) -> str:
        """Return the summary as an HTML element that carries its own style."""
        return summary_html(self.title, self.facts, self.tables, self.notes)

    _repr_html_ = to_html

    def to_markdown(self) -> str:
        """Return the summary in Markdown: facts as a list, tables in pipe form."""
        return summary_markdown(self.title, self.facts, self.tables, self.notes)

    def to_latex(self) -> str:
        """Return the summary in LaTeX: facts as a list, tables with booktabs rules."""
        return summary_latex(self.title, self.facts, self.tables, self.notes)


def summary(
    fit: Fit, *, ddf: Ddf | None = None, information: Information = "observed", level: float = 0.95
) -> Summary:
    """Return the printed account of a fit: call, convergence, criteria, variances, fixed effects, notes.

    Parameters
    ----------
    ddf
        Degrees-of-freedom method of the fixed effects; the fit's own by default. Printing stays quick: where
        `"auto"` would take long, by counts and sizes alone, the tests are asymptotic, and a note says so.
    information
        The `"observed"` or `"expected"` information they are computed from.
    level
        Confidence level of their intervals.
    """
    method = affordable(fit) if ddf is None else ddf
    tables = [_criteria(fit)]
    if fit.design.random or fit.design.residual is not None:
        tables.append(random_table(fit))
    reason = ""
    if fit.design.fixed.columns:
        try:
            with carried_through("their covariance"):
                tables.append(_fixed(fit, method, information, level))
        except MixedModelsError as error:
            if ddf is not None:
                raise
            # what was fitted is shown whatever its tests come to
            method, reason = "asymptotic", str(error)
            tables.append(_fixed(fit, method, information, level))
    if smooths_of(fit):
        tables.append(_smooths(fit))
    return Summary(_title(fit), _facts(fit), tuple(tables), _notes(fit, method, ddf, reason))


def affordable(fit: Fit) -> Ddf:
    """Return the fit's own df method, or `"asymptotic"` where `"auto"` would take long.

    Small-sample methods take about two gradients for each covariance parameter. What has been computed does not count:
    a fit prints the same whatever was asked of it before.
    """
    if fit.spec.ddf != "auto" or automatic_for(fit) in QUICK:
        return fit.spec.ddf
    if fit.products is not None:
        cost = fit.products.operations
    else:
        cost = RANDOM_ENGINES[fit.engine]().cost(Layout.of(fit.design), fit._work.rows())[0]
    flops = (2 * fit.n_covariance_parameters + 2) * cost
    return fit.spec.ddf if flops <= PRINTED_FLOPS else "asymptotic"


def _title(fit: Fit) -> str:
    if fit.distribution is not None:
        return generalised_title(fit)
    method = "REML" if fit.design.reml else "maximum likelihood"
    if fit.spec.moments:
        return f"Linear mixed model by the method of moments ({fit.spec.moments})"
    if not fit.design.random and fit.design.residual is not None:
        return f"Linear model with structured errors by {method}"
    if not fit.design.random:
        squares = "weighted" if fit.design.weighted else "ordinary"
        return f"Linear model by {squares} least squares"
    return f"Linear mixed model by {method}"


def _facts(fit: Fit) -> tuple[tuple[str, str], ...]:
    facts = [("Formula", fit.spec.formula), *generalised_facts(fit), ("Data", _data(fit))]
    if fit.spec.residual is not None:
        facts.append(("Residual", str(fit.spec.residual)))
    if fit.spec.variance:
        facts.append(("Variance", " * ".join(map(str, fit.spec.variance))))
    if fit.design.weighted and fit.distribution is None:
        facts.append(("Weights", f"{fit.spec.weights or 'given as an array'}; var(e) = σ²/weight"))
    if fit.design.random or fit.design.residual is not None or fit.distribution is not None:
        facts.append(("Fit", _convergence(fit)))
    else:
        facts.append(("Error", f"standard deviation {format_number(fit.sigma)}, {fit.df_resid:,} df"))
    return tuple(facts)


def _data(fit: Fit) -> str:
    shared = {term.group for term in fit.design.random if not term.level_parts}
    groups = [f"{levels:,} levels of {group}" for group, levels in fit.ngroups.items() if group not in shared]
    residual = fit.design.residual
    if residual is not None and residual.label and residual.label not in fit.ngroups:
        groups.append(f"{residual.n_clusters:,} clusters by {residual.label}")
    return "; ".join([f"{fit.nobs:,} observations", *groups])


def _convergence(fit: Fit) -> str:
    optimum = fit.optimum
    word = "converged" if optimum.converged else "NOT CONVERGED"
    if fit.spec.moments:
        return f"no search{', singular' if fit.singular else ''}; {fit.engine} engine"
    when = {0: "at the starting values", 1: "in 1 iteration"}.get(
        optimum.iterations, f"in {optimum.iterations} iterations"
    )
    singular = ", singular" if fit.singular else ""
    starts = len(optimum.starts)
    several = f"; no lower value from {starts} starts" if starts > 1 and optimum.converged else ""
    probes = f", {optimum.probes:,} random probes" if optimum.noise else ""
    return f"{word} {when}{singular}{several}; {fit.engine} engine{probes}"


def _criteria(fit: Fit) -> Table:
    if fit.distribution is not None and fit.distribution.pseudo:
        return pseudo_criterion(fit)
    name = "-2 log L (REML)" if fit.design.reml else "-2 log L"
    values = {name: fit.criterion, "log L": fit.loglik, "AIC": fit.aic, "AICc": fit.aicc, "BIC": fit.bic}
    columns = {key: [format_number(value, criterion_digits(value))] for key, value in values.items()}
    return Table(columns, formats=dict.fromkeys(columns, "aligned"))


def _fixed(fit: Fit, ddf: Ddf | None, information: Information, level: float) -> Table:
    table = fixed_effects(fit, ddf=ddf, information=information, level=level)
    infinite = bool(np.any(np.isinf(table["df"]))) and not bool(np.any(np.isfinite(table["df"])))
    tail = 50 * (1 - level)
    headers = {
        "term": "",
        "estimate": "estimate",
        "std_error": "std. error",
        "df": "df",
        "statistic": "z" if infinite else "t",
        "p_value": "p",
        "conf_low": f"{tail:g}%",
        "conf_high": f"{100 - tail:g}%",
    }
    if infinite:
        del headers["df"]
    formats = {"df": "df", "t": "statistic", "z": "statistic", "p": "p"}
    # what no penalty touches of a smooth is part of its row among the smooths
    unpenalised = {j for place in smooths_of(fit) if isinstance(place.curve, Curve) for j in place.fixed}
    kept = [j for j in range(len(table)) if j not in unpenalised]
    columns = {header: np.asarray(table[name])[kept] for name, header in headers.items()}
    return Table(columns, "Fixed effects", formats=formats)


def _smooths(fit: Fit) -> Table:
    table = smooths(fit)
    statistic = "χ²" if known_scale(fit) else "F"
    headers = {"term": "", "edf": "edf", "ref_df": "ref. df", "statistic": statistic, "p_value": "p"}
    formats = {"edf": "estimate", "ref. df": "estimate", statistic: "statistic", "p": "p"}
    return Table({header: table[name] for name, header in headers.items()}, "Smooths", formats=formats)


def _notes(fit: Fit, method: Ddf, asked: Ddf | None, reason: str) -> tuple[str, ...]:
    notes = []
    if fit.design.fixed.columns:
        notes.append(f"Degrees of freedom: {method_for(fit, method).describe(fit)}.")
    if reason:
        notes.append(f"Warning: the method of this fit, {fit.spec.ddf}, cannot be had here: {reason}")
    elif asked is None and method != fit.spec.ddf:
        own = method_for(fit, None).name
        notes.append(f"The method of this fit, {own}, takes longer here; fit.fixed_effects() computes it.")
    for status in fit.status:
        if status.severity is not Severity.OK:
            text = str(status)
            start = "Warning: " if status.severity is Severity.WARNING else ""
            notes.append(f"{start}{text[0].upper() + text[1:] if not start else text}".rstrip(".") + ".")
    return tuple(notes)
