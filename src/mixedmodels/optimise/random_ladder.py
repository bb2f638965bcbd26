"""Where the search starts when random effects beside independent errors have ranges, correlations or loadings."""

from __future__ import annotations

from math import isfinite

import numpy as np

from ..criterion.base import Criterion
from ..criterion.parameters import Block
from ..typing import Array

SHARE = 0.5
"""Share of the residual variance that such effects start from beside moments, which may take them for absent."""
MOST = 3
"""Starting points of one covariance beside moments, at most."""
SMALL = 1000
"""Rows up to which there are several."""


def around_moments(criterion: Criterion, base: Array) -> list[Array]:
    """Return θ to search from: `base`, and in small data points at other ranges, correlations or loadings.

    Notes
    -----
    One covariance at a time is put on its own ladder (`Structure.starts`) at half the variance of the data; of the
    points there those are taken where −2l is lower than at both neighbours, and the ends and the middle.
    """
    points = [base]
    if criterion.design.n > SMALL or criterion.joint:
        return points
    for block in criterion.model.random_blocks:
        points += _along_ladder(criterion, block, base)
    return points


def _along_ladder(criterion: Criterion, block: Block, base: Array) -> list[Array]:
    at = block.positions
    sizes = criterion.equations.column_squares()[block.term] / criterion.design.n
    variance = SHARE / (1.0 - SHARE) / at.size
    target = np.diag(variance / np.where(sizes > 0, sizes, 1.0))
    grid = block.structure.starts(target, at)
    if grid.shape[0] * grid.shape[1] == 1:
        return []
    tried = []
    for own in grid.reshape(-1, grid.shape[2]):
        theta = base.copy()
        theta[block.place] = own
        tried.append((criterion.value(theta), theta))
    values = np.array([value for value, _ in tried])
    padded = np.concatenate([[np.inf], values, [np.inf]])
    lowest = np.flatnonzero((values <= padded[:-2]) & (values <= padded[2:]))
    ends = [0, (len(values) - 1) // 2, len(values) - 1]
    chosen = list(dict.fromkeys([*lowest[np.argsort(values[lowest])].tolist(), *ends]))
    return [tried[i][1] for i in chosen if isfinite(values[i])][:MOST]
