"""Empirical semivariogram of residuals, with that of the fitted covariance drawn over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..postfit.residuals import residuals
from ..registry import check_choice
from ..typing import Array
from .backend import PALETTE, caption, label_axes, one_axes, tidy_axes
from .drawn_residuals import NAMES, SEED, of_rows_used
from .pairs_of_rows import clusters_of, pair_covariances, positions_of
from .residuals import LEVELS

MOST_PAIRS = 200_000
"""Of more pairs a random sample of this size is drawn."""
SAMPLED = 400
"""Pairs in each bin that the fitted semivariance is averaged over."""
MOST_DISTINCT = 24
"""Up to so many distances each is a bin of its own."""
LINEAR = ("pearson", "response", "scaled")
GENERALISED = ("quantile", "pearson")
Pairs = NDArray[np.intp]


def variogram(
    fit: Fit,
    position: str | Sequence[str] | None = None,
    *,
    kind: str | None = None,
    level: str | None = None,
    group: str | None = None,
    bins: int = 15,
    max_distance: float | None = None,
    ax: Any = None,
) -> Any:
    """Draw half the mean squared difference of residuals of one cluster by their distance, and what the model says.

    Parameters
    ----------
    position
        Column, or columns, that say where rows stand; by default the positions of the residual structure.
    kind
        `"pearson"` (the default), `"response"` or `"scaled"`; of a generalised model `"quantile"` (the default) or
        `"pearson"`.
    level
        `"marginal"` residuals, compared with V (the default), or `"conditional"` ones, compared with R; of a
        generalised model conditional ones.
    group
        Grouping factor; by default the clusters of the errors, else the outermost factor.
    bins, max_distance
        Bins of equal width up to the largest distance; by default that of the data, in the plane half of it.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    γ̂ is the mean of ½(r_i − r_j)² over the pairs in a bin; the line is the mean of ½(v_ii + v_jj) − v_ij of the fitted
    covariance over the same pairs (a sample of 400 where there are more), so that it belongs to any model, random
    slopes too. Up to 24 different distances are bins of their own. *Same as* `plot(Variogram(fit))` of nlme, which has
    conditional residuals; SAS `PROC VARIOGRAM` of residuals.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.gls("Y ~ sex * age", mm.datasets.load("orthodont"), residual="exp(age | id)")
    >>> axes = fit.plot.variogram()
    >>> axes.get_xlabel(), len(axes.lines[0].get_xdata())
    ('distance in age, within id', 3)
    """
    generalised = fit.distribution is not None
    chosen = kind or ("quantile" if generalised and not fit._distribution.pseudo else "pearson")
    about = level or ("conditional" if generalised else "marginal")
    check_choice("level", about, LEVELS)
    check_choice("kind", chosen, GENERALISED if generalised else LINEAR)
    _check_bins(bins, max_distance)
    found = positions_of(fit, position, "variogram")
    if found is None:
        raise SpecError(
            "fit.plot.variogram needs position=, the column of numbers (or columns) that says where rows stand: the "
            "errors of this model have no positions."
        )
    values = of_rows_used(fit, residuals(fit, chosen, level=about, seed=SEED))
    clusters = clusters_of(fit, group)
    first, second, total = _pairs(clusters.codes, np.flatnonzero(np.isfinite(values)))
    if not len(first):
        raise SpecError("fit.plot.variogram: no cluster has two rows; give another group=.")
    distance = np.sqrt(np.sum((found[0][first] - found[0][second]) ** 2, axis=1))
    reach = max_distance or float(distance.max()) * (1.0 if found[0].shape[1] == 1 else 0.5)
    bin_of = _bins(distance, reach, bins)
    own = [np.flatnonzero(bin_of == b) for b in range(int(bin_of.max(initial=-1)) + 1)]
    own = [places for places in own if len(places)]
    if not own:
        raise SpecError(f"max_distance={max_distance!r}: no two rows of one cluster are so close.")
    at = np.array([distance[places].mean() for places in own])
    height = np.array([np.mean(0.5 * (values[first[p]] - values[second[p]]) ** 2) for p in own])
    axes = one_axes(ax, (6.0, 3.8))
    sizes = np.array([len(places) for places in own])
    area = 18.0 + 60.0 * sizes / sizes.max()
    expected = None if generalised else _fitted(fit, first, second, own, chosen, about == "marginal")
    if expected is not None:
        axes.plot(at, expected, "-", color=PALETTE[1], linewidth=2.0, zorder=2)
    else:
        axes.plot(at, np.ones(len(at)), "-", color=PALETTE[1], linewidth=2.0, zorder=2)
    axes.scatter(at, height, s=area, color=PALETTE[0], edgecolor="white", linewidth=0.6, zorder=3)
    axes.set_ylim(0.0, None)
    axes.set_xlim(0.0, None)
    tidy_axes(axes)
    inside = f", within {clusters.name}" if clusters.name else ""
    label_axes(axes, f"distance in {found[1]}{inside}", f"semivariance, {NAMES[chosen]}s")
    against = "V" if about == "marginal" else "R"
    line = (
        f"Line: the fitted {against} over the same pairs." if not generalised else "Line: 1, if uncorrelated."
    )
    drawn = (
        f" A random sample of {len(first):,} of {total:,} pairs (seed {SEED})." if total > len(first) else ""
    )
    caption(axes, ax, f"Points: {about} residuals, larger for more pairs. {line}{drawn}")
    return axes


def _check_bins(bins: int, max_distance: float | None) -> None:
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or not 2 <= bins <= 200:
        raise SpecError(f"bins={bins!r}: give a whole number from 2 to 200.")
    if max_distance is not None and not max_distance > 0:
        raise SpecError(f"max_distance={max_distance!r}: give a positive number.")


def _pairs(clusters: NDArray[Any], rows: Pairs) -> tuple[Pairs, Pairs, int]:
    """Return the pairs of rows of one cluster, a random sample of very many, and how many there are."""
    order = rows[np.argsort(clusters[rows], kind="stable")]
    sizes = np.bincount(clusters[order])
    sizes = sizes[sizes > 0]
    starts = np.cumsum(sizes) - sizes
    total = int(np.sum(sizes.astype(float) * (sizes - 1) / 2))
    if total > MOST_PAIRS:
        rng = np.random.default_rng(SEED)
        share = sizes * (sizes - 1.0)
        cluster = rng.choice(len(sizes), MOST_PAIRS, p=share / share.sum())
        i = (rng.random(MOST_PAIRS) * sizes[cluster]).astype(np.intp)
        j = (rng.random(MOST_PAIRS) * (sizes[cluster] - 1)).astype(np.intp)
        j += j >= i
        return order[starts[cluster] + i], order[starts[cluster] + j], total
    first, second = [], []
    for size in np.unique(sizes):
        i, j = np.triu_indices(int(size), 1)
        at = starts[sizes == size][:, None]
        first.append((at + i).ravel())
        second.append((at + j).ravel())
    return order[np.concatenate(first)], order[np.concatenate(second)], total


def _bins(distance: Array, reach: float, bins: int) -> NDArray[np.intp]:
    """Return the bin of every pair, (m,), −1 beyond the reach."""
    inside = distance <= reach * (1 + 1e-12)
    distinct = np.unique(np.round(distance[inside] / reach, 9))
    if len(distinct) <= MOST_DISTINCT:
        own = np.searchsorted(distinct, np.round(distance / reach, 9))
    else:
        own = np.minimum((distance / reach * bins).astype(np.intp), bins - 1)
    return np.where(inside, own, -1).astype(np.intp)


def _fitted(fit: Fit, first: Pairs, second: Pairs, own: list[Pairs], kind: str, marginal: bool) -> Array:
    """Return the semivariance that the fitted covariance gives residuals of a kind, by bin."""
    out = []
    for places in own:
        chosen = places[np.linspace(0, len(places) - 1, min(SAMPLED, len(places))).round().astype(np.intp)]
        between, left, right = pair_covariances(fit, first[chosen], second[chosen], marginal=marginal)
        if kind == "response":
            out.append(float(np.mean(0.5 * (left + right) - between)))
        elif kind == "pearson":
            out.append(float(np.mean(1.0 - between / np.sqrt(left * right))))
        else:
            # decorrelated, of variance one
            out.append(1.0)
    return np.array(out)
