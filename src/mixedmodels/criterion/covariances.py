"""θ ↦ the covariances that V is made of, with exact derivatives.

θ holds the parameters of the random terms' Σ, then those of Σ_R by residual set, then those of the variance functions;
without a residual structure log σ² stands in Σ_R's place. Where σ² is profiled out it is missing, and Σ is relative to
it. With s = g/√w the errors of a cluster have R_i = S_iR*_iS_i, S_i = diag(s), R* = Σ_R[positions] ∘ [same cluster];
everything here is about R*, of rows divided by their standard deviations, and a parameter δ of s has the direction
ER* + R*E, E = diag(∂log s/∂δ).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..covariance.base import Natural, Positions
from ..engines.base import Covariances, Direction, Equations, Scores
from ..terms.design import Design
from ..typing import Array
from .error_covariances import ErrorCovariances
from .parameters import (
    Block,
    NaturalParameters,
    ResidualBlock,
    VarianceBlock,
    design_blocks,
    natural_names,
    refuse_indefinite,
    residual_from_natural,
    residual_labels,
    residual_name,
    residual_natural,
    scale_degrees,
)

_LARGEST_LOG = 500.0
"""Logarithm of a factor of variances beyond which it is not reported."""


class CovarianceModel:
    """The covariance side of a design.

    `random_blocks` and `residual_blocks` may be replaced, parameter for parameter, by blocks of other structures.

    Parameters
    ----------
    design, equations
        The model's structures; its rows, and the clusters whose R is asked for by class (`Equations.groups`).
    profiled
        Whether σ² is left out of θ, Σ being relative to it.
    centred
        Whether Σ_R in θ is that of the errors of a row of ordinary standard deviation rather than where variance
        functions are one (`variance.reference`). Without it each natural parameter has a block of θ to itself.
    """

    def __init__(
        self, design: Design, equations: Equations, *, profiled: bool = False, centred: bool = True
    ) -> None:
        self.design, self.equations, self.profiled = design, equations, profiled
        terms = () if design.residual is None else design.residual.variance
        rows = None if design.residual is None else equations.rows.residual
        self.variance_rows = () if rows is None else rows.variance
        pairs = zip(terms, self.variance_rows, strict=True)
        self.variance = terms if centred else tuple(term.uncentred(own) for term, own in pairs)
        self.random_blocks = design_blocks(design)
        self.n_random = self.random_blocks[-1].place.stop if self.random_blocks else 0
        self.errors = ErrorCovariances(design, equations, self.n_random, profiled=profiled)
        self.n_structural = self.residual_blocks[-1].place.stop if self.residual_blocks else self.n_random
        self.variance_blocks, self.n_theta = self._variance_blocks(self.n_structural)
        self._kept: tuple[bytes, tuple[Block, ...], list[Array]] = (b"?", (), [])

    @property
    def by_row(self) -> bool:
        """Whether some parameter makes derivatives of R* differ between clusters of one class."""
        return self.n_theta > self.n_structural

    @property
    def residual_blocks(self) -> tuple[ResidualBlock, ...]:
        """The parameters of Σ_R by residual set; none where σ² is profiled out."""
        return self.errors.blocks

    @residual_blocks.setter
    def residual_blocks(self, blocks: tuple[ResidualBlock, ...]) -> None:
        self.errors.blocks = blocks

    def _variance_blocks(self, first: int) -> tuple[tuple[VarianceBlock, ...], int]:
        blocks = []
        for k, term in enumerate(self.variance):
            size = term.n_theta
            blocks.append(VarianceBlock(k, slice(first, first + size)))
            first += size
        return tuple(blocks), first

    # -- the numbers -----------------------------------------------------------------------------------------

    def numbers(self, theta: Array, *, roots: bool = True) -> Covariances:
        """Return what V is made of at θ, Λ or Σ; ValueError or ArithmeticError where θ defines no covariance."""
        sd = np.exp(self.relative_log_sd(theta)) if self.variance_blocks else None
        errors = self.errors.residuals(theta)
        if not roots:
            refuse_indefinite(self.random_blocks, theta)
            return Covariances(self.matrices(theta), None, errors, sd)
        factors = [b.structure.factor(theta[b.place], b.positions) for b in self.random_blocks]
        return Covariances(None, self._per_term(factors), errors, sd)

    def matrices(self, theta: Array) -> tuple[Array, ...]:
        """Return Σ of every random term, each (sets, p, p)."""
        return self._per_term([b.structure.matrix(theta[b.place], b.positions) for b in self.random_blocks])

    def _per_term(self, matrices: Sequence[Array]) -> tuple[Array, ...]:
        """Stack the matrices of the random blocks by term."""
        left = iter(matrices)
        sets = [[next(left) for _ in range(term.n_sets)] for term in self.design.random]
        return tuple(own[0][None] if len(own) == 1 else np.stack(own) for own in sets)

    def relative_log_sd(self, theta: Array) -> Array:
        """Return log s by row without weights, (n,): log g less what is common to all rows."""
        total = np.zeros(self.design.n)
        for block in self.variance_blocks:
            total += self.variance[block.index].log_sd(theta[block.place], self.variance_rows[block.index])
        return total

    # -- derivatives -----------------------------------------------------------------------------------------

    def directions(self, theta: Array, unit: float = 1.0) -> list[Direction]:
        """Return ∂V/∂θ_a of every parameter, in order, `unit` times those of random terms."""
        out: list[Direction] = []
        for block, slopes in zip(self.random_blocks, self._random_slopes_at(theta), strict=True):
            for sigma in slopes if unit == 1.0 else unit * slopes:
                out.append(Direction(random=((block.term, block.set, sigma),)))
        for residual in self.residual_blocks:
            of_errors = self.errors.derivatives(residual, theta)
            count = residual.place.stop - residual.place.start
            out += [Direction(errors=lambda g, a=a, slopes=of_errors: slopes(g, a)) for a in range(count)]  # type: ignore[misc]
        for e in self._log_slopes(theta):
            out.append(Direction(rows=lambda g, e=e: self._row_direction(g, theta, e)))  # type: ignore[misc]
        return out

    def _row_direction(self, g: int, theta: Array, e: Array) -> Array:
        """Return ER* + R*E of one size group, by cluster (m, t, t), for ∂log s by row (n,)."""
        layout = self.errors.parts[g].layout
        own = e[layout.rows]
        r = self.errors.of_group(g, theta)[layout.class_of]
        return np.asarray(r * (own[:, :, None] + own[:, None, :]))

    def _log_slopes(self, theta: Array) -> Iterator[Array]:
        """Yield ∂log s/∂δ by row, (n,), for every parameter of a variance function."""
        for block in self.variance_blocks:
            term, own = self.variance[block.index], self.variance_rows[block.index]
            yield from term.d_log_sd(theta[block.place], own)

    def gradient(self, theta: Array, random: Sequence[Array], scores: Scores) -> Array:
        """Return ∂(−2l)/∂θ, (n_theta,), from Γ of Σ(θ) by term (sets, p, p) and the scores of the errors."""
        out = self.slopes(theta, random, scores.errors)
        if scores.clusters is not None:
            weighted = self._weighted(theta, scores.clusters)
            for a, e in enumerate(self._log_slopes(theta)):
                out[self.n_structural + a] = 2.0 * float(e @ weighted)
        return out

    def slopes(self, theta: Array, random: Sequence[Array], errors: Sequence[Array]) -> Array:
        """Return ⟨S, V_i⟩ of every structural parameter for S of Σ by term (sets, p, p) and of R by class."""
        out = self._random_slopes(theta, random)
        for residual in self.residual_blocks:
            out[residual.place] = self.errors.slopes(residual, theta, errors)
        return out

    def _random_slopes(self, theta: Array, random: Sequence[Array]) -> Array:
        """Return ⟨S, V_i⟩ of the parameters of random terms, (n_theta,), zero elsewhere."""
        out = np.zeros(self.n_theta)
        for block, slopes in zip(self.random_blocks, self._random_slopes_at(theta), strict=True):
            gamma = random[block.term][block.set].ravel()
            out[block.place] = slopes.reshape(len(slopes), len(gamma)) @ gamma
        return out

    def _random_slopes_at(self, theta: Array) -> list[Array]:
        """Return ∂Σ/∂θ of every random block, (k, p, p), those of the last θ kept."""
        key = theta.tobytes()
        if self._kept[0] != key or self._kept[1] is not self.random_blocks:
            slopes = [b.structure.d_matrix(theta[b.place], b.positions) for b in self.random_blocks]
            self._kept = (key, self.random_blocks, slopes)
        return self._kept[2]

    def _weighted(self, theta: Array, by_cluster: Sequence[Array]) -> Array:
        """Return Σ_j (R*∘Γ_i)_rj by row r, (n,)."""
        out = np.zeros(self.design.n)
        for g, (part, gamma) in enumerate(zip(self.errors.parts, by_cluster, strict=True)):
            r = self.errors.of_group(g, theta)[part.layout.class_of]
            out[part.layout.rows] = np.einsum("cij,cij->ci", r, gamma)
        return out

    def curvature(self, theta: Array, random: Sequence[Array], scores: Scores) -> Array:
        """Return ⟨Γ, ∂²V/∂θ_a∂θ_b⟩, (n_theta, n_theta)."""
        out = np.zeros((self.n_theta, self.n_theta))
        for block in self.random_blocks:
            gamma = random[block.term][block.set]
            own = block.structure.curvature(theta[block.place], gamma, block.positions)
            out[block.place, block.place] = own
        for residual in self.residual_blocks:
            own = self.errors.curvature(residual, theta, scores.errors)
            out[residual.place, residual.place] = own
        if scores.clusters is not None:
            self._variance_curvature(theta, scores.clusters, out)
        return out

    def _variance_curvature(self, theta: Array, by_cluster: Sequence[Array], out: Array) -> None:
        """Add the second derivatives that involve a variance function: E_aE_bR + E_aRE_b + …, and ER_φ +
        R_φE."""
        slopes, first = list(self._log_slopes(theta)), self.n_structural
        self._add_second_log_slopes(theta, by_cluster, out)
        for g, (part, gamma) in enumerate(zip(self.errors.parts, by_cluster, strict=True)):
            rows, classes = part.layout.rows, part.layout.class_of
            base = self.errors.of_group(g, theta)[classes] * gamma
            sums = base.sum(axis=2)
            own = [e[rows] for e in slopes]
            for a, ea in enumerate(own):
                crossed = (base @ ea[:, :, None])[:, :, 0]
                for b in range(a, len(own)):
                    value = 2.0 * float(np.vdot(own[b], ea * sums) + np.vdot(own[b], crossed))
                    out[first + a, first + b] += value
                    out[first + b, first + a] += value * (a != b)
                # ⟨Γ_i, E R_φ + R_φ E⟩ with R_φ constant in a class
                folded = gamma * (ea[:, :, None] + ea[:, None, :])
                if not part.layout.distinct:
                    folded = np.add.reduceat(folded, part.layout.starts, axis=0)
                for residual in self.residual_blocks:
                    values = self.errors.slopes_of_group(g, residual, theta, folded)
                    out[residual.place, first + a] += values
                    out[first + a, residual.place] += values

    def _add_second_log_slopes(self, theta: Array, by_cluster: Sequence[Array], out: Array) -> None:
        weighted: Array | None = None
        for block in self.variance_blocks:
            second = self.variance[block.index].d2_log_sd(theta[block.place], self.variance_rows[block.index])
            if second is None:
                continue
            weighted = self._weighted(theta, by_cluster) if weighted is None else weighted
            out[block.place, block.place] += 2.0 * second @ weighted

    def bend(self, theta: Array, weights: Array) -> Direction | None:
        """Return Σ_ab w_ab ∂²V/∂η_a∂η_b as a direction, η the natural parameters in the order of `natural`; None for 0.

        Notes
        -----
        Σ of the random terms has no part in common with R, so that each block of them stands alone. For the errors,
        with w = ∂θ/∂η·W·∂θ/∂η', the sum is Σ_ij w_ij V_ij − Σ_i v_iV_i in working parameters, where v = (∂θ/∂η)h and
        h_c = Σ_ij w_ij ∂²η_c/∂θ_i∂θ_j, the second derivatives of η by the complex step.
        """
        random, first = [], 0
        for block in self.random_blocks:
            own, at = theta[block.place], block.positions
            count = len(block.structure.natural(own, at).values)
            if not block.structure.linear:
                inside = weights[first : first + count, first : first + count]
                matrix = np.einsum("ab,abij->ij", inside, block.structure.d2_natural(own, at))
                if matrix.any():
                    random.append((block.term, block.set, matrix))
            first += count
        linear = all(b.structure is None or b.structure.linear for b in self.residual_blocks)
        if linear and not self.by_row:
            return Direction(random=tuple(random)) if random else None
        w, v = self._natural_bend(theta, weights[first:, first:])
        return Direction(
            tuple(random),
            lambda g: self._error_bend(g, theta, w, v),
            (lambda g: self._row_bend(g, theta, w, v)) if self.by_row else None,
        )

    def _natural_bend(self, theta: Array, weights: Array) -> tuple[Array, Array]:
        """Return w and v of Σ_ij w_ij V_ij − Σ_i v_iV_i over the parameters of the errors."""
        first, count = self.n_random, len(weights)
        jacobian = self._error_jacobian(theta)[:, first:]
        # natural parameters have units of their own: which of them have no slope is a question of each row
        size = np.abs(jacobian).max(axis=1)
        size[size == 0] = 1.0
        inverse = np.linalg.pinv(jacobian / size[:, None]) / size
        own = inverse @ weights @ inverse.T
        bends = np.zeros(count)
        for j in range(first, self.n_theta):
            moved = theta.astype(np.complex128)
            moved[j] += 1e-30j
            slopes = self._error_jacobian(moved)[:, first:].imag / 1e-30  # type: ignore[arg-type]
            bends += slopes @ own[:, j - first]
        return own, np.asarray(inverse @ bends)

    def _error_jacobian(self, theta: Array) -> Array:
        random = [b.structure.natural(theta[b.place], b.positions) for b in self.random_blocks]
        return self.natural(theta).jacobian[sum(len(found.values) for found in random) :]

    def _error_bend(self, g: int, theta: Array, weights: Array, slopes: Array) -> Array:
        """Return Σ w_abR*_ab − Σ v_aR*_a by class (C, t, t) of one size group, over parameters of Σ_R."""
        found = []
        for residual in self.residual_blocks:
            place = slice(residual.place.start - self.n_random, residual.place.stop - self.n_random)
            second = np.tensordot(weights[place, place], self.errors.matrix(g, residual, theta, 2), 2)
            second = second - np.tensordot(slopes[place], self.errors.matrix(g, residual, theta, 1), 1)
            found.append(self.errors.spread(g, residual, second))
        return np.asarray(sum(found[1:], start=found[0]))

    def _row_bend(self, g: int, theta: Array, weights: Array, slopes: Array) -> Array:
        """Return the rest of Σ w_abV*_ab − Σ v_aV*_a that involves variance functions, by cluster (m, t, t)."""
        part, first = self.errors.parts[g], self.n_structural - self.n_random
        rows, classes = part.layout.rows, part.layout.class_of
        r = self.errors.of_group(g, theta)[classes]
        e = np.array([one[rows] for one in self._log_slopes(theta)])
        own = weights[first:, first:]
        moved = np.einsum("ab,bmt->amt", own, e)
        row = np.einsum("amt,amt->mt", e, moved) + self._second_log_sum(theta, own)[rows]
        row -= np.einsum("a,amt->mt", slopes[first:], e)
        total = r * (row[:, :, None] + row[:, None, :] + 2.0 * np.einsum("ami,amj->mij", e, moved))
        for residual in self.residual_blocks:
            for k, matrix in enumerate(self.errors.matrix(g, residual, theta, 1)):
                place = residual.place.start - self.n_random + k
                cross = np.einsum("a,amt->mt", weights[place, first:], e)
                own_direction = self.errors.spread(g, residual, matrix)[classes]
                total += 2.0 * own_direction * (cross[:, :, None] + cross[:, None, :])
        return np.asarray(total)

    def _second_log_sum(self, theta: Array, weights: Array) -> Array:
        """Return Σ_ab w_ab ∂²log s/∂δ_a∂δ_b by row, (n,)."""
        total = np.zeros(self.design.n)
        for block in self.variance_blocks:
            second = self.variance[block.index].d2_log_sd(theta[block.place], self.variance_rows[block.index])
            if second is not None:
                inside = slice(block.place.start - self.n_structural, block.place.stop - self.n_structural)
                total += np.tensordot(weights[inside, inside], second, 2)
        return total

    # -- the scale of θ, and its names -----------------------------------------------------------------------

    def rescaled(self, theta: Array, factor: float) -> Array:
        """Return θ of `factor` · V."""
        out = np.array(theta, dtype=float)
        for block in self.random_blocks:
            out[block.place] = block.structure.rescale(theta[block.place], factor, block.positions)
        for residual in self.residual_blocks:
            if residual.structure is None:
                out[residual.place] += np.log(factor)
            else:
                own = theta[residual.place]
                out[residual.place] = residual.structure.rescale(own, factor, residual.positions)
        return out

    def first_variance(self, theta: Array) -> float:
        """Return the error variance of the first set at its first position: σ² (nlme's where rows differ)."""
        block, factor = self.residual_blocks[0], float(np.exp(self._log_factor(theta)))
        if block.structure is None:
            return float(factor * np.exp(theta[block.place][0]))
        at = block.positions
        if not self.errors.on_grid and at.coordinates is not None:
            at = Positions(1, at.labels[:1], at.coordinates[:1])
        return float(factor * block.structure.matrix(theta[block.place], at)[0, 0])

    def readable(self, theta: Array) -> bool:
        """Return whether a number holds the error variance where variance functions are one.

        Where none does Σ_R is reported for a row of ordinary standard deviation.
        """
        return abs(self._log_common(theta)) < _LARGEST_LOG

    def _log_common(self, theta: Array) -> float:
        """Return −2Σc(δ)."""
        total = 0.0
        for block in self.variance_blocks:
            total -= 2.0 * self.variance[block.index].reference.common(theta[block.place])
        return total

    def _log_factor(self, theta: Array) -> float:
        """Return the logarithm of what the reported Σ_R, where variance functions are one, is of that in θ."""
        return self._log_common(theta) if self.readable(theta) else 0.0

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter by name on the natural scale, those of the errors last."""
        names: list[str] = []
        kinds: list[str] = []
        values: list[Array] = []
        found = self.natural_blocks(theta)
        jacobian = np.zeros((sum(len(labels) for _, _, labels in found), self.n_theta), dtype=theta.dtype)
        errors = {(block.place.start, block.place.stop): block for block in self.residual_blocks}
        for place, natural, labels in found:
            rows = slice(len(names), len(names) + len(labels))
            jacobian[rows, place] = natural.jacobian
            of = errors.get((place.start, place.stop))
            if of is not None and self.variance_blocks and self.readable(theta):
                slopes = -2.0 * scale_degrees(of) * natural.values
                for block in self.variance_blocks:
                    common = self.variance[block.index].reference.common_slopes
                    jacobian[rows, block.place] = np.multiply.outer(slopes, common)
            names += labels
            kinds += natural.kinds
            values.append(natural.values)
        return NaturalParameters(tuple(names), np.concatenate(values), jacobian, tuple(kinds))

    def natural_blocks(self, theta: Array) -> list[tuple[slice, Natural, list[str]]]:
        """Return for every block its place in θ, its natural parameters and their full names.

        Each Jacobian is about the block's own parameters; `natural` has that of Σ_R about variance functions too.
        """
        out = []
        for block in self.random_blocks:
            found = block.structure.natural(theta[block.place], block.positions)
            out.append((block.place, found, natural_names(self.design.random[block.term], block.set, found)))
        labels = residual_labels(self.design)
        for residual in self.residual_blocks:
            found = self._plain_natural(residual, theta)
            names = [residual_name(name, labels[residual.set]) for name in found.names]
            out.append((residual.place, found, names))
        for variance in self.variance_blocks:
            term = self.variance[variance.index]
            found = term.natural(theta[variance.place])
            out.append((variance.place, found, [f"{term.label}: {name}" for name in found.names]))
        return out

    def _plain_natural(self, block: ResidualBlock, theta: Array) -> Natural:
        """Return the natural parameters of the user's Σ_R of one set."""
        found = residual_natural(block, theta[block.place])
        if not self.variance_blocks:
            return found
        powers = np.exp(self._log_factor(theta) * scale_degrees(block))
        return replace(found, values=powers * found.values, jacobian=powers[:, None] * found.jacobian)

    def from_natural(self, place: slice, values: Array, theta: Array) -> Array:
        """Return the working parameters of the block at `place` from its natural values; ValueError for none.

        θ has the parameters of the variance functions in place, by which those of Σ_R are read.
        """
        for block in self.random_blocks:
            if block.place == place:
                return block.structure.from_natural(values, block.positions)
        for residual in self.residual_blocks:
            if residual.place == place:
                if self.variance_blocks:
                    values = values * np.exp(-self._log_factor(theta) * scale_degrees(residual))
                return residual_from_natural(residual, values)
        for variance in self.variance_blocks:
            if variance.place == place:
                return self.variance[variance.index].from_natural(values)
        raise ValueError(f"no block of parameters stands at {place}")
