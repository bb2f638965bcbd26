"""The covariance R of the errors at an estimate: of rows of the fit, of new rows, and between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions
from ..engines.base import Equations, ErrorCovariance
from ..terms.residual import NewErrors
from ..terms.rows import VarianceRows
from ..typing import Array, Codes
from .covariances import CovarianceModel
from .parameters import ResidualBlock


class FittedErrors:
    """R(θ) of the rows of one model, R_ij = s_i s_j Σ_R[positions i, j] within a cluster, s = g/√w."""

    def __init__(self, model: CovarianceModel, theta: Array) -> None:
        residual, rows = model.design.residual, model.equations.rows.residual
        assert residual is not None
        assert rows is not None
        self.residual = residual
        self.rows = rows
        self.n = len(model.equations.rows)
        self.model = model
        self.theta = theta
        self.sd: Array = np.exp(model.relative_log_sd(theta)) / model.equations.rows.root_weights

    def variances(self) -> Array:
        """Return R_ii, (n,)."""
        out = np.empty(self.n)
        for part, r in zip(self.model.errors.parts, self.model.errors.residuals(self.theta), strict=True):
            out[part.layout.rows] = part.diagonal(r)[part.layout.class_of]
        return np.asarray(out * self.sd**2)

    def among(self, rows: NDArray[np.intp]) -> Array:
        """Return R among rows (..., t), as (..., t, t)."""
        sd, residual = self.sd[rows], self.residual
        scale = sd[..., :, None] * sd[..., None, :]
        if residual.structure is None:
            return np.asarray(scale * self.common_variance() * np.eye(rows.shape[-1]))
        clusters = self.rows.clusters[rows]
        same = clusters[..., :, None] == clusters[..., None, :]
        total = np.zeros(same.shape)
        for block in self.model.residual_blocks:
            own = same & (residual.sets[clusters] == block.set)[..., None]
            if own.any():
                total += np.where(own, self._base(block, rows), 0.0)
        return np.asarray(total * scale)

    def common_variance(self) -> float:
        """Return the error variance where s is one, of a design without residual structure."""
        block = self.model.residual_blocks[0]
        return float(np.exp(self.theta[block.place][0]))

    def _base(self, block: ResidualBlock, rows: NDArray[np.intp]) -> Array:
        """Return Σ_R of one set among rows (..., t), as if all were of one cluster."""
        assert block.structure is not None
        own, coordinates = self.theta[block.place], self.rows.coordinates
        if coordinates is not None:
            return block.structure.matrix(own, Positions(rows.shape[-1], (), coordinates[rows]))
        grid = block.structure.matrix(own, block.positions)
        index = self.rows.index[rows]
        return np.asarray(grid[index[..., :, None], index[..., None, :]])

    def draw(self, rng: np.random.Generator) -> Array:
        """Return one draw of all errors, (n,)."""
        if self.model.equations.packed:
            return self._factored().draw(rng)
        out = np.empty(self.n)
        for part, r in zip(self.model.errors.parts, self.model.errors.residuals(self.theta), strict=True):
            standard = rng.standard_normal(part.layout.rows.shape)
            factor = np.linalg.cholesky(r)[part.layout.class_of]
            out[part.layout.rows] = (factor @ standard[:, :, None])[:, :, 0]
        return np.asarray(out * self.sd)

    def whitened(self, values: Array) -> Array:
        """Return L⁻¹ values (n,), R = LL' with rows in the order of their clusters."""
        if self.model.equations.packed:
            return self._factored().whitened(values)
        out, scaled = np.empty(self.n), values / self.sd
        for part, r in zip(self.model.errors.parts, self.model.errors.residuals(self.theta), strict=True):
            factor = np.linalg.cholesky(r)[part.layout.class_of]
            out[part.layout.rows] = np.linalg.solve(factor, scaled[part.layout.rows][:, :, None])[:, :, 0]
        return out

    def _factored(self) -> Equations:
        """Return the equations, whose V is R, at R(θ)."""
        equations = self.model.equations
        equations.holder = None
        equations.factor(self.model.numbers(self.theta, roots=False))
        return equations

    # -- new rows --------------------------------------------------------------------------------------------

    def new_sd(self, new: NewErrors, mean: Array, weights: Array | None) -> Array:
        """Return s of new rows, (m,); `mean` is their fitted mean, for variance functions of it."""
        log_sd = np.zeros(len(new))
        for block, groups, covariate in zip(
            self.model.variance_blocks, new.groups, new.covariates, strict=True
        ):
            term = self.model.variance[block.index]
            values = mean if term.fitted else covariate
            known = VarianceRows(np.maximum(groups, 0), values)
            own = term.log_sd(self.theta[block.place], known)
            log_sd += np.where(groups >= 0, own, np.nan)
        return np.asarray(np.exp(log_sd) / (1.0 if weights is None else np.sqrt(weights)))

    def new_variances(self, new: NewErrors, sd: Array) -> Array:
        """Return the variance of the errors of new rows, (m,), NaN where position or set is not known."""
        if self.residual.structure is None:
            return np.asarray(sd**2 * self.common_variance())
        out = np.full(len(new), np.nan)
        for block in self.model.residual_blocks:
            assert block.structure is not None
            chosen = new.sets == block.set
            diagonal = np.diag(block.structure.matrix(self.theta[block.place], block.positions))
            if np.ptp(diagonal) <= 1e-12 * diagonal[0]:
                out[chosen] = diagonal[0]
            elif new.coordinates is None:
                own = np.where(new.index >= 0, diagonal[np.maximum(new.index, 0)], np.nan)
                out[chosen] = own[chosen]
            else:
                points = new.coordinates[chosen][:, None, :]
                single = block.structure.matrix(self.theta[block.place], Positions(1, (), points))
                out[chosen] = single[:, 0, 0]
        return np.asarray(out * sd**2)

    def unobserved(self, new: NewErrors) -> NDArray[np.bool_]:
        """Return which new rows stand at a position of a cluster of the fit that was not observed there,
        (m,)."""
        residual = self.residual
        if residual.structure is None or not new.placed:
            return np.zeros(len(new), bool)
        known = new.clusters >= 0
        if self.rows.coordinates is None:
            size = residual.positions.size
            seen = self.rows.clusters.astype(np.int64) * size + self.rows.index
            key = new.clusters.astype(np.int64) * size + new.index
            return np.asarray(known & (new.index >= 0) & ~np.isin(key, seen))
        assert new.coordinates is not None
        known &= np.isfinite(new.coordinates).all(axis=1)
        seen_points = set(
            zip(self.rows.clusters.tolist(), map(tuple, self.rows.coordinates.tolist()), strict=True)
        )
        points = zip(new.clusters.tolist(), map(tuple, new.coordinates.tolist()), strict=True)
        fresh = np.array([point not in seen_points for point in points], bool)
        return np.asarray(known & fresh)

    def relation(self, new: NewErrors, sd: Array) -> NewErrorCovariance:
        """Return the covariance of the errors of new rows with those of the fit."""
        return NewErrorCovariance(self, new, sd)

    def first_rows(self) -> Codes:
        """Return one row of every residual cluster, (number of clusters,)."""
        first = np.zeros(self.residual.n_clusters, np.int32)
        first[self.rows.clusters[::-1]] = np.arange(self.n - 1, -1, -1, dtype=np.int32)
        return first


