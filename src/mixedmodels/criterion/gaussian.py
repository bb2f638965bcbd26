"""θ ↦ −2l of a Gaussian model by REML or maximum likelihood, with its derivatives, on any equations.

Two modes share everything. *Profiled* (independent errors, nothing held): θ parametrises Σ̃ = Σ/σ² and σ² is
concentrated out. *Joint*: θ parametrises absolute covariances, those of the errors last. Where rows have structured or
unequal errors σ² in results is the variance of an error of the first residual set at the first position, weight one and
variance functions one: nlme's σ².
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log, pi

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Direction, Equations, Pieces, Scores, Solution
from ..errors import FitError
from ..terms.design import Design
from ..typing import Array
from .covariances import CovarianceModel
from .differences import Evaluation, hessian_by_differences
from .parameters import NaturalParameters, design_blocks

NOT_FINITE = (
    "the criterion has no derivatives here, where it is not finite: the covariance of the data is singular to "
    "rounding. Choose another start; where a fit ended here (fit.status says more), ddf='between-within', "
    "'containment', 'residual' and 'asymptotic' need no derivatives."
)
ROUNDED = 1e-6
"""Rounding error of y'Py per row beyond which V is not positive definite in floating point."""
UNDETERMINED = 1e-7
"""Eigenvalue of the scaled Hessian, relative to the largest, below which a direction of θ is not determined."""


@dataclass(slots=True)
class _Point:
    """The parameter vector the equations are factored at, with what has been computed there."""

    key: bytes
    value: float = inf
    sigma2: float = inf
    pieces: Pieces | None = None
    scores: Scores | None = None
    gammas: tuple[Array, ...] = ()
    gradient: Array | None = None
    directions: list[Direction] | None = None
    evaluation: Evaluation | None = None


