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
    unknown = False
    for group in groups:
        mine = group[emm.estimable[group]]
        mine = mine[np.argsort(table["estimate"][mine], kind="stable")]
        order += mine.tolist()
        if not len(mine):
            continue
        compared = _p_values(emm, mine, adjust)
        if np.isnan(compared).any():
            # what cannot be compared can neither share a letter nor lack one
            letters, unknown = [*letters, *[""] * len(mine)], True
            continue
        differs = np.zeros((len(mine), len(mine)), bool)
        differs[np.triu_indices(len(mine), 1)] = compared < alpha
        letters += compact_letters(differs | differs.T)
    columns = {name: table[name][order] for name in table}
    notes = [*table.notes, f"means that share a letter do not differ at alpha = {alpha:g} ({adjust})"]
    if unknown:
        notes.append(
            "no letters where some pairs have no test: this method leaves them no degrees of freedom"
        )
    return Table({**columns, "group": as_objects(letters)}, "", tuple(notes), table.backend, table.formats)


def _p_values(emm: EMM, rows: NDArray[np.intp], adjust: str) -> Array:
    """Return the adjusted p-values of all pairs of some of the means, in the order of the upper triangle."""
    levels = {name: values[rows] for name, values in emm.levels.items()}
    if len(rows) < 2:
        return np.zeros(0)
    some = replace(emm, L=emm.L[rows], offset=emm.offset[rows], levels=levels, by=())
    return contrast(some, "pairwise", adjust=adjust).table["p_value"]
