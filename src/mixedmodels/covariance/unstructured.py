"""Unstructured covariance matrices: `us`, `unr` (the same reported as correlations), `banded_us(q)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from . import loadings
from .base import (
    SIGNIFICANT,
    VANISHED,
    Natural,
    Positions,
    Structure,
    joined,
    positive_diagonal,
    semidefinite_cholesky,
)
from .correlation import own_name, pair_name
from .loadings import Pattern


class TriangularFactor:
    """Σ = LL' with the raw entries of L, column by column, as θ; written to be mixed with `Structure`."""

    __slots__ = ()

    own_variances = True
    closed_under = frozenset({"linear", "scale"})

    def pattern(self, m: int) -> Pattern:
        """Return the free entries of L."""
        return loadings.trapezoid(m, m)

    def size(self, m: int) -> int:
        """Return the number of working parameters for an m×m matrix."""
        return m * (m + 1) // 2

    def matrix(self, theta: Array, at: Positions) -> Array:
        """Return Σ(θ), (m, m)."""
        return loadings.outer(theta, self.pattern(at.size))

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂Σ/∂θ_a, (k, m, m)."""
        return loadings.d_outer(theta, self.pattern(at.size))

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ/∂θ_a∂θ_b, (k, k, m, m)."""
        return loadings.d2_outer(self.pattern(at.size))

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂²Σ/∂θ_a∂θ_b⟩, (k, k)."""
        return loadings.outer_curvature(gamma, self.pattern(at.size))

    def factor(self, theta: Array, at: Positions) -> Array:
        """Return L (m, m) itself; its diagonal may be zero or negative."""
        return loadings.fill(theta, self.pattern(at.size))

    def factor_entries(self, m: int) -> tuple[tuple[int, int, int], ...]:
        """Return (row, column, parameter) of the free entries of L."""
        pattern = self.pattern(m)
        return tuple(
            (int(i), int(j), a) for a, (i, j) in enumerate(zip(pattern.rows, pattern.cols, strict=True))
        )

    def start(self, target: Array, at: Positions) -> Array:
        """Return the Cholesky factor of `target`."""
        return semidefinite_cholesky(target).ravel()[self.pattern(at.size).flat]

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        """Return θ' with Σ(θ') = factor · Σ(θ)."""
        value: Array = factor**0.5 * theta
        return value

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        """Return θ' with Σ(θ') = TΣ(θ)T' for any T (m, m), from a rotation of TL: exact at a singular Σ too."""
        pattern = self.pattern(at.size)
        return loadings.lower_trapezoid(t @ loadings.fill(theta, pattern)).ravel()[pattern.flat]

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the free elements of Σ, row by row of its lower triangle."""
        rows, cols = _by_rows(self.pattern(at.size))
        sigma, first = self.matrix(theta, at), self.d_matrix(theta, at)
        names = tuple(
            own_name("var", at.labels[i]) if i == j else pair_name("cov", at.labels[j], at.labels[i])
            for i, j in zip(rows, cols, strict=True)
        )
        kinds = tuple("variance" if i == j else "covariance" for i, j in zip(rows, cols, strict=True))
        return Natural(names, sigma[rows, cols], first[:, rows, cols].T, kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from the free elements of Σ; ValueError unless Σ is positive semidefinite."""
        pattern = self.pattern(at.size)
        rows, cols = _by_rows(pattern)
        sigma = np.zeros((at.size, at.size))
        sigma[rows, cols] = sigma[cols, rows] = values
        return semidefinite_cholesky(sigma).ravel()[pattern.flat]

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with Σ + step·ww' if Γ has a negative direction w among those missing from Σ, or None."""
        pattern = self.pattern(at.size)
        loading = loadings.fill(theta, pattern)
        direction = loadings.missing_direction(loading, gamma, step)
        if direction is None:
            return None
        return loadings.with_direction(loading, direction, step).ravel()[pattern.flat]

    def canonical(self, theta: Array, at: Positions) -> Array:
        """Return the entries of the Cholesky factor with a diagonal that is not negative."""
        pattern = self.pattern(at.size)
        loading = loadings.fill(theta, pattern)
        if not np.all(loading.diagonal()):
            # A zero pivot may stand over a column that is not zero; the semidefinite factor has none of
            # those.
            loading = semidefinite_cholesky(loading @ loading.T)
        signs = np.where(loading.diagonal() < 0.0, -1.0, 1.0)
        return (loading * signs).ravel()[pattern.flat]


@final
@dataclass(frozen=True, slots=True)
class Unstructured(TriangularFactor, Structure):
    """Any positive semidefinite Σ = LL'; θ are the entries of L column by column (the order of lme4's theta).

    *Same as* SAS TYPE=UN, lme4 `(x | g)`, nlme pdSymm; natural parameters are the variances and covariances.

    Examples
    --------
    >>> at = Positions(2, ("(Intercept)", "Days"))
    >>> us = Unstructured()
    >>> us.matrix(np.array([2.0, 1.0, 3.0]), at)
    array([[ 4.,  2.],
           [ 2., 10.]])
    >>> us.natural(np.array([2.0, 1.0, 3.0]), at).names
    ('var(Intercept)', 'cov(Intercept, Days)', 'var(Days)')
    """

    names: ClassVar[tuple[str, ...]] = (
        "us", "un", "unstructured", "chol", "pdsymm", "pdlogchol", "pdnatural",
    )  # fmt: skip
    linear = True
    unit_first = True


