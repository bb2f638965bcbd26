"""Kronecker products of two structures: `kron(us, ar1)`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..typing import Array
from .base import Natural, Positions, Range, Structure, joined

Place: TypeAlias = tuple[Positions, NDArray[np.intp] | None]


@final
@dataclass(frozen=True, slots=True)
class Kronecker(Structure):
    """Σ = A ⊗ B with B₁₁ = 1: Σ_(i,u),(j,v) = A_ij B_uv.

    The m positions are the m₁·m₂ pairs (i, u), the first factor outermost; or any of them in any order when
    `coordinates` are given, whose first column holds the index 0, 1, … of the first factor and whose other
    columns hold the index of the second, or its coordinates when it needs some. B₁₁ = 1 settles the scale:
    the first working parameter of B is held at 1.

    *Same as* SAS TYPE=UN@AR(1), UN@CS, UN@UN.

    Parameters
    ----------
    first, second
        The structures of A and B. A uses the order of its levels only; B must be able to have B₁₁ = 1.
    sizes
        m₁ and m₂, the numbers of levels of the two factors (m₂ is not used when B needs coordinates).

    Examples
    --------
    >>> from mixedmodels.covariance.autoregressive import FirstOrderAutoregressive
    >>> from mixedmodels.covariance.unstructured import Unstructured
    >>> kron = Kronecker(Unstructured(), FirstOrderAutoregressive(), (2, 2))
    >>> at = Positions(4, ("a1", "a2", "b1", "b2"))
    >>> kron.matrix(kron.from_natural(np.array([4.0, 2.0, 9.0, 0.5]), at), at).round(12)
    array([[4. , 2. , 2. , 1. ],
           [2. , 4. , 1. , 2. ],
           [2. , 1. , 9. , 4.5],
           [1. , 2. , 4.5, 9. ]])
    """

    names: ClassVar[tuple[str, ...]] = ("kron", "kronecker")
    dependent_columns = True
    nugget_allowed = True
    first: Structure
    second: Structure
    sizes: tuple[int, int]
    needs_coordinates: bool = field(init=False, repr=False)
    always_psd: bool = field(init=False, repr=False)
    unit_first: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.first.needs_coordinates:
            raise SpecError(f"kron: {self.first.names[0]!r} needs coordinates; put it second.")
        if not self.second.unit_first:
            raise SpecError(
                f"kron: the scale of {self.second.names[0]!r} cannot be fixed, which a second factor needs; "
                "put it first, or use a structure such as 'ar1', 'cs' or 'us'."
            )
        if len(self.sizes) != 2 or min(self.sizes) < 1:
            raise SpecError(f"kron: sizes={self.sizes!r} must be the numbers of levels of the two factors.")
        object.__setattr__(self, "needs_coordinates", self.second.needs_coordinates)
        object.__setattr__(self, "always_psd", self.first.always_psd and self.second.always_psd)
        object.__setattr__(self, "unit_first", self.first.unit_first)

    def size(self, m: int) -> int:
        return self.first.size(self.sizes[0]) + self.second.size(self.sizes[1]) - 1

    def check(self, at: Positions) -> None:
        """Raise `SpecError` unless the positions are pairs of levels of the two factors."""
        Structure.check(self, at)
        if at.coordinates is None and at.size != self.sizes[0] * self.sizes[1]:
            raise SpecError(f"kron: {at.size} positions are not {self.sizes[0]} × {self.sizes[1]} levels.")
        for part, (positions, _) in zip((self.first, self.second), self._places(at), strict=True):
            part.check(positions)

    def matrix(self, theta: Array, at: Positions) -> Array:
        (_, a), (_, b) = self._factors(theta, at)
        return a * b

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        (first, a), (second, b) = self._factors(theta, at)
        (pa, ia), (pb, ib) = self._places(at)
        da, db = self.first.d_matrix(first, pa), self.second.d_matrix(second, pb)[1:]
        return np.concatenate([_spread(da, ia) * b, a * _spread(db, ib)])

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        (first, a), (second, b) = self._factors(theta, at)
        (pa, ia), (pb, ib) = self._places(at)
        n = len(first)
        da = _spread(self.first.d_matrix(first, pa), ia)
        db = _spread(self.second.d_matrix(second, pb)[1:], ib)
        out = np.empty((len(theta), len(theta), *(a * b).shape))
        out[:n, :n] = _spread(self.first.d2_matrix(first, pa), ia) * b
        out[n:, n:] = _spread(self.second.d2_matrix(second, pb)[1:, 1:], ib) * a
        out[:n, n:] = da[:, None] * db[None, :]
        out[n:, :n] = out[:n, n:].swapaxes(0, 1)
        return out

    def factor(self, theta: Array, at: Positions) -> Array:
        """Return Λ = Λ_A ⊗ Λ_B on a full grid, else the factor of Σ."""
        if at.coordinates is not None:
            return Structure.factor(self, theta, at)
        first, second = self._split(theta)
        (pa, _), (pb, _) = self._places(at)
        a, b = self.first.factor(first, pa), self.second.factor(second, pb)
        return np.asarray(np.kron(a, b), dtype=np.float64)

    def start(self, target: Array, at: Positions) -> Array:
        """Return θ from means of `target`: A over equal levels of the second factor, B of the first."""
        (pa, ia), (pb, ib) = self._indices(at)
        same = np.equal.outer(ib, ib).astype(np.float64)
        a = _safe(_folded(target * same, ia, pa.size) / np.maximum(_folded(same, ia, pa.size), 1.0))
        first = self.first.start(a, pa)
        scale = np.sqrt(np.diag(a)[ia])
        relative = target / np.outer(scale, scale)
        same = np.equal.outer(ia, ia).astype(np.float64)
        b = _safe(_folded(relative * same, ib, pb.size) / np.maximum(_folded(same, ib, pb.size), 1.0))
        return self._joined(first, self.second.start(b, pb), at)

    def ranges(self, at: Positions) -> tuple[Range, ...]:
        (pa, _), (pb, _) = self._places(at)
        first = self.first.size(pa.size)
        # B's first parameter, a scale, is left out
        return (
            *self.first.ranges(pa),
            *(replace(one, deviation=None).moved(first - 1) for one in self.second.ranges(pb)),
        )

    def starts(self, target: Array, at: Positions) -> Array:
        """Return the start with B at each of its own starts, (a, b, k)."""
        usual = self.start(target, at)
        first, second = self._split(usual)
        (pb, _) = self._places(at)[1]
        others = self.second.starts(self.second.matrix(second, pb), pb)
        return np.array([[self._joined(first, one, at) for one in row] for row in others])

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        first, second = self._split(theta)
        return joined(self.first.rescale(first, factor, self._places(at)[0][0]), second[1:])

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the parameters of A (`first.…`), then those of B without the first (`second.…`)."""
        first, second = self._split(theta)
        (pa, _), (pb, _) = self._places(at)
        a, b = self.first.natural(first, pa), self.second.natural(second, pb)
        names = [f"first.{name}" for name in a.names] + [f"second.{name}" for name in b.names[1:]]
        n = len(a.values)
        jacobian = np.zeros((len(names), len(theta)), dtype=theta.dtype)
        jacobian[:n, : len(first)] = a.jacobian
        jacobian[n:, len(first) :] = b.jacobian[1:, 1:]
        return Natural(tuple(names), joined(a.values, b.values[1:]), jacobian, a.kinds + b.kinds[1:])

    def from_natural(self, values: Array, at: Positions) -> Array:
        (pa, _), (pb, _) = self._places(at)
        n = self.first.size(pa.size)
        others = np.asarray(values[n:], dtype=np.float64)
        second = self.second.from_natural(joined(self.second.leading_natural(others), others), pb)
        return joined(self.first.from_natural(values[:n], pa), second[1:])

    def leading_natural(self, others: Array) -> float:
        return self.first.leading_natural(others[: self.first.size(self.sizes[0]) - 1])

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return the escape of A, or of B at the scale of A, or None."""
        (first, a), (second, b) = self._factors(theta, at)
        (pa, ia), (pb, ib) = self._indices(at)
        moved = self.first.escape(first, _folded(gamma * b, ia, pa.size), pa, step)
        if moved is not None:
            return joined(moved, second[1:])
        largest = float(np.max(np.diag(a)))
        if not largest > 0.0:
            return None
        moved = self.second.escape(second, _folded(gamma * a, ib, pb.size), pb, step / largest)
        return None if moved is None else self._joined(first, moved, at)

    def canonical(self, theta: Array, at: Positions) -> Array:
        first, second = self._split(theta)
        (pa, _), (pb, _) = self._places(at)
        return joined(self.first.canonical(first, pa), self.second.canonical(second, pb)[1:])

    def _split(self, theta: Array) -> tuple[Array, Array]:
        """Return the parameters of A and of B, the leading 1 included."""
        n = self.first.size(self.sizes[0])
        return theta[:n], joined(1.0, theta[n:])

    def _joined(self, first: Array, second: Array, at: Positions) -> Array:
        """Return θ from parameters of A and of a B of any scale."""
        (pa, _), (pb, _) = self._places(at)
        scale = float(self.second.matrix(second, pb)[0, 0])
        unit = self.second.canonical(self.second.rescale(second, 1.0 / scale, pb), pb)
        return joined(self.first.rescale(first, scale, pa), unit[1:])

    def _factors(self, theta: Array, at: Positions) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Return the parameters of A and A spread over the m positions, and the same of B."""
        first, second = self._split(theta)
        (pa, ia), (pb, ib) = self._places(at)
        a, b = self.first.matrix(first, pa), self.second.matrix(second, pb)
        return (first, _spread(a, ia)), (second, _spread(b, ib))

    def _places(self, at: Positions) -> tuple[Place, Place]:
        """Return for each factor its own positions and which of them each row has, None for one each.

        Coordinates may be a stack (..., m, d); so are then the indices (..., m) and the positions of B.
        """
        m1, m2 = self.sizes
        grids = [Positions(size, tuple(str(i + 1) for i in range(size))) for size in (m1, m2)]
        if at.coordinates is None:
            rows = np.arange(m1 * m2)
            return (grids[0], rows // m2), (grids[1], rows % m2)
        index = at.coordinates[..., 0].astype(np.intp)
        if self.second.needs_coordinates:
            return (grids[0], index), (Positions(at.size, at.labels, at.coordinates[..., 1:]), None)
        return (grids[0], index), (grids[1], at.coordinates[..., 1].astype(np.intp))

    def _indices(
        self, at: Positions
    ) -> tuple[tuple[Positions, NDArray[np.intp]], tuple[Positions, NDArray[np.intp]]]:
        """Return `_places` with the indices of B written out."""
        (pa, ia), (pb, ib) = self._places(at)
        every = np.arange(at.size)
        return (pa, every if ia is None else ia), (pb, every if ib is None else ib)


def _spread(matrix: Array, index: NDArray[np.intp] | None) -> Array:
    """Return a matrix (..., m, m) of a factor at the rows that `index` names, or as it is."""
    return matrix if index is None else matrix[..., index[..., :, None], index[..., None, :]]


def _folded(matrix: Array, index: NDArray[np.intp], size: int) -> Array:
    """Return the sums of `matrix` (m, m) over rows and columns of equal index, (size, size)."""
    out = np.zeros((size, size))
    np.add.at(out, (index[:, None], index[None, :]), matrix)
    return out


def _safe(matrix: Array) -> Array:
    """Return a symmetric matrix with its covariances halved until it is positive definite."""
    diagonal = np.diag(np.diag(matrix))
    rest = 0.5 * (matrix + matrix.T) - diagonal
    while np.linalg.eigvalsh(diagonal + rest)[0] < 1e-6 * np.max(diagonal):
        rest = 0.5 * rest
        if np.max(np.abs(rest)) < 1e-9 * np.max(diagonal):
            return diagonal + 1e-6 * np.max(diagonal) * np.eye(len(diagonal))
    return diagonal + rest
