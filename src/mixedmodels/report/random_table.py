"""The printed table of variance components: standard deviations beside variances, then correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..fit import Fit
from ..formats import format_column
from ..postfit.covariances import correlations
from ..postfit.variance_components import group_label, list_components
from ..table import Table
from ..typing import Array

MOST_CORRELATED = 8
"""An unstructured term with more columns prints no correlations; `random_cov` has them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One printed line: a variance with the correlations to its left, or another parameter by name."""

    group: str
    name: str
    variance: float
    sd: float
    correlations: tuple[float, ...] = ()


def random_table(fit: Fit) -> Table:
    """Return the variance components as printed: group, term, variance, standard deviation, correlations."""
    rows: list[Row] = []
    unstructured = _unstructured_correlations(fit)
    for c in list_components(fit):
        corr = unstructured.get((c.group, c.name1))
        if c.kind == "variance":
            rows.append(Row(c.group, c.name1, c.value, c.companion, corr or ()))
        elif c.kind == "covariance" and not c.name2:
            rows.append(Row(c.group, c.name1, c.value, np.nan))
        elif c.kind != "covariance" or corr is None:
            value = c.companion if c.kind == "covariance" else c.value
            rows.append(Row(c.group, f"corr({c.name1}, {c.name2})" if c.name2 else c.name1, np.nan, value))
    return _table(rows, "Random effects")


def _unstructured_correlations(fit: Fit) -> dict[tuple[str, str], tuple[float, ...]]:
    """Return (group, column) → its correlations with the columns before it, for unstructured terms."""
    out: dict[tuple[str, str], tuple[float, ...]] = {}
    for term, sigmas in zip(fit.design.random, fit.covariances, strict=True):
        if term.structure.names[0] != "us" or not 1 < term.n_columns <= MOST_CORRELATED:
            continue
        for which, sigma in enumerate(sigmas):
            corr = correlations(sigma)
            for i, column in enumerate(term.columns):
                out[group_label(term, which), column] = tuple(corr[i, :i].tolist())
    return out


def _table(rows: list[Row], title: str) -> Table:
    group = [row.group for row in rows]
    shown = ["" if i and name == group[i - 1] else name for i, name in enumerate(group)]
    columns = {
        "group": shown,
        "term": [row.name for row in rows],
        "variance": _blank_missing(np.array([row.variance for row in rows])),
        "sd": _blank_missing(np.array([row.sd for row in rows])),
    }
    width = max(len(row.correlations) for row in rows)
    for j in range(width):
        texts = [f"{row.correlations[j]:.3f}" if j < len(row.correlations) else "" for row in rows]
        columns["corr" if j == 0 else " " * j] = ["–" if text == "nan" else text for text in texts]
    formats = dict.fromkeys(list(columns)[2:], "aligned")
    return Table(columns, title, formats=formats)


def _blank_missing(values: Array) -> list[str]:
    return [
        "" if np.isnan(value) else text for value, text in zip(values, format_column(values), strict=True)
    ]
