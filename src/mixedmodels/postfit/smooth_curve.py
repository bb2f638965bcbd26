"""Smooths drawn out: curves, surfaces and their derivatives on a grid, with bands, and differences of curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ..errors import SpecError
from ..fit import Fit
from ..frame.column import Column
from ..frame.ingest import read_columns
from ..frame.readers import open_source, spread_scalars
from ..inference.ddf import method_for
from ..inference.population import population_estimates, variances
from ..inference.predictors import predictors
from ..inference.smooth_posterior import find_smooth, function_columns, function_covariance, smooths_of
from ..inference.wald import check_level
from ..spec import SmoothSpec
from ..table import Table, free_name
from ..terms.smooth import Curve, PlacedCurve
from ..typing import Array

DRAWS = 100_000
SEED = 20
MOST_POINTS = 20_000
"""Points of a grid, or of new data, at once."""
NEGLIGIBLE = 1e-12
"""Variance, of the largest on a grid, below which a point has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Points at which a smooth is asked for: the columns of the data (m,), and what is shown of them."""

    columns: Mapping[str, Column]
    shown: dict[str, Any]
    size: int


def smooth(
    fit: Fit,
    name: str,
    newdata: Any = None,
    n: int = 200,
    *,
    derivative: int = 0,
    simultaneous: bool = False,
    unconditional: bool = False,
    level: float = 0.95,
) -> Table:
    """Return a smooth on a grid, centred as it was fitted, with standard errors and a band.

    Parameters
    ----------
    name
        `"s(x)"`; `"s(x):armA"` is the curve of one level of `by=`, `"s(x)"` then those of all levels.
    newdata
        Rows to evaluate it at, with the columns of the smooth; by default a grid over the data.
    n
        Points of the grid: along the range of one variable, √n along each of two.
    derivative
        Order of the derivative by the variable, 0 for the smooth itself.
    simultaneous
        Whether the band holds the whole curve with the given probability; otherwise each point.
    unconditional
        Whether the band counts that the variances are estimated.
    level
        Probability of the band.

    Returns
    -------
    Table
        The variables of the smooth, then `estimate std_error lower upper`. A number in `by=` counts as one.

    Raises
    ------
    SpecError
        For a name that is no smooth of the fit, or a derivative that its basis does not have.

    Notes
    -----
    Standard errors are Bayesian, from C of the smooth's coefficients (Wood 2017, section 6.10): pointwise bands cover
    the function 95 % of the time across it (Nychka 1988). The simultaneous band multiplies them by the quantile of
    max|f̂ − f|/se over the grid, from 100,000 seeded draws. Unconditional standard errors add the first-order term of
    Kackar and Harville (1984). *Same as* `plot.gam` of mgcv, `smooth_estimates` and `derivatives` of gratia.

    Examples
    --------
    >>> import numpy as np, mixedmodels as mm
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(size=200)
    >>> data = {"x": x, "y": np.sin(6 * x) + rng.normal(0, 0.3, 200)}
    >>> fit = mm.lmm("y ~ s(x, bs='cr')", data)
    >>> print(fit.smooth("s(x)", newdata={"x": [0.25, 0.75]}))
    s(x)
           x  estimate  std_error     lower     upper
    0.250000   0.92770  0.0464304   0.83669   1.01870
    0.750000  -1.05125  0.0451151  -1.13968  -0.96283
    95% pointwise band
    """
    check_level(level)
    places = curves_named(fit, name)
    derivative = _checked_order(places[0], derivative)
    parts = []
    for place in places:
        grid = make_grid(fit, place, newdata, n)
        columns = place.curve.values(grid.columns, grid.size, derivative, by=newdata is not None)
        parts.append((grid, function_columns(fit, place, columns)))
    functions = np.vstack([own for _, own in parts])
    found = band(fit, functions, level, simultaneous=simultaneous, unconditional=unconditional)
    shown = _shown(places, [grid for grid, _ in parts])
    return Table(
        shown | found.columns, title=_title(name, derivative), notes=found.notes, backend=fit.backend
    )


@dataclass(frozen=True, slots=True)
class Band:
    """Columns `estimate std_error lower upper`, and what is to be said of them."""

    columns: dict[str, Array]
    notes: tuple[str, ...]


def band(fit: Fit, functions: Array, level: float, *, simultaneous: bool, unconditional: bool) -> Band:
    """Return estimates of functions (m, rank + smooths) with a band of a given probability."""
    estimate = population_estimates(fit, functions)
    covariance = function_covariance(fit, functions)
    variance = np.maximum(np.diagonal(covariance), 0.0)
    notes = []
    if unconditional:
        variance = _unconditional(fit, functions)
        notes.append("standard errors count the estimation of the variances (first order)")
    error = np.sqrt(variance)
    quantile = float(special.ndtri(0.5 + level / 2.0))
    what = "pointwise"
    if simultaneous:
        quantile = _simultaneous(covariance, level)
        what = f"simultaneous (critical value {quantile:.3f}, {DRAWS:,} draws)"
    notes.insert(0, f"{100 * level:g}% {what} band")
    flat = variance <= NEGLIGIBLE * variance.max(initial=0.0)
    # where columns vanish the smooth is known to be zero: a point without an error
    error = np.where(flat & (np.abs(functions).max(axis=1, initial=0.0) > 0), np.nan, error)
    lower, upper = estimate - quantile * error, estimate + quantile * error
    columns = {"estimate": estimate, "std_error": error, "lower": lower, "upper": upper}
    return Band(columns, tuple(notes))


def _unconditional(fit: Fit, functions: Array) -> Array:
    if fit.distribution is not None:
        raise SpecError(
            "unconditional=True is for linear models; variances are taken as known in generalised ones."
        )
    method = method_for(fit, "kenward-roger-linear")
    return variances(fit, functions, method)[0]


def _simultaneous(covariance: Array, level: float) -> float:
    """Return the quantile of the largest |z| of a Gaussian vector with this covariance (m, m)."""
    size = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    kept = size > np.sqrt(NEGLIGIBLE) * size.max(initial=0.0)
    correlation = covariance[np.ix_(kept, kept)] / size[kept] / size[kept][:, None]
    values, vectors = np.linalg.eigh(correlation)
    own = values > 1e-10 * values[-1]
    root = (vectors[:, own] * np.sqrt(values[own])).T
    rng = np.random.default_rng(SEED)
    largest = [np.abs(rng.standard_normal((DRAWS // 20, len(root))) @ root).max(axis=1) for _ in range(20)]
    return float(np.quantile(np.concatenate(largest), level))


def curves_named(fit: Fit, name: str) -> list[PlacedCurve]:
    """Return the curve of a name, or those of all levels of its `by=`."""
    if isinstance(name, str):
        folded = name.replace(" ", "").replace("`", "")
        same = [
            place
            for place in smooths_of(fit)
            if not place.grouped
            and isinstance(place.curve, Curve)
            and place.curve.by is not None
            and place.curve.spec.label.replace("`", "").replace(" ", "") == folded
        ]
        plain = [p for p in smooths_of(fit) if p.label.replace(" ", "").replace("`", "") == folded]
        if same and not plain:
            return same
    return [find_smooth(fit, name)]


def _checked_order(place: PlacedCurve, derivative: int) -> int:
    if isinstance(derivative, bool) or not isinstance(derivative, int) or derivative < 0:
        raise SpecError(f"derivative={derivative!r} is an order: 0, 1 or 2.")
    if derivative and len(place.curve.variables) - (_by_name(place) is not None) != 1:
        raise SpecError(f"{place.label}: derivative= is for smooths of one variable.")
    if (
        derivative
        and isinstance(place.curve, Curve)
        and place.curve.arguments[0].text.strip("`") not in (place.curve.arguments[0].variables)
    ):
        raise SpecError(
            f"{place.label}: derivatives are by the argument of a smooth; put {place.curve.arguments[0].text} into a "
            "column of its own."
        )
    return derivative


def _by_name(place: PlacedCurve) -> str | None:
    return place.curve.by.name if isinstance(place.curve, Curve) and place.curve.by is not None else None


def make_grid(fit: Fit, place: PlacedCurve, newdata: Any, n: int) -> Grid:
    """Return the points that are asked for: rows of new data, or a grid over the ranges in the data of the fit."""
    names = list(place.curve.variables)
    if newdata is not None:
        source = open_source(spread_scalars(newdata))
        columns = read_columns(fit.spec, source, names)
        return Grid(columns, {name: _plain(column) for name, column in columns.items()}, source.n)
    if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= MOST_POINTS:
        raise SpecError(f"n={n!r} is a number of points from 2 to {MOST_POINTS:,}.")
    data = predictors(fit)
    by = _by_name(place)
    free = [name for name in names if name != by]
    axes = [_axis(data[name], n if len(free) == 1 else max(2, round(n ** (1 / len(free))))) for name in free]
    points = [np.asarray(one).ravel() for one in np.meshgrid(*axes, indexing="ij")]
    size = len(points[0])
    shown: dict[str, Any] = {}
    columns = {}
    for name, values in zip(free, points, strict=True):
        columns[name] = _column(data[name], values)
        shown[name] = _plain(columns[name])
    if by is not None and isinstance(place.curve, Curve) and place.curve.by is not None:
        column = data[by]
        if place.curve.by.levels is not None:
            columns[by] = Column(by, np.full(size, place.curve.by.level, np.int32), place.curve.by.levels)
            shown[by] = _plain(columns[by])
        else:
            columns[by] = Column(by, np.ones(size))
            del column
    return Grid(columns, shown, size)


def _axis(column: Column, n: int) -> Array:
    """Return points along the range of a column, or the places of all levels of a factor."""
    if column.levels is not None:
        return np.arange(len(column.levels), dtype=np.float64)
    values = column.number()
    return np.linspace(float(values.min()), float(values.max()), n)


def _column(like: Column, values: Array) -> Column:
    if like.levels is None:
        return Column(like.name, values)
    return Column(like.name, values.astype(np.int32), like.levels)


def _plain(column: Column) -> Any:
    return column.values if column.levels is None else column.levels[column.values]


def _shown(places: Sequence[PlacedCurve], grids: Sequence[Grid]) -> dict[str, Any]:
    names = dict.fromkeys(name for grid in grids for name in grid.shown)
    out: dict[str, Any] = {}
    for name in names:
        parts = [np.asarray(grid.shown[name]) for grid in grids]
        key = free_name(name, ["estimate", "std_error", "lower", "upper"])
        out[key] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    del places
    return out


def _title(name: str, derivative: int) -> str:
    order = {0: "", 1: "first derivative of ", 2: "second derivative of "}.get(
        derivative, f"derivative of order {derivative} of "
    )
    return f"{order}{name}"


def difference(
    fit: Fit,
    name: str,
    by: tuple[str, str],
    newdata: Any = None,
    n: int = 200,
    *,
    derivative: int = 0,
    simultaneous: bool = False,
    unconditional: bool = False,
    level: float = 0.95,
) -> Table:
    """Return the difference of the curves of two levels of `by=`, first less second, with standard errors and a band.

    Parameters
    ----------
    name
        The smooth without its levels, `"s(x)"` of `s(x, by=arm)`.
    by
        The two levels.
    newdata, n, derivative, simultaneous, unconditional, level
        As in `fit.smooth`.

    Returns
    -------
    Table
        The variables of the smooth, then `estimate std_error lower upper`.

    Notes
    -----
    Curves are centred: the difference is one of shapes, without that of the levels' means, which the factor itself has
    (`fit.emmeans`). *Same as* `difference_smooths(…, group_means = FALSE)` of gratia.

    Examples
    --------
    >>> import numpy as np, mixedmodels as mm
    >>> rng = np.random.default_rng(1)
    >>> x, arm = rng.uniform(size=200), np.repeat(["a", "b"], 100)
    >>> data = {"x": x, "arm": arm, "y": np.sin(6 * x) * (arm == "a") + rng.normal(0, 0.3, 200)}
    >>> fit = mm.lmm("y ~ arm + s(x, by=arm, bs='cr')", data)
    >>> (fit.difference("s(x)", by=("a", "b"), newdata={"x": [0.25, 0.75]})["estimate"]).round(1)
    array([ 0.9, -1.1])
    """
    check_level(level)
    if not (isinstance(by, (tuple, list)) and len(by) == 2):
        raise SpecError(f"by={by!r} names two levels, for example by=('a', 'b').")
    pair = [_of_level(fit, name, str(one)) for one in by]
    derivative = _checked_order(pair[0], derivative)
    grid = make_grid(fit, pair[0], _without_by(newdata, pair[0]), n)
    functions = []
    for place in pair:
        columns = place.curve.values(grid.columns, grid.size, derivative, by=False)
        functions.append(function_columns(fit, place, columns))
    found = band(
        fit, functions[0] - functions[1], level, simultaneous=simultaneous, unconditional=unconditional
    )
    shown = {key: values for key, values in grid.shown.items() if key != _by_name(pair[0])}
    title = f"{name}: {by[0]} less {by[1]}"
    notes = (*found.notes, "of centred curves: without the difference of the means of the levels")
    return Table(shown | found.columns, title=title, notes=notes, backend=fit.backend)


def _without_by(newdata: Any, place: PlacedCurve) -> Any:
    """Return new data in which the column of `by=`, which has no part in a difference, may be missing."""
    by = place.curve.by if isinstance(place.curve, Curve) else None
    if newdata is None or by is None or by.levels is None:
        return newdata
    source = open_source(spread_scalars(newdata))
    names = [name for name in place.curve.variables if name != by.name]
    columns = {name: source.read(name).values for name in names if name in source.names}
    return columns | {by.name: np.repeat(by.levels[:1], source.n)}


def _of_level(fit: Fit, name: str, level: str) -> PlacedCurve:
    """Return the curve of one level of the factor in `by=` of a smooth."""
    found: dict[str, PlacedCurve] = {}
    for place in curves_named(fit, name):
        by = place.curve.by if isinstance(place.curve, Curve) else None
        if by is not None and by.levels is not None:
            found[str(by.levels[by.level])] = place
    if not found:
        shown = ", ".join(dict.fromkeys(_label(place) for place in smooths_of(fit)))
        raise SpecError(f"{name!r} has no curve for each level of a factor in by=. Smooths: {shown}.")
    if level not in found:
        raise SpecError(f"by: {level!r} is no level of {name}; levels: {', '.join(map(repr, found))}.")
    return found[level]


def _label(place: PlacedCurve) -> str:
    spec = place.curve.spec
    return spec.label if isinstance(spec, SmoothSpec) else place.label
