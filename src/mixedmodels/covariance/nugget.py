"""A structure with a nugget: Σ + τ²I."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from .base import Natural, Positions, Range, Structure, joined
from .correlation import is_diagonal, lags
from .diagonal import escape_diagonal
from .scales import standard_deviation


@final
@dataclass(frozen=True, slots=True)
class WithNugget(Structure):
    """Σ(θ) + τ²I for another structure Σ; the raw τ, which may be zero, is the last working parameter.

    *Same as* SAS `LOCAL`, and nlme `nugget = TRUE` (whose nugget is the proportion τ²/(σ² + τ²)).

    Examples
    --------
    >>> from mixedmodels.covariance.autoregressive import FirstOrderAutoregressive
    >>> at = Positions(2, ("1", "2"))
    >>> ar1 = WithNugget(FirstOrderAutoregressive())
    >>> ar1.matrix(ar1.from_natural(np.array([4.0, 0.5, 1.0]), at), at).round(12)
    array([[5., 2.],
           [2., 5.]])
    """

    with_nugget = True
    inner: Structure
    names: tuple[str, ...] = field(init=False, repr=False)  # type: ignore[misc]
    needs_coordinates: bool = field(init=False, repr=False)
    linear: bool = field(init=False, repr=False)
    always_psd: bool = field(init=False, repr=False)
    kinked: bool = field(init=False, repr=False)
    over_positions: bool = field(init=False, repr=False)
    ordered: bool = field(init=False, repr=False)
    counted: bool = field(init=False, repr=False)
    dependent_columns: bool = field(init=False, repr=False)
    on_pairs: bool = field(init=False, repr=False)
    by_axis: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        inner = self.inner
        if not inner.nugget_allowed:
            raise SpecError(
                f"nugget=True: structure {inner.names[0]!r} has a free diagonal already, so that a nugget "
                "cannot be told from it; drop the nugget."
            )
        for fact in fields(self):
            if not fact.init:
                object.__setattr__(self, fact.name, getattr(inner, fact.name))

    def size(self, m: int) -> int:
        return self.inner.size(m) + 1

    def smallest(self) -> int:
        return max(self.inner.smallest(), 3)

    def check(self, at: Positions) -> None:
        self.inner.check(at)
        Structure.check(self, at)

    def matrix(self, theta: Array, at: Positions) -> Array:
        value: Array = self.inner.matrix(theta[:-1], at) + theta[-1] ** 2 * _identity(at)
        return value

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        inner = self.inner.d_matrix(theta[:-1], at)
        own = np.broadcast_to(2.0 * theta[-1] * _identity(at), inner.shape[1:])
        return np.concatenate([inner, own[None]])

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        inner = self.inner.d2_matrix(theta[:-1], at)
        out = np.zeros((len(theta), len(theta), *inner.shape[2:]))
        out[:-1, :-1] = inner
        out[-1, -1] = 2.0 * _identity(at)
        return out

    def slopes(self, theta: Array, gamma: Array, at: Positions) -> Array:
        own = 2.0 * theta[-1] * _trace(gamma, at)
        return joined(self.inner.slopes(theta[:-1], gamma, at), own)

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        out = np.zeros((len(theta), len(theta)))
        out[:-1, :-1] = self.inner.curvature(theta[:-1], gamma, at)
        out[-1, -1] = 2.0 * _trace(gamma, at)
        return out

    def start(self, target: Array, at: Positions) -> Array:
        """Return the inner structure near `target`, with a fifth of the variance as nugget."""
        variance = 0.2 * float(np.mean(np.diag(target)))
        rest = target - 0.2 * np.diag(np.diag(target))
        if is_diagonal(target) and not self.inner.needs_coordinates:
            # Without correlation the two variances could not be told apart.
            deviations = np.sqrt(np.diag(rest))
            rest = np.outer(deviations, deviations) * 0.3 ** lags(at.size)
        return joined(self.inner.start(rest, at), np.sqrt(variance))

    def vanishing(self, at: Positions) -> tuple[int, ...]:
        return (*self.inner.vanishing(at), self.inner.size(at.size))

    def ranges(self, at: Positions) -> tuple[Range, ...]:
        return self.inner.ranges(at)

    def starts(self, target: Array, at: Positions) -> Array:
        """Return the inner structure's starts with a tenth, three tenths and seven tenths as nugget, (3a, b, k)."""
        usual = self.start(target, at)
        variance = float(np.mean(np.diag(target)))
        out = []
        for share in (0.1, 0.3, 0.7):
            rest = self.inner.rescale(usual[:-1], (1.0 - share) / 0.8, at)
            inner = self.inner.starts(self.inner.matrix(rest, at), at)
            nugget = np.full((*inner.shape[:2], 1), np.sqrt(share * variance))
            out.append(np.concatenate([inner, nugget], axis=2))
        return np.concatenate(out)

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return joined(self.inner.rescale(theta[:-1], factor, at), np.sqrt(factor) * theta[-1])

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the parameters of the inner structure, then the nugget τ²."""
        inner = self.inner.natural(theta[:-1], at)
        k = len(inner.values)
        jacobian = np.zeros((k + 1, len(theta)), dtype=theta.dtype)
        jacobian[:k, :-1] = inner.jacobian
        jacobian[k, -1] = 2.0 * theta[-1]
        values = joined(inner.values, theta[-1] ** 2)
        return Natural((*inner.names, "nugget"), values, jacobian, (*inner.kinds, "variance"))

    def from_natural(self, values: Array, at: Positions) -> Array:
        return joined(self.inner.from_natural(values[:-1], at), standard_deviation(values[-1]))

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return the escape of the inner structure, or a vanished τ made positive, or None."""
        inner = self.inner.escape(theta[:-1], gamma, at, step)
        if inner is not None:
            return joined(inner, theta[-1])
        nugget = escape_diagonal(theta[-1:], np.array([np.trace(gamma)]), step)
        return None if nugget is None else joined(theta[:-1], nugget)

    def canonical(self, theta: Array, at: Positions) -> Array:
        return joined(self.inner.canonical(theta[:-1], at), abs(theta[-1]))


def _identity(at: Positions) -> Array:
    """Return I, (m, m) or packed."""
    if not at.packed:
        return np.eye(at.size)
    out = np.zeros(at.size * (at.size + 1) // 2)
    out[at.diagonal] = 1.0
    return out


def _trace(gamma: Array, at: Positions) -> float:
    """Return the sum of the diagonals of Γ (..., m, m), or packed."""
    return float((gamma[..., at.diagonal] if at.packed else np.einsum("...ii->...", gamma)).sum())


def escape_nugget(structure: Structure, theta: Array, slope: float, step: float) -> Array | None:
    """Return θ with a vanished nugget made positive where −2l falls with it (`slope` per unit of τ²), else None."""
    if not isinstance(structure, WithNugget):
        return None
    nugget = escape_diagonal(theta[-1:], np.array([slope]), step)
    return None if nugget is None else joined(theta[:-1], nugget)
