"""Inner–outer degrees of freedom for nested groups, as nlme computes them."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np

from ...errors import SpecError
from ...fit import Fit
from ...terms.design import Design
from ...terms.rows import Rows
from ...typing import Array, Codes
from .by_column import ByColumn, constant_within


class InnerOuter(ByColumn):
    """df_i = m_i − m_{i−1} − p_i for the p_i columns estimated at level i of m_i groups.

    Notes
    -----
    Pinheiro and Bates (2000), section 2.4.2: a column is estimated at the outermost level within whose
    groups it is constant, at the innermost (the observations, m = n) if there is none; m_0 is 1 with an
    intercept. Without one, m_0 = 0 and every stratum but the outermost has one more, as nlme has it. The
    intercept has the number of outermost groups less one, R's emmeans' convention: `nlme` itself prints the
    largest df there (12 in place of 5 for the rails), which is far too many for an overall mean. A function
    takes the smallest df of the columns it involves.

    Parameters
    ----------
    largest
        Whether the intercept has the largest df of all, as `nlme` prints it.
    """

    def __init__(self, *, largest: bool = False) -> None:
        self.largest = largest

    @property
    def variant(self) -> str:
        """The name, with what the intercept has."""
        return f"{self.name} {self.largest}"

    name: ClassVar[str] = "inner-outer"
    note: ClassVar[str] = "inner–outer (nested groups)"  # type: ignore[misc]

    def of_columns(self, fit: Fit) -> Array:
        design, rows = fit.design, fit._work.rows()
        x = rows.x
        levels = nested_groups(design, rows)
        stratum = np.full(x.shape[1], len(levels) + 1)
        for i in range(len(levels), 0, -1):
            stratum[constant_within(x, levels[i - 1])] = i
        everywhere = np.zeros(design.n, np.int32)
        intercept = constant_within(x, everywhere)
        sizes = [int(intercept.any()), *(int(codes.max()) + 1 for codes in levels), design.n]
        counts = np.bincount(stratum[~intercept], minlength=len(levels) + 2)
        # nlme gives every stratum but the outermost one more where there is no intercept
        more = [0, *[0 if intercept.any() else 1] * len(levels)]
        df = {i + 1: float(b - a - counts[i + 1] + more[i]) for i, (a, b) in enumerate(pairwise(sizes))}
        # the strata in which a column is estimated, and the innermost
        used = {*stratum[~intercept].tolist(), len(levels) + 1}
        outer = max(df[int(i)] for i in used) if self.largest else float(sizes[1] - 1)
        return np.array([outer if same else df[int(i)] for i, same in zip(stratum, intercept, strict=True)])


def nested_groups(design: Design, rows: Rows) -> list[Codes]:
    """Return the grouping factors, outermost first, (n,) each; `SpecError` where they cross."""
    by_group = {term.group: own.codes for term, own in zip(design.random, rows.random, strict=True)}
    residual = design.residual
    if not by_group and residual is not None and residual.structure is not None and rows.residual is not None:
        by_group = {residual.label: rows.residual.clusters}
    codes = [np.unique(c, return_inverse=True)[1].astype(np.int32) for c in by_group.values()]
    codes.sort(key=lambda c: int(c.max()))
    for outer, inner in pairwise(codes):
        home = np.zeros(int(inner.max()) + 1, np.int32)
        home[inner] = outer
        if not np.array_equal(home[inner], outer):
            raise SpecError(
                "ddf='inner-outer' needs nested grouping factors; these cross. Use 'satterthwaite'."
            )
    return codes
