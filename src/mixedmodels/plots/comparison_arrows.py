"""Arrows of estimates such that two overlap exactly where the estimates do not differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ..emmeans.comparisons import contrast
from ..emmeans.emm import EMM
from ..errors import SpecError
from ..typing import Array

CLEAR = 1e-3
"""Overlap, or gap, in units of the difference that is just significant, that shows an arrow to overlap or not."""
HEAVY = 1e3
"""Price of a pair shown wrong, against that of an arrow longer or shorter than it should be."""
EVEN = 1e-3
"""Price of unequal arrows of one estimate, which settles what the pairs leave open."""
MOST = 60


@dataclass(frozen=True, slots=True, eq=False)
class Arrows:
    """Lengths to the left and right of each estimate, (k,), NaN where there are none, and what the caption says."""

    left: Array
    right: Array
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of estimates: the lower and the higher, their gap, the least significant gap, whether they differ, (m,)."""

    lower: NDArray[np.intp]
    higher: NDArray[np.intp]
    gap: Array
    least: Array
    differ: NDArray[np.bool_]


def comparison_arrows(emm: EMM, adjust: str) -> Arrows:
    """Return arrows of the estimates of each group, compared with one another.

    Notes
    -----
    With m_i < m_j, the right arrow r_i of the lower and the left arrow l_j of the higher overlap where r_i + l_j
    exceeds m_j − m_i. Their sum is to be near the least significant difference δ_ij of every pair, and on the right
    side of the difference: minimise Σ|r_i + l_j − δ_ij| over r, l ≥ 0 subject to that (Lenth's idea; here a linear
    program, in which a pair shown wrong is possible at a price, and the two arrows of an estimate are alike where pairs
    leave that open).
    """
    left, right = np.full(len(emm), np.nan), np.full(len(emm), np.nan)
    wrong: list[str] = []
    for group, pairs in zip(emm.groups, _pairs(emm, adjust), strict=True):
        if len(group) > MOST:
            raise SpecError(
                f"comparisons=True compares up to {MOST} estimates of a group, and here are {len(group)}."
            )
        if not len(pairs.gap):
            continue
        lengths, missed = _lengths(len(emm), pairs)
        right[group], left[group] = lengths[0][group], lengths[1][group]
        wrong += [f"{_name(emm, pairs.lower[k])} and {_name(emm, pairs.higher[k])}" for k in missed]
    level = emm.settings.level
    text = f"Arrows that do not overlap: means differ at {1 - level:.3g}, {adjust} adjustment."
    if wrong:
        text += f" Not shown right: {'; '.join(wrong)}."
    return Arrows(left, right, text)


def _name(emm: EMM, row: int) -> str:
    return " ".join(str(emm.levels[name][row]) for name in emm.primary)


def _pairs(emm: EMM, adjust: str) -> list[Pairs]:
    compared = contrast(emm, "pairwise", adjust=adjust)
    table, found = compared.table, []
    estimates = emm.table["estimate"]
    start = 0
    for group in emm.groups:
        i, j = (group[places] for places in np.triu_indices(len(group), 1))
        rows = np.arange(start, start + len(i))
        start += len(i)
        gap, p_value = table["estimate"][rows], table["p_value"][rows]
        # the contrasts stand in the order (1, 2), (1, 3) … (2, 3) …
        np.testing.assert_allclose(
            gap, estimates[i] - estimates[j], rtol=1e-6, atol=1e-9 * np.nanmax(np.abs(estimates))
        )
        half = 0.5 * (table["conf_high"][rows] - table["conf_low"][rows])
        known = np.isfinite(gap) & np.isfinite(p_value) & np.isfinite(half)
        i, j, gap, p_value, half = i[known], j[known], gap[known], p_value[known], half[known]
        lower, higher = np.where(gap < 0, i, j), np.where(gap < 0, j, i)
        size, differ = np.abs(gap), p_value < 1 - emm.settings.level
        # an adjustment without limits of its own (Holm's) has p-values that count
        least = np.where(differ, np.minimum(half, size), np.maximum(half, size))
        found.append(Pairs(lower, higher, size, least, differ))
    return found


def _lengths(k: int, pairs: Pairs) -> tuple[Array, list[int]]:
    """Return lengths to the right and left, (2, k), NaN where nothing is compared, and the pairs shown wrong."""
    m = len(pairs.gap)
    unit = pairs.least.max()
    used = np.zeros((2, k), bool)
    used[0, pairs.lower] = used[1, pairs.higher] = True
    # columns: r (k), l (k), departure from δ (m), by how much a pair is shown wrong (m), |r − l| (k), the longest (1)
    width = 3 * k + 2 * m + 1
    sums = np.zeros((m, width))
    rows = np.arange(m)
    sums[rows, pairs.lower] = sums[rows, k + pairs.higher] = 1.0
    above, below, side = sums.copy(), -sums, np.where(pairs.differ, 1.0, -1.0)[:, None] * sums
    above[rows, 2 * k + rows] = below[rows, 2 * k + rows] = -1.0
    side[rows, 2 * k + m + rows] = -1.0
    delta, gap = pairs.least / unit, pairs.gap / unit
    bound = np.where(pairs.differ, gap, -gap) - CLEAR
    cost = np.concatenate([np.zeros(2 * k), np.ones(m), np.full(m, HEAVY), np.full(k, EVEN), [EVEN]])
    even = _even(k, width, used[0] & used[1])
    solved = linprog(
        cost, np.vstack([above, below, side, even]), np.concatenate([delta, -delta, bound, np.zeros(len(even))]),
        method="highs",
    )  # fmt: skip
    if not solved.success:
        raise SpecError(f"comparisons=True: the lengths of arrows could not be found ({solved.message}).")
    found: Array = np.asarray(solved.x)
    wrong = np.flatnonzero(found[2 * k + m : 2 * k + 2 * m] > 0.5 * CLEAR)
    lengths = np.where(used, unit * found[: 2 * k].reshape(2, k), np.nan)
    return lengths, [int(row) for row in wrong]


def _even(k: int, width: int, both: NDArray[np.bool_]) -> Array:
    """Return the rows that make |r − l|, of those with both arrows, and the longest arrow cost something."""
    rows = np.zeros((4 * k, width))
    for i in range(k):
        if both[i]:
            rows[i, [i, k + i, width - 1 - k + i]] = [1.0, -1.0, -1.0]
            rows[k + i, [i, k + i, width - 1 - k + i]] = [-1.0, 1.0, -1.0]
        rows[2 * k + i, [i, width - 1]] = [1.0, -1.0]
        rows[3 * k + i, [k + i, width - 1]] = [1.0, -1.0]
    return rows
