"""Autocorrelation of residuals within clusters, with the correlation that the fitted structure gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..inference.distributions import t_quantile
from ..inference.wald import check_level
from ..postfit.residuals import residuals
from ..registry import check_choice
from ..typing import Array
from .backend import INK, PALETTE, RULE, caption, label_axes, one_axes, tidy_axes
from .drawn_residuals import NAMES, SEED, of_rows_used
from .pairs_of_rows import clusters_of, pair_covariances, positions_of
from .residuals import LEVELS

MOST_LAGS = 15
SAMPLED = 400
"""Pairs of rows for each lag that the fitted correlation is averaged over."""


def acf(
    fit: Fit,
    *,
    max_lag: int | None = None,
    kind: str | None = None,
    level: str | None = None,
    position: str | None = None,
    group: str | None = None,
    confidence: float = 0.95,
    ax: Any = None,
) -> Any:
    """Draw the autocorrelation of residuals of one cluster by lag, over it that of the fitted covariance.

    Parameters
    ----------
    max_lag
        Largest lag; by default 15, or as far as clusters reach.
    kind
        Residuals, as of `fit.residuals`: by default `"pearson"`, of a generalised model `"quantile"`. Of `"scaled"`
        ones the fitted correlation is zero.
    level
        `"marginal"` residuals, compared with V (the default), or `"conditional"` ones, compared with R; of a
        generalised model conditional ones.
    position
        Column that orders the rows of a cluster; by default the position of the residual structure, else the order of
        the data. Whole numbers are lags as they are, others count by their order.
    group
        Grouping factor; by default the clusters of the errors, else the outermost factor.
    confidence
        Probability of the limits about zero.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    ρ̂(l) is the mean of r_ir_j over pairs of rows l apart over the mean of r²; limits are ±z/√(number of pairs), those
    of uncorrelated residuals. The fitted value at a lag is the mean over its pairs (a sample of 400 where there are
    more). Conditional residuals of a model with random effects are correlated a little also where errors are not, for
    their mean in a cluster is near zero. *Same as* `plot(ACF(fit))` of nlme, which has conditional residuals.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.gls("Y ~ sex * age", mm.datasets.load("orthodont"), residual="ar1(age | id)")
    >>> fit.plot.acf().get_xlabel()
    'lag in age (steps of 2), within id'
    """
    check_level(confidence)
    generalised = fit.distribution is not None
    chosen = kind or ("quantile" if generalised and not fit._distribution.pseudo else "pearson")
    about = level or ("conditional" if generalised else "marginal")
    check_choice("level", about, LEVELS)
    values = of_rows_used(fit, residuals(fit, chosen, level=about, seed=SEED))
    clusters = clusters_of(fit, group)
    lags, label = _lags(fit, position, clusters.codes)
    found = _correlations(values, clusters.codes, lags, _most(max_lag, lags, clusters.codes))
    if not len(found.lag):
        raise SpecError(
            "fit.plot.acf: no cluster has two rows, so that there are no lags; give another group=."
        )
    expected = None
    if chosen in ("pearson", "response") and not generalised:
        expected = _fitted(fit, found, about == "marginal")
    axes = one_axes(ax, (6.0, 3.8))
    _draw(axes, found, expected, confidence)
    inside = f", within {clusters.name}" if clusters.name else ""
    label_axes(axes, f"lag in {label}{inside}", f"autocorrelation, {NAMES[chosen]}s")
    against = "V" if about == "marginal" else "R"
    fitted = f"Diamonds: correlation of the fitted {against}." if expected is not None else ""
    if chosen in ("scaled", "quantile"):
        fitted = "Expected where the model holds: zero."
    counts = f"{int(found.pairs.min()):,} to {int(found.pairs.max()):,} pairs of rows for each lag."
    caption(
        axes,
        ax,
        f"Bars: {about} residuals. {fitted}",
        f"Grey: {100 * confidence:g}% limits if uncorrelated.",
        counts,
    )
    return axes


class _Correlations:
    """Autocorrelations by lag, the number of their pairs, and a sample of the pairs."""

    def __init__(
        self, lag: NDArray[np.intp], value: Array, pairs: Array, sample: list[NDArray[np.intp]]
    ) -> None:
        self.lag, self.value, self.pairs, self.sample = lag, value, pairs, sample


def _lags(fit: Fit, position: str | None, clusters: NDArray[Any]) -> tuple[NDArray[np.intp], str]:
    """Return the place of every row along its cluster as whole numbers, (n,), and what they count."""
    found = positions_of(fit, position, "acf")
    if found is not None and found[0].shape[1] > 1:
        raise SpecError("fit.plot.acf: errors in several dimensions have no lags; see fit.plot.variogram.")
    if found is None:
        order = np.argsort(clusters, kind="stable")
        sizes = np.bincount(clusters)
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        place = np.empty(len(clusters), np.intp)
        place[order] = np.arange(len(clusters)) - starts
        return place, "rows"
    values, label = found[0][:, 0], found[1]
    distinct, codes = np.unique(values, return_inverse=True)
    steps = np.diff(distinct)
    if len(steps) and np.allclose(steps, np.round(steps / steps.min()) * steps.min(), rtol=1e-6, atol=0):
        units = np.round((distinct - distinct[0]) / steps.min()).astype(np.intp)
        step = float(steps.min())
        return units[codes], label if step == 1.0 else f"{label} (steps of {step:g})"
    return codes.astype(np.intp), f"{label} (by order)"


def _most(asked: int | None, lags: NDArray[np.intp], clusters: NDArray[Any]) -> int:
    if asked is not None and (isinstance(asked, bool) or asked < 1):
        raise SpecError(f"max_lag={asked!r}: give a whole number of at least 1.")
    low = np.full(int(clusters.max()) + 1, np.iinfo(np.intp).max)
    high = np.zeros(int(clusters.max()) + 1, np.intp)
    np.minimum.at(low, clusters, lags)
    np.maximum.at(high, clusters, lags)
    reach = int(np.max(np.where(low <= high, high - low, 0)))
    return min(reach, MOST_LAGS if asked is None else asked)


def _correlations(values: Array, clusters: NDArray[Any], lags: NDArray[np.intp], most: int) -> _Correlations:
    order = np.lexsort((lags, clusters))
    order = order[np.isfinite(values[order])]
    r, c, at = values[order], clusters[order], lags[order]
    sums, counts = np.zeros(most + 1), np.zeros(most + 1)
    kept: list[list[NDArray[np.intp]]] = [[] for _ in range(most + 1)]
    for apart in range(1, most + 1):
        k = np.flatnonzero(c[apart:] == c[:-apart])
        lag = at[k + apart] - at[k]
        inside = (lag >= 1) & (lag <= most)
        k, lag = k[inside], lag[inside]
        sums += np.bincount(lag, r[k] * r[k + apart], most + 1)
        counts += np.bincount(lag, minlength=most + 1)
        for one in np.unique(lag):
            own = k[lag == one]
            own = own[np.linspace(0, len(own) - 1, min(SAMPLED, len(own))).round().astype(np.intp)]
            kept[one].append(np.column_stack([order[own], order[own + apart]]))
    shown = np.flatnonzero(counts > 0)
    value = sums[shown] / counts[shown] / float(np.mean(r**2)) if len(shown) else np.empty(0)
    return _Correlations(shown, value, counts[shown], [np.concatenate(kept[lag]) for lag in shown])


def _fitted(fit: Fit, found: _Correlations, marginal: bool) -> Array:
    out = []
    for pairs in found.sample:
        between, first, second = pair_covariances(fit, pairs[:, 0], pairs[:, 1], marginal=marginal)
        out.append(float(np.mean(between / np.sqrt(first * second))))
    return np.array(out)


def _draw(axes: Any, found: _Correlations, expected: Array | None, confidence: float) -> None:
    limit = float(t_quantile(confidence, np.array([np.inf]))[0]) / np.sqrt(found.pairs)
    axes.fill_between(found.lag, -limit, limit, color=RULE, alpha=0.8, linewidth=0, step="mid", zorder=1)
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=2)
    axes.vlines(found.lag, 0.0, found.value, color=PALETTE[0], linewidth=3.0, zorder=3)
    axes.plot(found.lag, found.value, "o", color=PALETTE[0], markersize=4.0, zorder=4)
    if expected is not None:
        axes.plot(
            found.lag, expected, "D-", color=PALETTE[1], markersize=4.5, linewidth=1.0, markeredgecolor="white",
            zorder=5,
        )  # fmt: skip
    tidy_axes(axes)
    axes.grid(axis="x", visible=False)
    axes.xaxis.get_major_locator().set_params(integer=True)
