"""Models with some covariance parameters held at values on the natural scale (SAS PARMS / HOLD=)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import SIGNIFICANT, VANISHED, Natural, Positions, Structure
from ..engines.base import Equations
from ..errors import FitError
from ..terms.design import Design
from ..typing import Array
from .coordinates import OwnColumns
from .covariances import CovarianceModel
from .gaussian import Gaussian
from .held_columns import HeldColumns
from .laplace import Laplace
from .parameters import Block, ResidualBlock, place_by_name, regular_target

Mask: TypeAlias = NDArray[np.bool_]


@final
@dataclass(frozen=True, slots=True)
class NaturalCoordinates(Structure):
    """A structure in the reported parameters of another, with roots for variances.

    Its parameters are covariances, correlations … as reported, and standard deviations s for variances s²,
    so that a variance may reach zero where the other parameters allow it.
    """

    base: Structure

    def size(self, m: int) -> int:
        return self.base.size(m)

    def matrix(self, theta: Array, at: Positions) -> Array:
        return self.base.matrix(self._base_theta(theta, at), at)

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        slopes = np.where(self._variances(at), 2 * theta, 1.0)
        return slopes[:, None, None] * self._d_natural(theta, at)

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        variances = self._variances(at)
        slopes = np.where(variances, 2 * theta, 1.0)
        if self.base.linear:
            second = np.zeros((len(theta), len(theta), at.size, at.size))
        else:
            second = self.base.d2_natural(self._base_theta(theta, at), at)
            second = (slopes[:, None] * slopes)[:, :, None, None] * second
        index = np.flatnonzero(variances)
        second[index, index] += 2 * self._d_natural(theta, at)[index]
        return second

    def factor(self, theta: Array, at: Positions) -> Array:
        return self.base.factor(self._base_theta(theta, at), at)

    def start(self, target: Array, at: Positions) -> Array:
        return self._roots(self.base.natural(self.base.start(target, at), at).values, at)

    def starts(self, target: Array, at: Positions) -> Array:
        found = self.base.starts(target, at)
        return np.array([[self._roots(self.base.natural(t, at).values, at) for t in row] for row in found])

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        scaled = self.base.rescale(self._base_theta(theta, at), factor, at)
        return self._roots(self.base.natural(scaled, at).values, at)

    def natural(self, theta: Array, at: Positions) -> Natural:
        variances, regular = self._variances(at), self._regular(at)
        jacobian = np.diag(np.where(variances, 2 * theta, 1.0))
        return Natural(regular.names, np.where(variances, theta**2, theta), jacobian, regular.kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        self.base.from_natural(values, at)
        return self._roots(np.asarray(values, dtype=np.float64), at)

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with the vanished variance of most negative slope set to `step`, or None."""
        slopes = np.einsum("aij,ij->a", self._d_natural(theta, at), gamma)
        slopes = np.where(self._variances(at) & (theta**2 < VANISHED * step), slopes, 0.0)
        a = int(np.argmin(slopes))
        if slopes[a] * step > -SIGNIFICANT:
            return None
        moved = theta.copy()
        moved[a] = np.sqrt(step)
        return moved

    def _base_theta(self, theta: Array, at: Positions) -> Array:
        return self.base.from_natural(np.where(self._variances(at), theta**2, theta), at)

    def _d_natural(self, theta: Array, at: Positions) -> Array:
        if self.base.linear:
            return self.base.d_natural(self.base.start(regular_target(at), at), at)
        try:
            return self.base.d_natural(self._base_theta(theta, at), at)
        except np.linalg.LinAlgError:
            raise FitError(
                f"a {self.base.names[0]!r} covariance became singular while some of its parameters "
                "are held; hold all of them, or choose held values that leave room for the others."
            ) from None

    def _regular(self, at: Positions) -> Natural:
        return self.base.natural(self.base.start(regular_target(at), at), at)

    def _variances(self, at: Positions) -> Mask:
        return np.array([kind == "variance" for kind in self._regular(at).kinds])

    def _roots(self, values: Array, at: Positions) -> Array:
        return np.where(self._variances(at), np.sqrt(np.maximum(values, 0.0)), values)


def held_gaussian(design: Design, equations: Equations, hold: Mapping[str, float]) -> Gaussian:
    """Return the criterion in joint parameters in which some natural parameters keep their given values.

    Notes
    -----
    Where the held parameters of a covariance depend on as many working parameters as there are held ones,
    those working parameters are held. Otherwise (a covariance held without its variances) the block is
    optimised in its natural parameters; where its correlations reach one the fit is reported as not
    converged.
    """
    model = CovarianceModel(design, equations)
    names = model.natural(_regular_theta(model)).names
    held = place_by_name(hold, names, "hold")
    if _mixed(model, list(held)):
        model = CovarianceModel(design, equations, centred=False)
    free = _hold_blocks(model, held)
    kept = {names[i]: value for i, value in held.items()}
    return Gaussian(design, equations, profiled=False, model=model, free=free, held=kept)


