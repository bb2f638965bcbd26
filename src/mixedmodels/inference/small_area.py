"""Small-area means with their mean squared errors: Fay–Herriot and nested-error models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..criterion.parameters import RESIDUAL
from ..errors import DataError, SpecError, suggest
from ..fit import Fit
from ..frame.ingest import read_columns
from ..frame.readers import open_source
from ..registry import check_choice
from ..table import Table, free_name
from ..typing import Array, Labels
from .predictors import row_weights
from .vcov import model_vcov
from .wald import is_estimable

Estimator = Literal["auto", "reml", "ml", "fay-herriot", "prasad-rao", "known"]
ESTIMATORS = ("auto", "reml", "ml", "fay-herriot", "prasad-rao", "known")


@dataclass(frozen=True, slots=True)
class Areas:
    """The areas of a fit: sums over the rows of each, q areas, r estimable columns of X.

    Parameters
    ----------
    n, weight
        Rows, and sum of the weights of rows, (q,).
    x, y
        Weighted means, (q, r) and (q,).
    between, within
        The variance of area effects, and σ².
    within_held
        Whether σ² is known.
    """

    n: Array
    weight: Array
    x: Array
    y: Array
    between: float
    within: float
    within_held: bool

    @property
    def error(self) -> Array:
        """Variance of an area's mean about its expectation given the area, σ²/w_i, (q,)."""
        return self.within / self.weight

    @property
    def shrinkage(self) -> Array:
        """γ_i = σ_b²/(σ_b² + σ²/w_i), (q,)."""
        return self.between / (self.between + self.error)


@dataclass(frozen=True, slots=True)
class Targets:
    """Areas to estimate: labels, place among the areas of the fit (−1: no data), means of X (k, p), sizes."""

    labels: Labels
    at: NDArray[np.intp]
    x: Array
    size: Array | None = None


def small_area(
    fit: Fit, means: Any = None, *, size: str | None = None, estimator: Estimator = "auto"
) -> Table:
    """Return EBLUPs of the means of areas X̄_i'β + b_i with estimated mean squared errors.

    Parameters
    ----------
    fit
        A model with one random intercept, `(1 | area)`: of units, or of areas by `mm.fay_herriot`.
    means
        A frame with the area and, for every column of X, its mean over the population of the area (the
        share of a level for the column of a factor; the intercept is 1 unless given). Areas without data get the
        synthetic estimate X̄_i'β̂. May be left out where each area has one row: its own X then.
    size
        Column of `means` with the number of units N_i in the population: the target is then the finite mean
        Ȳ_i, of which n_i units are known.
    estimator
        How the variance of areas was estimated: as the fit was (`"auto"`), or, for one that is held, by the
        moments of `"fay-herriot"` or `"prasad-rao"`, or `"known"` in truth.

    Returns
    -------
    Table
        Columns: the area, `n gamma estimate std_error mse g1 g2 g3`; `std_error` is √mse.

    Notes
    -----
    X̄_i'β̂ + b̂_i, b̂_i = γ_i(ȳ_i − x̄_i'β̂), γ_i = σ_b²/(σ_b² + σ²/w_i), with means and w_i the sum of the weights of the
    area (n_i without weights; σ²/w_i is the known sampling variance of Fay and Herriot). Prasad and Rao (1990):

        g1 = γ_iσ²/w_i,   g2 = d'Φd, d = X̄_i − γ_ix̄_i,   g3 = (σ⁴W_bb − 2σ²σ_b²W_be + σ_b⁴W_ee)/(w_i²(σ_b² + σ²/w_i)³),

    W the asymptotic covariance of (σ̂_b², σ̂²) from the expected information of ML. Then mse = g1 + g2 + 2g3 for REML
    and Prasad and Rao's moments; less b'∂g1/∂(σ_b², σ²), b the bias of the variances, for ML (Datta and
    Lahiri 2000) and Fay and Herriot's moments (Datta, Rao and Smith 2005). With `size` the mse of the unseen
    part counts (1 − f_i)² times, f_i = n_i/N_i, and (N_i − n_i)σ²/N_i² is added. *Same as*
    `sae::mseFH`; `sae::eblupBHF` for estimates.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    >>> table = fit.small_area({"Subject": ["308", "309"], "Days": [9, 9]})
    >>> table["estimate"].round(2), table["std_error"].round(2)
    (array([386.39, 267.76]), array([10.24, 10.24]))
    """
    check_choice("estimator", estimator, ESTIMATORS)
    how = _estimator(fit, estimator)
    areas, targets = _areas(fit), _targets(fit, means, size)
    if not is_estimable(fit, targets.x).all():
        raise SpecError("means: the mean of some area is not estimable, columns of X being aliased.")
    columns = _columns(fit, areas, targets, how)
    notes = [f"mse: {_MSE[how]}"]
    if size is not None:
        notes.append("means of finite populations, of which the units in the data are known")
    if empty := int((targets.at < 0).sum()):
        notes.append(f"{empty} of {len(targets.at)} areas have no data: synthetic estimates")
    if areas.between == 0:
        notes.append("the variance of areas is estimated as zero: every estimate is synthetic")
    group = free_name(fit.design.random[0].group, columns)
    named = {group: np.array(targets.labels, dtype=object)}
    return Table({**named, **columns}, "Small-area means", tuple(notes), fit.backend, {group: "text"})


