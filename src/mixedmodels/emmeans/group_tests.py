"""F tests of all functions of a group, and of the equality of its means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..inference.directions import independent_directions
from ..inference.distributions import f_upper
from ..inference.population import population_estimates
from ..inference.wald import empty_tests
from ..inference.wald import joint_test as joint_f_test
from ..table import Table
from ..typing import Array
from .comparisons import contrast
from .display import level_formats
from .emm import EMM, TESTED, kept_columns
from .regrouped import regrouped


def joint_test(emm: EMM) -> Table:
    """Return one F test per group that all its functions are zero: `num_df den_df statistic p_value`."""
    kept, estimable = kept_columns(emm), emm.estimable
    rows = []
    for group in emm.groups:
        used = group[estimable[group]]
        if emm.root is not None:
            rows.append(_of_covariance(emm, kept[used], used))
            continue
        rows.append(joint_f_test(emm.fit, kept[used], -emm.offset[used], emm.settings.method, ()).row(0))
    return _by_table(emm, rows)


def _of_covariance(emm: EMM, kept: Array, used: NDArray[np.intp]) -> dict[str, float]:
    """Return the F test of functions whose covariance has a part from covariance parameters, df those of β̂ alone."""
    values, directions = independent_directions(emm.vcov[np.ix_(used, used)])
    if not len(values):
        return dict.fromkeys(TESTED, np.nan)
    projected = directions @ (population_estimates(emm.fit, kept) + emm.offset[used])
    factor, df = emm.settings.method.joint(emm.fit, kept[:, : emm.fit.design.fixed.rank])
    statistic = factor * float(np.sum(projected**2 / values)) / len(values)
    p_value = f_upper(statistic, len(values), df)
    return {"num_df": float(len(values)), "den_df": df, "statistic": statistic, "p_value": p_value}


def slices(emm: EMM, by: str | Sequence[str] | None = None) -> Table:
    """Return one F test per group that its means are all equal.

    Parameters
    ----------
    by
        Factors whose levels, and combinations of them, are the groups; those of the means by default.

    Notes
    -----
    *Same as* SAS `LSMEANS A*B / SLICE=A` (`by="A"`) and `joint_tests(fit, by = )` of emmeans.
    """
    if by is not None:
        return slices(regrouped(emm, by))
    if not emm.by:
        factors = ", ".join(map(repr, emm.primary))
        raise SpecError(f"slices: say by which factors to slice, slices(by=…); the means are of {factors}.")
    if not emm.primary:
        raise SpecError("slices: no factor is left whose means to compare within each slice; slice by fewer.")
    return joint_test(contrast(emm, "consec", adjust="none"))


def _by_table(emm: EMM, rows: Sequence[Mapping[str, Any]]) -> Table:
    firsts = [group[0] for group in emm.groups]
    columns: dict[str, Any] = {name: emm.levels[name][firsts] for name in emm.by}
    columns.update((name, np.array([row[name] for row in rows])) for name in TESTED)
    groups = [", ".join(str(emm.levels[name][first]) for name in emm.by) for first in firsts]
    notes = (*emm.notes, f"df: {emm.settings.method.describe(emm.fit)}", *empty_tests(emm.fit, rows, groups))
    formats = level_formats({name: emm.levels[name] for name in emm.by})
    return Table(columns, "", notes, emm.fit.backend, formats)
