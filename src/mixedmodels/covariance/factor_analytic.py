"""Factor-analytic covariances: `fa(q)`, `fa1(q)` with one uniqueness, `fa0(q)` with none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from . import loadings
from .base import Natural, Positions, Structure, joined, positive_diagonal
from .correlation import inside, is_diagonal, own_name
from .diagonal import escape_diagonal
from .loadings import Pattern
from .scales import correlation_of, standard_deviation

SCATTERED = 6
"""Sets of loadings of all kinds that are tried beside an optimum."""


class LoadingsAndUniquenesses:
    """Σ = ΛΛ' + diag(E'ψ²), Λ (m, q) lower trapezoidal; θ = (entries of Λ by column, raw ψ).

    E (u, m) says which positions share a uniqueness: I for `fa`, a row of ones for `fa1`, no row for `fa0`.
    Written to be mixed with `Structure`.
    """

    __slots__ = ()

    q: int

    def sharing(self, m: int) -> Array:
        """Return E (u, m), zeros and ones."""
        raise NotImplementedError

    def pattern(self, m: int) -> Pattern:
        """Return the free entries of Λ."""
        return loadings.trapezoid(m, min(self.q, m))

    def size(self, m: int) -> int:
        """Return the number of working parameters for an m×m matrix."""
        return len(self.pattern(m).rows) + len(self.sharing(m))

    def matrix(self, theta: Array, at: Positions) -> Array:
        """Return Σ(θ), (m, m)."""
        pattern, n = self._parts(at)
        sigma = loadings.outer(theta[:n], pattern)
        index = np.arange(at.size)
        sigma[index, index] += theta[n:] ** 2 @ self.sharing(at.size)
        return sigma

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂Σ/∂θ_a, (k, m, m)."""
        pattern, n = self._parts(at)
        out = np.zeros((len(theta), at.size, at.size), dtype=theta.dtype)
        out[:n] = loadings.d_outer(theta[:n], pattern)
        index = np.arange(at.size)
        out[n:, index, index] = 2.0 * theta[n:, None] * self.sharing(at.size)
        return out

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ/∂θ_a∂θ_b, (k, k, m, m)."""
        pattern, n = self._parts(at)
        out = np.zeros((len(theta), len(theta), at.size, at.size))
        out[:n, :n] = loadings.d2_outer(pattern)
        index = np.arange(at.size)
        for a, shared in enumerate(self.sharing(at.size), start=n):
            out[a, a, index, index] = 2.0 * shared
        return out

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂²Σ/∂θ_a∂θ_b⟩, (k, k)."""
        pattern, n = self._parts(at)
        out = np.zeros((len(theta), len(theta)))
        out[:n, :n] = loadings.outer_curvature(gamma, pattern)
        own = np.arange(n, len(theta))
        out[own, own] = 2.0 * self.sharing(at.size) @ np.diagonal(gamma)
        return out

    def start(self, target: Array, at: Positions) -> Array:
        """Return loadings on the leading directions of `target`, and the variances they leave over."""
        sharing = self.sharing(at.size)
        deviations = np.sqrt(np.diag(target))
        if is_diagonal(target):
            # Loadings of zero are a saddle point: start from smooth, mutually orthogonal patterns instead.
            loading = self._smooth(0.3 if len(sharing) else 1.0, target)
        elif len(sharing) == at.size:
            loading = deviations[:, None] * _principal_factors(correlation_of(target), self.q)
        else:
            loading = _leading_directions(target, self.q, floor=bool(len(sharing)))
        return self._with_loading(loading, target)

    def starts(self, target: Array, at: Positions) -> Array:
        """Return the usual start, one from the main eigenvectors of `target`, and one from smooth loadings, (1, 3, k).

        −2l has minima where one uniqueness or another is near zero.
        """
        if not len(self.sharing(at.size)):
            return self.start(target, at)[None, None]
        leading = _leading_directions(target, self.q, floor=False)
        smooth = self._smooth(0.8 if is_diagonal(target) else 0.3, target)
        others = [self._with_loading(loading, target) for loading in (leading, smooth)]
        return np.array([[self.start(target, at), *others]])

    def marked(self, theta: Array, at: Positions) -> Array:
        """Return θ with a factor that is one position, but for a hundredth of its variance, for each, and with loadings
        of all kinds, (m + 6, k)."""
        if len(self.sharing(at.size)) < at.size:
            return np.empty((0, len(theta)))
        target = self.matrix(theta, at)
        out = []
        for p in range(at.size):
            own = np.sqrt(0.99 / max(target[p, p], 1e-300)) * target[:, p : p + 1]
            others = _leading_directions(target - own @ own.T, self.q - 1, floor=False)
            out.append(self._with_loading(np.hstack([own, others]), target))
        scattered = np.random.default_rng(at.size).uniform(-1.0, 1.0, (SCATTERED, at.size, self.q))
        sd = np.sqrt(0.95 / self.q * target.diagonal())[:, None]
        out += [self._with_loading(sd * loading, target) for loading in scattered]
        return np.array(out)

    def _smooth(self, share: float, target: Array) -> Array:
        """Return loadings (m, q) on smooth, mutually orthogonal patterns that explain a share of the variances."""
        m = len(target)
        columns = self.pattern(m).columns
        value: Array = np.sqrt(share / columns * np.diag(target))[:, None] * _waves(m, self.q)
        return value

    def _with_loading(self, loading: Array, target: Array) -> Array:
        """Return θ with these loadings (m, q) and the variances they leave over."""
        m = len(target)
        sharing = self.sharing(m)
        unique = np.maximum(np.diag(target) - np.sum(loading**2, axis=1), 0.05 * np.diag(target))
        means = sharing @ unique / np.maximum(sharing.sum(axis=1), 1.0)
        entries = loadings.lower_trapezoid(loading).ravel()[self.pattern(m).flat]
        return joined(entries, np.sqrt(means))

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        """Return θ' with Σ(θ') = factor · Σ(θ)."""
        value: Array = factor**0.5 * theta
        return value

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the loadings, then the uniquenesses ψ²."""
        pattern, n = self._parts(at)
        unique = len(theta) - n
        names = [
            f"loading({inside(at.labels[i])}, {j + 1})"
            for i, j in zip(pattern.rows, pattern.cols, strict=True)
        ]
        if unique == at.size:
            names += [own_name("unique", label) for label in at.labels]
        else:
            names += ["unique"] * unique
        kinds = ("loading",) * n + ("variance",) * unique
        jacobian = np.diag(joined(np.ones(n), 2.0 * theta[n:]))
        return Natural(tuple(names), joined(theta[:n], theta[n:] ** 2), jacobian, kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from loadings and uniquenesses."""
        _, n = self._parts(at)
        return joined(np.asarray(values[:n]), np.array([standard_deviation(v) for v in values[n:]]))

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with a new direction in ΛΛ', or with a vanished uniqueness made positive, or None."""
        pattern, n = self._parts(at)
        loading = loadings.fill(theta[:n], pattern)
        direction = loadings.missing_direction(loading, gamma, step)
        if direction is not None:
            moved = loadings.with_direction(loading, direction, step).ravel()[pattern.flat]
            return joined(moved, theta[n:])
        if n == len(theta):
            return None
        unique = escape_diagonal(theta[n:], self.sharing(at.size) @ np.diagonal(gamma), step)
        return None if unique is None else joined(theta[:n], unique)

    def canonical(self, theta: Array, at: Positions) -> Array:
        """Return θ with a diagonal of Λ and ψ that are not negative."""
        pattern, n = self._parts(at)
        return joined(loadings.positive_columns(theta[:n], pattern), np.abs(theta[n:]))

    def vanishing(self, at: Positions) -> tuple[int, ...]:
        """Return the places of the uniquenesses."""
        loadings_of = len(self.pattern(at.size).rows)
        return tuple(range(loadings_of, loadings_of + len(self.sharing(at.size))))

    def _parts(self, at: Positions) -> tuple[Pattern, int]:
        pattern = self.pattern(at.size)
        return pattern, len(pattern.rows)


