"""Means in order with letters that say which do not differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..table import Table
from ..typing import Array
from .comparisons import contrast
from .display import as_objects, compact_letters
from .emm import EMM


def cld(emm: EMM, *, alpha: float = 0.05, adjust: str = "tukey") -> Table:
    """Return the means in increasing order with letters; those that share one do not differ.

    Notes
    -----
    Sharing a letter is no evidence that means are equal. *Same as* `multcomp::cld(emm)`.
    """
    if not 0 < alpha < 1:
        raise SpecError(f"alpha={alpha!r} must lie between 0 and 1, for example 0.05.")
    table, groups = emm.table, emm.groups
    order: list[int] = []
    letters: list[str] = []
    for group in groups:
        mine = group[emm.estimable[group]]
        mine = mine[np.argsort(table["estimate"][mine], kind="stable")]
        order += mine.tolist()
        compared = _p_values(emm, mine, adjust)
        differs = np.zeros((len(mine), len(mine)), bool)
        differs[np.triu_indices(len(mine), 1)] = compared < alpha
        letters += compact_letters(differs | differs.T)
    columns = {name: table[name][order] for name in table}
    note = f"means that share a letter do not differ at alpha = {alpha:g} ({adjust})"
    return Table(
        {**columns, "group": as_objects(letters)}, "", (*table.notes, note), table.backend, table.formats
    )


def _p_values(emm: EMM, rows: NDArray[np.intp], adjust: str) -> Array:
    """Return the adjusted p-values of all pairs of some of the means, in the order of the upper triangle."""
    levels = {name: values[rows] for name, values in emm.levels.items()}
    some = replace(emm, L=emm.L[rows], offset=emm.offset[rows], levels=levels, by=())
    return contrast(some, "pairwise", adjust=adjust).table["p_value"]