@dataclass(frozen=True, slots=True)
class NewErrorCovariance(ErrorCovariance):
    """Covariances of the errors of new rows (m,) with those of the fit."""

    fitted: FittedErrors
    new: NewErrors
    sd: Array

    def variances(self) -> Array:
        return self.fitted.new_variances(self.new, self.sd)

    def among(self, rows: NDArray[np.intp]) -> Array:
        return self.fitted.among(rows)

    def coordinates(self) -> Array | None:
        return self.new.coordinates

    def between(self, targets: NDArray[np.intp], rows: NDArray[np.intp]) -> Array:
        residual, of_fit, new = self.fitted.residual, self.fitted.rows, self.new
        out = np.zeros(rows.shape)
        clusters = new.clusters[targets]
        same = of_fit.clusters[rows] == clusters[:, None]
        for block in self.fitted.model.residual_blocks:
            assert block.structure is not None
            own = residual.sets[clusters] == block.set
            if not own.any():
                continue
            theta = self.fitted.theta[block.place]
            if of_fit.coordinates is None:
                grid = block.structure.matrix(theta, block.positions)
                out[own] = grid[new.index[targets[own]][:, None], of_fit.index[rows[own]]]
                continue
            assert new.coordinates is not None
            points = np.concatenate(
                [of_fit.coordinates[rows[own]], new.coordinates[targets[own]][:, None, :]], axis=1
            )
            stack = block.structure.matrix(theta, Positions(points.shape[1], (), points))
            out[own] = stack[:, -1, :-1]
        return np.asarray(out * same * self.fitted.sd[rows] * self.sd[targets][:, None])
