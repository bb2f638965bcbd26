"""Linear combinations of known matrices: `lin`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from .base import Natural, Positions, Structure


@final
@dataclass(frozen=True, slots=True, eq=False)
class LinearCombination(Structure):
    """Σ = Σ_k θ_k A_k for known symmetric A_k, each (m, m); not every θ gives Σ ⪰ 0.

    *Same as* SAS TYPE=LIN(q) with LDATA=.

    Examples
    --------
    >>> lin = LinearCombination((np.eye(2), np.ones((2, 2))))
    >>> lin.matrix(np.array([3.0, 1.0]), Positions(2, ("a", "b")))
    array([[4., 1.],
           [1., 4.]])
    """

    names: ClassVar[tuple[str, ...]] = ("lin",)
    over_positions = True
    linear = True
    always_psd = False
    matrices: tuple[Array, ...]

    def __post_init__(self) -> None:
        if not self.matrices:
            raise SpecError("lin: no matrices given; name at least one in `known=`.")
        for k, matrix in enumerate(self.matrices, start=1):
            shape = np.shape(matrix)
            if (
                len(shape) != 2
                or shape != np.shape(self.matrices[0])
                or not np.allclose(matrix, np.transpose(matrix))
            ):
                raise SpecError(f"lin: matrix {k} has shape {shape}; all must be symmetric and of one size.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LinearCombination) or len(self.matrices) != len(other.matrices):
            return False
        return all(map(np.array_equal, self.matrices, other.matrices))

    def __hash__(self) -> int:
        return hash((self.names, len(self.matrices), np.shape(self.matrices[0])))

    def size(self, m: int) -> int:
        return len(self.matrices)

    def check(self, at: Positions) -> None:
        """Raise `SpecError` unless the matrices have one row per position."""
        Structure.check(self, at)
        rows = len(self.matrices[0])
        if rows != at.size:
            raise SpecError(f"lin: the matrices have {rows} rows and there are {at.size} positions.")

    def matrix(self, theta: Array, at: Positions) -> Array:
        return np.tensordot(theta, self._stack(), 1)

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        return self._stack()

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        return np.zeros((len(theta), len(theta), at.size, at.size))

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        return np.zeros((len(theta), len(theta)))

    def start(self, target: Array, at: Positions) -> Array:
        """Return the least-squares fit to `target`, mixed with that to its diagonal until Σ ≻ 0."""
        columns = self._stack().reshape(len(self.matrices), -1).T
        fitted, safe = (
            np.linalg.lstsq(columns, np.ravel(goal), rcond=None)[0]
            for goal in (target, np.diag(np.diag(target)))
        )
        for share in (0.0, 0.3, 0.6, 0.9, 1.0):
            theta = (1.0 - share) * fitted + share * safe
            if np.linalg.eigvalsh(self.matrix(theta, at))[0] > 1e-3 * np.mean(np.diag(target)):
                break
        return theta

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return factor * theta

    def natural(self, theta: Array, at: Positions) -> Natural:
        names = tuple(f"coefficient({k + 1})" for k in range(len(theta)))
        return Natural(names, theta.copy(), np.eye(len(theta)), ("covariance",) * len(theta))

    def from_natural(self, values: Array, at: Positions) -> Array:
        return np.array(values, dtype=np.float64)

    def _stack(self) -> Array:
        return np.array(self.matrices, dtype=np.float64)
