"""The equations of errors whose likelihood is the product of those of every row given its neighbours.

With V of a row i and its neighbours N (Vecchia 1988; Datta, Banerjee, Finley and Gelfand 2016),

    −2l = Σ_i log d_i + Σ_i (y_i − Xβ)_i given N² / d_i + …,    V̂⁻¹ = Σ_i w_iw_i'/d_i,

that is Σ_i of what V of i and N says less what V of N alone says. V includes a nugget, so that it is the responses
that are given their neighbours, not a latent field. Every question of first and second order is a sum of such
differences, and exact for this likelihood; with all rows before as neighbours it is that of V itself. The expected
information takes V of each set for the truth (Guinness 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...control import Control
from ...kernels import conditional_products, conditional_slopes, conditional_sums, conditional_weights
from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..base import Covariances, Direction, Equations, Pieces, Scores, SizeGroup, Solution, Target
from ..layout import Layout
from ..lazy_blocks import LazyBlocks
from ..standardise import standardise
from .arrange import arranged_sets, groups_of
from .kriging import nearest_rows
from .order import Places

if TYPE_CHECKING:
    from scipy import sparse
    from scipy.sparse import linalg
else:
    sparse = LazyModule("scipy.sparse")
    linalg = LazyModule("scipy.sparse.linalg")

T = TypeVar("T")

DIRECTIONS_SEEN = 4_000
"""Sets by which directions are told to be dependent or not."""
TARGETS_AT_ONCE = 2**20
"""Numbers in covariances among neighbours of targets at a time."""


class NeighbourEquations(Equations):
    """Rows behind their neighbours, and their state at the V last factored."""

    exact_information: ClassVar[bool] = True
    whole_clusters: ClassVar[bool] = True
    packed: ClassVar[bool] = True
    takes_roots = False

    def __init__(
        self, layout: Layout, rows: Rows, control: Control, groups: tuple[SizeGroup, ...] | None = None
    ) -> None:
        assert layout.errors is not None
        self.layout, self.rows, self.control = layout, rows, control
        self.threads = control.threads_for(layout.n)
        self.standard = standardise(rows, control)
        self.basis = self.standard.basis
        s = self.standard
        data = np.empty((layout.n, layout.rank + 1))
        np.multiply(s.x - s.centre, s.scale, out=data[:, :-1])
        data[:, -1] = s.y - data[:, :-1] @ s.beta
        self.data = data * rows.root_weights[:, None]
        if groups is None:
            groups = arranged_sets(rows, layout.errors.neighbours, each_axis=layout.errors.by_axis)
        self.groups = groups
        self.holder = None
        self._errors: Sequence[Array] | None = None
        self._products: tuple[object, tuple[Array, Array, Array]] | None = None
        self._weights: tuple[sparse.csr_array, Array] | None = None

    def thinned(self, count: int) -> NeighbourEquations:
        """Return the equations of `count` rows, of all parts of the order, given their neighbours."""
        sets = [(g, i) for g, group in enumerate(self.groups) for i in range(len(group.rows))]
        if count >= len(sets):
            return self
        chosen: dict[int, list[Places]] = {}
        for k in np.linspace(0, len(sets) - 1, count).round().astype(int):
            g, i = sets[k]
            rows = self.groups[g].rows[i]
            chosen.setdefault(len(rows), []).append(rows)
        groups = groups_of({t: [np.array(own)] for t, own in chosen.items()})
        out = copy(self)
        out.groups, out.holder, out._errors, out._products, out._weights = groups, None, None, None, None
        return out

    @property
    def n_sets(self) -> int:
        """How many rows are given their neighbours."""
        return sum(len(group.rows) for group in self.groups)

    # -- one pass over all rows --------------------------------------------------------------------------------

    def each(self, f: Callable[[int], T]) -> list[T]:
        """Return f of every group in order, several at a time."""
        count = len(self.groups)
        if self.threads <= 1 or count <= 1:
            return [f(g) for g in range(count)]
        pool = ThreadPoolExecutor(self.threads)
        try:
            return list(pool.map(f, range(count)))
        finally:
            pool.shutdown(cancel_futures=True)

    def _data(self, g: int) -> Array:
        return self.data[self.groups[g].rows]

    def _at(self) -> Sequence[Array]:
        if self._errors is None:
            raise RuntimeError("factor() has not been called")
        return self._errors

    def factor(self, covariances: Covariances) -> Pieces:
        errors, r = covariances.errors, self.layout.rank
        self._errors, self._products, self._weights = errors, None, None

        def sums(g: int) -> tuple[float, Array]:
            v = errors[g]
            if not np.isfinite(v).all():
                raise ArithmeticError("V is not finite")
            return conditional_sums(v, self._data(g), 1)

        found = self.each(sums)
        logdet = sum(own for own, _ in found)
        total = np.sum([own for _, own in found], axis=0).reshape(r + 1, r + 1)
        total = 0.5 * (total + total.T)
        chol = np.asarray(np.linalg.cholesky(total[:r, :r])) if r else np.zeros((0, 0))
        root = np.asarray(np.linalg.solve(chol, np.eye(r))) if r else chol
        half = root @ total[:r, r]
        self._phi, self._beta = np.asarray(root.T @ root), np.asarray(root.T @ half)
        logdet_x = 2.0 * float(np.log(np.diag(chol)).sum()) + self.standard.logdet_shift
        return Pieces(logdet + self.standard.log_weights, logdet_x, float(total[r, r] - half @ half))

    # -- derivatives -------------------------------------------------------------------------------------------

    def _contrast(self) -> Array:
        """Return c = (−β̂, 1), so that y − Xβ̂ = [X y]c."""
        return np.append(-self._beta, 1.0)

    def _padded(self, reml: bool) -> Array:
        """Return Φ with a row and a column of zeros for y, all zeros for ML."""
        r = self.layout.rank
        out = np.zeros((r + 1, r + 1))
        if reml:
            out[:r, :r] = self._phi
        return out

    def scores(self, reml: bool, *, errors: bool = True) -> Scores:
        c = self._contrast()
        return Scores((), self._slopes(self._padded(reml) + np.outer(c, c)))

    def traces(self, reml: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        return (), tuple(self._slopes(self._padded(reml)))

    def _slopes(self, weight: Array) -> LazyBlocks:
        """Return the slopes of Σ log d + tr(W Σ hh'/d) in V of every group."""
        errors = self._at()

        def slopes(g: int) -> Array:
            v = errors[g]
            return conditional_slopes(v, self._data(g), weight, 1.0, 1).reshape(v.shape)

        return LazyBlocks(slopes, len(self.groups))

    def _second(self, directions: Sequence[Direction]) -> tuple[Array, Array, Array]:
        """Return E (k, k), P (k, d, d) and Q (k, k, d, d) over [X y], see `kernels.reference_neighbours`."""
        if self._products is not None and self._products[0] is directions:
            return self._products[1]
        errors, k, d = self._at(), len(directions), self.layout.rank + 1

        def products(g: int) -> tuple[Array, Array, Array]:
            return conditional_products(errors[g], self._data(g), self._stack(g, directions), 1)

        e, p, q = np.zeros(k * k), np.zeros(k * d * d), np.zeros(k * k * d * d)
        for own_e, own_p, own_q in self.each(products):
            e += own_e
            p += own_p
            q += own_q
        found = e.reshape(k, k), p.reshape(k, d, d), q.reshape(k, k, d, d)
        self._products = (directions, found)
        return found

    def _stack(self, g: int, directions: Sequence[Direction]) -> Array:
        t = self.groups[g].rows.shape[1]
        out = np.zeros((len(directions), len(self.groups[g].rows), t * (t + 1) // 2))
        for own, direction in zip(out, directions, strict=True):
            if direction.errors is not None:
                own[:] = direction.errors(g)
        return out

    def information(self, directions: Sequence[Direction]) -> Array:
        if not directions:
            return np.zeros((0, 0))
        _, p, q = self._second(directions)
        c, r = self._contrast(), self.layout.rank
        h = -(p[:, :r] @ c)
        total = np.einsum("x,abxz,z->ab", c, q, c) - h @ self._phi @ h.T
        return np.asarray(0.5 * (total + total.T))

    def trace_products(self, directions: Sequence[Direction], reml: bool) -> Array:
        if not directions:
            return np.zeros((0, 0))
        e, p, q = self._second(directions)
        r = self.layout.rank
        total = e
        if reml:
            moved = self._phi @ p[:, :r, :r]
            total = e - 2.0 * np.einsum("xz,abzx->ab", self._phi, q[:, :, :r, :r])
            total = total + np.einsum("axz,bzx->ab", moved, moved)
        return np.asarray(0.5 * (total + total.T))

    def fixed_information(self, directions: Sequence[Direction], weights: Array) -> tuple[Array, Array]:
        r = self.layout.rank
        if not directions:
            return np.zeros((0, r, r)), np.zeros((r, r))
        _, p, q = self._second(directions)
        return p[:, :r, :r], np.einsum("ab,abxz->xz", weights, q[:, :, :r, :r])

    def direction_gram(self, covariances: Covariances, directions: Sequence[Direction]) -> Array:
        """Return ⟨V̇_a, V̇_b⟩ over some of the sets."""
        gram, seen = np.zeros((len(directions), len(directions))), 0
        for g in reversed(range(len(self.groups))):
            stack = self._stack(g, directions).reshape(len(directions), -1)
            gram += stack @ stack.T
            seen += len(self.groups[g].rows)
            if seen >= DIRECTIONS_SEEN:
                break
        return gram

    # -- start -------------------------------------------------------------------------------------------------

    def start_moments(self) -> tuple[Array, Array]:
        raise TypeError("moment equations are those of independent errors; see response_squares")

    def response_squares(self) -> tuple[Array, ...]:
        """Return the sum over all rows as one (1, 1, 1): rows are in many groups."""
        own = sum(float(np.sum(self.data[group.rows[:, -1], -1] ** 2)) for group in self.groups)
        return (np.full((1, 1, 1), own),)

    def explained_squares(self, covariances: Covariances) -> tuple[Array, ...]:
        return (np.zeros((1, 1, 1)),)

    # -- estimates ---------------------------------------------------------------------------------------------

    def solution(self) -> Solution:
        return Solution(self.standard.beta + self._beta, self._phi, (), self.basis)

    def _factors(self) -> tuple[sparse.csr_array, Array]:
        """Return B (n, n) with 1/√d B r white, B_ij of row i and its neighbours j, and d (n,), of rows √w."""
        if self._weights is None:
            errors, n = self._at(), self.layout.n

            def weights(g: int) -> tuple[Array, Array]:
                return conditional_weights(errors[g], self._data(g), 1)

            values, d = [], np.empty(n)
            for group, (w, own) in zip(self.groups, self.each(weights), strict=True):
                d[group.rows[:, -1]] = own
                values.append(w)
            columns = np.concatenate([group.rows.ravel() for group in self.groups])
            rows = np.concatenate([np.repeat(g.rows[:, -1], g.rows.shape[1]) for g in self.groups])
            self._weights = sparse.csr_array((np.concatenate(values), (rows, columns)), shape=(n, n)), d
        return self._weights

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        return ()

    def taken_by_fixed(self) -> tuple[Array, ...]:
        return ()

    def cross_fixed(self, directions: Sequence[Direction], r: Array) -> Array:
        raise TypeError("errors given their neighbours are those of linear models")

    def with_rows(self, rows: Rows) -> NeighbourEquations:
        return NeighbourEquations(self.layout, rows, self.control, self.groups)

    # -- uncertainty -------------------------------------------------------------------------------------------

    def conditional_covariance(self, term: int) -> Array:
        raise IndexError("there are no random terms beside errors given their neighbours")

    def joint_covariance(self, term: int) -> Array:
        raise IndexError("there are no random terms beside errors given their neighbours")

    def _own_variances(self) -> Array:
        """Return V_ii, (n,)."""
        errors, out = self._at(), np.empty(self.layout.n)
        for g, group in enumerate(self.groups):
            out[group.rows[:, -1]] = errors[g][:, -1]
        return out / self.rows.root_weights**2

    def conditional_residual_variances(self) -> Array:
        x = self.data[:, :-1] / self.rows.root_weights[:, None]
        return np.asarray(self._own_variances() - np.einsum("nx,xz,nz->n", x, self._phi, x))

    def leverages(self, *, fixed: bool = False) -> Array:
        if not fixed:
            return np.zeros(self.layout.n)
        x = self.data[:, :-1] / self.rows.root_weights[:, None]
        return np.asarray(np.einsum("nx,xz,nz->n", x, self._phi, x))

    def whitened_residuals(self) -> Array:
        return self._white(self.data @ self._contrast())

    def whitened(self, values: Array) -> Array:
        return self._white(values * self.rows.root_weights)

    def _white(self, values: Array) -> Array:
        b, d = self._factors()
        return np.asarray((b @ values) / np.sqrt(d))

    def draw(self, rng: np.random.Generator) -> Array:
        b, d = self._factors()
        standard = np.sqrt(d) * rng.standard_normal(self.layout.n)
        order = _by_place(self.groups, self.layout.n, self.rows)
        lower = sparse.csr_array(b[order][:, order])
        out = np.empty(self.layout.n)
        out[order] = linalg.spsolve_triangular(lower, standard[order], lower=True, unit_diagonal=True)
        return np.asarray(out / self.rows.root_weights)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        return self.predict(Target(x, codes, values))[1]

    def predict(self, target: Target) -> tuple[Array, Array]:
        """Return what the nearest rows of the same field say of targets, and the variance of what they miss."""
        n, r = len(target), self.layout.rank
        slopes = np.zeros((n, r)) if target.x is None else self.basis.rows(target.x)
        shift, variance = np.zeros(n), np.zeros(n)
        if target.error is not None:
            variance += target.error.variances()
            own = self.data / self.rows.root_weights[:, None]
            known, near = self._near(target)
            residual = own @ self._contrast()
            for targets, rows in zip(known, near, strict=True):
                v, among = target.error.between(targets, rows), target.error.among(rows)
                solved = np.linalg.solve(among, v[:, :, None])[:, :, 0]
                shift[targets] = np.einsum("nt,nt->n", solved, residual[rows])
                variance[targets] -= np.einsum("nt,nt->n", solved, v)
                slopes[targets] -= np.einsum("nt,ntx->nx", solved, own[rows, :-1])
        variance += np.einsum("nx,xz,nz->n", slopes, self._phi, slopes)
        return shift, variance

    def _near(self, target: Target) -> tuple[list[Places], list[Places]]:
        """Return targets with rows of their field, and the nearest rows of each, (·, t), some at a time."""
        assert target.error is not None
        assert self.layout.errors is not None
        assert self.rows.residual is not None
        places = target.error.coordinates()
        if target.cluster is None or places is None:
            return [], []
        known = np.flatnonzero(target.cluster >= 0)
        fields = self.rows.residual.clusters[target.cluster[known]]
        targets, rows = [], []
        for field in np.unique(fields):
            own = known[fields == field]
            near = nearest_rows(
                self.rows, int(field), places[own], self.layout.errors.neighbours, self.layout.errors.by_axis
            )
            step = max(1, TARGETS_AT_ONCE // near.shape[1] ** 2)
            for first in range(0, len(own), step):
                targets.append(own[first : first + step])
                rows.append(near[first : first + step])
        return targets, rows


def _by_place(groups: Sequence[SizeGroup], n: int, rows: Rows) -> NDArray[np.intp]:
    """Return the rows field by field, in each in the order in which neighbours stand before."""
    assert rows.residual is not None
    # groups are by number of neighbours, and inside of one field after another in the order of the field
    order = np.concatenate([group.rows[:, -1] for group in groups])
    return np.asarray(order[np.argsort(rows.residual.clusters[order], kind="stable")])
