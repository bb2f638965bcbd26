"""(θ, β, ψ) ↦ −2 log likelihood by adaptive Gauss–Hermite quadrature, for random effects of one grouping factor.

The p effects of level j are b = Λu. About the mode û_j of h_j(u) = −Σℓ_i + ½u'u, with M_j = I + Λ'Z'WZΛ = CC' there and
a rule of nodes z_k and weights ω_k (`gauss_hermite`),

    L = Σ_j [log|M_j| − 2 log Σ_k ω_k e^{−h_j(u_k)}],      u_k = û_j + C⁻ᵀz_k,

which is Laplace's approximation for one node (Liu and Pierce 1994; Pinheiro and Bates 1995). The gradient is that of
this sum, with everything that moves the nodes. With π_k the normalised summands, γ_k = ∇h(u_k), Φ(·) the lower
triangle with half the diagonal, Ξ = Σπ_kz_k(C⁻¹γ_k)', averages by π marked with a bar,

    B = C⁻ᵀ(I − Φ(Ξ) − Φ(Ξ)')C⁻¹,   v_i = (z_i'ΛBΛ'z_i):∂W_i/∂η,   a = M⁻¹(2γ̄ + Λ'Z'v),   e = ZΛa,
    ∂L/∂β = X'(−2s̄ + v − We),   ∂L/∂Λ = −2·avg(Z's_k u_k') + 2Z'WZΛB + Z'(v − We)û' + Z's a'.

Nothing is divided by Λ, which may be singular. ∂L/∂Σ is read from ∂L/∂Λ where Λ has an inverse, and is the average of
Z'WZ − (Z's)(Z's)' over the nodes, the derivative of the integral itself, where it has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Scores
from ..errors import FitError
from ..likelihood.responses import Responses
from ..likelihood.rows import Rows as Densities
from ..likelihood.rows import pairs
from ..typing import Array
from .differences import Evaluation, hessian_by_differences, slopes_by_differences
from .gauss_hermite import DEFAULT, gauss_hermite
from .laplace import EXACT, NOT_FINITE, Laplace
from .levels import Levels, repeated
from .mode import Effects, Mode
from .parameters import NaturalParameters

SETTLED = 1e-16
"""Decrement of the mode at which its search ends: nodes about a mode that is off have another gradient."""
ROWS = 30_000
"""Rows times nodes taken at once: what fits a processor's cache."""
REGULAR = 1e-4
"""Λ_ii in units of the posterior of its effect above which ∂L/∂Σ is read from ∂L/∂Λ."""


@dataclass(frozen=True, slots=True, eq=False)
class _Visit:
    """Some nodes of some levels: k nodes, l levels, m rows in the order of levels."""

    levels: NDArray[np.intp]
    rows: slice
    starts: NDArray[np.intp]
    """First row of each level, among the m."""
    local: NDArray[np.intp]
    """Place of each row's level among the l, (m,)."""
    z: Array
    """(k, p)."""
    u: Array
    """(k, l, p)."""
    weights: Array
    """ω_k exp(ĥ − h(u_k)), (k, l)."""
    densities: Densities
    """Of k·m rows."""

    def by_node(self, values: Array) -> Array:
        """Return what is known of rows (…, k·m) by node, (…, k, m), 0 where a density is 0 and has no derivatives."""
        known = np.isfinite(self.densities.value)
        found = values if known.all() else np.where(known, values, 0.0)
        return found.reshape(*values.shape[:-1], len(self.z), len(self.local))

    def pulls(self, score: Array, levels: Levels) -> Array:
        """Return Z's of every level at every node, (k, l, p), for s (P, k, m)."""
        out = np.zeros_like(self.u)
        for c, values in enumerate(levels.values[:, self.rows]):
            chosen = [a for a, carrier in enumerate(levels.carrier) if carrier == c]
            own = score[chosen[0]] if len(chosen) == 1 else score[chosen].sum(axis=0)
            for r in range(levels.dimensions):
                out[:, :, r] += np.add.reduceat(own * values[:, r], self.starts, axis=1)
        return out


