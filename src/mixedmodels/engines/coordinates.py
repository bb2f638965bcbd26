"""The equations' own coordinates of β, and the way between them and the user's columns of X.

Equations take X in columns X_own = XA that are centred (where the model has a constant column) and scaled to unit
standard deviation, and orthonormal where those are nearly dependent. What is invariant in exact arithmetic is
computed there: a function l'β is (A'l)'β_own, its variance (A'l)'Φ_own(A'l). Only what is printed by column of X,
β = Aβ_own and AΦ_ownA', is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..typing import Array


@dataclass(frozen=True, slots=True, eq=False)
class FixedBasis:
    """The map A from the equations' own coordinates to the estimable columns of X, r of them.

    Parameters
    ----------
    centre, scale
        What is subtracted from columns of X and what they are multiplied by then, (r,); `centre` is zero for the
        constant column.
    constant, level
        Index of the constant column, None without one, and its value.
    triangle
        Upper triangular map (r, r) that makes the centred, scaled columns orthonormal (to norm √n), None for none.
    written
        Unit triangular map (r, r) from coefficients of the columns of X to those of the columns as written, None where
        they are the same; see `FixedTerms`.
    """

    centre: Array
    scale: Array
    constant: int | None = None
    level: float = 1.0
    triangle: Array | None = None
    written: Array | None = None

    @classmethod
    def identity(cls, rank: int) -> FixedBasis:
        """Return the basis of equations in the columns of X as they are."""
        return cls(np.zeros(rank), np.ones(rank))

    @property
    def logdet_shift(self) -> float:
        """−2 log|det A|: log|X'V⁻¹X| of the user's X less that of the own columns."""
        out = -2.0 * float(np.log(self.scale).sum())
        if self.triangle is not None:
            out -= 2.0 * float(np.log(np.diagonal(self.triangle)).sum())
        return out

    def rows(self, x: Array) -> Array:
        """Return xA for rows of X or functions of β on its columns, (..., r)."""
        x = np.asarray(x, dtype=float)
        # centres are taken from the values themselves: what is left of a calendar year keeps all its digits
        out = x - self._centres(x)
        out *= self.scale
        return out if self.triangle is None else np.asarray(out @ self.triangle)

    def _centres(self, x: Array) -> Array:
        if self.constant is None:
            return np.zeros(1)
        return np.asarray((x[..., self.constant, None] / self.level) * self.centre)

    def coefficients(self, beta: Array) -> Array:
        """Return own coefficients b, (r,) or (r, k), by column as written: TAb."""
        found = self.of_columns(beta)
        return found if self.written is None else np.asarray(self.written @ found)

    def of_columns(self, beta: Array) -> Array:
        """Return A b for own coefficients b, (r,) or (r, k)."""
        out = (self._untwisted(beta).T * self.scale).T
        if self.constant is not None:
            out[self.constant] -= self.centre @ out / self.level
        return out

    def _untwisted(self, beta: Array) -> Array:
        return beta if self.triangle is None else np.asarray(self.triangle @ beta)

    def covariance(self, phi: Array) -> Array:
        """Return the covariance by column as written for a covariance Φ (r, r) of own coefficients: TAΦA'T'."""
        out = self.coefficients(self.coefficients(phi).T)
        return np.asarray(0.5 * (out + out.T))
