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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Scores
from ..errors import FitError, Status
from ..likelihood.rows import pairs
from ..typing import Array
from .differences import Evaluation, hessian_by_differences, slopes_by_differences
from .gauss_hermite import DEFAULT, gauss_hermite, next_points
from .laplace import EXACT, NOT_FINITE, Laplace
from .levels import Levels, refuse_other_layouts
from .mode import Effects, Mode, Rest
from .nodes import Frame, Nodes, Sums
from .parameters import NaturalParameters

SETTLED = 1e-16
"""Decrement of the mode at which its search ends: nodes about a mode that is off have another gradient."""
REGULAR = 1e-4
"""Λ_ii in units of the posterior of its effect above which ∂L/∂Σ is read from ∂L/∂Λ."""


@dataclass(slots=True)
class _Point:
    """Everything computed at one parameter vector; matrices by level, (q, p, p)."""

    key: bytes
    value: float = inf
    about: tuple[Frame, Sums] | None = None
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
        refuse_other_layouts(self.design.random, self.stack)
        self.levels = Levels.of(self.design.random, self.stack)
        dimensions = self.levels.dimensions
        self.rule = gauss_hermite(DEFAULT[dimensions] if points is None else points, dimensions)
        self.evaluations = 0
        self.tolerance = SETTLED
        self.nodes = Nodes(self.levels, self.rule, self.observed)
        self._point = _Point(b"?")
        self._covariance: tuple[bytes, Array] | None = None

    @property
    def points(self) -> int:
        """Points a dimension."""
        return self.rule.points

    def raised(self) -> Quadrature | None:
        """Return the criterion with about half as many points again; None where that is not possible."""
        more = next_points(self.rule.points, self.rule.dimensions)
        return None if more is None else Quadrature(self.laplace, more)

    # -- value -------------------------------------------------------------------------------------------------

    def value(self, theta: Array) -> float:
        """Return L, infinite where û is not found."""
        return self._at(theta).value

    def mode(self, theta: Array) -> Mode:
        """Return û and what is known there; `FitError` where it is not found."""
        return _found(self._at(theta))[0].mode

    def mode_slopes(self, theta: Array, mode: Mode) -> tuple[Array, ...]:
        """Return ∂b̂/∂(θ, ψ) at a mode by term, (q, p, k + l): the modes are Laplace's."""
        return self.laplace.mode_slopes(theta, mode)

    def rest(self, theta: Array) -> Rest:
        """Return what results read at the mode."""
        return Rest.of(self.mode(theta))

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
        mode = self.laplace.settled_mode(theta, self.tolerance)
        frame = None if mode is None else self.nodes.frame(mode, self._roots(theta), mode.dual)
        if frame is None:
            return
        sums = self.nodes.sums(frame, theta[self.of_psi])
        point.about = frame, sums
        value = frame.mode.height + frame.mode.logdet - 2.0 * float(np.log(sums.mass).sum())
        if isfinite(value):
            point.value = value

    def _roots(self, theta: Array) -> tuple[Array, ...]:
        """Return Λ of every term, (sets, p, p)."""
        roots = self.model.numbers(theta, roots=True).roots
        assert roots is not None
        return roots

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
        (frame, sums), stack, levels = _found(point), self.stack, self.levels
        mode, roots, weights = frame.mode, frame.roots, frame.mode.densities.curvature
        turned, back = roots.transpose(0, 2, 1), frame.inverse.transpose(0, 2, 1)
        # B, and from it v, a and e
        lean = _lower(sums.turned @ back)
        shape = np.eye(levels.dimensions) - lean - lean.transpose(0, 2, 1)
        spread = back @ shape @ frame.inverse
        variances = levels.covariances(roots @ spread @ turned)
        bend = mode.densities.contract(variances)
        slope = sums.places - (turned @ sums.pulls[:, :, None])[:, :, 0]
        pull = levels.joined(stack.adjoint_random(bend))
        right = 2.0 * slope + (turned @ pull[:, :, None])[:, :, 0]
        adjoint = (back @ (frame.inverse @ right[:, :, None]))[:, :, 0]
        carried = stack.random(levels.parted((roots @ adjoint[:, :, None])[:, :, 0]))
        turn = bend - stack.times(weights, carried)
        # slopes
        average = np.empty_like(sums.score)
        average[:, levels.order] = sums.score
        point.right = stack.adjoint_random(mode.densities.score - stack.times(weights, mode.moved))
        moved = levels.joined(stack.adjoint_random(turn))
        point.slopes = (
            2.0 * (frame.squares @ roots @ spread - sums.crossed)
            + moved[:, :, None] * frame.centre[:, None, :]
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
        roots = self._roots(theta)
        squares, counts = (
            self.levels.by_set(_found(point)[0].squares),
            [np.bincount(s, minlength=n) for s, n in zip(self.levels.sets, self.levels.n_sets, strict=True)],
        )
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
        levels, (frame, sums) = self.levels, _found(point)
        curvature = np.zeros((len(pairs(self.stack.count)), len(levels.order)))
        crossed = np.zeros_like(frame.roots)
        for visit in self.nodes.visits(frame, psi, 2):
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
        frame, sums = _found(point)
        shares = [visit.weights / sums.mass[visit.levels] for visit in self.nodes.visits(frame, psi, 0)]

        def function(at: Array) -> float:
            rows = self.observed.at(frame.mode.eta, at, 2)
            twice = np.array([1.0 if a == b else 2.0 for a, b in pairs(self.stack.count)])
            total = float(np.einsum("k,kn,kn->", twice, variances, rows.curvature))
            total += float(np.vdot(carried, rows.score))
            for share, visit in zip(shares, self.nodes.visits(frame, at, 0), strict=True):
                values = visit.by_node(visit.densities.value)
                total -= 2.0 * float(np.einsum("kn,kn->", share[:, visit.local], values))
            return total

        return slopes_by_differences(function, psi)

    # -- second derivatives --------------------------------------------------------------------------------------

    def evaluate(self, theta: Array) -> Evaluation:
        """Return L with its derivatives and the Hessian of Laplace's working model."""
        point = self._at(theta)
        if point.evaluation is None:
            gradient, mode = self.gradient(theta), _found(point)[0].mode
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

    def covariance(self, theta: Array) -> Array:
        """Return 2H⁻ of all parameters, (n_theta, n_theta), zero for held ones; see `Laplace`."""
        if self._covariance is None or self._covariance[0] != theta.tobytes():
            self._covariance = (theta.tobytes(), self.laplace.inverted(self.observed_information(theta)))
        return self._covariance[1]

    def natural_covariance(self, theta: Array) -> Array:
        """Return the asymptotic covariance of the natural parameters, (k, k), in the order of `natural`."""
        jacobian = self.natural(theta).jacobian
        return np.asarray(jacobian @ self.covariance(theta) @ jacobian.T)

    # -- what the search asks besides ----------------------------------------------------------------------------

    def own_start(self) -> Array:
        """Return where Laplace's criterion starts."""
        return self.laplace.own_start()

    def placed(self, theta: Array, values: Mapping[str, float]) -> Array:
        """Return (θ, β, ψ) with natural values of ψ, by name."""
        return self.laplace.placed(theta, values)

    @property
    def remarks(self) -> tuple[Status, ...]:
        """What is to be said of the covariance that was computed last: nothing, it is never approximated."""
        return ()

    def reach(self, theta: Array, step: Array) -> float:
        """Return the share of a step that moves no predictor, and no spread of one, too far."""
        return self.laplace.reach(theta, step)

    def gammas(self, theta: Array) -> Sequence[Array]:
        """Return nothing: there is no R."""
        return ()

    def unit(self, theta: Array) -> float:
        """Return the variance that a row of mean weight has: 1/mean W."""
        return self.laplace.unit(theta)

    def natural(self, theta: Array) -> NaturalParameters:
        """Return the covariance parameters on the reporting scale, then those of ψ."""
        return self.laplace.natural(theta)


def _found(point: _Point) -> tuple[Frame, Sums]:
    if point.about is None or not isfinite(point.value):
        raise FitError(NOT_FINITE)
    return point.about


def _lower(matrices: Array) -> Array:
    """Return the lower triangle of matrices (…, p, p) with half the diagonal."""
    out = np.tril(matrices)
    np.einsum("...ii->...i", out)[:] *= 0.5
    return out
