"""(θ, β, ψ) ↦ −2 log of Laplace's approximation to the likelihood of a generalised linear mixed model.

With û the mode of h(u) = −Σℓ_i + ½u'u, b = Λu, and M = I + Λ'Z'WZΛ, W = −∂²ℓ/∂η∂η' observed,

    L = 2h(û) + log|M|,      every constant of ℓ kept.

The search for û stops early and L is corrected for what is left of it: with C = ΛM⁻¹Λ', S_i = z_iCz_i', v_i =
S_i:∂W_i/∂η, e = CZ'v, r = Z's and ρ the dual of b, L + e'(r − ρ) − (r − ρ)'C(r − ρ) errs by the square of r − ρ. One
adjoint solve (e) gives the whole gradient,

    w = −2s + v − WZe,   ∂L/∂β = X'w,   ∂L/∂Σ = Γ = T − rr' + ½(tr' + rt'),   T = Z'WZ − Z'WZCZ'WZ,   t = Z'(v − WZe),

summed over the levels of a term; Γ needs no inverse and holds at singular Σ. The model Hessian is that of the working
linear mixed model, V = W⁻¹ + ZGZ': 2X'V⁻¹X for β, 2X'V⁻¹f_a between β and θ with f_a = ZΣ̇_ar, and the average
information of the profile of θ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Direction, Equations, Scores
from ..engines.effects import prior_times
from ..engines.layout import TermLayout
from ..errors import FitError, Severity, Status
from ..terms.design import Design
from ..terms.observed import Observed
from ..typing import Array
from .covariances import CovarianceModel
from .differences import STEP, Evaluation, hessian_by_differences, inverted, profiled, slopes_by_differences
from .expected import ExpectedCurvature
from .fused import Found, Fused
from .glm_start import start_values
from .mode import Effects, Mode, ModeSearch, Rest, inner
from .parameters import NaturalParameters

ENOUGH = 1e-7
"""Decrement of the mode at which its search ends for a step of the search for the optimum."""
EXACT = 1e-20
"""The same where differences of the gradient are taken."""
POLISHED = 1e-14
"""Decrement of the mode that is good enough for results."""
EVEN = 1e-9
"""Decrement of the mode, predicted to first order, at either side of a point where the gradient is differenced."""
FURTHEST = 3.0
"""Change of a linear predictor, in its units, at most in one step."""
WIDER = 0.7
"""Change of the standard deviation of a random column's part in a predictor, in its units, at most in one step."""
WORKING = "standard errors are those of the working linear mixed model"
EDGE = "The likelihood is zero or not defined next to the estimates, on one side of them"
NOT_FINITE = (
    "the Laplace approximation has no derivatives here, where the mode of the random effects was not found or is no "
    "minimum; choose another start."
)


@dataclass(slots=True)
class _Point:
    """Everything computed at one parameter vector."""

    key: bytes
    value: float = inf
    mode: Mode | None = None
    curved: Equations | None = None
    """The equations of the determinant: those of the mode, or of the expected curvature."""
    variances: Array | None = None
    """S packed, (P(P + 1)/2, n)."""
    bend: Array | None = None
    """v, (P, n)."""
    adjoint: Array | None = None
    """Ze, (P, n)."""
    score: Array | None = None
    """s at the mode, (P, n)."""
    right: Effects = ()
    """r at the mode."""
    gammas: tuple[Array, ...] = ()
    traces: tuple[Array, ...] = ()
    gradient: Array | None = None
    evaluation: Evaluation | None = None
    fused: Found | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Base:
    """Where the last derivatives were taken: a mode to start from near it, and what steps move predictors by."""

    sigma: tuple[Array, ...]
    fixed: Array
    mode: Mode
    right: Effects
    slopes: Array
    """∂η/∂θ with u held, (P, n, k)."""