@dataclass(slots=True)
class _Sums:
    """Sums over nodes with the weights q_k = ω_k exp(ĥ − h(u_k)), by level or by row in the order of levels."""

    mass: Array
    """Σq_k, (q,)."""
    score: Array
    """Σq_k s_k, (P, n)."""
    pulls: Array
    """Σq_k r_k with r = Z's, (q, p)."""
    places: Array
    """Σq_k u_k, (q, p)."""
    crossed: Array
    """Σq_k r_k u_k', (q, p, p)."""
    turned: Array
    """Σq_k z_k γ_k', (q, p, p)."""


@dataclass(slots=True)
class _Point:
    """Everything computed at one parameter vector; matrices by level, (q, p, p)."""

    key: bytes
    value: float = inf
    mode: Mode | None = None
    roots: Array = field(default_factory=lambda: np.empty(0))
    """Λ."""
    squares: Array = field(default_factory=lambda: np.empty(0))
    """K = Z'WZ."""
    inverse: Array = field(default_factory=lambda: np.empty(0))
    """C⁻¹."""
    centre: Array = field(default_factory=lambda: np.empty(0))
    """û, (q, p)."""
    sums: _Sums | None = None
    right: Effects = ()
    slopes: Array = field(default_factory=lambda: np.empty(0))
    """∂L/∂Λ."""
    gammas: tuple[Array, ...] | None = None
    gradient: Array | None = None
    evaluation: Evaluation | None = None


