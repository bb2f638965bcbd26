"""The criterion −2l of models with structured or heterogeneous errors, by independent clusters.

All covariance parameters are absolute; σ² is 1 throughout unless it stands for the whole residual structure, in which
case log σ² is a parameter like any other. The optimiser and the tools see the same questions as for the engines with
independent errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, log, pi

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..errors import FitError
from ..terms.design import Design
from ..typing import Array
from .base import Pieces, Solution
from .clusterwise import Clusters
from .marginal import MarginalModel
from .objective import Evaluation
from .parameters import Block, NaturalParameters, natural_names


@dataclass(slots=True)
class _Point:
    key: bytes
    value: float = inf
    pieces: Pieces | None = None
    directions: list[list[Array]] | None = None
    scores: list[tuple[Array, Array]] | None = None
    gradient: Array | None = None
    evaluation: Evaluation | None = None


@dataclass(slots=True)
class MarginalObjective:
    """The criterion of one design whose clusters are independent, as a function of θ (see `MarginalModel`)."""

    design: Design
    control: Control
    free: NDArray[np.bool_] | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    clusters: Clusters = field(init=False)
    model: MarginalModel = field(init=False)
    evaluations: int = field(init=False, default=0)
    _point: _Point = field(init=False)

    def __post_init__(self) -> None:
        self.clusters = Clusters(self.design, self.control)
        self.model = MarginalModel(self.design, tuple(g.layout for g in self.clusters.groups))
        if self.free is None:
            self.free = np.ones(self.model.n_theta, dtype=bool)
        self._point = _Point(b"")
        if self.nu <= 0:
            raise FitError(
                f"{self.design.n} rows cannot determine {self.design.fixed.rank} fixed effects and the covariance of "
                "the errors; leave out fixed terms or add rows."
            )

    joint = True

    @property
    def reml(self) -> bool:
        return self.design.reml

    @property
    def nu(self) -> int:
        return self.design.n - (self.design.fixed.rank if self.design.reml else 0)

    @property
    def n_theta(self) -> int:
        return self.model.n_theta

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Parameter blocks of the random terms."""
        return self.model.random_blocks

    # -- criterion -------------------------------------------------------------------------------------------------

    def value(self, theta: Array) -> float:
        """Return −2l at θ, infinite where some V_i is not positive definite."""
        return self._at(theta).value

    def _at(self, theta: Array) -> _Point:
        key = theta.tobytes()
        if key == self._point.key:
            return self._point
        self._point = point = _Point(key)
        self.evaluations += 1
        with np.errstate(all="ignore"):
            try:
                covariances = self.model.covariances(theta)
                if all(np.isfinite(v).all() for v in covariances):
                    point.pieces = self.clusters.factor(covariances)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                return point
        if point.pieces is not None:
            pieces = point.pieces
            value = pieces.logdet + (pieces.logdet_x if self.reml else 0.0) + pieces.quadratic
            value += self.nu * log(2 * pi)
            point.value = value if isfinite(value) else inf
        return point

    def scale(self, theta: Array) -> float:
        """Return y'Py/ν: the factor of V that minimises −2l at the shape θ has."""
        pieces = self._at(theta).pieces
        return inf if pieces is None else pieces.quadratic / self.nu

    def gradient(self, theta: Array) -> Array:
        """Return ∂(−2l)/∂θ, (n_theta,)."""
        point = self._at(theta)
        if point.gradient is None:
            if not isfinite(point.value):
                raise FitError("the criterion has no derivatives where it is not finite; choose another start.")
            point.scores = self.clusters.scores(self.reml)
            point.directions = self.model.directions(theta)
            gammas = [trace - quadratic for trace, quadratic in point.scores]
            point.gradient = np.array(
                [
                    sum(float(np.vdot(gamma, v)) for gamma, v in zip(gammas, direction, strict=True))
                    for direction in point.directions
                ]
            )
        return point.gradient

    def evaluate(self, theta: Array) -> Evaluation:
        """Return the criterion with its gradient, average information and curvature."""
        point = self._at(theta)
        if point.evaluation is None:
            gradient = self.gradient(theta)
            assert point.scores is not None
            assert point.directions is not None
            gammas = [trace - quadratic for trace, quadratic in point.scores]
            point.evaluation = Evaluation(
                point.value,
                gradient,
                self.clusters.average_information(point.directions),
                self.model.curvature(theta, gammas),
                1.0,
                self._per_term(gammas),
                self._per_term([trace for trace, _ in point.scores]),
            )
        return point.evaluation

    def _per_term(self, blocks: list[Array]) -> tuple[Array, ...]:
        out = []
        for k, term in enumerate(self.design.random):
            own = [self.model.random_gamma(b, blocks) for b in self.blocks if b.term == k]
            out.append(np.stack(own) if own else np.zeros((0, term.n_columns, term.n_columns)))
        return tuple(out)

    def sigma2(self, theta: Array) -> float:
        """Return 1: the parameters are absolute."""
        return 1.0

    def matrices(self, theta: Array) -> tuple[Array, ...]:
        """Return Σ of every random term, each (sets, p, p)."""
        out = []
        for k in range(len(self.design.random)):
            own = [b for b in self.blocks if b.term == k]
            out.append(np.stack([b.structure.matrix(theta[b.place], b.positions) for b in own]))
        return tuple(out)

    # -- the scale of θ --------------------------------------------------------------------------------------------

    def absolute(self, theta: Array) -> Array:
        """Return θ: it is absolute already."""
        return theta

    def relative(self, theta: Array) -> Array:
        """Return θ: there is no common σ² to divide by."""
        return theta

    def jointly(self) -> MarginalObjective:
        return self

    def rescaled(self, theta: Array, factor: float) -> Array:
        """Return θ of `factor` · V."""
        out = theta.copy()
        for block in self.blocks:
            out[block.place] = block.structure.rescale(theta[block.place], factor, block.positions)
        for residual in self.model.residual_blocks:
            if residual.structure is None:
                out[residual.place] += log(factor)
            else:
                own = theta[residual.place]
                out[residual.place] = residual.structure.rescale(own, factor, residual.positions)
        return out

    # -- results ---------------------------------------------------------------------------------------------------

    def solve(self, theta: Array) -> tuple[Solution, float]:
        """Return β̂, (X'V⁻¹X)⁻¹ and b̂ = Σ Z'V⁻¹(y − Xβ̂), and 1 as the scale."""
        self._at(theta)
        alpha = self.clusters.score_rows()
        random = []
        for term, sigma in zip(self.design.random, self.matrices(theta), strict=True):
            sums = np.zeros((term.n_levels, term.n_columns))
            np.add.at(sums, term.codes, term.dense_values() * alpha[:, None])
            random.append(np.einsum("qab,qb->qa", sigma[term.sets], sums))
        return Solution(self.clusters.beta, self.clusters.phi, tuple(random)), 1.0

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter by name on the natural scale."""
        names: list[str] = []
        kinds: list[str] = []
        values: list[Array] = []
        rows: list[tuple[slice, Array]] = []
        for block in self.blocks:
            found = block.structure.natural(theta[block.place], block.positions)
            names += natural_names(self.design.random[block.term], block.set, found)
            kinds += found.kinds
            values.append(found.values)
            rows.append((block.place, found.jacobian))
        residual = self.design.residual
        for piece in self.model.residual_blocks:
            own = theta[piece.place]
            if piece.structure is None:
                variance = np.exp(own)
                names.append("var(Residual)")
                kinds.append("variance")
                values.append(variance)
                rows.append((piece.place, variance[:, None]))
                continue
            assert residual is not None
            found = piece.structure.natural(own, piece.positions)
            label = residual.set_labels[piece.set]
            where = f"Residual [{label}]" if label else "Residual"
            names += [residual_name(name, where) for name in found.names]
            kinds += found.kinds
            values.append(found.values)
            rows.append((piece.place, found.jacobian))
        for variance_block in self.model.variance_blocks:
            assert residual is not None
            term = residual.variance[variance_block.index]
            found = term.function.natural(theta[variance_block.place], term.group_labels)
            names += [f"{term.label}: {name}" for name in found.names]
            kinds += found.kinds
            values.append(found.values)
            rows.append((variance_block.place, found.jacobian))
        jacobian = np.zeros((len(names), self.n_theta))
        first = 0
        for place, slope in rows:
            jacobian[first : first + len(slope), place] = slope
            first += len(slope)
        flat = np.concatenate(values) if values else np.zeros(0)
        return NaturalParameters(tuple(names), flat, jacobian, tuple(kinds))

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of −2l in θ by central differences of the exact gradient, or the expected information.

        The expected information follows from 2AI − H + ⟨Γ, V̈⟩ (Gilmour, Thompson and Cullis 1995).
        """
        here = self.evaluate(theta)
        size = np.maximum(here.information.diagonal() + np.abs(here.curvature.diagonal()), 1e-300)
        steps = np.minimum(5e-4 * np.sqrt(2 / size), 1e-4 * np.maximum(np.abs(theta), 1.0))
        hessian = np.empty((self.n_theta, self.n_theta))
        for a, step in enumerate(steps):
            moved = theta.copy()
            moved[a] = theta[a] + step
            above = self.gradient(moved)
            moved = theta.copy()
            moved[a] = theta[a] - step
            hessian[a] = (above - self.gradient(moved)) / (2 * step)
        hessian = 0.5 * (hessian + hessian.T)
        return 2 * here.information + here.curvature - hessian if expected else hessian

    def natural_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return W = 2JH⁻J' of the natural parameters, (k, k); directions that H does not determine are left out."""
        jacobian = self.natural(theta).jacobian
        return np.asarray(jacobian @ self.working_covariance(theta, expected=expected) @ jacobian.T)

    def working_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return W = 2H⁻ of the parameters in θ, zero for held ones."""
        hessian = self.observed_information(theta, expected=expected)
        assert self.free is not None
        free = np.flatnonzero(self.free)
        hessian = hessian[np.ix_(free, free)]
        scale = np.sqrt(np.maximum(np.abs(hessian.diagonal()), 1e-300))
        values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
        kept = values > 1e-7 * max(float(values[-1]), 0.0) if len(values) else values > 0
        root = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
        covariance = np.zeros((self.n_theta, self.n_theta))
        covariance[np.ix_(free, free)] = 2 * root @ root.T
        return covariance

    def fixed_information(self, theta: Array) -> tuple[Array, Array]:
        """Return P (k, r, r) and Q (k, k, r, r) of Kenward and Roger for every parameter in θ."""
        self._at(theta)
        return self.clusters.fixed_information(self.model.directions(theta))


def residual_name(name: str, where: str) -> str:
    """Return `var(week1)` as `var(Residual: week1)`, `rho` as `rho(Residual)`."""
    head, _, rest = name.partition("(")
    if not rest:
        return f"{'var' if head == 'variance' else head}({where})"
    return f"{head}({where}: {rest.removesuffix(')')})"
