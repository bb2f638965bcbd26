"""θ ↦ the criterion −2l, its gradient and its average information, for any structures on any engine.

Two modes share everything. *Profiled* (the default): θ parametrises the relative covariances Σ̃ = Σ/σ²
and σ² is concentrated out. *Joint*: θ parametrises the absolute Σ and log σ² is the last parameter; it is
used where some parameters are held at values on the natural scale, and for standard errors of variance
components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, pi

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..terms.design import Design
from ..typing import Array
from .base import Direction, Pieces, Score, Solution, System
from .differences import Evaluation, hessian_by_differences
from .parameters import Block, NaturalParameters, design_blocks, natural_parameters

__all__ = ["Block", "Evaluation", "Objective", "design_blocks"]

_LARGEST_LOG_VARIANCE = 600.0
"""|log σ²| beyond this is outside the domain: σ² would not be a normal number."""


@dataclass(slots=True)
class _Point:
    """The parameter vector the system is factored at, with what has been computed there."""

    key: bytes
    value: float = inf
    sigma2: float = inf
    pieces: Pieces | None = None
    derivatives: list[Array] | None = None
    scores: list[Score] | None = None
    gammas: tuple[Array, ...] = ()
    traces: tuple[Array, ...] = ()
    gradient: Array | None = None
    evaluation: Evaluation | None = None


class Objective:
    """The criterion of one design on one system as a function of the working parameters θ.

    Parameters
    ----------
    design, system
        The model's numbers and the equations built from them.
    joint
        Whether θ are parameters of absolute covariances followed by log σ², rather than relative ones.
    blocks
        Replacement of the design's own blocks, for models with held parameters.
    free
        Which parameters may move, (n_theta,); all by default.
    held
        Natural values that every θ of this objective must have, by name.

    Notes
    -----
    With ν = n − rank X (REML) or n (ML), r² = y'P̃y and σ̂² = r²/ν, the profiled criterion is

        −2l = log|Ṽ| + [log|X'Ṽ⁻¹X|] + ν(1 + log 2πσ̂²)
        ∂a = ⟨T − Q/σ̂², Σ̃̇_a⟩,   AI_ab = A_ab/σ̂² − q_a q_b/(σ̂⁴ν),   q_a = ⟨Q, Σ̃̇_a⟩

    where the second term of AI is the Schur complement of σ² in the joint average information (Gilmour,
    Thompson and Cullis 1995). In joint mode the derivatives along log σ² need no trace of their own: V is
    homogeneous of degree one in (Σ, σ²), so σ²W⁻¹ = V − Σ_k Z_kΣ_kZ_k' (Euler's identity).
    """

    cheap_hessian = False

    def __init__(
        self,
        design: Design,
        system: System,
        *,
        joint: bool = False,
        blocks: Sequence[Block] | None = None,
        free: NDArray[np.bool_] | None = None,
        held: Mapping[str, float] | None = None,
    ) -> None:
        self.design = design
        self.system = system
        self.joint = joint
        self.reml = design.reml
        self.nu = design.n - (design.fixed.rank if design.reml else 0)
        self.blocks: tuple[Block, ...] = tuple(blocks) if blocks is not None else design_blocks(design)
        self._n_structural = self.blocks[-1].place.stop if self.blocks else 0
        self.n_theta = self._n_structural + joint
        self.free = np.ones(self.n_theta, dtype=bool) if free is None else free
        self.held = dict(held or {})
        # one byte: the key of no θ, not even of the empty one
        self._point = _Point(b"?")
        # what the system is factored at; shared by the objectives that share the system
        self._factored: list[_Point] = [self._point]
        self.evaluations = 0
        if self.nu <= 0:
            raise FitError(
                f"{design.n} rows cannot determine {design.fixed.rank} fixed effects and a variance; "
                "leave out fixed terms or add rows."
            )

    @property
    def theta_slices(self) -> tuple[tuple[slice, ...], ...]:
        """Place in θ of each parameter set of each random term."""
        return tuple(
            tuple(block.place for block in self.blocks if block.term == k)
            for k in range(len(self.design.random))
        )

    def value(self, theta: Array) -> float:
        """Return the criterion at θ, infinite where Ṽ(θ) is not finite and positive definite."""
        return self._at(theta).value

    def gradient(self, theta: Array) -> Array:
        """Return ∂value/∂θ, (n_theta,), without the average information."""
        point = self._at(theta)
        if point.gradient is None:
            self._differentiate(point, theta)
        assert point.gradient is not None
        return point.gradient

    def evaluate(self, theta: Array) -> Evaluation:
        """Return the criterion and its derivatives at θ, reusing a factorisation made by `value` there."""
        point = self._at(theta)
        if point.evaluation is None:
            gradient = self.gradient(theta)
            information = self._joint_information(point, theta) if self.joint else self._information(point)
            curvature = self._curvature(point, theta)
            point.evaluation = Evaluation(
                point.value, gradient, information, curvature, point.sigma2, point.gammas, point.traces
            )
        return point.evaluation

    def solve(self, theta: Array) -> tuple[Solution, float]:
        """Return β̂, b̂ with their unscaled covariance, and σ̂², at θ."""
        point = self._at(theta)
        return self.system.solution(), point.sigma2

    def sigma2(self, theta: Array) -> float:
        """Return the residual variance at θ: concentrated out, or read from θ in joint mode."""
        return self._at(theta).sigma2

    def matrices(self, theta: Array) -> tuple[Array, ...]:
        """Return Σ (joint) or Σ̃ (profiled) of every random term, each (sets, p, p)."""
        return self._per_term([b.structure.matrix(theta[b.place], b.positions) for b in self.blocks])

    def absolute(self, theta: Array) -> Array:
        """Return the joint parameters (θ of absolute Σ, log σ²) of the same model, (n + 1,)."""
        if self.joint:
            return theta
        sigma2 = self.sigma2(theta)
        parts = [b.structure.rescale(theta[b.place], sigma2, b.positions) for b in self.blocks]
        return np.concatenate([*parts, [log(sigma2)]])

    def relative(self, theta: Array) -> Array:
        """Return the profiled parameters (θ of Σ/σ², the design's own structures) of the same model."""
        if not self.joint:
            return theta
        sigma2, parts = exp(theta[-1]), []
        for block, own in zip(self.blocks, design_blocks(self.design), strict=True):
            part, at = theta[block.place], own.positions
            if block.structure is not own.structure:
                part = own.structure.from_natural(block.structure.natural(part, at).values, at)
            parts.append(own.structure.rescale(part, 1 / sigma2, at))
        return np.concatenate(parts) if parts else np.empty(0)

    def jointly(self) -> Objective:
        """Return the joint-mode objective on the same system."""
        if self.joint:
            return self
        joint = Objective(self.design, self.system, joint=True, blocks=self.blocks)
        joint._factored = self._factored
        return joint

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter by name on the absolute natural scale."""
        return natural_parameters(self.design, self.blocks, self.absolute(theta))

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of −2l in this objective's own parameters, (n_theta, n_theta).

        Parameters
        ----------
        theta
            Where to take it.
        expected
            Return the expected information tr(PV̇_aPV̇_b) (V⁻¹ in place of P for ML) instead, in joint
            mode.

        Notes
        -----
        H = 2AI − E + ⟨Γ, Σ̈⟩ with the expected information E where the system computes it, in joint mode; otherwise
        central differences of the analytic gradient, with steps of a two-thousandth of a standard error,
        so that the truncation error is of the order of 1e-7 relative. The expected information follows
        without further work from H = 2AI − E + ⟨Γ, Σ̈⟩ (Gilmour, Thompson and Cullis 1995). At a singular
        Σ = LL' differences in L stay on the cone, and the null directions carry the curvature 2Γ: nothing
        is inverted.
        """
        if expected and not self.joint:
            raise ValueError("the expected information is defined for joint parameters; use jointly()")
        here = self.evaluate(theta)
        exact = self._expected_information(self._at(theta), theta) if self.joint else None
        if exact is not None:
            return exact if expected else 2 * here.information + here.curvature - exact
        hessian = hessian_by_differences(self.gradient, theta, here)
        return 2 * here.information + here.curvature - hessian if expected else hessian

    def natural_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the asymptotic covariance W = 2H⁻¹ of the natural parameters, (k, k), in the order of
        `natural`.

        Notes
        -----
        W = 2JH⁻J' with H the information in the joint working parameters and J their slopes ∂natural/∂θ.
        At a singular Σ the parameters of the vanished directions have no slope, so that W is that of the
        model reduced to the face Σ̂ lies on, and zero in the rows of variances that are zero; directions
        that H does not determine (rotations of a factor of Σ) have no slope either and are left out of H⁻.
        """
        jacobian = self.natural(theta).jacobian
        covariance: Array = jacobian @ self.working_covariance(theta, expected=expected) @ jacobian.T
        return covariance

    def working_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return W = 2H⁻ of the joint working parameters, (n + 1, n + 1), zero for held ones."""
        joint, at = self.jointly(), self.absolute(theta)
        hessian = joint.observed_information(at, expected=expected)
        free = np.flatnonzero(joint.free if not self.joint else self.free)
        hessian = hessian[np.ix_(free, free)]
        scale = np.sqrt(np.maximum(np.abs(hessian.diagonal()), 1e-300))
        values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
        kept = values > 1e-7 * max(float(values[-1]), 0.0) if len(values) else values > 0
        root = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
        covariance = np.zeros((joint.n_theta, joint.n_theta))
        covariance[np.ix_(free, free)] = 2 * root @ root.T
        return covariance

    def _at(self, theta: Array) -> _Point:
        """Return what is known at θ, factoring the system there unless it is.

        A θ outside the admissible region of a structure, or one whose equations are not positive definite
        in floating point, has an infinite criterion: a trial step there is shortened.
        """
        key = theta.tobytes()
        point = self._point
        if key == point.key and point is self._factored[0]:
            return point
        self._point = self._factored[0] = point = _Point(key)
        self.evaluations += 1
        with np.errstate(all="ignore"):
            self._factor(point, theta)
        return point

    def _factor(self, point: _Point, theta: Array) -> None:
        try:
            factors = self._factors(theta)
        except (ValueError, ArithmeticError, MemoryError):
            return
        try:
            point.pieces = self.system.factor(factors)
        except (FitError, ArithmeticError, np.linalg.LinAlgError):
            return
        value = self._criterion(point, point.pieces, theta)
        if isfinite(value):
            point.value = value

    def _criterion(self, point: _Point, pieces: Pieces, theta: Array) -> float:
        logdet = pieces.logdet + (pieces.logdet_x if self.reml else 0.0)
        if self.joint:
            point.sigma2 = exp(theta[-1])
            return logdet + self.nu * log(2 * pi * point.sigma2) + pieces.quadratic / point.sigma2
        if not pieces.quadratic > 0:
            return inf
        point.sigma2 = pieces.quadratic / self.nu
        return logdet + self.nu * (1 + log(2 * pi * point.sigma2))

    def _factors(self, theta: Array) -> tuple[Array, ...]:
        if self.system.signed:
            return self._relative_matrices(theta)
        factors = self._per_term([b.structure.factor(theta[b.place], b.positions) for b in self.blocks])
        if not self.joint:
            return factors
        if not abs(theta[-1]) < _LARGEST_LOG_VARIANCE:
            raise ValueError("the residual variance is out of range")
        scale = exp(-0.5 * theta[-1])
        return tuple(scale * factor for factor in factors)

    def _relative_matrices(self, theta: Array) -> tuple[Array, ...]:
        matrices = self.matrices(theta)
        if not self.joint:
            return matrices
        if not abs(theta[-1]) < _LARGEST_LOG_VARIANCE:
            raise ValueError("the residual variance is out of range")
        return tuple(exp(-theta[-1]) * matrix for matrix in matrices)

    def _per_term(self, matrices: list[Array]) -> tuple[Array, ...]:
        """Stack the matrices of the blocks by term."""
        out, first = [], 0
        for term in self.design.random:
            last = first + term.n_sets
            out.append(matrices[first][None] if last == first + 1 else np.stack(matrices[first:last]))
            first = last
        return tuple(out)

    def _differentiate(self, point: _Point, theta: Array) -> None:
        """Compute Γ and the gradient at the point."""
        if not isfinite(point.value):
            raise FitError("the criterion has no derivatives where it is not finite; choose another start.")
        sigma2 = point.sigma2
        unit = sigma2 if self.joint else 1.0
        point.scores = scores = self.system.scores(self.reml)
        point.traces = tuple(score.trace / unit for score in scores)
        point.gammas = tuple(
            trace - score.quadratic / (sigma2 * unit)
            for trace, score in zip(point.traces, scores, strict=True)
        )
        gradient = np.empty(self.n_theta)
        derivatives = []
        for b in self.blocks:
            d = b.structure.d_matrix(theta[b.place], b.positions)
            derivatives.append(d)
            gradient[b.place] = d.reshape(len(d), -1) @ point.gammas[b.term][b.set].ravel()
        if self.joint:
            assert point.pieces is not None
            inner = sum(
                float(np.vdot(gamma, sigma))
                for gamma, sigma in zip(point.gammas, self.matrices(theta), strict=True)
            )
            gradient[-1] = self.nu - point.pieces.quadratic / sigma2 - inner
        point.gradient, point.derivatives = gradient, derivatives

    def _directions(self, point: _Point) -> tuple[list[Direction], Array]:
        """Return ∂Σ̃ of every structural parameter as directions, and q_a = ⟨Q, ∂Σ̃_a⟩."""
        assert point.scores is not None
        assert point.derivatives is not None
        directions: list[Direction] = []
        q = np.empty(self._n_structural)
        for b, d in zip(self.blocks, point.derivatives, strict=True):
            if self.joint:
                d = d / point.sigma2
            directions += [Direction(b.term, b.set, matrix) for matrix in d]
            q[b.place] = d.reshape(len(d), -1) @ point.scores[b.term].quadratic[b.set].ravel()
        return directions, q

    def _information(self, point: _Point) -> Array:
        directions, q = self._directions(point)
        if not directions:
            return np.zeros((0, 0))
        q /= point.sigma2
        information = self.system.average_information(directions) / point.sigma2
        information -= np.multiply.outer(q, q) / self.nu
        return information

    def _joint_directions(
        self, point: _Point, theta: Array
    ) -> tuple[list[Direction], Array, tuple[Array, ...]]:
        """Return ∂Σ̃ of every structural parameter and then Σ̃ of every block, q of the former, and Σ̃ by term."""
        directions, q = self._directions(point)
        sigmas = tuple(sigma / point.sigma2 for sigma in self.matrices(theta))
        directions += [Direction(b.term, b.set, sigmas[b.term][b.set]) for b in self.blocks]
        return directions, q, sigmas

    def _joint_information(self, point: _Point, theta: Array) -> Array:
        """Return the average information in (θ, log σ²) from the directions ∂Σ̃ and Σ̃."""
        assert point.pieces is not None
        assert point.scores is not None
        sigma2, k = point.sigma2, self._n_structural
        directions, q, sigmas = self._joint_directions(point, theta)
        inner = self.system.average_information(directions) if directions else np.zeros((0, 0))
        inner = inner / sigma2
        total = inner[:, k:].sum(axis=1)
        scores = zip(point.scores, sigmas, strict=True)
        whole = sum(float(np.vdot(score.quadratic, sigma)) for score, sigma in scores) / sigma2
        information = np.empty((k + 1, k + 1))
        information[:k, :k] = inner[:k, :k]
        information[k, :k] = information[:k, k] = q / sigma2 - total[:k]
        information[k, k] = point.pieces.quadratic / sigma2 - 2 * whole + float(total[k:].sum())
        return information

    def _expected_information(self, point: _Point, theta: Array) -> Array | None:
        """Return tr(PV̇_aPV̇_b) in (θ, log σ²), or None where the system does not compute it.

        As in `_joint_information` the error variance is what Σ_k Z_kΣ_kZ_k' leaves of V: with S̃ that sum over σ²,
        E_ae = tr(P̃Ṽ_a) − tr(P̃Ṽ_aP̃S̃) and E_ee = ν − 2tr(P̃S̃) + tr(P̃S̃P̃S̃).
        """
        if not self.blocks:
            return None
        self.evaluate(theta)
        assert point.scores is not None
        k = self._n_structural
        directions, _, _ = self._joint_directions(point, theta)
        inner = self.system.trace_products(directions, self.reml)
        if inner is None:
            return None
        traces = [float(np.vdot(point.scores[d.term].trace[d.set], d.matrix)) for d in directions]
        whole = inner[:, k:].sum(axis=1)
        out = np.empty((k + 1, k + 1))
        out[:k, :k] = inner[:k, :k]
        out[k, :k] = out[:k, k] = np.array(traces[:k]) - whole[:k]
        out[k, k] = self.nu - 2 * sum(traces[k:]) + float(whole[k:].sum())
        return out

    def _curvature(self, point: _Point, theta: Array) -> Array:
        curvature = np.zeros((self.n_theta, self.n_theta))
        for b in self.blocks:
            gamma = point.gammas[b.term][b.set]
            curvature[b.place, b.place] = b.structure.curvature(theta[b.place], gamma, b.positions)
        if self.joint:
            assert point.gradient is not None
            curvature[-1, -1] = point.gradient[-1]
        return curvature