def _waves(m: int, q: int) -> Array:
    """Return the first q columns of the cosine basis, (m, q), of mean square 1 and without zero columns."""
    angles = np.pi * (np.arange(m)[:, None] + 0.5) * np.arange(q)[None, :] / m
    out = np.cos(angles)
    value: Array = out / np.sqrt(np.mean(out**2, axis=0))
    return value


def _leading_directions(target: Array, q: int, floor: bool) -> Array:
    """Return loadings (m, q) on the main eigenvectors, less the mean of the others if `floor`."""
    eigenvalues, vectors = np.linalg.eigh(target)
    rest = float(np.mean(eigenvalues[:-q])) if floor and q < len(target) else 0.0
    strength = np.maximum(eigenvalues[::-1][:q] - rest, 0.05 * np.mean(eigenvalues))
    value: Array = vectors[:, ::-1][:, :q] * np.sqrt(strength)
    return value


def _principal_factors(correlation: Array, q: int) -> Array:
    """Return loadings (m, q) of a correlation matrix by iterated principal factors."""
    communality = 1.0 - 1.0 / np.diag(np.linalg.pinv(correlation))
    loading = np.zeros((len(correlation), q))
    for _ in range(20):
        reduced = correlation.copy()
        np.fill_diagonal(reduced, np.clip(communality, 0.05, 0.95))
        eigenvalues, vectors = np.linalg.eigh(reduced)
        loading = vectors[:, ::-1][:, :q] * np.sqrt(np.maximum(eigenvalues[::-1][:q], 0.05))
        communality = np.sum(loading**2, axis=1)
    return loading


