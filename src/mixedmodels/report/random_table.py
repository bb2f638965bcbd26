"""The printed table of variance components: standard deviations beside variances, then correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..criterion.parameters import Block, design_blocks
from ..fit import Fit
from ..formats import format_column
from ..postfit.covariances import correlations
from ..postfit.variance_components import Component, list_components
from ..table import Table
from ..typing import Array

MOST_CORRELATED = 8
"""An unstructured term with more columns prints no correlations; `random_cov` has them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One printed line: a variance with the correlations to its left, or another parameter by name."""

    group: str
    name: str
    variance: float = np.nan
    sd: float = np.nan
    correlations: tuple[float, ...] = ()
    other: float = np.nan


def random_table(fit: Fit) -> Table:
    """Return the variance components as printed: group, term, variance, standard deviation, correlations."""
    rows: list[Row] = []
    blocks = design_blocks(fit._work.own_design())
    shown = None
    components = list_components(fit)
    for c in components:
        if c.block is None:
            break
        block = blocks[c.block]
        group = "" if c.block == shown else _group(fit, block, c.group)
        row = _row(fit, block, c, group)
        if row is not None:
            rows.append(row)
            shown = c.block
    rows += _error_rows(fit, [c for c in components if c.block is None])
    return _table(rows, bool(fit.design.random))


def _error_rows(fit: Fit, components: list[Component]) -> list[Row]:
    """Return the rows of the errors' parameters, the group named once; of `us` correlations, no covariances."""
    residual = fit.design.residual
    name = "" if residual is None or residual.structure is None else residual.structure.names[0]
    values = {(c.group, c.name1, c.name2): c.value for c in components}
    rows: list[Row] = []
    shown = None
    for c in components:
        if name == "us" and c.kind == "covariance":
            continue
        before = [k[1] for k in values if k[0] == c.group and k[2] == c.name1] if name == "us" else []
        corr: tuple[float, ...] = ()
        if c.kind == "variance" and len(before) < MOST_CORRELATED:
            sd = {label: np.sqrt(values[c.group, label, ""]) for label in (*before, c.name1)}
            corr = tuple(values[c.group, a, c.name1] / (sd[a] * sd[c.name1]) for a in before)
        group = f"{c.group}, {name}" if name else c.group
        rows.append(_error_row("" if c.group == shown else group, c, corr))
        shown = c.group
    return rows


def _error_row(group: str, c: Component, corr: tuple[float, ...]) -> Row:
    """Return the row of one parameter of the errors."""
    name = ", ".join(part for part in (c.name1, c.name2) if part)
    if c.kind == "variance":
        return Row(group, name, c.value, c.companion, corr)
    if c.kind == "covariance":
        return Row(group, name, c.value)
    if c.kind == "correlation":
        return Row(group, name, correlations=(c.value,))
    return Row(group, name, other=c.value)


def _group(fit: Fit, block: Block, label: str) -> str:
    """Return the group with the structure that needs saying: `"Worker, ar1"`."""
    name = block.structure.names[0]
    plain = name in ("us", "diag") or fit.design.random[block.term].n_columns == 1
    return label if plain else f"{label}, {name}"


def _row(fit: Fit, block: Block, c: Component, group: str) -> Row | None:
    unstructured = block.structure.names[0] == "us"
    if c.kind == "variance":
        corr = _correlations_before(fit, block, c.name1) if unstructured else ()
        return Row(group, c.name1, c.value, c.companion, corr)
    if c.kind == "covariance":
        return None if unstructured else Row(group, c.name1, c.value)
    name = f"{c.name1}, {c.name2}" if c.name2 else c.name1
    if c.kind == "correlation":
        return Row(group, name, correlations=(c.value,))
    return Row(group, name, other=c.value)


def _correlations_before(fit: Fit, block: Block, column: str) -> tuple[float, ...]:
    """Return the correlations of a column with those before it; none where there are too many to print."""
    columns = fit.design.random[block.term].columns
    if not 1 < len(columns) <= MOST_CORRELATED:
        return ()
    i = columns.index(column)
    return tuple(correlations(fit.covariances[block.term][block.set])[i, :i].tolist())


def _table(rows: list[Row], random: bool) -> Table:
    columns = {
        "group": [row.group for row in rows],
        "term": [row.name for row in rows],
        "variance": _blank_missing(np.array([row.variance for row in rows])),
        "sd": _blank_missing(np.array([row.sd for row in rows])),
    }
    for j in range(max((len(row.correlations) for row in rows), default=0)):
        own = [
            format_column([row.correlations[j]], "statistic") if j < len(row.correlations) else [""]
            for row in rows
        ]
        columns["corr" if j == 0 else " " * j] = [text for (text,) in own]
    if any(not np.isnan(row.other) for row in rows):
        columns["value"] = _blank_missing(np.array([row.other for row in rows]))
    formats = dict.fromkeys(list(columns)[2:], "aligned")
    return Table(columns, "Random effects" if random else "Errors", formats=formats)


def _blank_missing(values: Array) -> list[str]:
    return [
        "" if np.isnan(value) else text for value, text in zip(values, format_column(values), strict=True)
    ]
