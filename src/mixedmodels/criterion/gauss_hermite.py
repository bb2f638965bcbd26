"""Gauss–Hermite rules of one to three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from ..errors import SpecError
from ..typing import Array

DEFAULT = {1: 15, 2: 9, 3: 7}
"""Points a dimension where nothing is said, by the number of dimensions."""
MOST_DIMENSIONS = 3
MOST_NODES = 10_000
"""Nodes a level at most."""
MOST_POINTS = 100
"""Points a dimension at most: rules are exact to rounding up to there."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Nodes z (K, p) and log weights (K,) with ∫f(z)dz/(2π)^{p/2} ≈ Σ_k exp(log_weight_k) f(z_k).

    Exact where f is the standard normal density times a polynomial of degree ≤ 2·points − 1 in every coordinate.

    Examples
    --------
    >>> rule = gauss_hermite(3, 1)
    >>> square = np.exp(rule.log_weights - 0.5 * rule.nodes[:, 0] ** 2) @ rule.nodes[:, 0] ** 2
    >>> rule.nodes[:, 0].round(4).tolist(), round(float(square), 12)
    ([-1.7321, 0.0, 1.7321], 1.0)
    """

    points: int
    nodes: Array
    log_weights: Array

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def dimensions(self) -> int:
        return int(self.nodes.shape[1])


def gauss_hermite(points: int, dimensions: int) -> Rule:
    """Return the product rule with so many points a dimension.

    Raises
    ------
    SpecError
        For points that are not a whole number from 1, or too many of them.
    """
    most = most_points(dimensions)
    if isinstance(points, bool) or not isinstance(points, int) or not 1 <= points <= most:
        raise SpecError(
            f"points={points!r} must be a whole number from 1 to {most}, the points a dimension where a level has "
            f"{dimensions} random effect{'s' if dimensions > 1 else ''}, or 'auto'."
        )
    return _product_rule(points, dimensions)


@lru_cache(maxsize=32)
def _product_rule(points: int, dimensions: int) -> Rule:
    z, weights = np.polynomial.hermite_e.hermegauss(points)
    logs = np.log(weights) - 0.5 * np.log(2.0 * np.pi) + 0.5 * z**2
    nodes = np.array(list(product(z, repeat=dimensions)))
    log_weights = np.array([sum(one) for one in product(logs, repeat=dimensions)])
    nodes.flags.writeable = log_weights.flags.writeable = False
    return Rule(points, nodes, log_weights)


def most_points(dimensions: int) -> int:
    """Return the most points a dimension.

    Examples
    --------
    >>> [most_points(p) for p in (1, 2, 3)]
    [100, 100, 21]
    """
    return min(MOST_POINTS, int(round(float(MOST_NODES ** (1.0 / dimensions)), 9)))


def next_points(points: int, dimensions: int) -> int | None:
    """Return how many points a dimension to compare so many with: about half as many again; None where there are none.

    Examples
    --------
    >>> next_points(15, 1), next_points(7, 3), next_points(21, 3)
    (23, 11, None)
    """
    raised = min(points + max(points // 2, 1) + (points // 2) % 2, most_points(dimensions))
    return raised if raised > points else None
