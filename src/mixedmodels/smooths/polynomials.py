"""Polynomials of low degree in several variables: what thin plate splines and kriging leave free."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..typing import Array

Powers = tuple[tuple[int, ...], ...]


def powers(d: int, degree: int) -> Powers:
    """Return the exponents of all monomials of at most a degree in d variables, those of the first changing fastest.

    Examples
    --------
    >>> powers(2, 1)
    ((0, 0), (1, 0), (0, 1))
    """
    every = (exponent[::-1] for exponent in product(range(degree + 1), repeat=d))
    return tuple(exponent for exponent in every if sum(exponent) <= degree)


def monomials(u: Array, exponents: Powers) -> Array:
    """Return the monomials at u (n, d), one a column."""
    out: Array = np.ones((len(u), len(exponents)))
    for c, exponent in enumerate(exponents):
        for v, power in enumerate(exponent):
            if power:
                out[:, c] *= u[:, v] ** power
    return out