class Laplace:
    """The criterion of one design and likelihood, on equations without fixed part.

    Parameters
    ----------
    design
        Terms and structures; of its fixed part only the rank is read.
    equations
        Equations of `observed.stack.rows()`; None for a model without random terms.
    observed
        Family, responses and predictors, X in coordinates in which its columns are well scaled.
    model, free, held
        As in `Gaussian`.
    expected
        Whether W in log|M| is its expectation, as in lme4; the mode is the same.
    """

    joint = True
    cheap_hessian = False
    linear = None
    points = None

    def __init__(
        self,
        design: Design,
        equations: Equations,
        observed: Observed,
        *,
        model: CovarianceModel | None = None,
        free: NDArray[np.bool_] | None = None,
        held: Mapping[str, float] | None = None,
        expected: bool = False,
    ) -> None:
        self.expected = ExpectedCurvature(observed) if expected else None
        self.design, self.equations, self.observed = design, equations, observed
        self.model = CovarianceModel(design, equations, profiled=True) if model is None else model
        self.nu = observed.informative
        self.stack = observed.stack
        self.search = ModeSearch(observed, equations if design.random else None)
        first = self.model.n_theta
        self.of_beta = slice(first, first + self.stack.rank)
        self.of_psi = slice(self.of_beta.stop, self.of_beta.stop + len(observed.family.parameters))
        self.n_theta = self.of_psi.stop
        self.free = np.ones(self.n_theta, dtype=bool) if free is None else free
        self.held: Mapping[str, float] = dict(held or {})
        self.evaluations = 0
        self.tolerance = ENOUGH
        self.units = observed.units()
        self._point = _Point(b"?")
        self._base: _Base | None = None
        self._covariance: tuple[bytes, Array] | None = None
        self.remarks: tuple[Status, ...] = ()
        self._dual: Effects = tuple(np.zeros(shape) for shape in self.stack.shapes)
        usable = bool(design.random) and not expected
        self.fused = Fused.of(design, equations, observed, self.model) if usable else None
        self._mode: tuple[bytes, Mode] | None = None
        self._rest: tuple[bytes, Rest] | None = None

    # -- value -------------------------------------------------------------------------------------------------

    def value(self, theta: Array) -> float:
        """Return L, infinite where û is not found."""
        return self._at(theta).value

    def mode(self, theta: Array) -> Mode:
        """Return û to rounding and what is known there; `FitError` where it is not found."""
        if self.fused is not None:
            return self._whole_mode(theta)
        point = self._at(theta)
        if _found(point).decrement > POLISHED:
            before = self.evaluations, self._base
            self._dual, self._base = _found(point).dual, None
            self.tolerance = EXACT
            self._point = _Point(b"?")
            point = self._at(theta)
            self.tolerance, (self.evaluations, self._base) = ENOUGH, before
        return _found(point)

    def _whole_mode(self, theta: Array) -> Mode:
        """Return the mode with its equations and densities, from where native code found it."""
        if self._mode is None or self._mode[0] != theta.tobytes():
            mode = self.settled_mode(theta, POLISHED)
            if mode is None:
                raise FitError(NOT_FINITE)
            self._mode = theta.tobytes(), mode
        return self._mode[1]

    def rest(self, theta: Array) -> Rest:
        """Return what results read at the mode; `FitError` where it is not found."""
        if self.fused is None:
            return Rest.of(self.mode(theta))
        if self._rest is None or self._rest[0] != theta.tobytes():
            if self.fused.at(theta, EXACT, informed=False) is None:
                raise FitError(NOT_FINITE)
            self._rest = theta.tobytes(), self.fused.rest(theta)
        return self._rest[1]

    def _at(self, theta: Array) -> _Point:
        key = theta.tobytes()
        if key == self._point.key:
            return self._point
        self._point = point = _Point(key)
        self.evaluations += 1
        if self.fused is not None:
            self._settle_fused(point, theta, self.fused)
            return point
        with np.errstate(all="ignore"):
            self._settle(point, theta)
        return point

    def _settle_fused(self, point: _Point, theta: Array, fused: Fused) -> None:
        """Find everything at once; without the information where differences are taken."""
        point.fused = found = fused.at(theta, self.tolerance, informed=self.tolerance != EVEN)
        if found is None:
            return
        point.value, point.gammas, point.traces = found.value, found.gammas, found.traces
        slopes = self.model.gradient(theta, point.gammas, Scores((), ()))
        point.gradient = np.concatenate([slopes, found.slope])

    def _settle(self, point: _Point, theta: Array) -> None:
        point.mode = mode = self.settled_mode(theta, self.tolerance)
        if mode is None:
            return
        point.curved, logdet = mode.equations, mode.logdet
        if self.expected is not None and mode.equations is not None:
            covariances = self.model.numbers(theta, roots=self.equations.takes_roots)
            found = self.search.factored(self.expected.weights(mode.eta), covariances)
            if found is None:
                return
            point.curved, logdet = found
        value = mode.height + logdet - mode.decrement
        if mode.equations is not None and point.curved is not None:
            point.variances = self.stack.covariances(point.curved.leverages())
            if self.expected is None:
                point.bend = mode.densities.contract(point.variances)
            else:
                point.bend = self.expected.bend(mode.eta, point.variances)
            solved = self._solve(mode.equations, self.stack.adjoint_random(point.bend))
            point.adjoint = self.stack.random(solved)
            value += inner(solved, mode.slack)
        if isfinite(value):
            point.value = value

    def settled_mode(self, theta: Array, tolerance: float) -> Mode | None:
        """Return û at θ to a decrement of `tolerance`, from where it is expected; None where it is not found."""
        try:
            covariances = self.model.numbers(theta, roots=self.equations.takes_roots)
        except (ValueError, ArithmeticError, MemoryError, np.linalg.LinAlgError):
            return None
        fixed = self.stack.fixed(theta[self.of_beta])
        if self.fused is not None and self.fused.at(theta, tolerance, informed=False) is not None:
            dual = self.fused.effects()[1]
        else:
            dual = self._predicted(covariances.matrices(), fixed)
        return self.search.run(covariances, fixed, theta[self.of_psi], dual, tolerance)

    def _solve(self, equations: Equations, right: Effects) -> Effects:
        return tuple(b[:, :, 0] for b in equations.solve_random([own[:, :, None] for own in right]))

    def _predicted(self, sigma: tuple[Array, ...], fixed: Array) -> Effects:
        """Return the dual of the mode to first order in the change since derivatives were last taken.

        With y = ZΔGr + XΔβ the predictors change by y − ZCZ'Wy, and r by −Z'W of that.
        """
        base = self._base
        if base is None or base.mode.equations is None:
            return self._dual
        terms = zip(self._layouts, sigma, base.sigma, base.right, strict=True)
        moved = tuple(prior_times(term, new - old, r[:, :, None])[:, :, 0] for term, new, old, r in terms)
        weights = base.mode.densities.curvature
        direct = self.stack.random(moved) + (fixed - base.fixed)
        back = self._solve(base.mode.equations, self.stack.adjoint_random(self.stack.times(weights, direct)))
        change = self.stack.times(weights, direct - self.stack.random(back))
        return tuple(r - own for r, own in zip(base.right, self.stack.adjoint_random(change), strict=True))

    @property
    def _layouts(self) -> tuple[TermLayout, ...]:
        return self.equations.layout.terms

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
        mode, stack = _found(point), self.stack
        weights = mode.densities.curvature
        point.score = mode.densities.score - stack.times(weights, mode.moved)
        point.right = stack.adjoint_random(point.score)
        whole = -2.0 * point.score
        if mode.equations is not None:
            assert point.bend is not None
            assert point.adjoint is not None
            turn = point.bend - stack.times(weights, point.adjoint)
            whole += turn
            assert point.curved is not None
            point.traces = point.curved.traces(False)[0]
            point.gammas = self._gammas(point.traces, point.right, stack.adjoint_random(turn))
        gradient = np.empty(self.n_theta)
        slopes = self.model.gradient(theta, point.gammas, Scores((), ()))
        gradient[: self.model.n_theta] = slopes
        gradient[self.of_beta] = stack.adjoint_fixed(whole)
        if self.of_psi.stop > self.of_psi.start:
            gradient[self.of_psi] = self._psi_slopes(point, theta[self.of_psi])
        point.gradient = gradient

    def _gammas(self, traces: tuple[Array, ...], right: Effects, turn: Effects) -> tuple[Array, ...]:
        """Return T − Σ_lm K_lm[r_lr_m' − ½(t_lr_m' + r_lt_m')] by term, (sets, p, p)."""
        out = []
        for term, trace, r, t in zip(self._layouts, traces, right, turn, strict=True):
            gamma = trace.copy()
            for which in range(term.n_sets):
                chosen = (term.sets == which)[:, None]
                own, left = np.where(chosen, r, 0.0), np.where(chosen, r - t, 0.0)
                across = own if term.known is None else term.known.times(own)
                product = left.T @ across
                gamma[which] -= 0.5 * (product + product.T)
            out.append(gamma)
        return tuple(out)

    def _psi_slopes(self, point: _Point, psi: Array) -> Array:
        """Return ∂L/∂ψ = ∂_ψ(−2Σℓ + Σ S:W + Σ (Ze)'s) at fixed η by differences of the fourth order."""
        mode = _found(point)
        count = self.stack.count
        twice = np.array([1.0 if a == b else 2.0 for a in range(count) for b in range(a + 1)])

        def function(at: Array) -> float:
            rows = self.observed.at(mode.eta, at, 2)
            total = -2.0 * rows.value
            if point.variances is not None and point.adjoint is not None:
                total = total + np.einsum("k,kn,kn->n", twice, point.variances, rows.curvature)
                total = total + np.einsum("pn,pn->n", point.adjoint, rows.score)
            return float(total.sum())

        return slopes_by_differences(function, psi)

    # -- second derivatives --------------------------------------------------------------------------------------

    def evaluate(self, theta: Array) -> Evaluation:
        """Return L with its derivatives and the Hessian of the working model."""
        point = self._at(theta)
        if point.evaluation is None:
            gradient = self.gradient(theta)
            if self.fused is None:
                information = self.working_information(theta, _found(point), point.right)
            else:
                information = self._fused_information(theta, point, self.fused)
            curvature = np.zeros((self.n_theta, self.n_theta))
            own = slice(0, self.model.n_theta)
            curvature[own, own] = self.model.curvature(theta, point.gammas, Scores((), ()))
            point.evaluation = Evaluation(
                point.value, gradient, information, curvature, point.gammas, point.traces
            )
        return point.evaluation

    def _fused_information(self, theta: Array, point: _Point, fused: Fused) -> Array:
        if point.fused is None or not len(point.fused.gram):
            # a point of differences
            self.evaluations += 1
            point.fused = fused.at(theta, self.tolerance, informed=True)
        if point.fused is None:
            raise FitError(NOT_FINITE)
        fused.settle(theta)
        hessian = 2.0 * point.fused.gram
        k = self.model.n_theta
        hessian[:k, :k] = profiled(point.fused.gram, k)
        return hessian

    def working_information(self, theta: Array, mode: Mode, right: Effects) -> Array:
        """Return the Hessian of the working model but for curvature, (n_theta, n_theta), from û and r there.

        What steps from θ move predictors by, and where û is expected near it, is known from then on.
        """
        with np.errstate(all="ignore"):
            information, slopes = self._information(mode, right, theta)
        fixed = self.stack.fixed(theta[self.of_beta])
        self._base = _Base(self.model.matrices(theta), fixed, mode, right, slopes)
        return information

    def _information(self, mode: Mode, right: Effects, theta: Array) -> tuple[Array, Array]:
        """Return the Hessian of the working model but for curvature, and ∂η/∂θ with u held, (P, n, k)."""
        stack, k = self.stack, self.model.n_theta
        weights = mode.densities.curvature
        slopes = stack.random(self._moved_effects(self.model.directions(theta), right))
        if not k:
            slopes = np.zeros((stack.count, len(stack), 0))
        columns, weighted = self._columns(slopes, weights)
        psi = self._psi_columns(mode, theta[self.of_psi])
        weighted = np.concatenate([weighted, psi[0]], axis=2)
        size = weighted.shape[2]
        gram = np.zeros((size, size))
        for a, (places, own) in enumerate(columns):
            gram[places] += own.T @ weighted[a]
        gram[self.of_psi] = gram[:, self.of_psi].T
        gram[self.of_psi, self.of_psi] = psi[1]
        if mode.equations is not None:
            right = stack.adjoint_random(weighted)
            for one, two in zip(right, mode.equations.solve_random(list(right)), strict=True):
                gram -= one.reshape(-1, size).T @ two.reshape(-1, size)
        gram = 0.5 * (gram + gram.T)
        hessian = 2.0 * gram
        hessian[:k, :k] = profiled(gram, k)
        return hessian, slopes

    def _columns(self, slopes: Array, weights: Array) -> tuple[list[tuple[NDArray[np.intp], Array]], Array]:
        """Return for every predictor its columns of [∂η/∂θ X] with their places, and W times all of them, (P, n, ·)."""
        stack, k = self.stack, self.model.n_theta
        columns = [
            (np.concatenate([np.arange(k), k + one.columns]), np.hstack([slopes[a], one.x]))
            for a, one in enumerate(stack.predictors)
        ]
        if stack.count == 1 and np.array_equal(columns[0][0], np.arange(k + stack.rank)):
            return columns, (weights[0][:, None] * columns[0][1])[None]
        whole = np.zeros((stack.count, len(stack), k + stack.rank))
        for a, (places, own) in enumerate(columns):
            whole[a][:, places] = own
        return columns, stack.times(weights, whole)

    def _moved_effects(self, directions: Sequence[Direction], right: Effects) -> Effects:
        """Return (K⊗Σ̇_a)r of every direction, (q, p, k) by term."""
        out = [np.zeros((*r.shape, len(directions))) for r in right]
        for a, direction in enumerate(directions):
            for k, which, matrix in direction.random:
                term = self._layouts[k]
                sigma = np.zeros((term.n_sets, *matrix.shape))
                sigma[which] = matrix
                out[k][:, :, a] = prior_times(term, sigma, right[k][:, :, None])[:, :, 0]
        return tuple(out)

    def _psi_columns(self, mode: Mode, psi: Array) -> tuple[Array, Array]:
        """Return −∂s/∂ψ, (P, n, l), and −∂²Σℓ/∂ψ², (l, l)."""
        count = len(psi)
        columns = np.zeros((*mode.eta.shape, count))
        second = np.zeros((count, count))
        for j in range(count):
            shift = np.zeros(count)
            shift[j] = STEP * max(abs(float(psi[j])), 1.0)
            above, below = (self.observed.at(mode.eta, psi + sign * shift, 1) for sign in (1.0, -1.0))
            columns[:, :, j] = (below.score - above.score) / (2.0 * shift[j])
            fall = 2.0 * mode.densities.value - above.value - below.value
            second[j, j] = float(fall.sum()) / shift[j] ** 2
        return columns, second

    def mode_slopes(self, theta: Array, mode: Mode) -> Effects:
        """Return ∂b̂/∂(θ, ψ) at a mode by term, (q, p, k + l): (I − CZ'WZ)Ġr, and CZ'∂s/∂ψ."""
        stack, weights = self.stack, mode.densities.curvature
        assert mode.equations is not None
        right = stack.adjoint_random(mode.densities.score - stack.times(weights, mode.moved))
        moved = self._moved_effects(self.model.directions(theta), right)
        pushed = stack.times(weights, stack.random(moved))
        whole = np.concatenate([pushed, self._psi_columns(mode, theta[self.of_psi])[0]], axis=2)
        back = mode.equations.solve_random(list(stack.adjoint_random(whole)))
        found = [-one for one in back]
        for out, own in zip(found, moved, strict=True):
            out[:, :, : own.shape[2]] += own
        return tuple(found)

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of L by central differences of its gradient, (n_theta, n_theta).

        `evaluations` does not count those: they are no part of the search.
        """
        if expected:
            raise ValueError("the expected information of a Laplace approximation is not computed")
        here, before, at_start = self.evaluate(theta), self.evaluations, self._point
        # what is left of the mode is even in the step, and leaves with the difference
        self.tolerance = EVEN
        try:
            return hessian_by_differences(self.gradient, theta, here)
        finally:
            self.tolerance, self.evaluations, self._point = ENOUGH, before, at_start

    def covariance(self, theta: Array) -> Array:
        """Return 2H⁻ of all parameters, (n_theta, n_theta), zero for held ones.

        Directions that H does not determine are left out: no natural parameter moves along them.
        """
        if self._covariance is None or self._covariance[0] != theta.tobytes():
            try:
                hessian = self.observed_information(theta)
            except FitError:
                # the edge of the domain of a structure or a link
                here = self.evaluate(theta)
                hessian = here.information + here.curvature
                self.remarks = (Status(Severity.NOTE, WORKING, EDGE),)
            self._covariance = (theta.tobytes(), self.inverted(hessian))
        return self._covariance[1]

    def inverted(self, hessian: Array) -> Array:
        """Return 2H⁻ over the free parameters; see `differences.inverted`."""
        return inverted(hessian, self.free, self.of_beta.start)

    def natural_covariance(self, theta: Array) -> Array:
        """Return the asymptotic covariance of the natural parameters, (k, k), in the order of `natural`."""
        jacobian = self.natural(theta).jacobian
        return np.asarray(jacobian @ self.covariance(theta) @ jacobian.T)

    # -- what the search asks besides ----------------------------------------------------------------------------

    def own_start(self) -> Array:
        """Return where to start: a generalised linear model, then its joint mode with random effects of unit size."""
        theta, self._dual = start_values(self)
        return theta

    def placed(self, theta: Array, values: Mapping[str, float]) -> Array:
        """Return (θ, β, ψ) with natural values of ψ, by name."""
        out = theta.copy()
        for j, parameter in enumerate(self.observed.family.parameters):
            if parameter.name in values:
                out[self.of_psi.start + j] = parameter.working(values[parameter.name])
        return out

    def reach(self, theta: Array, step: Array) -> float:
        """Return the share of a step that moves no predictor, and no spread of one, too far."""
        if self.fused is not None:
            if self.fused.base is None:
                return 1.0
            furthest, before = self.fused.furthest(step, self.units), self.fused.sigma()
        else:
            base = self._base
            if base is None:
                return 1.0
            moved = base.slopes @ step[: self.model.n_theta]
            moved = moved + self.stack.fixed(step[self.of_beta]) - self.stack.fixed(np.zeros(self.stack.rank))
            furthest, before = float(np.abs(moved / self.units[:, None]).max(initial=0.0)), base.sigma
        share = min(1.0, FURTHEST / max(furthest, 1e-300))
        try:
            after = self.model.matrices(theta + share * step)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return share
        for unit, old, new in zip(self.column_units(), before, after, strict=True):
            one, two = (np.sqrt(np.maximum(np.einsum("sii->si", sigma), 0.0)) / unit for sigma in (old, new))
            share *= min(1.0, WIDER / max(float(np.abs(two - one).max(initial=0.0)), 1e-300))
        return share

    def column_units(self) -> tuple[Array, ...]:
        """Return for every random term the standard deviations of its effects that move a predictor by one, (p,)."""
        out = []
        for k, total in enumerate(self.equations.column_squares()):
            size = np.sqrt(np.where(total > 0.0, total, 1.0) / max(len(self.equations.rows), 1))
            read = [
                unit
                for unit, one in zip(self.units, self.stack.predictors, strict=True)
                if one.random[k] is not None
            ]
            out.append(max(read) / size)
        return tuple(out)

    def start_from(self, dual: Effects) -> None:
        """Take a dual of the random effects, one (q, p) array by term, as where the next search for û starts."""
        self._dual, self._base = dual, None
        if self.fused is not None:
            self.fused.start_from(dual)

    def raised(self) -> None:
        """Return nothing: there are no points."""

    def gammas(self, theta: Array) -> Sequence[Array]:
        """Return nothing: there is no R."""
        return ()

    def unit(self, theta: Array) -> float:
        """Return the variance that a row of mean weight has: 1/mean W."""
        weights = np.maximum(self.rest(theta).weight, 0.0)
        return 1.0 / max(float(weights.mean()), 1e-300)

    def natural(self, theta: Array) -> NaturalParameters:
        """Return the covariance parameters on the reporting scale, then those of ψ."""
        own = self.observed.family.parameters
        names = [parameter.name for parameter in own]
        working = theta[self.of_psi]
        values = np.array([p.natural(float(w)) for p, w in zip(own, working, strict=True)])
        slopes = np.zeros((len(own), self.n_theta))
        for j, (p, w) in enumerate(zip(own, working, strict=True)):
            slopes[j, self.of_psi.start + j] = (
                p.natural(float(w) + 1e-6) - p.natural(float(w) - 1e-6)
            ) / 2e-6
        if not self.model.random_blocks:
            return NaturalParameters(tuple(names), values, slopes, ("other",) * len(own))
        found = self.model.natural(theta)
        wide = np.zeros((len(found.values), self.n_theta))
        wide[:, : self.model.n_theta] = found.jacobian
        return replace(
            found,
            names=(*found.names, *names),
            values=np.concatenate([found.values, values]),
            jacobian=np.vstack([wide, slopes]),
            kinds=(*found.kinds, *("other",) * len(own)),
        )


def _found(point: _Point) -> Mode:
    if point.mode is None or not isfinite(point.value):
        raise FitError(NOT_FINITE)
    return point.mode
