"""Whether the bases of smooths are large enough: pattern that is left in residuals along each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import SpecError
from ..fit import Fit
from ..inference.predictors import predictors
from ..inference.smooth_posterior import smooths_of
from ..table import Table
from ..terms.smooth import Curve, PlacedCurve
from ..typing import Array
from .smooths import smooths

Places = NDArray[np.int64]

MOST_ROWS = 5_000
"""Rows that are looked at; of more a seeded sample, as in mgcv."""
NEIGHBOURS = 3
LOW = 0.05
"""p-value below which a smooth is named."""


def check_k(fit: Fit, *, n_sim: int = 400, seed: int = 0) -> Table:
    """Return whether `k` is large enough for each smooth.

    Parameters
    ----------
    n_sim
        Permutations of the residuals.
    seed
        Of the permutations, and of the sample of rows where there are more than 5,000.

    Returns
    -------
    Table
        `term k edf k_index p_value`: the columns of the smooth (less the constraint), its degrees of freedom; the
        variance of residuals of rows that are neighbours along the smooth over that of all; how often it is as low
        where the residuals are in random order. A low p-value says that a pattern is left, as where k is too small.

    Notes
    -----
    Wood (2017), section 5.9: half the mean squared difference of residuals in the order of x, or from the three nearest
    rows of several variables. Deviance residuals for generalised models, Pearson's otherwise; a curve of a level of
    `by=` is judged by the rows of the level. A smooth of factors alone has no neighbours: NaN. *Same as* `k.check` of
    mgcv for one variable; its p-values are simulated too.

    Raises
    ------
    SpecError
        For a fit without smooths.

    Examples
    --------
    >>> import numpy as np, mixedmodels as mm
    >>> x = np.linspace(0, 1, 200)
    >>> y = np.sin(25 * x) + np.random.default_rng(1).normal(0, 0.2, 200)
    >>> table = mm.lmm("y ~ s(x, bs='cr', k=5)", {"x": x, "y": y}).check_k()
    >>> round(float(table["k_index"][0]), 2), bool(table["p_value"][0] < 0.01)
    (0.08, True)
    """
    if not isinstance(n_sim, int) or isinstance(n_sim, bool) or n_sim < 1:
        raise SpecError(f"n_sim={n_sim!r} is not possible; give a number of permutations, 400 for example.")
    places = smooths_of(fit)
    table = smooths(fit)
    kind = "pearson" if fit.distribution is None else "deviance"
    residuals = np.asarray(fit.residuals(kind), dtype=np.float64)
    seen = np.flatnonzero(np.isfinite(residuals))
    found = [_index(fit, place, residuals, seen, n_sim, seed) for place in places]
    sizes = [place.curve.n_fixed + place.columns[1] - place.columns[0] for place in places]
    columns = {
        "term": np.array([place.label for place in places], dtype=object),
        "k": np.array(sizes),
        "edf": np.asarray(table["edf"]),
        "k_index": np.array([index for index, _ in found]),
        "p_value": np.array([p for _, p in found]),
    }
    return Table(
        columns, title="Are the bases large enough?", notes=_notes(columns, n_sim), backend=fit.backend
    )


def _notes(columns: dict[str, Array], n_sim: int) -> tuple[str, ...]:
    said = [f"p-values from {n_sim:,} permutations of the residuals."]
    low = columns["p_value"] < LOW
    if low.any():
        said.append(
            f"A pattern is left along {', '.join(columns['term'][low])}: give a larger k= and compare."
        )
    return tuple(said)


def _index(
    fit: Fit, place: PlacedCurve, residuals: Array, seen: Places, n_sim: int, seed: int
) -> tuple[float, float]:
    """Return the variance of residuals of neighbours over that of all, and how often it is as low by chance."""
    rows, where = _places(fit, place, seen)
    generator = np.random.default_rng(seed)
    if len(rows) > MOST_ROWS:
        chosen = np.sort(generator.choice(len(rows), MOST_ROWS, replace=False))
        rows, where = rows[chosen], where[chosen]
    if where.shape[1] == 0 or len(rows) <= NEIGHBOURS:
        return np.nan, np.nan
    first, second = _neighbours(where)
    own = residuals[rows]
    total = float(np.mean(own**2))
    if not total > 0:
        return np.nan, np.nan
    observed = float(np.mean((own[first] - own[second]) ** 2)) / 2
    low = 0
    for _ in range(n_sim):
        mixed = generator.permutation(own)
        low += float(np.mean((mixed[first] - mixed[second]) ** 2)) / 2 <= observed
    return observed / total, (low + 1) / (n_sim + 1)


def _places(fit: Fit, place: PlacedCurve, seen: Places) -> tuple[Places, Array]:
    """Return the rows that a smooth is judged by, and its numeric variables there, (n, d)."""
    data, n = predictors(fit), fit.nobs
    curve = place.curve
    if not isinstance(curve, Curve):
        return seen, data[curve.variable].number()[seen, None]
    rows = seen
    if curve.by is not None and curve.by.levels is not None:
        rows = seen[curve.by.weights(data)[seen] > 0]
    numbers = [one.values(data, n)[rows] for one in curve.arguments if one.levels is None]
    return rows, np.column_stack(
        [np.asarray(v, dtype=np.float64) for v in numbers] or [np.zeros((len(rows), 0))]
    )


def _neighbours(where: Array) -> tuple[Places, Places]:
    """Return pairs of rows that are neighbours: in the order of one variable, or the three nearest of each."""
    n = len(where)
    if where.shape[1] == 1:
        order = np.argsort(where[:, 0], kind="stable")
        return order[1:], order[:-1]
    spread = where.std(axis=0)
    scaled = (where - where.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    find = KDTree(scaled).query
    nearest: Places = np.asarray(find(scaled, k=NEIGHBOURS + 1)[1], dtype=np.int64)
    return np.repeat(np.arange(n), NEIGHBOURS), nearest[:, 1:].ravel()
