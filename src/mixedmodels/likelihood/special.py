"""Differences of log-gamma and its derivatives that keep their digits where the parts are large and nearly equal.

D_j(x, y) = ψ^{(j−1)}(x + y) − ψ^{(j−1)}(x), with D_0 the difference of log Γ. A negative binomial with a large size
and a beta-binomial with a large precision, are such differences: computed from the parts they are noise beyond 1e7.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..lazy import LazyModule
from ..typing import Array

special = LazyModule("scipy.special")

_STIRLING = (1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0)
_MANY, _TABLE = 2_000, 1_000
"""Numbers from which, and values up to which, functions of counts are looked up."""
_FAR = 1e3
"""Beyond this x the Stirling remainders have four digits fewer than a double holds; the series is exact there."""


def _tail(x: Array, order: int) -> Array:
    """Return the j-th derivative of Σ c_k x^{1−2k}, the part of log Γ beyond (x − ½)log x − x + ½log 2π."""
    total = np.zeros_like(x)
    for k, coefficient in enumerate(_STIRLING):
        power = -(2 * k + 1)
        factor = coefficient
        for step in range(order):
            factor *= power - step
        total += factor * x ** (power - order)
    return total


def _far_difference(x: Array, y: Array, order: int) -> Array:
    """Return D_order(x, y) by Stirling's series, logarithms through log1p(y/x)."""
    grown = x + y
    ratio = np.log1p(y / x)
    tail = _tail(grown, order) - _tail(x, order)
    if order == 0:
        return (grown - 0.5) * ratio + y * np.log(x) - y + tail
    # derivatives of (x − ½)log x − x: log x − 1/(2x), then 1/x + 1/(2x²), −1/x² − 1/x³, each as a difference
    reciprocal = -y / (x * grown)
    if order == 1:
        return ratio - 0.5 * reciprocal + tail
    squares = reciprocal * (1.0 / grown + 1.0 / x)
    if order == 2:
        return reciprocal + 0.5 * squares + tail
    cubes = reciprocal * (1.0 / grown**2 + 1.0 / (grown * x) + 1.0 / x**2)
    if order == 3:
        return -squares - cubes + tail
    fourths = squares * (1.0 / grown**2 + 1.0 / x**2)
    return 2.0 * cubes + 3.0 * fourths + tail


def gamma_difference(x: Array, y: Array, order: int) -> Array:
    """Return the order-th derivative in x of log Γ(x + y) − log Γ(x), for x > 0 and x + y > 0.

    Examples
    --------
    >>> float(gamma_difference(np.array(2.0), np.array(3.0), 0))          # log(4!/1!)
    3.17805383034794...
    >>> float(gamma_difference(np.array(1e12), np.array(3.0), 0) - 3.0 * np.log(1e12))   # Σ log1p(j/x)
    2.998...e-12
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    found = _of_counts(x, y, order) if x.size >= _MANY else None
    return _difference(x, y, order) if found is None else found


def _of_counts(x: Array, y: Array, order: int) -> Array | None:
    """Return D_order where many rows share few x and few whole y, (n,), each pair computed once; None elsewhere."""
    if y.ndim != 1 or not (y.min() >= 0.0 and y.max() < _TABLE) or (y != np.floor(y)).any():
        return None
    if x.min() == x.max():
        sizes, place = x[:1], None
    else:
        sizes, place = np.unique(x, return_inverse=True)
    counts = np.arange(int(y.max()) + 1, dtype=float)
    if len(sizes) * len(counts) > x.size // 2:
        return None
    shape = (len(sizes), len(counts))
    table = _difference(np.broadcast_to(sizes[:, None], shape), np.broadcast_to(counts, shape), order)
    whole = y.astype(np.intp)
    return np.asarray(table[0][whole] if place is None else table[place, whole])


def _difference(x: Array, y: Array, order: int) -> Array:
    """Return D_order(x, y) by elements."""
    near = np.minimum(x, x + y) < _FAR
    found = np.empty(x.shape)
    if near.any():
        a, b = x[near], (x + y)[near]
        if order == 0:
            found[near] = special.gammaln(b) - special.gammaln(a)
        else:
            found[near] = special.polygamma(order - 1, b) - special.polygamma(order - 1, a)
    if not near.all():
        far = ~near
        found[far] = _far_difference(x[far], y[far], order)
    return found


def log1mexp(x: Array) -> Array:
    """Return log(1 − e^x) for x < 0.

    Examples
    --------
    >>> float(log1mexp(np.array(-1e-20)))
    -46.0517018598809...
    """
    with np.errstate(divide="ignore"):
        return np.where(x > -0.6931471805599453, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def log_factorial(y: Array) -> Array:
    """Return log y! of whole numbers y ≥ 0.

    Examples
    --------
    >>> log_factorial(np.array([0.0, 1.0, 5.0])).round(6).tolist()
    [0.0, 0.0, 4.787492]
    """
    if len(y) < _MANY or not float(y.max()) < _TABLE:
        return np.asarray(special.gammaln(y + 1.0))
    return _factorials()[y.astype(np.intp)]


@lru_cache(maxsize=1)
def _factorials() -> Array:
    return np.asarray(special.gammaln(np.arange(_TABLE) + 1.0))


def log_choose(trials: Array, y: Array) -> Array:
    """Return log C(m, y)."""
    return log_factorial(trials) - log_factorial(y) - log_factorial(trials - y)
