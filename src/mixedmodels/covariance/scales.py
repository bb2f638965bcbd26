"""Variances put on a correlation family: one common variance, or one variance per position.

Both classes are written to be mixed with `Structure` by the final classes, which supply `correlation`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..typing import Array
from .base import SIGNIFICANT, VANISHED, Natural, Positions, Range, joined, positive_diagonal
from .correlation import Correlation, own_name
from .transforms import POSITIVE


class OneVariance:
    """Σ = s²C(φ) with a raw standard deviation s; θ = (s, φ).

    s may be zero, where Σ vanishes and φ is arbitrary, or negative (Σ is even in s).
    """

    __slots__ = ()

    @property
    def correlation(self) -> Correlation:
        """The correlation family."""
        raise NotImplementedError

    def ranges(self, at: Positions) -> tuple[Range, ...]:
        """Return where in θ logarithms stand, with their limits."""
        places = [i for i, one in enumerate(self.correlation.transforms(at.size)) if one is POSITIVE]
        if not places:
            return ()
        limits = self.correlation.limits(at)
        return tuple(
            Range(1 + i, float(np.log(limits[i, 0])), float(np.log(limits[i, 1])), 0) for i in places
        )

    def size(self, m: int) -> int:
        """Return the number of working parameters for an m×m matrix."""
        return 1 + self.correlation.size(m)

    def matrix(self, theta: Array, at: Positions) -> Array:
        """Return Σ(θ), (..., m, m)."""
        value: Array = theta[0] ** 2 * self.correlation.matrix(theta[1:], at)
        return value

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂Σ/∂θ_a, (k, ..., m, m)."""
        c = self.correlation.matrix(theta[1:], at)
        out = np.empty((len(theta), *c.shape), dtype=c.dtype)
        np.multiply(c, 2.0 * theta[0], out=out[0])
        np.multiply(self.correlation.d_matrix(theta[1:], at), theta[0] ** 2, out=out[1:])
        return out

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ/∂θ_a∂θ_b, (k, k, ..., m, m)."""
        c = self.correlation.matrix(theta[1:], at)
        out = np.empty((len(theta), len(theta), *c.shape))
        out[0, 0] = 2.0 * c
        out[0, 1:] = out[1:, 0] = 2.0 * theta[0] * self.correlation.d_matrix(theta[1:], at)
        out[1:, 1:] = theta[0] ** 2 * self.correlation.d2_matrix(theta[1:], at)
        return out

    def slopes(self, theta: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂Σ/∂θ_a⟩, (k,)."""
        own = float(np.vdot(self.correlation.matrix(theta[1:], at), gamma))
        return joined(2.0 * theta[0] * own, theta[0] ** 2 * self.correlation.d_along(theta[1:], gamma, at))

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂²Σ/∂θ_a∂θ_b⟩, (k, k)."""
        out = np.empty((len(theta), len(theta)))
        phi = theta[1:]
        out[0, 0] = 2.0 * float(np.vdot(self.correlation.matrix(phi, at), gamma))
        out[0, 1:] = out[1:, 0] = 2.0 * theta[0] * self.correlation.d_along(phi, gamma, at)
        out[1:, 1:] = theta[0] ** 2 * self.correlation.d2_along(phi, gamma, at)
        return out

    def start(self, target: Array, at: Positions) -> Array:
        """Return θ with the mean variance of `target` and correlations near its own."""
        u = self.correlation.start_values(correlation_of(target), at)
        return joined(np.sqrt(np.mean(np.diag(target))), self.correlation.inverse(u, at.size))

    def starts(self, target: Array, at: Positions) -> Array:
        """Return θ with the mean variance of `target` at each step of the correlation's ladder, (1, b, k)."""
        found = self.correlation.ladder_near(correlation_of(target), at)
        s = np.sqrt(np.mean(np.diag(target)))
        return np.array([[joined(s, self.correlation.inverse(u, at.size)) for u in found]])

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        """Return θ' with Σ(θ') = factor · Σ(θ)."""
        return joined(np.sqrt(factor) * theta[0], theta[1:])

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the common variance and the parameters of the correlation."""
        phi, m = theta[1:], at.size
        report = self.correlation.report(self.correlation.values(phi, m), at)
        k = len(report.values)
        jacobian = np.zeros((1 + k, len(theta)), dtype=theta.dtype)
        jacobian[0, 0] = 2.0 * theta[0]
        jacobian[1:, 1:] = report.jacobian * self.correlation.slopes(phi, m)
        values = joined(theta[0] ** 2, report.values)
        return Natural(("variance", *report.names), values, jacobian, ("variance", *report.kinds))

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from (variance, parameters of the correlation)."""
        u = self.correlation.from_report(np.asarray(values[1:], dtype=np.float64), at)
        return joined(standard_deviation(values[0]), self.correlation.inverse(u, at.size))

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ off a false boundary s = 0 or u at an end of its range, or None."""
        if theta[0] ** 2 >= VANISHED * step:
            phi = escape_correlation(self.correlation, theta[1:], np.abs(theta[:1]) ** 2, gamma, at, step)
            return None if phi is None else joined(theta[0], phi)
        phi = steepest_correlation(self.correlation, theta[1:], gamma, at, step)
        return None if phi is None else joined(np.sqrt(step), phi)

    def canonical(self, theta: Array, at: Positions) -> Array:
        """Return θ with s ≥ 0 and every φ in the main branch of its map."""
        return joined(abs(theta[0]), canonical_correlation(self.correlation, theta[1:], at.size))


class OwnVariances:
    """Σ = SC(φ)S, S = diag(t₁², …, t_m²), with raw t_i; θ = (t₁, …, t_m, φ). The variances are t_i⁴.

    The standard deviations are squares because, unlike one common s, they may not change sign: −s_i would
    turn the correlations of position i, and leave the family. With t_i² the boundary s_i = 0 is reached at
    t_i = 0.
    """

    __slots__ = ()

    names: ClassVar[tuple[str, ...]]
    own_variances = True
    closed_under = frozenset({"scale"})

    @property
    def correlation(self) -> Correlation:
        """The correlation family."""
        raise NotImplementedError

    def size(self, m: int) -> int:
        """Return the number of working parameters for an m×m matrix."""
        return m + self.correlation.size(m)

    def matrix(self, theta: Array, at: Positions) -> Array:
        """Return Σ(θ), (m, m)."""
        s = theta[: at.size] ** 2
        return s[:, None] * s * self.correlation.matrix(theta[at.size :], at)

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂Σ/∂θ_a, (k, m, m)."""
        m = at.size
        t, phi = theta[:m], theta[m:]
        s = t**2
        out = np.zeros((len(theta), m, m), dtype=theta.dtype)
        _scale_slopes(out, t, self.correlation.matrix(phi, at))
        out[m:] = s[:, None] * s * self.correlation.d_matrix(phi, at)
        return out

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ/∂θ_a∂θ_b, (k, k, m, m)."""
        m, k = at.size, len(theta)
        t, phi = theta[:m], theta[m:]
        s = t**2
        out = np.zeros((k, k, m, m))
        c, first = self.correlation.matrix(phi, at), self.correlation.d_matrix(phi, at)
        for a in range(m):
            row = 2.0 * s * c[a]
            out[a, a, a, :] = out[a, a, :, a] = row
            out[a, a, a, a] = 12.0 * s[a]
            for b in range(a):
                both = 4.0 * t[a] * t[b] * c[a, b]
                out[a, b, a, b] = out[a, b, b, a] = out[b, a, a, b] = out[b, a, b, a] = both
        for e in range(k - m):
            _scale_slopes(out[:m, m + e], t, first[e])
            out[m + e, :m] = out[:m, m + e]
        out[m:, m:] = s[:, None] * s * self.correlation.d2_matrix(phi, at)
        return out

    def start(self, target: Array, at: Positions) -> Array:
        """Return θ with the variances of `target` and correlations near its own."""
        u = self.correlation.start_values(correlation_of(target), at)
        return joined(np.diag(target) ** 0.25, self.correlation.inverse(u, at.size))

    def starts(self, target: Array, at: Positions) -> Array:
        """Return θ with the variances of `target` at each step of the correlation's ladder, (1, b, k)."""
        found = self.correlation.ladder_near(correlation_of(target), at)
        roots = np.diag(target) ** 0.25
        return np.array([[joined(roots, self.correlation.inverse(u, at.size)) for u in found]])

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        """Return θ' with Σ(θ') = factor · Σ(θ)."""
        return joined(factor**0.25 * theta[: at.size], theta[at.size :])

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        """Return θ' with Σ(θ') = TΣ(θ)T' for a diagonal T with positive elements; ValueError for another."""
        roots = np.sqrt(positive_diagonal(t, self.names[0]))
        return joined(roots * theta[: at.size], theta[at.size :])

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the m variances and the parameters of the correlation."""
        m = at.size
        t, phi = theta[:m], theta[m:]
        report = self.correlation.report(self.correlation.values(phi, m), at)
        k = len(report.values)
        jacobian = np.zeros((m + k, len(theta)), dtype=theta.dtype)
        jacobian[np.arange(m), np.arange(m)] = 4.0 * t**3
        jacobian[m:, m:] = report.jacobian * self.correlation.slopes(phi, m)
        names = tuple(own_name("var", label) for label in at.labels)
        kinds = ("variance",) * m + report.kinds
        return Natural(names + report.names, joined(t**4, report.values), jacobian, kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from (m variances, parameters of the correlation)."""
        m = at.size
        u = self.correlation.from_report(np.asarray(values[m:], dtype=np.float64), at)
        roots = np.array([standard_deviation(v) for v in values[:m]]) ** 0.5
        return joined(roots, self.correlation.inverse(u, m))

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ off a false boundary s_i = 0 or u at an end of its range, or None."""
        m = at.size
        s = theta[:m] ** 2
        vanished = s**2 < VANISHED * step
        if np.all(vanished):
            phi = steepest_correlation(self.correlation, theta[m:], gamma, at, step)
            return None if phi is None else joined(np.full(m, step**0.25), phi)
        if np.any(vanished):
            c = self.correlation.matrix(theta[m:], at)
            root = np.sqrt(step)
            change = 2.0 * root * (gamma * c) @ np.where(vanished, 0.0, s) + np.diag(gamma) * step
            i = int(np.argmin(np.where(vanished, change, np.inf)))
            if change[i] < -SIGNIFICANT:
                out = theta.copy()
                out[i] = np.sqrt(root)
                return out
        phi = escape_correlation(self.correlation, theta[m:], s**2, gamma, at, step)
        return None if phi is None else joined(theta[:m], phi)

    def canonical(self, theta: Array, at: Positions) -> Array:
        """Return θ with t_i ≥ 0 and every φ in the main branch of its map."""
        m = at.size
        return joined(np.abs(theta[:m]), canonical_correlation(self.correlation, theta[m:], m))


def _scale_slopes(out: Array, t: Array, c: Array) -> None:
    """Add ∂(ss'∘C)/∂t_a = 2t_a(e_a s' + s e_a')∘C to `out`[a], for every a."""
    index = np.arange(len(t))
    rows = 2.0 * t[:, None] * (t**2)[None, :] * c
    out[index, index, :] += rows
    out[index, :, index] += rows


def standard_deviation(variance: float) -> float:
    """Return √variance; ValueError when it is negative or not finite."""
    if not (variance >= 0.0 and np.isfinite(variance)):
        raise ValueError(f"variance {variance:.6g} must be a number ≥ 0")
    return float(np.sqrt(variance))


def correlation_of(target: Array) -> Array:
    """Return the correlation matrix of a covariance (m, m); positions without variance are uncorrelated."""
    variances = np.diag(target)
    scale = np.where(variances > 0, np.sqrt(np.where(variances > 0, variances, 1.0)), 1.0)
    out: Array = target / np.outer(scale, scale)
    np.fill_diagonal(out, 1.0)
    return out


def canonical_correlation(family: Correlation, phi: Array, m: int) -> Array:
    """Return φ in the main branch of each map, with the same C(φ)."""
    return family.moved(phi, family.values(phi, m), m)


def steepest_correlation(
    family: Correlation, phi: Array, gamma: Array, at: Positions, step: float
) -> Array | None:
    """Return φ with ⟨Γ, step·C(φ)⟩ most negative among the present φ and a few trials; None if none is."""
    here = family.values(phi, at.size)
    best = min([here, *family.trial_values(at)], key=lambda u: float(np.sum(gamma * family.of(u, at))))
    if step * float(np.sum(gamma * family.of(best, at))) >= -SIGNIFICANT:
        return None
    return family.moved(phi, best, at.size)


def escape_correlation(
    family: Correlation, phi: Array, variances: Array, gamma: Array, at: Positions, step: float
) -> Array | None:
    """Return φ with one u moved off an end of its range, or off a flat region, if that lowers −2l; or None.

    `variances` are those of the positions (or the common one); u moves so far that Σ changes by about `step`.
    """
    transforms = family.transforms(at.size)
    u = family.values(phi, at.size)
    scale = np.sqrt(np.outer(variances, variances))
    flat = family.escape_flat(u, gamma * scale, at, step / float(np.max(variances)))
    if flat is not None:
        return family.moved(phi, flat, at.size)
    if not any(t.attained for t in transforms):
        return None
    slopes = np.einsum("aij,ij->a", family.d_of(u, at), gamma * scale)
    for a, transform in enumerate(transforms):
        if not transform.attained:
            continue
        ends = (transform.value(-0.5 * np.pi), transform.value(0.5 * np.pi))
        move = min(step / float(np.max(variances)), 0.25 * (ends[1] - ends[0]))
        for end, inwards in zip(ends, (1.0, -1.0), strict=True):
            if abs(u[a] - end) < VANISHED * move and inwards * move * slopes[a] < -SIGNIFICANT:
                moved = u.copy()
                moved[a] = end + inwards * move
                return family.moved(phi, moved, at.size)
    return None