def hold_random(criterion: Laplace, hold: Mapping[str, float]) -> Laplace:
    """Return the criterion of a generalised model in which some natural parameters keep their given values."""
    model = CovarianceModel(criterion.design, criterion.equations, profiled=True)
    own = model.natural(_regular_theta(model)).names if model.random_blocks else ()
    psi = tuple(parameter.name for parameter in criterion.observed.family.parameters)
    names = (*own, *psi)
    held = place_by_name(hold, names, "hold")
    free = np.ones(criterion.n_theta, dtype=bool)
    free[: model.n_theta] = _hold_blocks(model, held)
    for j in range(len(psi)):
        free[criterion.of_psi.start + j] = len(own) + j not in held
    kept = {names[i]: value for i, value in held.items()}
    return Laplace(
        criterion.design,
        criterion.equations,
        criterion.observed,
        model=model,
        free=free,
        held=kept,
        expected=criterion.expected is not None,
    )


def _hold_blocks(model: CovarianceModel, held: Mapping[int, float]) -> Mask:
    """Return which parameters of a model may move where natural ones are held, blocks replaced where they must be."""
    found = model.natural_blocks(_regular_theta(model))
    free = np.ones(model.n_theta, dtype=bool)
    random = {b.place.start: b for b in model.random_blocks}
    errors = {b.place.start: b for b in model.residual_blocks}
    first = 0
    for place, natural, labels in found:
        chosen = np.array([first + i in held for i in range(len(labels))], dtype=bool)
        first += len(labels)
        size = place.stop - place.start
        if not chosen.any():
            continue
        if place.start in random:
            random[place.start], fixed = _hold_block(random[place.start], chosen, size)
        elif place.start in errors and errors[place.start].structure is not None:
            errors[place.start], fixed = _hold_block(errors[place.start], chosen, size)
        else:
            # log σ² and the parameters of variance functions: each natural parameter has its own
            fixed = np.any(natural.jacobian[chosen] != 0, axis=0)
        free[place] = ~fixed
    model.random_blocks, model.residual_blocks = tuple(random.values()), tuple(errors.values())
    return free


def _mixed(model: CovarianceModel, held: list[int]) -> bool:
    """Return whether held parameters depend on more parameters of variance functions than are held.

    So does σ² where the origin of a covariate is taken out of its function, and the constant of const_power.
    """
    if not model.variance_blocks:
        return False
    theta = _regular_theta(model)
    own = slice(model.n_structural, model.n_theta)
    jacobian = model.natural(theta).jacobian
    depends = np.any(jacobian[held, own] != 0, axis=0)
    functions = np.any(jacobian[:, own] != 0, axis=1) & ~np.any(jacobian[:, : own.start] != 0, axis=1)
    return bool(depends.sum() > functions[held].sum())


def _regular_theta(model: CovarianceModel) -> Array:
    """Return parameters at which no variance vanishes and nothing has a special symmetry."""
    theta = np.zeros(model.n_theta)
    for block in model.random_blocks:
        theta[block.place] = block.structure.start(regular_target(block.positions), block.positions)
    for residual in model.residual_blocks:
        if residual.structure is not None:
            at = residual.positions
            theta[residual.place] = residual.structure.start(regular_target(at), at)
    for variance in model.variance_blocks:
        theta[variance.place] = model.variance[variance.index].starts()[0]
    return theta


AnyBlock = TypeVar("AnyBlock", Block, ResidualBlock)


def _hold_block(block: AnyBlock, chosen: Mask, size: int) -> tuple[AnyBlock, Mask]:
    """Return the block, in natural coordinates if it must be, and which of its parameters are held."""
    if not chosen.any():
        return block, np.zeros(size, dtype=bool)
    if chosen.all():
        return block, np.ones(size, dtype=bool)
    assert block.structure is not None
    own = block.structure
    if isinstance(own, OwnColumns) and own.base.linear and not own.diagonal:
        held, fixed = HeldColumns(own, chosen), np.zeros(size, dtype=bool)
        fixed[held.places] = True
        return replace(block, structure=held), fixed
    depends = np.any(_natural_slopes(block)[chosen] != 0, axis=0)
    if depends.sum() == chosen.sum():
        return block, depends
    return replace(block, structure=NaturalCoordinates(own)), chosen


def _natural_slopes(block: Block | ResidualBlock) -> Array:
    """Return ∂natural/∂θ at a point where nothing vanishes, (natural, θ)."""
    at = block.positions
    assert block.structure is not None
    return block.structure.natural(block.structure.start(regular_target(at), at), at).jacobian
