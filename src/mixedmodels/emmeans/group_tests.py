"""F tests of all functions of a group, and of the equality of its means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import SpecError
from ..inference.wald import empty_tests
from ..inference.wald import joint_test as joint_f_test
from ..table import Table
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
        rows.append(joint_f_test(emm.fit, kept[used], -emm.offset[used], emm.settings.method, ()).row(0))
    return _by_table(emm, rows)


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
    notes = (*emm.notes, f"df: {emm.settings.method.describe(emm.fit)}", *empty_tests(rows, groups))
    formats = level_formats({name: emm.levels[name] for name in emm.by})
    return Table(columns, "", notes, emm.fit.backend, formats)
