"""The protocol of a covariance structure.

A structure maps parameters θ to a symmetric positive semidefinite m×m matrix Σ(θ) with exact first and
second derivatives, and knows nothing of likelihoods. The same object serves random effects (G side) and
errors (R side).

Working parameters θ are unconstrained reals chosen for the optimiser; reporting happens on the natural
scale (variances, covariances, correlations, ranges), which is also the scale of SAS's parameters. Wherever
the boundary of a family is a legitimate estimate (a variance of zero, a correlation of one), it is reached
at a finite θ, where the gradient in that parameter vanishes by symmetry; `escape` then tells a true optimum
from a false one.

`matrix`, `d_matrix` and `natural` accept complex θ, so that derivatives can be checked (and second
derivatives on the natural scale computed) by the complex step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..natural import Natural as Natural
from ..typing import Array

SIGNIFICANT = 1e-6
"""A predicted decrease of −2l below this is not worth leaving a boundary for."""
MARKED = 0.1
"""Standard deviation of a position that is marked out, relative to what it was."""
VANISHED = 0.01
"""A variance below this fraction of `step` counts as zero in `escape`; a larger one has a gradient."""
EPSILON = float(np.finfo(np.float64).eps)
NO_UNIT = 1e-100
"""Standard deviation relative to that of Σ below which it cannot be what Σ is measured in."""
ZERO_VARIANCE = 1e-8
"""A direction whose variance is below this fraction of `scale` counts as zero in `rank`."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the m rows of Σ stand: their number, names, and coordinates when the structure needs any.

    `coordinates` is (m, d): times for `car1`, x and y for `exp`; None for structures that use only the
    order. The structures of `spatial` also take a stack (..., m, d) of coordinates and then return stacks
    of matrices. For `kron`, see there.

    Where `packed`, structures of `on_pairs` return the lower triangle of every matrix by rows, (..., m(m + 1)/2), in
    place of (..., m, m), and so do their derivatives; Γ then holds both halves in one. `distances` are Euclidean ones
    of such pairs, where they are known already.
    """

    size: int
    labels: tuple[str, ...]
    coordinates: Array | None = None
    packed: bool = False
    distances: Array | None = None

    @property
    def diagonal(self) -> NDArray[np.intp]:
        """Places of the diagonal in a packed matrix, (m,)."""
        return np.cumsum(np.arange(1, self.size + 1)) - 1


@dataclass(frozen=True, slots=True)
class Range:
    """The place in θ of the logarithm of a range, and its limits: Σ beyond them is as at them, to rounding.

    `deviation` is the place of the standard deviation that grows with the range where only σ²/r is determined.
    """

    place: int
    low: float
    high: float
    deviation: int | None = None

    def moved(self, by: int) -> Range:
        """Return the same where θ stands `by` places further."""
        deviation = None if self.deviation is None else self.deviation + by
        return Range(self.place + by, self.low, self.high, deviation)


class Structure(ABC):
    """A family of covariance matrices. Subclasses are final, frozen and hold only their order (such as q).

    What other code must know of a family stands here as facts, with the usual answer; a class states its own where
    they differ, and structures made of another (a nugget, no bounds) pass on those of what they wrap. A class is
    asked by `structure_class(name)`.
    """

    __slots__ = ()

    names: ClassVar[tuple[str, ...]]
    """Canonical name first, then SAS and nlme spellings, all matched without regard to case."""
    needs_coordinates: bool = False
    linear: bool = False
    """Whether Σ is linear in the *natural* parameters, SAS's (Kenward–Roger has no second-derivative term then)."""
    r_side_only: ClassVar[bool] = False
    scale_free: ClassVar[bool] = True
    """Whether the family contains cΣ for every c > 0 with Σ, so that a common σ² can be taken out of it."""
    always_psd: bool = True
    """Whether Σ(θ) ⪰ 0 for every θ; otherwise `factor` raises ValueError outside the admissible region."""
    kinked: bool = False
    """Whether Σ has kinks in its second working parameter, the logarithm of a range, at the distances."""
    bounded: ClassVar[bool] = True
    """Whether Σ is kept positive semidefinite; otherwise zero variances are nothing special."""
    with_nugget: ClassVar[bool] = False
    """Whether the last parameter is the standard deviation of a nugget."""
    nugget_allowed: ClassVar[bool] = False
    """Whether Σ + τ²I is a larger family in which τ² can be told from the other parameters."""
    unit_first: bool = False
    """Whether θ₀ = 1 makes Σ₁₁ = 1 whatever the rest, as the later factors of `kron` require."""
    over_positions: bool = False
    """Whether one column of positions stands left of the bar: numbers are levels, and no intercept is added."""
    ordered: bool = False
    """Whether Σ depends on the order of the positions, so that an order of levels nobody meant gives another model."""
    counted: bool = False
    """Whether Σ depends on the number of steps between positions, so that fractional times have no place."""
    own_variances: bool = False
    """Whether every position has a variance free of the others', which may go to zero alone."""
    closed_under: frozenset[str] = frozenset()
    """For which T the family contains TΣT' with Σ: `"linear"`, all; `"scale"`, the diagonal ones with T_ii > 0."""
    on_pairs: bool = False
    """Whether every element of Σ is a function of the coordinates of its two positions alone, and may be asked for by
    pairs (`Positions.packed`)."""
    by_axis: bool = False
    """Whether every coordinate has a unit of its own."""
    dependent_columns: bool = False
    """Whether its variances are identified even where the columns of a random term are linearly dependent."""

    def vanishing(self, at: Positions) -> tuple[int, ...]:
        """Return where in θ variances stand that may be zero while Σ is positive definite: a nugget, uniquenesses."""
        return ()

    def ranges(self, at: Positions) -> tuple[Range, ...]:
        """Return where in θ the logarithms of ranges and their like stand, in which −2l can be flat far and wide."""
        return ()

    @abstractmethod
    def size(self, m: int) -> int:
        """Return the number of working parameters for an m×m matrix."""

    @abstractmethod
    def matrix(self, theta: Array, at: Positions) -> Array:
        """Return Σ(θ), (m, m)."""

    @abstractmethod
    def d_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂Σ/∂θ_a, (k, m, m)."""

    @abstractmethod
    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ/∂θ_a∂θ_b, (k, k, m, m)."""

    @abstractmethod
    def start(self, target: Array, at: Positions) -> Array:
        """Return θ whose Σ(θ) is near the positive definite `target` (m, m)."""

    def starts(self, target: Array, at: Positions) -> Array:
        """Return several θ to start from, (a, b, k), where −2l may have several minima.

        Neighbours along the second axis differ by a factor of the range, those along the first in how the
        variance is shared out.
        """
        return self.start(target, at)[None, None]

    def marked(self, theta: Array, at: Positions) -> Array:
        """Return θ' of covariances like Σ(θ) but for one position with next to no variance of its own, (a, k).

        In few data −2l may have a minimum near each; none for structures that have one minimum.
        """
        if not self.own_variances or self.linear or "scale" not in self.closed_under:
            return np.empty((0, len(theta)))
        return np.array(
            [self.transform(theta, t, at) for t in map(np.diag, np.eye(at.size) * (MARKED - 1.0) + 1.0)]
        )

    @abstractmethod
    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        """Return θ' with Σ(θ') = factor · Σ(θ), factor > 0."""

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        """Return θ' with Σ(θ') = TΣ(θ)T' for a T (m, m) of `closed_under`, or a multiple of the identity.

        ValueError for any other T.
        """
        factor = float(t[0, 0])
        if factor == 0.0 or not np.array_equal(t, factor * np.eye(at.size)):
            raise ValueError(
                f"structure {self.names[0]!r} does not contain TΣT' for every T; give a multiple of the identity."
            )
        return self.rescale(theta, factor**2, at)

    @abstractmethod
    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the parameters on the reporting scale with their Jacobian."""

    @abstractmethod
    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from natural values in the order of `natural`; ValueError when they define no valid Σ."""

    def factor_entries(self, m: int) -> tuple[tuple[int, int, int], ...] | None:
        """Return (row, column, parameter) of the entries of Λ when Λ's entries are parameters, else None."""
        return None

    def linear_at(self, m: int) -> bool:
        """Return whether SAS's parameters can be chosen so that every m×m Σ of the family is linear in them."""
        return self.linear

    def smallest(self) -> int:
        """Return the smallest m at which every parameter is identified."""
        return 1

    def check(self, at: Positions) -> None:
        """Raise `SpecError` when Σ cannot be built at these positions."""
        name = self.names[0]
        if at.size < self.smallest():
            raise SpecError(
                f"structure {name!r} needs {self.smallest()} positions or more, got {at.size}; "
                "use one with fewer parameters, such as 'homdiag'."
            )
        if not self.needs_coordinates:
            return
        if at.coordinates is None:
            raise SpecError(
                f"structure {name!r} needs coordinates; write them left of the bar: {name}(x, y | group)."
            )
        if not np.all(np.isfinite(at.coordinates)):
            raise SpecError(f"structure {name!r}: every coordinate must be a finite number; drop other rows.")

    def factor(self, theta: Array, at: Positions) -> Array:
        """Return Λ (m, m) lower triangular with ΛΛ' = Σ(θ); zero and negative pivots are allowed."""
        return semidefinite_cholesky(self.matrix(theta, at))

    def slopes(self, theta: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂Σ/∂θ_a⟩, (k,), for Γ of the shape of Σ, symmetric."""
        return np.asarray(np.tensordot(self.d_matrix(theta, at), gamma, gamma.ndim))

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂²Σ/∂θ_a∂θ_b⟩, (k, k), for Γ of the shape of Σ, symmetric."""
        return np.asarray(np.tensordot(self.d2_matrix(theta, at), gamma, gamma.ndim))

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ moved off a false boundary, or None when θ satisfies the first-order conditions there.

        At θ where part of Σ vanishes the gradient in θ vanishes by symmetry whatever the likelihood does.
        With Γ = ∂(−2l)/∂Σ the point is optimal only if no admissible increase of Σ has negative slope;
        otherwise Σ is moved by about `step` (in units of Σ) along such a direction. Structures whose Σ
        cannot vanish return None.

        Notes
        -----
        For an unstructured Σ ⪰ 0 the conditions are ΓΣ = 0 and Γ ⪰ 0. A part counts as vanished when its
        variance is below `VANISHED` times `step`, and a slope as negative when the first-order decrease of
        −2l over `step` exceeds `SIGNIFICANT`. One direction is taken at a time.
        """
        return None

    def canonical(self, theta: Array, at: Positions) -> Array:
        """Return the representative of θ among those with the same Σ (for example positive diagonals)."""
        return theta

    def rank(self, theta: Array, at: Positions, scale: Array | float) -> int:
        """Return the numerical rank of Σ(θ).

        A direction counts as zero when its variance is below 1e-8 in units of `scale`, one for all positions
        or one for each (m,), or below rounding error of Σ in these units. For random effects `scale` is the
        residual variance divided by the mean of Z'Z per level for each column, so that a direction is zero
        when it contributes less than 1e-8 of the residual variance to the data, whatever the units of the
        columns.
        """
        if at.size == 1:
            return int(float(self.matrix(theta, at)[0, 0]) > ZERO_VARIANCE * float(np.max(scale)))
        sigma = self.matrix(theta, at)
        # beside errors of no variance at all rounding of Σ itself says what is zero
        unit = np.maximum(
            np.sqrt(np.broadcast_to(scale, at.size)), NO_UNIT * max(sigma.diagonal().max(), 0.0) ** 0.5
        )
        if not unit.all():
            return 0
        eigenvalues = np.linalg.eigvalsh(sigma / unit[:, None] / unit).tolist()
        least = max(ZERO_VARIANCE, 16.0 * at.size * EPSILON * max(eigenvalues[-1], 0.0))
        return sum(value > least for value in eigenvalues)

    def leading_natural(self, others: Array) -> float:
        """Return the first natural value for which Σ₁₁ = 1, given the others (if `unit_first`)."""
        return 1.0

    def d_natural(self, theta: Array, at: Positions) -> Array:
        """Return ∂Σ/∂η_c, (k, m, m), for the natural parameters η; LinAlgError where ∂η/∂θ is singular."""
        first = self.d_matrix(theta, at)
        inverse = _inverse(self.natural(theta, at).jacobian)
        return np.asarray((inverse.T @ first.reshape(len(first), -1)).reshape(first.shape))

    def d2_natural(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ/∂η_c∂η_d, (k, k, m, m), for the natural parameters η; zero for linear structures.

        Notes
        -----
        From Σ_θθ = J'Σ_ηη J + Σ_c (∂²η_c/∂θ∂θ')Σ_η_c with J = ∂η/∂θ, whose derivative is taken by the
        complex step (exact to rounding). Where a parameter has vanished J is singular; Σ_ηη, which is smooth
        in η, is then taken where that parameter is a ten-thousandth of the largest.
        """
        k = len(theta)
        if self.linear:
            return np.zeros((k, k, at.size, at.size))
        theta = self._off_zero(theta, at)
        tiny = 1e-30
        hessian = np.empty((k, k, k))
        for b in range(k):
            moved = np.asarray(theta, dtype=np.complex128)
            moved[b] += 1j * tiny
            hessian[:, :, b] = self.natural(moved, at).jacobian.imag / tiny  # type: ignore[arg-type]
        inverse = _inverse(self.natural(theta, at).jacobian)
        rest = self.d2_matrix(theta, at) - np.einsum("cab,cij->abij", hessian, self.d_natural(theta, at))
        value: Array = np.einsum("ac,bd,abij->cdij", inverse, inverse, rest, optimize=True)
        return value

    def _off_zero(self, theta: Array, at: Positions) -> Array:
        """Return θ with the parameters that Σ does not move with, to first order, off their zero."""
        # variances and correlations are compared where variances are about one
        level = float(np.mean(np.diagonal(self.matrix(theta, at)))) or 1.0
        unit = self.rescale(theta, 1.0 / level, at)
        slopes = np.abs(self.natural(unit, at).jacobian).max(axis=0)
        vanished = slopes <= 1e-9 * slopes.max(initial=0.0)
        if not vanished.any():
            return theta
        step = 1e-4 * max(float(np.abs(unit).max(initial=0.0)), 1e-4)
        return self.rescale(np.where(vanished, unit + step, unit), level, at)


def _inverse(jacobian: Array) -> Array:
    """Return ∂θ/∂η from ∂η/∂θ, whose rows and columns have units of their own; LinAlgError where it is singular."""
    rows = np.abs(jacobian).max(axis=1, initial=0.0)
    rows[rows == 0.0] = 1.0
    columns = np.abs(jacobian / rows[:, None]).max(axis=0, initial=0.0)
    columns[columns == 0.0] = 1.0
    inverse: Array = np.linalg.inv(jacobian / rows[:, None] / columns) / columns[:, None] / rows
    return inverse


def positive_diagonal(t: Array, name: str) -> Array:
    """Return |T_ii| (m,) of a diagonal T; ValueError unless all T_ii are of one sign, which TΣT' does not show."""
    diagonal = np.diagonal(t)
    sizes: Array = np.sign(diagonal[0]) * diagonal
    if not np.all(sizes > 0.0) or np.any(t - np.diag(diagonal)):
        raise ValueError(
            f"structure {name!r} does not contain TΣT' for every T; give a diagonal T with positive elements."
        )
    return sizes


def joined(*parts: float | Array) -> Array:
    """Return numbers and vectors as one vector."""
    return np.concatenate([np.atleast_1d(part) for part in parts])


def semidefinite_cholesky(matrix: Array, tolerance: float = 4e-15) -> Array:
    """Return lower triangular Λ with ΛΛ' = `matrix` (m, m), positive semidefinite, in the order given.

    A pivot below `tolerance` times its diagonal element is zero and its column is zero. Where rounding makes
    that order fail, as for smooth covariances among close points, Λ comes from the eigenvalues. `LinAlgError`
    when the matrix is not positive semidefinite.

    Examples
    --------
    >>> semidefinite_cholesky(np.array([[4.0, 2.0], [2.0, 1.0]]))
    array([[2., 0.],
           [1., 0.]])
    """
    try:
        positive = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
        if positive[-1, -1] > 0.0:  # false where Σ holds a NaN, which LAPACK lets through
            return positive
    except np.linalg.LinAlgError:
        pass
    try:
        return _cholesky_in_order(matrix, tolerance)
    except ValueError:
        by_eigenvalues = _cholesky_by_eigenvalues(matrix)
        if by_eigenvalues is None:
            raise
        return by_eigenvalues


def _cholesky_in_order(matrix: Array, tolerance: float) -> Array:
    m = matrix.shape[0]
    factor = np.zeros_like(matrix)
    for j in range(m):
        pivot = matrix[j, j] - factor[j, :j] @ factor[j, :j]
        below = matrix[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]
        if not pivot >= -1e-8 * max(abs(matrix[j, j]), 1e-300):
            raise np.linalg.LinAlgError(f"matrix is not positive semidefinite at row {j}")
        if pivot > tolerance * matrix[j, j]:
            factor[j, j] = np.sqrt(pivot)
            factor[j + 1 :, j] = below / factor[j, j]
        elif np.any(np.abs(below) > 1e-6 * np.sqrt(np.abs(matrix[j, j] * np.diag(matrix)[j + 1 :]))):
            # A zero pivot over a column that is not zero: some 2×2 minor is negative.
            raise np.linalg.LinAlgError(
                f"matrix is not positive semidefinite: a covariance without variance at row {j}"
            )
    return factor


def _cholesky_by_eigenvalues(matrix: Array) -> Array | None:
    """Return Λ from Σ = UDU' and the QR factors of D^½U', None unless Σ ⪰ 0 up to rounding."""
    if not np.all(np.isfinite(matrix)):
        return None
    roots, vectors = np.linalg.eigh(matrix)
    if roots[0] < -1e-13 * len(matrix) * roots[-1]:
        return None
    half = np.sqrt(np.maximum(roots, 0.0))[:, None] * vectors.T
    _, upper = np.linalg.qr(half)
    lower = np.asarray(upper, dtype=np.float64).T
    return np.asarray(np.where(np.diag(lower) < 0.0, -1.0, 1.0) * lower)