class Gaussian:
    """The criterion of one design on its equations as a function of the working parameters θ.

    Parameters
    ----------
    design, equations
        The model's structures, and the equations built from its rows.
    profiled
        Whether σ² is concentrated out; where errors are independent unless something is held.
    model
        Replacement of the design's own covariance model, for models with held parameters.
    free
        Which parameters may move, (n_theta,); all by default.
    held
        Natural values that every θ of this criterion must have, by name.

    Notes
    -----
    With ν = n − rank X (REML) or n (ML) and Γ = ∂(−2l)/∂Σ from the equations,

        −2l = log|V| + [log|X'V⁻¹X|] + y'Py + ν log 2π,     ∂a = ⟨Γ, V̇_a⟩,     AI_ab = (Py)'V̇_aPV̇_bPy.

    Profiled, V = σ̂²Ṽ with σ̂² = y'P̃y/ν, V̇_a = σ̂²∂Ṽ_a, and AI has the Schur complement of σ² in the joint average
    information, less q_aq_b/ν with q_a = y'PV̇_aPy (Gilmour, Thompson and Cullis 1995).
    """

    def __init__(
        self,
        design: Design,
        equations: Equations,
        *,
        profiled: bool | None = None,
        model: CovarianceModel | None = None,
        free: NDArray[np.bool_] | None = None,
        held: Mapping[str, float] | None = None,
    ) -> None:
        profiled = equations.homogeneous if profiled is None else profiled
        self.design = design
        self.equations = equations
        if model is None:
            model = CovarianceModel(design, equations, profiled=profiled)
        self.model = model
        self.reml = design.reml
        self.nu = design.n - (design.fixed.rank if design.reml else 0)
        self.n_theta = self.model.n_theta
        self.free = np.ones(self.n_theta, dtype=bool) if free is None else free
        self.held: Mapping[str, float] = dict(held or {})
        self.evaluations = 0
        # one byte: the key of no θ, not even of the empty one
        self._point = _Point(b"?")
        self._joint: Gaussian | None = None
        self._variance: tuple[bytes, float] = (b"?", inf)
        if self.nu <= 0:
            raise FitError(
                f"{design.n} rows cannot determine {design.fixed.rank} fixed effects and the variance of the errors; "
                "leave out fixed terms or add rows."
            )

    @property
    def joint(self) -> bool:
        """Whether θ are parameters of absolute covariances."""
        return not self.model.profiled

    @property
    def linear(self) -> Gaussian:
        """This criterion, which is that of a linear mixed model."""
        return self

    @property
    def cheap_hessian(self) -> bool:
        """Whether the exact Hessian costs about as much as the average information."""
        return self.equations.exact_information

    # -- value and derivatives -------------------------------------------------------------------------------

    def value(self, theta: Array) -> float:
        """Return −2l at θ, infinite where V(θ) is not finite and positive definite."""
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
            assert point.scores is not None
            unit = self._factor_of_v(point)
            point.evaluation = Evaluation(
                point.value,
                gradient,
                self._information(point, theta),
                self.model.curvature(theta, point.gammas, point.scores),
                point.gammas,
                tuple(unit * score.trace for score in point.scores.random),
            )
        return point.evaluation

    def _factor_of_v(self, point: _Point) -> float:
        """Return what Σ(θ) is multiplied by in V."""
        return point.sigma2 if self.model.profiled else 1.0

    def _at(self, theta: Array) -> _Point:
        """Return what is known at θ, factoring the equations there unless they are.

        A θ outside the admissible region of a structure, or one whose equations are not positive definite in floating
        point, has an infinite criterion: a trial step there is shortened.
        """
        key = theta.tobytes()
        point = self._point
        if key == point.key and self.equations.holder is self:
            return point
        self._point = point = _Point(key)
        self.equations.holder = self
        self.evaluations += 1
        with np.errstate(all="ignore"):
            self._factor(point, theta)
        return point

    def _factor(self, point: _Point, theta: Array) -> None:
        try:
            covariances = self.model.numbers(theta, roots=self.equations.takes_roots)
        except (ValueError, ArithmeticError, MemoryError):
            return
        try:
            point.pieces = pieces = self.equations.factor(covariances)
        except (FitError, ArithmeticError, np.linalg.LinAlgError):
            return
        value = pieces.logdet + (pieces.logdet_x if self.reml else 0.0)
        if pieces.quadratic < -ROUNDED * self.nu:
            # y'Py of variances that differ by more than numbers hold
            return
        if not self.model.profiled:
            value += pieces.quadratic + self.nu * log(2 * pi)
            if covariances.sd is not None:
                value += 2.0 * float(np.log(covariances.sd).sum())
        elif pieces.quadratic > 0:
            point.sigma2 = pieces.quadratic / self.nu
            self.equations.rescale(point.sigma2)
            value += self.nu * (1 + log(2 * pi * point.sigma2))
        else:
            return
        if isfinite(value):
            point.value = value

    def _finite(self, theta: Array) -> _Point:
        point = self._at(theta)
        if not isfinite(point.value):
            raise FitError(NOT_FINITE)
        return point

    def _differentiate(self, point: _Point, theta: Array) -> None:
        """Compute Γ and the gradient at the point."""
        if not isfinite(point.value):
            raise FitError(NOT_FINITE)
        point.scores = scores = self.equations.scores(self.reml, errors=self.joint)
        unit = self._factor_of_v(point)
        point.gammas = tuple(unit * (score.trace - score.quadratic) for score in scores.random)
        point.gradient = self.model.gradient(theta, point.gammas, scores)

    def _information(self, point: _Point, theta: Array) -> Array:
        directions = self._directions(point, theta)
        if not directions:
            return np.zeros((0, 0))
        information = self.equations.information(directions)
        if not self.model.profiled:
            return information
        q = self._shares(point, theta)
        return np.asarray(information - np.multiply.outer(q, q) / self.nu)

    def _shares(self, point: _Point, theta: Array) -> Array:
        """Return q_a = y'PV̇_aPy of every parameter, profiled."""
        assert point.scores is not None
        return self.model.slopes(theta, [score.quadratic for score in point.scores.random], ()) * point.sigma2

    def _directions(self, point: _Point, theta: Array) -> list[Direction]:
        """Return the directions of θ; matrices they have been asked for are kept with the point."""
        if point.directions is None:
            point.directions = self.model.directions(theta, self._factor_of_v(point))
        return point.directions

    def gammas(self, theta: Array) -> Sequence[Array]:
        """Return Γ of R by class of every size group, (C, t, t), about rows divided by their standard deviations."""
        self.gradient(theta)
        scores = self._at(theta).scores
        assert scores is not None
        return scores.errors

    # -- scales ----------------------------------------------------------------------------------------------

    def scale(self, theta: Array) -> float:
        """Return y'Py/ν: the factor of V that minimises −2l at the shape θ has."""
        pieces = self._at(theta).pieces
        return inf if pieces is None else pieces.quadratic / self.nu

    def sigma2(self, theta: Array) -> float:
        """Return σ²: concentrated out, or the error variance of the first set at its first position."""
        if not self.model.profiled:
            return self.model.first_variance(theta)
        key = theta.tobytes()
        if key != self._variance[0]:
            self._variance = (key, self._at(theta).sigma2)
        return self._variance[1]

    def unit(self, theta: Array) -> float:
        """Return the variance of an error in units of Σ(θ): one where Σ is relative to it."""
        return self.sigma2(theta) if self.joint else 1.0

    def placed(self, theta: Array, values: Mapping[str, float]) -> Array:
        """Return θ: all parameters are of structures."""
        return theta

    def own_start(self) -> None:
        """Return nothing: second moments of the rows are the start."""

    def reach(self, theta: Array, step: Array) -> float:
        """Return 1: a step in covariance parameters is limited by structures alone."""
        return 1.0

    def matrices(self, theta: Array) -> tuple[Array, ...]:
        """Return Σ (joint) or Σ̃ (profiled) of every random term, each (sets, p, p)."""
        return self.model.matrices(theta)

    def absolute(self, theta: Array) -> Array:
        """Return the joint parameters of the same model."""
        if self.joint:
            return theta
        sigma2 = self.sigma2(theta)
        return np.append(self.model.rescaled(theta, sigma2), log(sigma2))

    def relative(self, theta: Array) -> Array:
        """Return the parameters of Σ/σ² of the random terms in the design's own structures, (n,)."""
        if not self.joint:
            return theta
        factor, parts = 1.0 / self.model.first_variance(theta), []
        for block, own in zip(self.model.random_blocks, design_blocks(self.design), strict=True):
            part, at = theta[block.place], own.positions
            if block.structure is not own.structure:
                part = own.structure.from_natural(block.structure.natural(part, at).values, at)
            parts.append(own.structure.rescale(part, factor, at))
        return np.concatenate(parts) if parts else np.empty(0)

    def jointly(self) -> Gaussian:
        """Return the criterion in joint parameters on the same equations."""
        if self.joint:
            return self
        if self._joint is None:
            self._joint = Gaussian(self.design, self.equations, profiled=False)
        return self._joint

    # -- results ---------------------------------------------------------------------------------------------

    def settle(self, theta: Array) -> Equations:
        """Return the equations with V(θ) factored, absolute in either mode."""
        self._finite(theta)
        return self.equations

    def solve(self, theta: Array) -> tuple[Solution, float]:
        """Return β̂, (X'V⁻¹X)⁻¹ and b̂, and σ²."""
        return self.settle(theta).solution(), self.sigma2(theta)

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter by name on the absolute natural scale, those of the errors last."""
        return self.jointly().model.natural(self.absolute(theta))

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of −2l in this criterion's own parameters, (n_theta, n_theta).

        Parameters
        ----------
        theta
            Where to take it.
        expected
            Return the expected information tr(PV̇_aPV̇_b) (V⁻¹ in place of P for ML) instead, of joint parameters.

        Notes
        -----
        H = 2AI − E + ⟨Γ, V̈⟩ with the expected information E where the equations compute it (Gilmour, Thompson and
        Cullis 1995), less qq'/ν where σ² is profiled out; otherwise central differences of the analytic gradient, with
        steps of a two-thousandth of a standard error, so that the truncation error is of the order of 1e-7 relative,
        and E from the same identity. At a singular Σ = LL' differences in L stay on the cone, and the null directions
        carry the curvature 2Γ: nothing is inverted.
        """
        if expected and not self.joint:
            raise ValueError("the expected information is defined for joint parameters; use jointly()")
        here = self.evaluate(theta)
        average = 2.0 * here.information + here.curvature
        if self.n_theta:
            point = self._at(theta)
            exact = self.equations.trace_products(self._directions(point, theta), self.reml)
            if exact is not None and not self.joint:
                q = self._shares(point, theta)
                return average - exact + np.multiply.outer(q, q) / self.nu
            if exact is not None:
                return exact if expected else average - exact
        hessian = hessian_by_differences(self.gradient, theta, here)
        return average - hessian if expected else hessian

    def natural_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the asymptotic covariance W = 2H⁻¹ of the natural parameters, (k, k), in the order of `natural`.

        Notes
        -----
        W = 2JH⁻J' with H the information in the joint working parameters and J their slopes ∂natural/∂θ. At a singular
        Σ the parameters of the vanished directions have no slope, so that W is that of the model reduced to the face Σ̂
        lies on, and zero in the rows of variances that are zero; directions that H does not determine (rotations of a
        factor of Σ) have no slope either and are left out of H⁻.
        """
        jacobian = self.natural(theta).jacobian
        return np.asarray(jacobian @ self.working_covariance(theta, expected=expected) @ jacobian.T)

    def working_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return W = 2H⁻ of the joint working parameters, (k, k), zero for held ones."""
        joint, at = self.jointly(), self.absolute(theta)
        hessian = joint.observed_information(at, expected=expected)
        free = np.flatnonzero(joint.free)
        hessian = hessian[np.ix_(free, free)]
        scale = np.sqrt(np.maximum(np.abs(hessian.diagonal()), 1e-300))
        values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
        kept = values > UNDETERMINED * max(float(values[-1]), 0.0) if len(values) else values > 0
        root = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
        covariance = np.zeros((joint.n_theta, joint.n_theta))
        covariance[np.ix_(free, free)] = 2 * root @ root.T
        return covariance