@final
@dataclass(frozen=True, slots=True)
class UnstructuredCorrelations(TriangularFactor, Structure):
    """Any positive semidefinite Σ, reported as m variances and m(m−1)/2 correlations; θ as for `us`.

    *Same as* SAS TYPE=UNR, and nlme corSymm with varIdent by position.

    Examples
    --------
    >>> at = Positions(2, ("1", "2"))
    >>> UnstructuredCorrelations().natural(np.array([2.0, 0.6, 0.8]), at).values
    array([4. , 1. , 0.6])
    """

    names: ClassVar[tuple[str, ...]] = ("unr",)
    unit_first = True

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the m variances, then the correlations row by row (0 where a variance is zero)."""
        m = at.size
        rows, cols = np.tril_indices(m, -1)
        sigma, first = self.matrix(theta, at), self.d_matrix(theta, at)
        variances, slopes = np.diagonal(sigma), np.diagonal(first, axis1=1, axis2=2)
        safe = np.where(variances == 0.0, 1.0, variances)
        correlations = sigma[rows, cols] / np.sqrt(safe[rows] * safe[cols])
        relative = first[:, rows, cols] / np.sqrt(safe[rows] * safe[cols])
        logs = slopes / safe
        relative = relative - 0.5 * correlations * (logs[:, rows] + logs[:, cols])
        relative = np.where((variances[rows] == 0.0) | (variances[cols] == 0.0), 0.0, relative)
        names = [own_name("var", label) for label in at.labels]
        names += [pair_name("cor", at.labels[j], at.labels[i]) for i, j in zip(rows, cols, strict=True)]
        kinds = ("variance",) * m + ("correlation",) * len(rows)
        jacobian = np.concatenate([slopes.T, relative.T])
        return Natural(tuple(names), joined(variances, correlations), jacobian, kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from variances and correlations; ValueError unless Σ is positive semidefinite."""
        m = at.size
        if not np.all(np.asarray(values[:m]) >= 0.0):
            raise ValueError("variances must be numbers ≥ 0")
        correlation = np.eye(m)
        rows, cols = np.tril_indices(m, -1)
        correlation[rows, cols] = correlation[cols, rows] = values[m:]
        factor = np.sqrt(values[:m])[:, None] * semidefinite_cholesky(correlation)
        return factor.ravel()[self.pattern(m).flat]


@final
@dataclass(frozen=True, slots=True)
class BandedUnstructured(TriangularFactor, Structure):
    """Σ with free elements on its first q diagonals and zeros beyond; θ are the entries of its banded factor.

    *Same as* SAS TYPE=UN(q). The Cholesky factor of a banded matrix has the same band, and every banded
    factor gives a banded Σ ⪰ 0, so no admissible Σ is left out.

    Examples
    --------
    >>> at = Positions(3, ("1", "2", "3"))
    >>> BandedUnstructured(2).matrix(np.array([1.0, 1.0, 1.0, 1.0, 1.0]), at)
    array([[1., 1., 0.],
           [1., 2., 1.],
           [0., 1., 2.]])
    """

    names: ClassVar[tuple[str, ...]] = ("banded_us", "unb")
    linear = True
    unit_first = True
    over_positions = True
    ordered = True
    closed_under = frozenset({"scale"})
    diagonals: int

    def __post_init__(self) -> None:
        if self.diagonals < 1:
            raise SpecError(f"banded_us({self.diagonals}): the number of diagonals must be at least 1.")

    def smallest(self) -> int:
        return self.diagonals

    def size(self, m: int) -> int:
        q = min(self.diagonals, m)
        return q * m - q * (q - 1) // 2

    def pattern(self, m: int) -> Pattern:
        """Return the free entries of L."""
        return loadings.band(m, self.diagonals)

    def start(self, target: Array, at: Positions) -> Array:
        """Return the factor of `target` cut to its band, covariances halved until Σ is positive definite."""
        pattern = self.pattern(at.size)
        diagonal = np.diag(np.diag(target))
        outside = np.abs(np.subtract.outer(np.arange(at.size), np.arange(at.size))) >= self.diagonals
        banded = np.where(outside, 0.0, target - diagonal)
        while np.linalg.eigvalsh(diagonal + banded)[0] < 0.1 * np.min(np.diag(target)):
            banded = 0.5 * banded
            if np.max(np.abs(banded)) < 1e-6 * np.max(np.diag(target)):
                banded = np.zeros_like(banded)
                break
        return semidefinite_cholesky(diagonal + banded).ravel()[pattern.flat]

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        """Return θ' with Σ(θ') = TΣ(θ)T' for a diagonal T with positive elements; ValueError for another."""
        value: Array = positive_diagonal(t, self.names[0])[self.pattern(at.size).rows] * theta
        return value

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with a vanished column of L put along a negative direction of Γ in its band, or None."""
        pattern = self.pattern(at.size)
        loading = loadings.fill(theta, pattern)
        for j in np.flatnonzero(np.sum(loading**2, axis=0) < VANISHED * step):
            rows = slice(j, j + self.diagonals)
            eigenvalues, vectors = np.linalg.eigh(gamma[rows, rows])
            if eigenvalues[0] * step < -SIGNIFICANT:
                loading[rows, j] = np.sqrt(step) * vectors[:, 0]
                return loading.ravel()[pattern.flat]
        return None

    def canonical(self, theta: Array, at: Positions) -> Array:
        """Return θ with a diagonal of L that is not negative."""
        return loadings.positive_columns(theta, self.pattern(at.size))


def _by_rows(pattern: Pattern) -> tuple[loadings.Index, loadings.Index]:
    """Return rows and columns of the free entries in the order of SAS: row by row."""
    order = np.lexsort((pattern.cols, pattern.rows))
    return pattern.rows[order], pattern.cols[order]
