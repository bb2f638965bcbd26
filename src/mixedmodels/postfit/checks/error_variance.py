"""Whether the variance of the errors differs between groups, or changes with the fitted value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ...frame.column import Column
from ...inference.model_terms import model_terms
from ...typing import Array
from ..choose_term import grouping_factors
from ..used_data import read_data
from .base import Asked, Finding, by_test, p_text, verdict_of
from .errors_normal import student

MOST_LEVELS, FEWEST_ROWS = 12, 5
"""Levels up to which a factor is asked, and the rows each must have."""


def variance_by_group(asked: Asked) -> Finding | None:
    """Return the factor of the fixed part between whose levels residuals spread most differently.

    Brown and Forsythe's test on studentised conditional residuals, p by Bonferroni over the factors.
    """
    fit = asked.fit
    if fit.distribution is not None or fit.inputs is None:
        return None
    values = student(asked)
    found: list[tuple[float, float, str, list[str]]] = []
    for name, codes, levels in _factors(asked):
        usable = np.isfinite(values)
        groups = [values[usable & (codes == code)] for code in range(len(levels))]
        if len(groups) < 2 or min(map(len, groups)) < FEWEST_ROWS:
            continue
        test = stats.levene(*groups, center="median")
        spread = [float(np.std(group)) for group in groups]
        low, high = int(np.argmin(spread)), int(np.argmax(spread))
        ratio = spread[high] / max(spread[low], 1e-300)
        words = [f"{levels[high]} {ratio:.2g} times {levels[low]}"]
        found.append((float(test[1]), float(test[0]), name, words))
    if not found:
        return None
    p, statistic, name, words = min(found)
    p = min(1.0, p * len(found))
    text = f"spread of residuals by {name}: {words[0]} ({p_text(p)})"
    quoted = name if name.isidentifier() else f"`{name}`"
    suggestion = asked.tried(variance=f"ident({quoted})") if verdict_of(p) and not fit.spec.variance else ""
    return by_test(text, statistic, p, suggestion or "add ident() to the variance function")


def _factors(asked: Asked) -> list[tuple[str, NDArray[np.int32], list[str]]]:
    """Return name, codes and levels of the factors of the fixed part."""
    fit = asked.fit
    data = read_data(fit)
    names: dict[str, None] = {}
    for term in model_terms(fit):
        names.update(dict.fromkeys(atom.variable for atom in term.factors if atom.variable))
    numbers = {atom.variable for term in model_terms(fit) for atom in term.numbers}
    names.update(dict.fromkeys(n for n in numbers if n in data and _few(data[n])))
    clusters = {factor.name for factor in grouping_factors(fit)}
    out = []
    for name in names:
        if name not in data or name in clusters:
            continue
        factor = data[name].factor().without_unused()[0]
        assert factor.levels is not None
        if 2 <= len(factor.levels) <= MOST_LEVELS:
            out.append((name, factor.values, [str(level) for level in factor.levels]))
    return out


def _few(column: Column) -> bool:
    """Return whether a numeric column has two values alone, as an indicator has."""
    return column.levels is None and len(np.unique(np.asarray(column.values))) == 2


def variance_by_fitted(asked: Asked) -> Finding | None:
    """Return whether squared residuals go with the fitted value: Koenker's form of Breusch and Pagan's test."""
    fit = asked.fit
    if fit.distribution is not None or fit.spec.variance:
        return None
    values, fitted = student(asked), fit._eta
    usable = np.isfinite(values)
    if usable.sum() < 20 or np.ptp(fitted[usable]) == 0:
        return None
    r = _correlation(values[usable] ** 2, fitted[usable])
    statistic = float(usable.sum() * r**2)
    p = float(stats.chi2.sf(statistic, 1))
    text = f"spread of residuals {'rises' if r > 0 else 'falls'} with the fitted value (r = {r:.2f}, {p_text(p)})"
    if not verdict_of(p):
        return by_test(f"spread of residuals by fitted value: r = {r:.2f} ({p_text(p)})", statistic, p)
    function = "power(fitted)" if fitted.min() > 0 else "exp(fitted)"
    return by_test(text, statistic, p, asked.tried(variance=function))


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / max(float(np.sqrt((a @ a) * (b @ b))), 1e-300)
