"""Means in order with letters that say which do not differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..inference.simultaneous import tukey_upper
from ..table import Table, free_name
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
        compared = _compared(emm, mine, adjust, alpha)
        if compared is None:
            # what cannot be compared can neither share a letter nor lack one
            letters, unknown = [*letters, *[""] * len(mine)], True
            continue
        differs = np.zeros((len(mine), len(mine)), bool)
        differs[np.triu_indices(len(mine), 1)] = compared
        letters += compact_letters(differs | differs.T)
    columns = {name: table[name][order] for name in table}
    notes = [*table.notes, f"means that share a letter do not differ at alpha = {alpha:g} ({adjust})"]
    if len(groups) > 1:
        notes.append(f"letters are of comparisons within {', '.join(emm.by)}")
    if unknown:
        notes.append(
            "no letters where some pairs have no test: this method leaves them no degrees of freedom"
        )
    return Table(
        {**columns, free_name("group", columns): as_objects(letters)},
        "",
        tuple(notes),
        table.backend,
        table.formats,
    )


def _compared(emm: EMM, rows: NDArray[np.intp], adjust: str, alpha: float) -> NDArray[np.bool_] | None:
    """Return which pairs of some of the means differ, in the order of the upper triangle; None where one has no test.

    Tukey's p-value lies between that of a single test and Bonferroni's; it is computed where these do not decide.
    """
    levels = {name: values[rows] for name, values in emm.levels.items()}
    if len(rows) < 2:
        return np.zeros(0, bool)
    some = replace(emm, L=emm.L[rows], offset=emm.offset[rows], levels=levels, by=())
    single = contrast(some, "pairwise", adjust="none").table
    p_value = single["p_value"]
    if adjust.strip().lower() != "tukey" or not (single["std_error"] > 0).all() or np.isnan(p_value).any():
        p_value = contrast(some, "pairwise", adjust=adjust).table["p_value"]
        return None if np.isnan(p_value).any() else p_value < alpha
    differs = np.asarray(p_value * len(p_value) < alpha)
    for i in np.flatnonzero((p_value < alpha) & ~differs):
        statistic, df = float(abs(single["statistic"][i])), float(single["df"][i])
        differs[i] = tukey_upper(statistic, float(len(rows)), df) < alpha
    return differs
