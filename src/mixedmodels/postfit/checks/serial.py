"""Whether errors of neighbouring times are correlated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ...errors import DataError, SpecError
from ...inference.resampling import independent_codes
from ...typing import Array
from ..choose_term import choose_factor
from ..removed_rows import LARGEST, CovarianceAt
from ..used_data import read_data
from .base import Asked, Finding, by_test, p_text, verdict_of


def serial_correlation(asked: Asked) -> Finding | None:
    """Return the correlation of innovations one step apart within clusters, in the order of a time in the fixed part.

    Innovations are L⁻¹(y − Xβ̂) with V = LL' and rows in time order: uncorrelated where V is right, so that √m times
    their lag-one correlation over m pairs is standard normal.
    """
    fit = asked.fit
    plain = fit.design.residual is None or fit.design.residual.structure is None
    if fit.distribution is not None or not plain or fit.inputs is None or not fit.design.random:
        return None
    try:
        clusters = independent_codes(fit, None, "the check", known=True)
        factor = choose_factor(fit, None, splines=False)
    except (SpecError, DataError):
        return None
    found = _time(asked, clusters)
    if found is None or np.bincount(clusters).max() > LARGEST:
        return None
    name, times = found
    products, squares, pairs = _innovations(asked, clusters, times)
    if pairs < 20:
        return None
    r = products / squares
    statistic = float(np.sqrt(pairs) * r)
    p = float(2 * stats.norm.sf(abs(statistic)))
    text = f"innovations one {name} apart within {factor.name}: r = {r:.2f} ({p_text(p)})"
    if not verdict_of(p):
        return by_test(text, statistic, p)
    quoted = name if name.isidentifier() else f"`{name}`"
    group = factor.name if factor.name.isidentifier() else f"`{factor.name}`"
    kind = "ar1" if len(np.unique(np.diff(np.unique(times)))) <= 1 else "car1"
    return by_test(text, statistic, p, asked.tried(residual=f"{kind}({quoted} | {group})"))


def _time(asked: Asked, clusters: NDArray[np.intp]) -> tuple[str, Array] | None:
    """Return the first numeric column of the formula that has no value twice within a cluster."""
    for name, column in read_data(asked.fit).items():
        if name == asked.fit.spec.response or column.levels is not None:
            continue
        if name not in asked.fit.formula:
            continue
        values = np.asarray(column.values)
        if values.dtype.kind not in "iuf":
            continue
        pairs = np.unique(np.column_stack([clusters, values.astype(float)]), axis=0)
        whole = bool(np.all(values == np.round(values)))
        if len(pairs) == len(values) and whole and np.bincount(clusters).max() > 2:
            return name, values.astype(float)
    return None


def _innovations(asked: Asked, clusters: NDArray[np.intp], times: Array) -> tuple[float, float, int]:
    """Return Σ e_j e_(j−1), the mean square times the number of pairs, and that number."""
    at = CovarianceAt.of(asked.fit)
    errors, rows = at.errors(), asked.fit._work.rows()
    residual = rows.y - asked.fit.solution.estimates(rows.x)
    order = np.lexsort((times, clusters))
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    counts = np.diff(starts, append=len(order))
    products, squares, pairs, n = 0.0, 0.0, 0, 0
    for t in np.unique(counts):
        if t < 2:
            continue
        own = order[starts[counts == t][:, None] + np.arange(t)]
        lower = np.linalg.cholesky(at.among(own, errors))
        e = np.linalg.solve(lower, residual[own][:, :, None])[:, :, 0]
        products += float(np.sum(e[:, 1:] * e[:, :-1]))
        squares += float(np.sum(e**2))
        pairs += e.shape[0] * (int(t) - 1)
        n += e.size
    return products, squares / max(n, 1) * pairs, pairs
