"""The criterion −2l of models with structured or heterogeneous errors.

All covariance parameters are absolute. σ² in results is the variance of an error of the first residual set at
the first position, weight one and variance functions one: nlme's σ².
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite, log, pi

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Natural
from ..errors import FitError
from ..terms.design import Design
from ..typing import Array
from .base import Pieces, Solution
from .differences import hessian_by_differences
from .marginal import At, Gammas, ResidualBlock, residual_labels
from .objective import Evaluation
from .parameters import Block, NaturalParameters, natural_names, residual_name
from .structured import StructuredSystem


@dataclass(slots=True)
class _Point:
    key: bytes
    at: At | None = None
    value: float = inf
    pieces: Pieces | None = None
    gammas: Gammas | None = None
    gradient: Array | None = None
    evaluation: Evaluation | None = None


class MarginalObjective:
    """The criterion of one design with structured errors as a function of θ (see `MarginalModel`).

    Parameters
    ----------
    design, system
        The model's numbers, and the equations built from them.
    free
        Which parameters may move, (n_theta,); all by default.
    held
        Natural values that every θ of this objective must have, by name.
    """

    joint = True

    def __init__(
        self,
        design: Design,
        system: StructuredSystem,
        *,
        free: NDArray[np.bool_] | None = None,
        held: Mapping[str, float] | None = None,
    ) -> None:
        self.design = design
        self.system = system
        self.model = system.model
        self.reml = design.reml
        self.nu = design.n - (design.fixed.rank if design.reml else 0)
        self.n_theta = self.model.n_theta
        self.free = np.ones(self.n_theta, dtype=bool) if free is None else free
        self.held = dict(held or {})
        self.evaluations = 0
        self._point = _Point(b"?")
        weights = design.weights
        self._log_weights = 0.0 if weights is None else float(np.log(weights).sum())
        if self.nu <= 0:
            raise FitError(
                f"{design.n} rows cannot determine {design.fixed.rank} fixed effects and the covariance of "
                "the "
                "errors; leave out fixed terms or add rows."
            )

    @property
    def cheap_hessian(self) -> bool:
        """Whether the exact Hessian costs about as much as the average information."""
        return self.system.exact_information

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Parameter blocks of the random terms."""
        return self.model.random_blocks

    @property
    def residual_blocks(self) -> tuple[ResidualBlock, ...]:
        """Parameter blocks of Σ_R, one per residual set."""
        return self.model.residual_blocks

    # -- criterion -------------------------------------------------------------------------------------------

    def value(self, theta: Array) -> float:
        """Return −2l at θ, infinite where some V_i is not positive definite."""
        return self._at(theta).value

    def _at(self, theta: Array) -> _Point:
        key = theta.tobytes()
        if key == self._point.key and self.system.holder is self:
            return self._point
        self._point = point = _Point(key)
        self.system.holder = self
        self.evaluations += 1
        with np.errstate(all="ignore"):
            try:
                self._factor(point, theta)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                point.value = inf
        return point

    def _factor(self, point: _Point, theta: Array) -> None:
        point.at = at = self.model.at(theta)
        point.pieces = pieces = self.system.factor(at)
        value = pieces.logdet + (pieces.logdet_x if self.reml else 0.0) + pieces.quadratic
        if len(at.relative_sd):
            value += 2.0 * float(np.log(at.relative_sd).sum())
        value += self.nu * log(2 * pi) - self._log_weights
        point.value = value if isfinite(value) else inf

    def scale(self, theta: Array) -> float:
        """Return y'Py/ν: the factor of V that minimises −2l at the shape θ has."""
        pieces = self._at(theta).pieces
        return inf if pieces is None else pieces.quadratic / self.nu

    def gradient(self, theta: Array) -> Array:
        """Return ∂(−2l)/∂θ, (n_theta,)."""
        point = self._at(theta)
        if point.gradient is None:
            at = _finite(point)
            point.gammas = self.system.gammas(self.reml)
            point.gradient = self.model.gradient(at, point.gammas)
        return point.gradient

    def evaluate(self, theta: Array) -> Evaluation:
        """Return the criterion with its gradient, average information and curvature."""
        point = self._at(theta)
        if point.evaluation is None:
            gradient, at = self.gradient(theta), _finite(point)
            assert point.gammas is not None
            point.evaluation = Evaluation(
                point.value,
                gradient,
                self.system.average_information(),
                self.model.curvature(at, point.gammas),
                self.sigma2(theta),
                self._per_term(point.gammas.random),
                self._per_term(self.system.random_traces(self.reml)),
            )
        return point.evaluation

    def _per_term(self, by_block: list[Array]) -> tuple[Array, ...]:
        """Stack matrices of the random blocks by term."""
        out = []
        for k, term in enumerate(self.design.random):
            own = [one for block, one in zip(self.blocks, by_block, strict=True) if block.term == k]
            out.append(np.stack(own) if own else np.zeros((0, term.n_columns, term.n_columns)))
        return tuple(out)

    def gammas(self, theta: Array) -> list[Array]:
        """Return Γ by class of every size group, (C, t, t), about rows divided by their standard "
        "deviations."""
        self.gradient(theta)
        found = self._at(theta).gammas
        assert found is not None
        return found.by_class

    def sigma2(self, theta: Array) -> float:
        """Return the error variance of the first set at its first position."""
        block = self.residual_blocks[0]
        if block.structure is None:
            return float(np.exp(theta[block.place][0]))
        return float(block.structure.matrix(theta[block.place], block.positions)[0, 0])

    def matrices(self, theta: Array) -> tuple[Array, ...]:
        """Return Σ of every random term, each (sets, p, p)."""
        out = []
        for k in range(len(self.design.random)):
            own = [b for b in self.blocks if b.term == k]
            out.append(np.stack([b.structure.matrix(theta[b.place], b.positions) for b in own]))
        return tuple(out)

    # -- the scale of θ --------------------------------------------------------------------------------------

    def absolute(self, theta: Array) -> Array:
        """Return θ: it is absolute already."""
        return theta

    def relative(self, theta: Array) -> Array:
        """Return the parameters of V/σ²."""
        return self.rescaled(theta, 1.0 / self.sigma2(theta))

    def jointly(self) -> MarginalObjective:
        """Return this objective: its parameters are joint."""
        return self

    def rescaled(self, theta: Array, factor: float) -> Array:
        """Return θ of `factor` · V."""
        out = np.array(theta, dtype=float)
        for block in self.blocks:
            out[block.place] = block.structure.rescale(theta[block.place], factor, block.positions)
        for residual in self.residual_blocks:
            if residual.structure is None:
                out[residual.place] += log(factor)
            else:
                own = theta[residual.place]
                out[residual.place] = residual.structure.rescale(own, factor, residual.positions)
        return out

    # -- results ---------------------------------------------------------------------------------------------

    def solve(self, theta: Array) -> tuple[Solution, float]:
        """Return β̂, (X'V⁻¹X)⁻¹/σ² and b̂ = Σ Z'V⁻¹(y − Xβ̂), and σ²."""
        _finite(self._at(theta))
        return self.system.solution(), self.sigma2(theta)

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter by name on the natural scale, those of the errors last."""
        names: list[str] = []
        kinds: list[str] = []
        values: list[Array] = []
        jacobian = np.zeros((self.n_theta, self.n_theta), dtype=theta.dtype)
        for place, found, labels in self.natural_blocks(theta):
            jacobian[len(names) : len(names) + len(labels), place] = found.jacobian
            names += labels
            kinds += found.kinds
            values.append(found.values)
        return NaturalParameters(tuple(names), np.concatenate(values), jacobian, tuple(kinds))

    def natural_blocks(self, theta: Array) -> list[tuple[slice, Natural, list[str]]]:
        """Return for every block its place in θ, its natural parameters and their full names."""
        out = []
        for block in self.blocks:
            found = block.structure.natural(theta[block.place], block.positions)
            out.append((block.place, found, natural_names(self.design.random[block.term], block.set, found)))
        labels = residual_labels(self.design)
        for residual in self.residual_blocks:
            found = residual_natural(residual, theta[residual.place])
            names = [residual_name(name, labels[residual.set]) for name in found.names]
            out.append((residual.place, found, names))
        for variance in self.model.variance_blocks:
            term = self.model.variance[variance.index]
            found = term.function.natural(theta[variance.place], term.group_labels)
            out.append((variance.place, found, [f"{term.label}: {name}" for name in found.names]))
        return out

    def from_natural(self, place: slice, values: Array) -> Array:
        """Return the working parameters of the block at `place` from its natural values; ValueError when "
        "there are none."""
        for block in self.blocks:
            if block.place == place:
                return block.structure.from_natural(values, block.positions)
        for residual in self.residual_blocks:
            if residual.place == place:
                return _residual_from_natural(residual, values)
        for variance in self.model.variance_blocks:
            if variance.place == place:
                term = self.model.variance[variance.index]
                return term.function.from_natural(values, term.group_labels)
        raise ValueError(f"no block of parameters stands at {place}")

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of −2l in θ, (n_theta, n_theta), or the expected information.

        Notes
        -----
        H = 2AI − E + ⟨Γ, V̈⟩ with E_ab = tr(PV̇_aPV̇_b) (Gilmour, Thompson and Cullis 1995). By independent
        clusters E is exact; otherwise H is had by differences of the gradient and E from it.
        """
        here = self.evaluate(theta)
        average = 2.0 * here.information + here.curvature
        if self.system.exact_information:
            information = self.system.expected_information(self.reml)
            return information if expected else average - information
        hessian = hessian_by_differences(self.gradient, theta, here)
        return average - hessian if expected else hessian

    def natural_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return W = 2JH⁻J' of the natural parameters, (k, k); directions that H does not determine are "
        "left out."""
        jacobian = self.natural(theta).jacobian
        return np.asarray(jacobian @ self.working_covariance(theta, expected=expected) @ jacobian.T)

    def working_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return W = 2H⁻ of the parameters in θ, zero for held ones."""
        free = np.flatnonzero(self.free)
        hessian = self.observed_information(theta, expected=expected)[np.ix_(free, free)]
        scale = np.sqrt(np.maximum(np.abs(hessian.diagonal()), 1e-300))
        values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
        kept = values > 1e-7 * max(float(values[-1]), 0.0) if len(values) else values > 0
        root = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
        covariance = np.zeros((self.n_theta, self.n_theta))
        covariance[np.ix_(free, free)] = 2 * root @ root.T
        return covariance

    def fixed_information(self, theta: Array, weights: Array) -> tuple[Array, Array]:
        """Return Kenward and Roger's P (k, r, r) of every parameter in θ, and Σ_ab w_ab Q_ab (r, r)."""
        _finite(self._at(theta))
        return self.system.fixed_information(weights)

    def second_order(self, theta: Array, weights: Array) -> Array:
        """Return Σ_ab w_ab X'V⁻¹(∂²V/∂η_a∂η_b)V⁻¹X, (r, r), η the natural parameters in the order of
        `natural`.

        Notes
        -----
        With w = ∂θ/∂η·W·∂θ/∂η' the sum is Σ_ij w_ij V_ij − Σ_i v_iV_i in working parameters, where v =
        (∂θ/∂η)h and h_c = Σ_ij w_ij ∂²η_c/∂θ_i∂θ_j, the second derivatives of η by the complex step.
        """
        _finite(self._at(theta))
        return self.system.bent_slope(*self._natural_bend(theta, weights))

    def bend_traces(self, theta: Array, weights: Array) -> Array:
        """Return tr(PV̈PV_i) for every θ_i, (n_theta,), with V̈ = Σ_ab w_ab ∂²V/∂η_a∂η_b as in
        `second_order`."""
        _finite(self._at(theta))
        return self.system.bend_traces(*self._natural_bend(theta, weights))

    def _natural_bend(self, theta: Array, weights: Array) -> tuple[Array, Array]:
        """Return w and v of Σ_ij w_ij V_ij − Σ_i v_iV_i, which is Σ_ab w_ab ∂²V/∂η_a∂η_b."""
        inverse = np.linalg.pinv(self.natural(theta).jacobian)
        own = inverse @ weights @ inverse.T
        bends = np.zeros(self.n_theta)
        for j in range(self.n_theta):
            moved = theta.astype(np.complex128)
            moved[j] += 1e-30j
            slopes = self.natural(moved).jacobian.imag / 1e-30  # type: ignore[arg-type]
            bends += slopes @ own[:, j]
        return own, inverse @ bends


def _finite(point: _Point) -> At:
    if point.at is None or not isfinite(point.value):
        raise FitError("the criterion has no derivatives where it is not finite; choose another start.")
    return point.at


def residual_natural(block: ResidualBlock, own: Array) -> Natural:
    """Return the natural parameters of Σ_R of one set; the variance alone without a structure."""
    if block.structure is None:
        variance = np.exp(own)
        return Natural(("variance",), variance, variance[:, None], ("variance",))
    return block.structure.natural(own, block.positions)


def _residual_from_natural(block: ResidualBlock, values: Array) -> Array:
    if block.structure is not None:
        return block.structure.from_natural(values, block.positions)
    if not values[0] > 0:
        raise ValueError(f"variance {values[0]:.6g} must be positive")
    return np.asarray(np.log(values))