class Quadrature:
    """The criterion of a model with one grouping factor, by quadrature about the modes that Laplace's criterion finds.

    Parameters
    ----------
    laplace
        Laplace's criterion of the same model, with what is held.
    points
        Points a dimension; None for the usual number.

    Raises
    ------
    SpecError
        For random effects that are not those of independent levels of one factor, for more than three a level, and
        for more than 10,000 nodes.
    """

    joint = True
    cheap_hessian = False
    linear = None

    def __init__(self, laplace: Laplace, points: int | None = None) -> None:
        self.laplace = laplace
        self.design, self.equations, self.observed = laplace.design, laplace.equations, laplace.observed
        self.model, self.stack, self.nu = laplace.model, laplace.stack, laplace.nu
        self.of_beta, self.of_psi, self.n_theta = laplace.of_beta, laplace.of_psi, laplace.n_theta
        self.free: NDArray[np.bool_] = laplace.free
        self.held: Mapping[str, float] = laplace.held
        self.levels = Levels.of(self.design, self.observed)
        dimensions = self.levels.dimensions
        self.rule = gauss_hermite(DEFAULT[dimensions] if points is None else points, dimensions)
        self.evaluations = 0
        self.tolerance = SETTLED
        self._batches = self.levels.batches(len(self.rule), ROWS)
        self._kept: dict[int, Responses] = {}
        self._point = _Point(b"?")

    # -- value -------------------------------------------------------------------------------------------------

    def value(self, theta: Array) -> float:
        """Return L, infinite where û is not found."""
        return self._at(theta).value

    def mode(self, theta: Array) -> Mode:
        """Return û and what is known there; `FitError` where it is not found."""
        return _found(self._at(theta))

    def _at(self, theta: Array) -> _Point:
        key = theta.tobytes()
        if key == self._point.key:
            return self._point
        self._point = point = _Point(key)
        self.evaluations += 1
        with np.errstate(all="ignore"):
            self._settle(point, theta)
        return point

    def _settle(self, point: _Point, theta: Array) -> None:
        """Find the mode, the frame of the nodes about it, and the sums over the nodes."""
        point.mode = mode = self.laplace.settled_mode(theta, self.tolerance)
        if mode is None:
            return
        levels = self.levels
        roots = self.model.numbers(theta, roots=True).roots
        assert roots is not None
        point.roots = levels.roots(roots)
        point.squares = levels.squares(self.stack.carried(mode.densities.curvature))
        turned = point.roots.transpose(0, 2, 1)
        try:
            lower = np.linalg.cholesky(np.eye(levels.dimensions) + turned @ point.squares @ point.roots)
        except np.linalg.LinAlgError:
            return
        point.inverse = np.linalg.inv(lower)
        point.centre = (turned @ levels.joined(mode.dual)[:, :, None])[:, :, 0]
        point.sums = sums = self._sums(point, theta[self.of_psi])
        value = mode.height + mode.logdet - 2.0 * float(np.log(sums.mass).sum())
        if isfinite(value):
            point.value = value

    def _visits(self, point: _Point, psi: Array, order: int) -> Iterator[_Visit]:
        """Yield the nodes of every level with the log densities there, about `ROWS` rows at a time."""
        mode, levels, rule = point.mode, self.levels, self.rule
        assert mode is not None
        family, responses = self.observed.family, self.observed.responses
        eta, value = mode.eta[:, levels.order], mode.densities.value[levels.order]
        for batch in self._batches:
            own, rows = levels.seen[batch.levels], batch.rows
            starts = levels.starts[batch.levels] - rows.start
            local = levels.ordinals[rows] - batch.levels.start
            height = np.add.reduceat(value[rows], starts)
            size = rows.stop - rows.start
            centre, back, roots = point.centre[own], point.inverse[own], point.roots[own]
            for first in range(0, len(rule), batch.nodes):
                z = rule.nodes[first : first + batch.nodes]
                step = np.einsum("qba,kb->kqa", back, z)
                u = centre + step
                moved = np.einsum("qab,kqb->kqa", roots, step)[:, local]
                at = np.repeat(eta[:, None, rows], len(z), axis=1)
                for c, values in enumerate(levels.values[:, rows]):
                    found = np.einsum("knp,np->kn", moved, values)
                    for a, carrier in enumerate(levels.carrier):
                        if carrier == c:
                            at[a] += found
                densities = family.at(
                    self._responses(responses, rows, len(z)), at.reshape(len(at), -1), psi, order
                )
                total = np.add.reduceat(densities.value.reshape(len(z), size), starts, axis=1)
                fall = total - height - 0.5 * (u**2 - centre**2).sum(axis=2)
                weights = np.exp(rule.log_weights[first : first + len(z), None] + fall)
                yield _Visit(own, rows, starts, local, z, u, weights, densities)

    def _responses(self, responses: Responses, rows: slice, times: int) -> Responses:
        """Return the responses of some rows, so many times; those of the only batch are kept."""
        if len(self._batches) > 1:
            return repeated(responses, self.levels.order[rows], times)
        if times not in self._kept:
            self._kept[times] = repeated(responses, self.levels.order, times)
        return self._kept[times]

    def _sums(self, point: _Point, psi: Array) -> _Sums:
        levels, p = self.levels, self.levels.dimensions
        q, n = levels.count, len(levels.order)
        sums = _Sums(
            np.zeros(q), np.zeros((self.stack.count, n)), np.zeros((q, p)), np.zeros((q, p)),
            np.zeros((q, p, p)), np.zeros((q, p, p)),
        )  # fmt: skip
        turned = point.roots.transpose(0, 2, 1)
        for visit in self._visits(point, psi, 1):
            own, weights = visit.levels, visit.weights
            score = visit.by_node(visit.densities.score)
            pulls = visit.pulls(score, levels)
            heavy = weights[:, :, None] * pulls
            slope = visit.u - np.einsum("qab,kqb->kqa", turned[own], pulls)
            sums.mass[own] += weights.sum(axis=0)
            sums.score[:, visit.rows] += np.einsum("kn,pkn->pn", weights[:, visit.local], score)
            sums.pulls[own] += heavy.sum(axis=0)
            sums.places[own] += np.einsum("kq,kqa->qa", weights, visit.u)
            sums.crossed[own] += np.einsum("kqa,kqb->qab", heavy, visit.u)
            sums.turned[own] += np.einsum("ka,kqb->qab", visit.z, weights[:, :, None] * slope)
        _normalise(sums, levels)
        return sums

    # -- gradient ----------------------------------------------------------------------------------------------

    def gradient(self, theta: Array) -> Array:
        """Return ∂L/∂(θ, β, ψ), (n_theta,)."""
        point = self._at(theta)
        if point.gradient is None:
            with np.errstate(all="ignore"):
                self._differentiate(point, theta)
        assert point.gradient is not None
        return point.gradient

    def _differentiate(self, point: _Point, theta: Array) -> None:
        mode, stack, levels = _found(point), self.stack, self.levels
        sums, weights, roots = point.sums, mode.densities.curvature, point.roots
        assert sums is not None
        turned, back = roots.transpose(0, 2, 1), point.inverse.transpose(0, 2, 1)
        # B, and from it v, a and e
        lean = _lower(sums.turned @ back)
        shape = np.eye(levels.dimensions) - lean - lean.transpose(0, 2, 1)
        spread = back @ shape @ point.inverse
        variances = levels.covariances(roots @ spread @ turned)
        bend = mode.densities.contract(variances)
        slope = sums.places - (turned @ sums.pulls[:, :, None])[:, :, 0]
        pull = levels.joined(stack.adjoint_random(bend))
        right = 2.0 * slope + (turned @ pull[:, :, None])[:, :, 0]
        adjoint = (back @ (point.inverse @ right[:, :, None]))[:, :, 0]
        carried = stack.random(levels.parted((roots @ adjoint[:, :, None])[:, :, 0]))
        turn = bend - stack.times(weights, carried)
        # slopes
        average = np.empty_like(sums.score)
        average[:, levels.order] = sums.score
        point.right = stack.adjoint_random(mode.densities.score - stack.times(weights, mode.moved))
        moved = levels.joined(stack.adjoint_random(turn))
        point.slopes = (
            2.0 * (point.squares @ roots @ spread - sums.crossed)
            + moved[:, :, None] * point.centre[:, None, :]
            + levels.joined(point.right)[:, :, None] * adjoint[:, None, :]
        )
        gradient = np.empty(self.n_theta)
        gradient[: self.model.n_theta] = self._theta_slopes(point, theta)
        gradient[self.of_beta] = stack.adjoint_fixed(turn - 2.0 * average)
        if self.of_psi.stop > self.of_psi.start:
            gradient[self.of_psi] = self._psi_slopes(point, theta[self.of_psi], variances, carried)
        point.gradient = gradient

    def _theta_slopes(self, point: _Point, theta: Array) -> Array:
        """Return ∂L/∂θ from ∂L/∂Λ: where θ are entries of Λ at these, elsewhere through Σ."""
        out = np.zeros(self.model.n_theta)
        by_set = self.levels.by_set(point.slopes)
        for block in self.model.random_blocks:
            structure, at = block.structure, block.positions
            entries = structure.factor_entries(at.size)
            if entries is None:
                gamma = self._gammas(point, theta)[block.term][block.set]
                out[block.place] = structure.slopes(theta[block.place], gamma, at)
                continue
            for row, column, place in entries:
                out[block.place.start + place] += by_set[block.term][block.set][row, column]
        return out

    def _gammas(self, point: _Point, theta: Array) -> tuple[Array, ...]:
        """Return ∂L/∂Σ by term, (sets, p, p)."""
        if point.gammas is None:
            point.gammas = self._find_gammas(point, theta)
        return point.gammas

    def _find_gammas(self, point: _Point, theta: Array) -> tuple[Array, ...]:
        if self.rule.points == 1:
            return self.laplace.evaluate(theta).gammas
        roots = self.model.numbers(theta, roots=True).roots
        assert roots is not None
        squares, counts = self.levels.by_set(point.squares), [np.bincount(s) for s in self.levels.sets]
        for root, square, count in zip(roots, squares, counts, strict=True):
            sizes = np.einsum("sii->si", square) / np.maximum(count, 1)[:, None]
            if (np.abs(np.einsum("sii->si", root)) * np.sqrt(np.abs(sizes)) <= REGULAR).any():
                return self._average_gammas(point, theta[self.of_psi])
        # Λ̇ = ΛΦ(Λ⁻¹Σ̇Λ⁻ᵀ)
        found = []
        for root, slope in zip(roots, self.levels.by_set(point.slopes), strict=True):
            inverse = np.linalg.inv(root)
            own = _lower(root.transpose(0, 2, 1) @ slope)
            found.append(0.5 * inverse.transpose(0, 2, 1) @ (own + own.transpose(0, 2, 1)) @ inverse)
        return tuple(found)

    def _average_gammas(self, point: _Point, psi: Array) -> tuple[Array, ...]:
        """Return Σ_j avg_k[Z'WZ − (Z's)(Z's)'] by term and set, the slope of the integral at any Σ."""
        levels, sums = self.levels, point.sums
        assert sums is not None
        curvature = np.zeros((len(pairs(self.stack.count)), len(levels.order)))
        crossed = np.zeros_like(point.roots)
        for visit in self._visits(point, psi, 2):
            share = visit.weights / sums.mass[visit.levels]
            own = visit.by_node(visit.densities.curvature)
            curvature[:, visit.rows] += np.einsum("kn,pkn->pn", share[:, visit.local], own)
            pulls = visit.pulls(visit.by_node(visit.densities.score), levels)
            crossed[visit.levels] += np.einsum("kqa,kqb->qab", share[:, :, None] * pulls, pulls)
        placed = np.empty_like(curvature)
        placed[:, levels.order] = curvature
        return levels.by_set(levels.squares(self.stack.carried(placed)) - crossed)

    def _psi_slopes(self, point: _Point, psi: Array, variances: Array, carried: Array) -> Array:
        """Return ∂L/∂ψ by differences of the fourth order at nodes and weights that stay."""
        shares = [visit.weights for visit in self._visits(point, psi, 0)]

        def function(at: Array) -> float:
            mode = _found(point)
            rows = self.observed.at(mode.eta, at, 2)
            twice = np.array([1.0 if a == b else 2.0 for a, b in pairs(self.stack.count)])
            total = float(np.einsum("k,kn,kn->", twice, variances, rows.curvature))
            total += float(np.vdot(carried, rows.score))
            assert point.sums is not None
            for share, visit in zip(shares, self._visits(point, at, 0), strict=True):
                weights = share / point.sums.mass[visit.levels]
                values = visit.by_node(visit.densities.value)
                total -= 2.0 * float(np.einsum("kn,kn->", weights[:, visit.local], values))
            return total

        return slopes_by_differences(function, psi)

    # -- second derivatives --------------------------------------------------------------------------------------

    def evaluate(self, theta: Array) -> Evaluation:
        """Return L with its derivatives and the Hessian of Laplace's working model."""
        point = self._at(theta)
        if point.evaluation is None:
            gradient, mode = self.gradient(theta), _found(point)
            information = self.laplace.working_information(theta, mode, point.right)
            gammas = self._gammas(point, theta)
            curvature = np.zeros((self.n_theta, self.n_theta))
            own = slice(0, self.model.n_theta)
            curvature[own, own] = self.model.curvature(theta, gammas, Scores((), ()))
            assert mode.equations is not None
            traces = mode.equations.traces(False)[0]
            point.evaluation = Evaluation(point.value, gradient, information, curvature, gammas, traces)
        return point.evaluation

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of L by central differences of its gradient, (n_theta, n_theta).

        `evaluations` does not count those: they are no part of the search.
        """
        if expected:
            raise ValueError("the expected information of a likelihood by quadrature is not computed")
        here, before, at_start = self.evaluate(theta), self.evaluations, self._point
        self.tolerance = EXACT
        try:
            return hessian_by_differences(self.gradient, theta, here)
        finally:
            self.tolerance, self.evaluations, self._point = SETTLED, before, at_start

    # -- what the search asks besides ----------------------------------------------------------------------------

    def own_start(self) -> Array:
        """Return where Laplace's criterion starts."""
        return self.laplace.own_start()

    def reach(self, theta: Array, step: Array) -> float:
        """Return the share of a step that moves no predictor, and no spread of one, too far."""
        return self.laplace.reach(theta, step)

    def gammas(self, theta: Array) -> tuple[Array, ...]:
        """Return nothing: there is no R."""
        return ()

    def unit(self, theta: Array) -> float:
        """Return the variance that a row of mean weight has: 1/mean W."""
        return self.laplace.unit(theta)

    def natural(self, theta: Array) -> NaturalParameters:
        """Return the covariance parameters on the reporting scale, then those of ψ."""
        return self.laplace.natural(theta)


def _found(point: _Point) -> Mode:
    if point.mode is None or not isfinite(point.value):
        raise FitError(NOT_FINITE)
    return point.mode


def _normalise(sums: _Sums, levels: Levels) -> None:
    """Divide sums by the mass of their level; levels without rows have mass one, and zeros."""
    unseen = np.ones(levels.count, dtype=bool)
    unseen[levels.seen] = False
    sums.mass[unseen] = 1.0
    sums.score /= sums.mass[levels.seen][levels.ordinals]
    for by_level in (sums.pulls, sums.places, sums.crossed, sums.turned):
        by_level /= sums.mass.reshape(-1, *[1] * (by_level.ndim - 1))


def _lower(matrices: Array) -> Array:
    """Return the lower triangle of matrices (…, p, p) with half the diagonal."""
    out = np.tril(matrices)
    np.einsum("...ii->...i", out)[:] *= 0.5
    return out
