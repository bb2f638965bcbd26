"""The likelihood at the starting values, and where searches from them ended."""

from __future__ import annotations

import numpy as np

from ..criterion import LinearCriterion
from ..errors import SpecError
from ..fit import Fit
from ..optimise.start import given_points
from ..table import Table


def start_grid(fit: Fit) -> Table:
    """Return −2l at every set of values in `start=`, or at every place that searches started from without it.

    Returns
    -------
    Table
        One row for each combination, in the order given. `criterion` is infinite where the values leave the
        covariance of the data not positive definite, missing where they define no covariance at all. Without `start=`
        there is a column for every covariance parameter, `criterion`, then `reached`, −2l where the search ended, and
        `outcome`: `optimum`, `joined` (it came to where a lower one was), `left` (others were lower) or `stalled`.

    Notes
    -----
    Parameters not named are at moment estimates. Of models with independent errors σ² is profiled out, as in SAS
    without NOPROFILE: only the ratios of variances count. The search of the fit started from the row of least
    criterion. *Same as* the table "CovParms Search" of SAS PARMS.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), start={"var(Rail)": [100, 600, 3600]})
    >>> print(fit.start_grid())
    Starting values
    var(Rail)  criterion
       100.00    129.798
       600.00    122.261
      3600.00    125.512
    """
    rows = [dict(row) for row in fit.spec.starts] or ([dict(fit.spec.start)] if fit.spec.start else [])
    criterion = fit._work.criterion()
    if not rows:
        return _starts_tried(fit, criterion)
    points = given_points(criterion, rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
    values = [np.nan if point is None else criterion.value(point) for point in points]
    columns["criterion"] = np.array(values)
    return Table(columns, "Starting values", backend=fit.backend, formats={"criterion": "statistic"})


def _starts_tried(fit: Fit, criterion: LinearCriterion) -> Table:
    """Return the places that searches started from, and what became of each."""
    starts = fit.optimum.starts
    if not starts:
        raise SpecError(
            "start_grid: the fit was searched for from the optimum of another, and without start=; give values there "
            "by parameter name."
        )
    found = [criterion.natural(one.theta) for one in starts]
    columns = {name: np.array([one.values[k] for one in found]) for k, name in enumerate(found[0].names)}
    columns["criterion"] = np.array([one.begun for one in starts])
    columns["reached"] = np.array([one.value for one in starts])
    columns["outcome"] = np.array([one.fate for one in starts])
    formats = {"criterion": "statistic", "reached": "statistic"}
    return Table(columns, "Starting values", backend=fit.backend, formats=formats)