_MSE = {
    "reml": "g1 + g2 + 2·g3 (Prasad–Rao, REML)",
    "ml": "g1 + g2 + 2·g3 less the bias of g1 (Datta–Lahiri, ML)",
    "fay-herriot": "g1 + g2 + 2·g3 less the bias of g1 (Datta–Rao–Smith, moments of Fay and Herriot)",
    "prasad-rao": "g1 + g2 + 2·g3 (Prasad–Rao, moments)",
    "known": "g1 + g2, variances known",
}


def _estimator(fit: Fit, asked: str) -> str:
    """Return how the variance of areas was estimated; `SpecError` where the fit is no model of areas."""
    terms = fit.design.random
    plain = (
        len(terms) == 1 and terms[0].columns == ("(Intercept)",) and fit._work.rows().random[0].values is None
    )
    simple = plain and terms[0].known is None and terms[0].n_sets == 1 and len(terms[0].level_parts) == 1
    if not simple or fit.design.residual is not None or fit.design.shifted:
        raise SpecError(
            "small_area is for models with one random intercept of one factor, (1 | area), independent errors and no "
            "offset; for others use fit.predict(newdata, se=True)."
        )
    if not fit.design.bounded:
        raise SpecError("small_area: the variance of areas must not be negative; fit with bounds='psd'.")
    held = fit._work.criterion().held
    if f"var({terms[0].label}: (Intercept))" not in held:
        if asked not in ("auto", fit.spec.method):
            raise SpecError(
                f"estimator={asked!r}: the variances of this fit are by {fit.spec.method.upper()}."
            )
        return fit.spec.method
    if asked in ("auto", "reml", "ml"):
        raise SpecError(
            "estimator: the variance of areas is held in this fit; say how it was found: 'fay-herriot', 'prasad-rao' "
            "or 'known'."
        )
    if asked != "known" and RESIDUAL not in held:
        raise SpecError(f"estimator={asked!r} is for known sampling variances; fit by mm.fay_herriot.")
    return asked


def _areas(fit: Fit) -> Areas:
    rows, n, weights = fit._work.rows(), fit.nobs, row_weights(fit)
    codes, q = rows.random[0].codes, fit.design.random[0].n_levels
    total: Array = np.bincount(codes, weights, q).astype(np.float64)
    x = np.zeros((q, fit.design.fixed.rank))
    np.add.at(x, codes, weights[:, None] * rows.x)
    y = np.bincount(codes, weights * rows.y, q) / total
    between = float(fit.covariances[0][0, 0, 0])
    counts: Array = np.bincount(codes, np.ones(n), q).astype(np.float64)
    held = RESIDUAL in fit._work.criterion().held
    return Areas(counts, total, x / total[:, None], y, between, fit.sigma2, held)


def _targets(fit: Fit, means: Any, size: str | None) -> Targets:
    term, fixed = fit.design.random[0], fit.design.fixed
    names = [name for name in fixed.columns if name != "(Intercept)"]
    if means is None:
        codes = fit._work.rows().random[0].codes
        if np.bincount(codes).max() > 1 or size is not None:
            raise SpecError(
                f"means: give a frame with {term.group} and the population means of "
                f"{', '.join(names) or 'nothing else'}; only where each area has one row is it not needed."
            )
        x = np.empty((term.n_levels, len(fixed.columns)))
        x[codes] = fit._work.rows().fixed.matrix
        return Targets(term.levels, np.arange(term.n_levels), x)
    source = open_source(means)
    names += ["(Intercept)"] if "(Intercept)" in source.names else []
    wanted = [term.group, *names, *([] if size is None else [size])]
    for name in wanted:
        if name not in source.names:
            raise DataError(
                f"means has no column {name!r}.{suggest(name, source.names)} It needs {', '.join(wanted)}: the mean "
                "over the population of every column of X."
            )
    columns = read_columns(fit.spec, source, wanted)
    for name, column in columns.items():
        if column.missing is not None and column.missing.any():
            raise DataError(f"means: column {name!r} has missing values; every area needs all of them.")
    own = columns[term.group].factor()
    assert own.levels is not None
    labels = tuple(str(own.levels[code]) for code in own.values)
    if len(own.levels) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"means: {term.group} {twice!r} stands in several rows; give one for each area.")
    at = np.asarray(own.codes_in(term.level_parts[0]), dtype=np.intp)
    x = np.column_stack(
        [columns[name].number() if name in columns else np.ones(len(labels)) for name in fixed.columns]
    )
    return Targets(labels, at, x, None if size is None else columns[size].number())


