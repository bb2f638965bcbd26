"""Several models side by side, as they are printed in papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..registry import check_choice
from ..table import Table
from .broom import glance

SHOWN = ("se", "ci", "p", "none")


def model_table(
    *fits: Fit,
    names: Sequence[str] | None = None,
    show: str = "se",
    digits: int = 3,
    ddf: str | None = None,
    level: float = 0.95,
    exponentiate: bool = False,
) -> Table:
    """Return a table with terms as rows and models as columns, variances and fit statistics below.

    Parameters
    ----------
    fits
        The models.
    names
        What they are called; `"(1)"`, `"(2)"` … by default.
    show
        Beside each estimate its standard error `"se"`, interval `"ci"`, p-value `"p"`, or `"none"`.
    digits
        Digits after the point of estimates below 100, fewer of larger ones.
    ddf, level, exponentiate
        As for `fit.fixed_effects`.

    Returns
    -------
    Table
        `term` and a column for each model; text, HTML, LaTeX, Markdown and frames by its methods.

    Notes
    -----
    *Same as* `modelsummary`, `sjPlot::tab_model`, `stargazer`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleep = mm.datasets.load("sleepstudy")
    >>> one = mm.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    >>> two = mm.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    >>> print(mm.model_table(one, two).head(3))
    Models of Reaction
    term                               (1)             (2)
    (Intercept)             251.41 (9.747)  251.41 (6.825)
    Days                    10.467 (0.804)  10.467 (1.546)
    sd Subject (Intercept)          37.124          24.740
    in brackets: standard error
    (1) Reaction ~ Days + (1 | Subject)
    (2) Reaction ~ Days + (Days | Subject)
    """
    if not fits or not all(isinstance(fit, Fit) for fit in fits):
        raise SpecError("model_table takes fits: mm.model_table(fit1, fit2).")
    check_choice("show", show, SHOWN)
    titles = [f"({i + 1})" for i in range(len(fits))] if names is None else [str(name) for name in names]
    if len(titles) != len(fits) or len(set(titles)) != len(titles):
        raise SpecError(f"names={list(titles)} must be {len(fits)} different names, one for each model.")
    tables = [fit.fixed_effects(ddf=ddf, level=level, exponentiate=exponentiate) for fit in fits]
    parts = [
        [_fixed(table, show, digits) for table in tables],
        [_random(fit, digits) for fit in fits],
        [_statistics(fit) for fit in fits],
    ]
    rows: list[tuple[str, ...]] = []
    for part in parts:
        for term in dict.fromkeys(name for own in part for name in own):
            rows.append((term, *(own.get(term, "") for own in part)))
    columns = {"term": [row[0] for row in rows]}
    columns |= {title: [row[i + 1] for row in rows] for i, title in enumerate(titles)}
    responses = dict.fromkeys(fit.spec.response.strip("`") for fit in fits)
    beside = {"se": "standard error", "ci": f"{100 * level:g} % limits", "p": "p-value", "none": ""}[show]
    notes = [f"{title} {fit.formula}" for title, fit in zip(titles, fits, strict=True)]
    if beside:
        notes.insert(0, f"in brackets: {beside}")
    formats = dict.fromkeys(titles, "aligned")
    return Table(columns, f"Models of {', '.join(responses)}", tuple(notes), fits[0].backend, formats)


def _fixed(table: Table, show: str, digits: int) -> dict[str, str]:
    """Return the cells of the fixed effects by term, those of another component named with it."""
    value = "ratio" if "ratio" in table.columns else "estimate"
    components = table["component"] if "component" in table.columns else None
    out = {}
    for i in range(len(table)):
        row = table.row(i)
        name = str(row["term"])
        if components is not None and str(components[i]) != "mean":
            name = f"{components[i]}: {name}"
        out[name] = _cell(row, value, show, digits)
    return out


def _cell(row: dict[str, float], value: str, show: str, digits: int) -> str:
    estimate = _number(row[value], digits)
    if not np.isfinite(row[value]):
        return "–" if np.isnan(row[value]) else estimate
    beside: dict[str, Callable[[], str]] = {
        "se": lambda: _number(row["std_error"], digits),
        "ci": lambda: f"{_number(row['conf_low'], digits)}, {_number(row['conf_high'], digits)}",
        "p": lambda: "<0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}",
        "none": lambda: "",
    }
    text = beside[show]()
    return f"{estimate} ({text})" if text else estimate


def _number(value: float, digits: int) -> str:
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{max(digits - 1, 0)}e}"
    places = (
        max(digits + 2 - max(int(np.floor(np.log10(abs(value)))) + 1, 0), 0) if abs(value) >= 100 else digits
    )
    return f"{value:.{places}f}"


def _random(fit: Fit, digits: int) -> dict[str, str]:
    """Return the cells of standard deviations and correlations of the random part."""
    try:
        table = fit.variance_components()
    except SpecError:
        return {}
    out = {}
    for i in range(len(table)):
        row = table.row(i)
        group, one, two = (str(row.get(name) or "") for name in ("group", "name1", "name2"))
        if row["kind"] == "variance":
            own = "" if one == "variance" else f" {one}"
            out[f"sd {group}{own}".strip()] = _number(float(row["sd"]), digits)
        elif two:
            key = "correlation" if "correlation" in row else "sd"
            out[f"cor {group} {one}, {two}"] = _number(float(row[key]), digits)
        else:
            value = next((float(row[n]) for n in ("variance", "sd") if np.isfinite(row[n])), np.nan)
            own = "" if one == row["kind"] else f" {one}"
            out[f"{row['kind']} {group}{own}"] = _number(value, digits)
    return out


def _statistics(fit: Fit) -> dict[str, str]:
    row = glance(fit).row(0)
    out = {"observations": f"{fit.nobs:,}"}
    curves = {term.group for term in fit.design.random if term.smooth}
    out |= {f"levels of {g}": f"{count:,}" for g, count in fit.ngroups.items() if g not in curves}
    for name in ("loglik", "aic", "bic"):
        if np.isfinite(row[name]):
            out[{"loglik": "log-likelihood", "aic": "AIC", "bic": "BIC"}[name]] = f"{row[name]:.1f}"
    method = {"reml": "REML", "ml": "ML"}.get(fit.spec.method, fit.spec.method)
    out["method"] = method if fit.distribution is None else fit.distribution.approximation
    return out