def _check_factors(name: str, q: int) -> None:
    if q < 1:
        raise SpecError(f"{name}({q}): the number of factors must be at least 1.")


@final
@dataclass(frozen=True, slots=True)
class FactorAnalytic(LoadingsAndUniquenesses, Structure):
    """Σ = ΛΛ' + diag(ψ₁², …, ψ_m²), Λ (m, q) with zeros above its diagonal.

    *Same as* SAS TYPE=FA(q).

    Examples
    --------
    >>> FactorAnalytic(1).matrix(np.array([1.0, 2.0, 0.5, 1.0]), Positions(2, ("a", "b")))
    array([[1.25, 2.  ],
           [2.  , 5.  ]])
    """

    names: ClassVar[tuple[str, ...]] = ("fa",)
    own_variances = True
    closed_under = frozenset({"scale"})
    q: int = 1

    def __post_init__(self) -> None:
        _check_factors("fa", self.q)

    def smallest(self) -> int:
        return self.q + 1

    def sharing(self, m: int) -> Array:
        return np.eye(m)

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        """Return θ' with Σ(θ') = TΣ(θ)T' for a diagonal T with positive elements; ValueError for another."""
        scales = positive_diagonal(t, self.names[0])
        pattern, n = self._parts(at)
        return joined(scales[pattern.rows] * theta[:n], scales * theta[n:])


@final
@dataclass(frozen=True, slots=True)
class FactorAnalyticCommon(LoadingsAndUniquenesses, Structure):
    """Σ = ΛΛ' + ψ²I, Λ (m, q) with zeros above its diagonal.

    *Same as* SAS TYPE=FA1(q).

    Examples
    --------
    >>> FactorAnalyticCommon(1).matrix(np.array([1.0, 2.0, 0.5]), Positions(2, ("a", "b")))
    array([[1.25, 2.  ],
           [2.  , 4.25]])
    """

    names: ClassVar[tuple[str, ...]] = ("fa1",)
    q: int = 1

    def __post_init__(self) -> None:
        _check_factors("fa1", self.q)

    def smallest(self) -> int:
        return self.q + 1

    def sharing(self, m: int) -> Array:
        return np.ones((1, m))


@final
@dataclass(frozen=True, slots=True)
class FactorAnalyticReduced(LoadingsAndUniquenesses, Structure):
    """Σ = ΛΛ' of rank q at most, Λ (m, q) with zeros above its diagonal; q = m is `us`.

    *Same as* SAS TYPE=FA0(q), glmmTMB rr(d = q).

    Examples
    --------
    >>> FactorAnalyticReduced(1).matrix(np.array([1.0, 2.0]), Positions(2, ("a", "b")))
    array([[1., 2.],
           [2., 4.]])
    """

    names: ClassVar[tuple[str, ...]] = ("fa0", "rr")
    unit_first = True
    own_variances = True
    closed_under = frozenset({"linear", "scale"})
    q: int = 1

    def __post_init__(self) -> None:
        _check_factors("fa0", self.q)

    def linear_at(self, m: int) -> bool:
        """Return whether q = m: Σ is then unstructured, whose variances and covariances are SAS's."""
        return self.q >= m

    def smallest(self) -> int:
        return self.q

    def sharing(self, m: int) -> Array:
        return np.zeros((0, m))

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        """Return θ' with Σ(θ') = TΣ(θ)T' for any T (m, m)."""
        pattern = self.pattern(at.size)
        return loadings.lower_trapezoid(t @ loadings.fill(theta, pattern)).ravel()[pattern.flat]

    def factor(self, theta: Array, at: Positions) -> Array:
        """Return Λ with columns of zeros to its right, (m, m); its diagonal may be zero or negative."""
        out = np.zeros((at.size, at.size), dtype=theta.dtype)
        pattern = self.pattern(at.size)
        out[:, : pattern.columns] = loadings.fill(theta, pattern)
        return out
