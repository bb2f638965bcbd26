"""B-splines by their knots, and their derivatives: what P-splines and splines with derivative penalties share."""

from __future__ import annotations

import numpy as np

from ..typing import Array


def b_spline(knots: Array, degree: int, x: Array, derivative: int = 0) -> Array:
    """Return the B-splines of a degree at x, (n, len(knots) − degree − 1), within the inner knots.

    Notes
    -----
    Cox and de Boor's recursion over the degree + 1 splines that are not zero; a derivative is the basis of a lower
    degree times divided differences of the coefficients (de Boor 2001, *A Practical Guide to Splines*, chapter X).

    Examples
    --------
    >>> b_spline(np.arange(-3.0, 5.0), 3, np.array([0.0])).round(4).tolist()
    [[0.1667, 0.6667, 0.1667, 0.0]]
    """
    if derivative > degree:
        return np.zeros((len(x), len(knots) - degree - 1))
    if derivative:
        lower = b_spline(knots[1:-1], degree - 1, x, derivative - 1)
        out: Array = lower @ differences(knots, degree)
        return out
    last = len(knots) - degree - 2
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, degree, last)
    local: Array = np.zeros((degree + 1, len(x)))
    local[0] = 1.0
    for order in range(1, degree + 1):
        saved = np.zeros(len(x))
        for j in range(order):
            right, before = knots[left + j + 1], knots[left + j + 1 - order]
            share = local[j] / (right - before)
            local[j] = saved + (right - x) * share
            saved = (x - before) * share
        local[order] = saved
    out = np.zeros((len(x), last + 1))
    at = np.arange(len(x))
    for j in range(degree + 1):
        out[at, left - degree + j] = local[j]
    return out


def differences(knots: Array, degree: int) -> Array:
    """Return the map from coefficients to those of the derivative, (k − 1, k)."""
    k = len(knots) - degree - 1
    steps = knots[1 + degree : k + degree] - knots[1:k]
    return np.diff(np.eye(k), axis=0) * (degree / steps)[:, None]


def roughness(knots: Array, degree: int, order: int) -> Array:
    """Return ∫(f^{(order)})² over the inner knots, (k, k), exact: Gauss–Legendre of enough points in each interval.

    Notes
    -----
    Wood (2017), Statistics and Computing 27:985.
    """
    points, weights = np.polynomial.legendre.leggauss(degree - order + 1)
    inner = knots[degree : len(knots) - degree]
    middle, half = (inner[1:] + inner[:-1]) / 2, np.diff(inner) / 2
    at = (middle[:, None] + half[:, None] * points).ravel()
    columns = b_spline(knots, degree, at, order)
    out: Array = columns.T @ (columns * np.outer(half, weights).ravel()[:, None])
    return (out + out.T) / 2