def _columns(fit: Fit, areas: Areas, targets: Targets, how: str) -> dict[str, Any]:
    """Return the columns of the table; areas without data have γ = 0 and nothing of their own."""
    seen = targets.at >= 0
    own = np.where(seen, targets.at, 0)
    n, gamma = np.where(seen, areas.n[own], 0.0), np.where(seen, areas.shrinkage[own], 0.0)
    x, size = targets.x[:, list(fit.design.fixed.estimable)], targets.size
    if size is not None:
        _check_sizes(fit, targets, n)
        rest = (size[:, None] * x - n[:, None] * areas.x[own]) / np.maximum(size - n, 1.0)[:, None]
        x = np.where(seen[:, None], rest, x)
    d = x - gamma[:, None] * areas.x[own]
    g1 = np.where(seen, gamma * areas.error[own], areas.between)
    g2 = fit.solution.variances(d)
    uncertainty = _uncertainty(areas, how)
    g3 = np.where(seen, _third(areas, uncertainty)[own], 0.0)
    slopes = np.stack([(1 - gamma) ** 2, np.where(seen, gamma**2 / areas.weight[own], 0.0)], axis=1)
    mse = g1 + g2 + 2 * g3 - slopes @ _bias(fit, areas, uncertainty, how)
    estimate = fit.solution.estimates(x) + gamma * (areas.y[own] - fit.solution.estimates(areas.x)[own])
    if size is not None:
        share = n / size
        estimate = share * areas.y[own] + (1 - share) * estimate
        mse = (1 - share) ** 2 * mse + (size - n) * fit.sigma2 / size**2
    return {
        "n": n.astype(int), "gamma": gamma, "estimate": estimate, "std_error": np.sqrt(np.maximum(mse, 0.0)),
        "mse": mse, "g1": g1, "g2": g2, "g3": g3,
    }  # fmt: skip


def _check_sizes(fit: Fit, targets: Targets, n: Array) -> None:
    assert targets.size is not None
    if fit.design.weighted:
        raise SpecError("size: finite populations need units of equal weight; leave size= out.")
    for label, given, used in zip(targets.labels, targets.size, n, strict=True):
        if not given >= max(used, 1.0):
            raise DataError(f"size: area {label!r} has {used:.0f} units in the data and {given:g} in all.")


def _uncertainty(areas: Areas, how: str) -> Array:
    """Return W, the asymptotic covariance of the estimates of (σ_b², σ²), (2, 2)."""
    total = areas.within + areas.between * areas.weight
    w: Array = np.zeros((2, 2))
    if how == "known":
        return w
    q, variance = len(total), areas.between + areas.error
    if how == "prasad-rao":
        w[0, 0] = 2 * np.sum(variance**2) / q**2
    elif how == "fay-herriot":
        w[0, 0] = 2 * q / np.sum(1 / variance) ** 2
    elif areas.within_held:
        w[0, 0] = 2 / np.sum(1 / variance**2)
    else:
        cross = float(np.sum(areas.weight / total**2))
        inside = float(np.sum((areas.n - 1) / areas.within**2 + 1 / total**2))
        w = np.asarray(
            2 * np.linalg.inv([[float(np.sum((areas.weight / total) ** 2)), cross], [cross, inside]])
        )
    return w


def _third(areas: Areas, w: Array) -> Array:
    """Return g3 of every area, (q,)."""
    a, e = areas.between, areas.within
    inner = e**2 * w[0, 0] - 2 * a * e * w[0, 1] + a**2 * w[1, 1]
    return np.asarray(inner / (areas.weight**2 * (a + areas.error) ** 3))


def _bias(fit: Fit, areas: Areas, w: Array, how: str) -> Array:
    """Return the bias of the estimates of (σ_b², σ²) to first order, (2,)."""
    variance = areas.between + areas.error
    if how == "fay-herriot":
        first, second, q = np.sum(1 / variance), np.sum(1 / variance**2), len(variance)
        return np.array([2 * (q * second - first**2) / first**3, 0.0])
    if how != "ml":
        return np.zeros(2)
    phi = model_vcov(fit)
    total = areas.within + areas.between * areas.weight
    sums = areas.weight[:, None] * fit.solution.basis.rows(areas.x)
    between = -(sums / total[:, None] ** 2).T @ sums
    # tr ΦP over both parameters times themselves is −r, V being homogeneous in them
    traces = np.array([np.sum(phi * between), 0.0])
    traces[1] = -(len(phi) + areas.between * traces[0]) / areas.within
    return np.asarray(0.5 * w @ traces)
