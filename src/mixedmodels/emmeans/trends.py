"""Slopes of a covariate at the cells of a reference grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..fit import Fit
from ..inference.ddf import method_for
from ..inference.directions import column_sizes
from ..inference.population import spline_sizes
from ..inference.predictors import predictors
from ..inference.sensitivity import Information
from ..inference.wald import check_level
from ..typing import Ddf
from .emm import EMM, Settings, label_columns
from .grid import build_grid, rows_at
from .means import Weights, average, choose_weights, known_numeric, read_specs, with_parents


def emtrends(
    fit: Fit,
    var: str,
    specs: str | Sequence[str] = "1",
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: Weights = "equal",
    ddf: Ddf | None = None,
    information: Information = "observed",
    level: float = 0.95,
    adjust: str = "none",
) -> EMM:
    """Return slopes ∂(x'β)/∂var of the population mean, splines included, averaged over a reference grid.

    Parameters
    ----------
    fit
        The fitted model.
    var
        The covariate.
    specs, by, at, weights, ddf, information, level, adjust
        As for `emmeans`; the covariate is at its mean unless `at` says otherwise.

    Returns
    -------
    EMM
        Columns: the predictors, `estimate std_error df statistic p_value conf_low conf_high`, tests of no
        slope.

    Notes
    -----
    A central difference over ±0.5·10⁻³ of the covariate's range, refined once by Richardson's rule: exact
    up to quartic functions. *Same as* R's `emtrends`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.emtrends("Days")["estimate"].round(4)
    array([10.4673])
    """
    check_level(level)
    weights = choose_weights(weights)
    columns = predictors(fit)
    known_numeric(fit, var, columns)
    shown, groups = read_specs(specs, by, columns)
    values = columns[var].number()
    place = {} if at and var in at else {var: float(values.mean())}
    grid = build_grid(fit, {**(at or {}), **place})
    shown, groups, notes = with_parents(grid, shown, groups)
    rows, levels, averaged = average(grid, shown, groups, weights)
    j = grid.axis(var)
    centre = grid.axes[j].values[grid.index[:, j]]
    step = 1e-3 * (np.ptp(values) or 1.0)

    def difference(h: float) -> Any:
        # the step as it comes out beside a centre that may be large
        above, below = (np.asarray(centre, dtype=float) + s * h for s in (0.5, -0.5))
        up, down = (rows_at(fit, grid.axes, grid.index, {var: place}) for place in (above, below))
        return (up - down) / (above - below)[:, None]

    slopes = (4.0 * difference(step) - difference(2.0 * step)) / 3.0
    method = method_for(fit, ddf, information=information)
    about = [*grid.notes, *notes, f"slopes of {var}"]
    about += [f"averaged over {', '.join(averaged)}"] if averaged else []
    # against the sizes of the columns: what rounding leaves of a slope that is zero
    shares = np.abs(slopes) / np.concatenate([column_sizes(fit), spline_sizes(fit)])
    matrix = rows @ np.where(shares < 1e-9 * shares.max(initial=0.0), 0.0, slopes)
    settings = Settings(method, level, adjust)
    return EMM(
        fit,
        matrix,
        np.zeros(len(matrix)),
        *label_columns(levels, shown, groups),
        settings,
        "trend",
        "other",
        tuple(about),
    )
