"""Columns of random effects in coordinates of their own: centred, orthogonal, of unit size.

A term z'b with b ~ N(0, Σ) is z*'b* with z* = A'z, b = Ab* and Σ = AΣ*A'. Equations and criterion work with z*
and Σ*, whose condition does not depend on where a covariate has its zero or what its unit is; names, reported
parameters, `start=` and `hold=` are those of z. A family of structures closed under every linear map (`us`) takes A
upper triangular, with Z*'Z*/n = I; one closed under a change of units takes A diagonal; the others stay as they are.
Columns that are well scaled already do too. Those of a smooth have one unit in common.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Natural, Positions, Range, Structure
from ..engines.base import Equations, Solution, Target
from ..kernels import column_moments
from ..terms.design import Design, RandomTerm
from ..terms.rank import ColumnMoments
from ..terms.rows import FixedRows, Rows, TermRows
from ..typing import Array, Codes
from .parameters import names_any

SMALL, LARGE = 1e-2, 1e2
"""Root mean squares of columns that may stay as they are."""
ALIKE = 0.95
"""Largest cosine between two columns that may stay: a mean of three standard deviations beside a constant."""
ROUNDING = 1e-13
"""Elements of a linear map relative to the products they are sums of, below which they are zero."""
DEPENDENT = 1e-12
"""Squared length of what is left of a column beside those before it, below which columns are not orthogonalised."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class OwnColumns(Structure):
    """A structure of Σ* that reports the natural parameters of Σ = AΣ*A'.

    Parameters
    ----------
    base
        The structure of Σ, and of Σ*.
    map
        A, (m, m).
    at
        Positions of the m columns.
    """

    base: Structure
    map: Array
    at: Positions
    _own: Array = field(init=False, repr=False)
    names: tuple[str, ...] = field(init=False, repr=False)  # type: ignore[misc]
    linear: bool = field(init=False, repr=False)
    always_psd: bool = field(init=False, repr=False)
    bounded: bool = field(init=False, repr=False)  # type: ignore[misc]
    over_positions: bool = field(init=False, repr=False)
    ordered: bool = field(init=False, repr=False)
    counted: bool = field(init=False, repr=False)
    own_variances: bool = field(init=False, repr=False)
    dependent_columns: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for fact in fields(self):
            if not fact.init and fact.name != "_own":
                object.__setattr__(self, fact.name, getattr(self.base, fact.name))
        object.__setattr__(self, "_own", self._linear_map() if self.base.linear else self._scales())

    @property
    def linear_map(self) -> Array:
        """M of η = Mη*, the parameters of Σ and of Σ*, (k, k), of a structure linear in them."""
        return self._own if self.base.linear else np.empty((0, 0))

    def _linear_map(self) -> Array:
        """Return M with η = Mη* for Σ = Σ_c η_cB_c: column c has the coordinates of AB_cA', (k, k)."""
        regular = np.diag(1.0 + np.arange(self.at.size) / self.at.size) + 0.25
        basis = self.base.d_natural(self.base.start(regular, self.at), self.at)
        k, size = len(basis), np.abs(self.map)
        read = np.linalg.pinv(basis.reshape(k, -1).T)
        # rounding here would put a part of a large variance into a small one, in units that differ by 1e9
        read = np.where(np.abs(read) > ROUNDING * np.abs(read).max(initial=0.0), read, 0.0)
        moved = read @ (self.map @ basis @ self.map.T).reshape(k, -1).T
        # elements of M are sums of products of elements of A: what is far smaller than these is rounding
        largest = np.abs(read) @ (size @ np.abs(basis) @ size.T).reshape(k, -1).T
        return np.where(np.abs(moved) > ROUNDING * largest, moved, 0.0)

    def _scales(self) -> Array:
        """Return c with θ = c∘θ* for a diagonal A, (k,); nothing for others."""
        if not self.diagonal:
            return np.empty(0)
        ones = np.ones(self.base.size(self.at.size))
        return self.base.transform(ones, self.map, self.at)

    def size(self, m: int) -> int:
        return self.base.size(m)

    def smallest(self) -> int:
        return self.base.smallest()

    def matrix(self, theta: Array, at: Positions) -> Array:
        return self.base.matrix(theta, at)

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        return self.base.d_matrix(theta, at)

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        return self.base.d2_matrix(theta, at)

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        return self.base.curvature(theta, gamma, at)

    def factor(self, theta: Array, at: Positions) -> Array:
        return self.base.factor(theta, at)

    def factor_entries(self, m: int) -> tuple[tuple[int, int, int], ...] | None:
        return self.base.factor_entries(m)

    def start(self, target: Array, at: Positions) -> Array:
        return self.base.start(target, at)

    def starts(self, target: Array, at: Positions) -> Array:
        return self.base.starts(target, at)

    def ranges(self, at: Positions) -> tuple[Range, ...]:
        return self.base.ranges(at)

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return self.base.rescale(theta, factor, at)

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        return self.base.escape(theta, gamma, at, step)

    def canonical(self, theta: Array, at: Positions) -> Array:
        return self.base.canonical(theta, at)

    def rank(self, theta: Array, at: Positions, scale: Array | float) -> int:
        return self.base.rank(theta, at, scale)

    def linear_at(self, m: int) -> bool:
        return self.base.linear_at(m)

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the parameters of Σ with their slopes in θ of Σ*."""
        if self.base.linear:
            own = self.base.natural(theta, at)
            return Natural(own.names, self._own @ own.values, self._own @ own.jacobian, own.kinds)
        if self.diagonal:
            found = self.base.natural(self._own * theta, at)
            return Natural(found.names, found.values, found.jacobian * self._own, found.kinds)
        written = self.base.transform(theta, self.map, at)
        found = self.base.natural(written, at)
        return Natural(
            found.names, found.values, found.jacobian @ self._turn(theta, written, at), found.kinds
        )

    def _turn(self, theta: Array, written: Array, at: Positions) -> Array:
        """Return ∂θ/∂θ*, (k, k), of parameters of Σ = AΣ*A' that are turned by the map, from ∂Σ/∂θ."""
        k = len(theta)
        moved = (self.map @ self.base.d_matrix(theta, at) @ self.map.T).reshape(k, -1)
        found = np.linalg.lstsq(self.base.d_matrix(written, at).reshape(k, -1).T, moved.T, rcond=None)[0]
        return np.asarray(found, dtype=float)

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ of Σ* from the parameters of Σ."""
        if self.base.linear:
            return self.base.from_natural(np.asarray(np.linalg.solve(self._own, values), dtype=float), at)
        written = self.base.from_natural(values, at)
        if self.diagonal:
            return written / self._own
        return self.base.transform(written, np.asarray(np.linalg.inv(self.map), dtype=float), at)

    def d2_natural(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ*/∂η∂η', (k, k, m, m): Σ* = A⁻¹ΣA⁻ᵀ is linear in Σ."""
        if self.base.linear:
            return np.zeros((len(theta), len(theta), at.size, at.size))
        written = self._own * theta if self.diagonal else self.base.transform(theta, self.map, at)
        back = np.linalg.inv(self.map)
        return np.asarray(back @ self.base.d2_natural(written, at) @ back.T, dtype=float)

    @property
    def diagonal(self) -> bool:
        """Whether A is diagonal: columns have changed their unit alone."""
        return bool(np.array_equal(self.map, np.diag(np.diagonal(self.map))))


def own_structure(structure: Structure) -> Structure:
    """Return the structure of Σ* of columns in coordinates of their own, and any other structure as it is."""
    return structure.base if isinstance(structure, OwnColumns) else structure


def own_design(
    design: Design, rows: Rows, *, held: Collection[str] = (), threads: int = 1
) -> tuple[Design, Rows]:
    """Return a model with random columns in coordinates of their own; the same objects where all are well scaled.

    Parameters
    ----------
    design, rows
        The model as written, and its rows.
    held
        Names of held parameters; columns of terms that have some change their unit alone, unless Σ is linear in its
        parameters.
    threads
        Threads that may share passes over the rows.
    """
    found = []
    for term, own in zip(design.random, rows.random, strict=True):
        shift = term.structure.linear or not (held and names_any(term, held))
        found.append(_own_term(term, own, rows.fixed, shift, threads))
    if all(new is old for (new, _), old in zip(found, design.random, strict=True)):
        return design, rows
    terms, values = tuple(term for term, _ in found), tuple(own for _, own in found)
    return replace(design, random=terms), replace(rows, random=values)


def _own_term(
    term: RandomTerm, rows: TermRows, fixed: FixedRows, shift: bool, threads: int
) -> tuple[RandomTerm, TermRows]:
    closed = term.structure.closed_under
    if rows.values is not None and term.penalised:
        return _in_one_unit(term, rows)
    if rows.values is None or "scale" not in closed:
        return term, rows
    values = rows.values
    if values is fixed.matrix and fixed.moments is not None:
        moments = fixed.moments
    else:
        mean, constant, flat = column_moments(np.ascontiguousarray(values), threads)
        moments = ColumnMoments(mean, flat.reshape(len(mean), len(mean)), constant)
    found = _own_map(term, moments, len(values), shift)
    if found is None:
        return term, rows
    centre, inner, map_ = found
    if inner is None:
        own = values / (1.0 / np.diagonal(map_))
    else:
        own = (values - centre if centre.any() else values) @ inner
    structure = OwnColumns(term.structure, map_, term.positions)
    return replace(term, structure=structure), replace(rows, values=np.ascontiguousarray(own), squares=None)


def _in_one_unit(term: RandomTerm, rows: TermRows) -> tuple[RandomTerm, TermRows]:
    """Return a smooth with its columns, whose unit is a power of that of x, divided by their root mean square."""
    values = rows.dense_values()
    size = float(np.sqrt(np.mean(rows.column_squares()) / len(values)))
    if SMALL <= size <= LARGE or size == 0.0:
        return term, rows
    structure = OwnColumns(term.structure, np.eye(term.n_columns) / size, term.positions)
    return replace(term, structure=structure), replace(rows, values=values / size, squares=None)


def own_terms(
    terms: Sequence[RandomTerm], moments: Sequence[ColumnMoments], n: float, *, held: Collection[str] = ()
) -> tuple[RandomTerm, ...]:
    """Return random terms with columns in coordinates of their own, from the moments of Z over n rows alone."""
    out = []
    for term, own in zip(terms, moments, strict=True):
        shift = term.structure.linear or not (held and names_any(term, held))
        plain = term.n_columns == 1 and bool(own.constant[0]) and own.mean[0] == 1.0
        found = None if plain or "scale" not in term.structure.closed_under else _own_map(term, own, n, shift)
        if found is not None:
            term = replace(term, structure=OwnColumns(term.structure, found[2], term.positions))
        out.append(term)
    return tuple(out)


def _own_map(
    term: RandomTerm, moments: ColumnMoments, n: float, shift: bool
) -> tuple[Array, Array | None, Array] | None:
    """Return centre c, T (None for A, which is diagonal) and A with Z* = (Z − c)T = ZA; None for columns that stay."""
    mean, about, constant = moments.mean, moments.gram, moments.constant
    gram = about / n + np.outer(mean, mean)
    size = np.sqrt(np.diagonal(gram))
    if not (size > 0).all():
        return None
    linear = shift and "linear" in term.structure.closed_under
    cosine = np.abs(gram / np.outer(size, size) - np.eye(len(size))).max(initial=0.0) if linear else 0.0
    if size.min() >= SMALL and size.max() <= LARGE and cosine <= ALIKE:
        return None
    if linear:
        return _orthogonal(mean, about / n, constant)
    return np.zeros(len(size)), None, np.diag(1.0 / size)


def _orthogonal(mean: Array, about: Array, constant: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return c, T and A of Z* = (Z − c)T = ZA with Z*'Z*/n = I where Z has full rank, of unit size otherwise."""
    p = len(mean)
    first = np.flatnonzero(constant & (mean != 0.0))
    shift, gram, centre = np.eye(p), about + np.outer(mean, mean), np.zeros(p)
    if len(first):
        k = int(first[0])
        rest = np.delete(np.arange(p), k)
        shift[k, rest] = -mean[rest] / mean[k]
        centre = mean.copy()
        centre[k] = 0.0
        gram = about.copy()
        gram[k, :] = gram[:, k] = 0.0
        gram[k, k] = mean[k] ** 2
    size = np.sqrt(np.where(np.diagonal(gram) > 0, np.diagonal(gram), 1.0))
    scaled = gram / np.outer(size, size)
    turn = np.eye(p)
    try:
        lower = np.linalg.cholesky(scaled)
        if (np.diagonal(lower) ** 2).min() > DEPENDENT:
            turn = np.linalg.inv(lower).T
    except np.linalg.LinAlgError:
        pass
    inner = turn / size[:, None]
    return centre, inner, shift @ inner


def column_map(term: RandomTerm) -> Array | None:
    """Return A of a term in coordinates of its own, None where z is z*."""
    return term.structure.map if isinstance(term.structure, OwnColumns) else None


def written_solution(own: Design, solution: Solution) -> Solution:
    """Return a solution with b̂ = Ab̂* of every term."""
    effects = tuple(
        b if (a := column_map(term)) is None else b @ a.T
        for term, b in zip(own.random, solution.random, strict=True)
    )
    return Solution(solution.own_beta, solution.own_vcov, effects, solution.basis)


def written_covariances(own: Design, matrices: Sequence[Array]) -> tuple[Array, ...]:
    """Return Σ = AΣ*A' of every term, (sets, p, p)."""
    return tuple(
        sigma if (a := column_map(term)) is None else a @ sigma @ a.T
        for term, sigma in zip(own.random, matrices, strict=True)
    )


def own_values(own: Design, values: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """Return the rows z* = A'z of every term, (n, p), for rows z."""
    return tuple(
        z if z is None or (a := column_map(term)) is None else z @ a
        for term, z in zip(own.random, values, strict=True)
    )


@dataclass(frozen=True, slots=True)
class WrittenEquations:
    """What tools ask of equations in coordinates of their own, about columns as they are written.

    Parameters
    ----------
    equations
        Equations with V̂ factored.
    own
        The design they are of.
    """

    equations: Equations
    own: Design

    @property
    def whole_clusters(self) -> bool:
        """Whether V of whole independent clusters is formed and factored."""
        return self.equations.whole_clusters

    def conditional_covariance(self, term: int) -> Array:
        """Return var(b − b̂) for every level of a term, (q, p, p)."""
        found, a = self.equations.conditional_covariance(term), column_map(self.own.random[term])
        return found if a is None else a @ found @ a.T

    def joint_covariance(self, term: int) -> Array:
        """Return var(b − b̂) of all levels of a term together, (q·p, q·p), level-major."""
        found, a = self.equations.joint_covariance(term), column_map(self.own.random[term])
        if a is None:
            return found
        p = len(a)
        q = len(found) // p
        blocks = found.reshape(q, p, q, p)
        return np.asarray(np.einsum("ab,jblc,dc->jald", a, blocks, a, optimize=True).reshape(q * p, q * p))

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        """Return var(x'(β̂ − β) + Σ_k z_k'(b̂_k − b_k)) of new rows, as `Equations` do, (n,)."""
        return self.equations.prediction_variance(x, codes, own_values(self.own, values))

    def predict(self, target: Target) -> tuple[Array, Array]:
        """Return predictions of targets and the variances of what they miss, as `Equations` do."""
        return self.equations.predict(replace(target, values=own_values(self.own, target.values)))

    def conditional_residual_variances(self) -> Array:
        """Return the diagonal of RPR, (n,)."""
        return self.equations.conditional_residual_variances()

    def leverages(self, *, fixed: bool = False) -> Array:
        """Return z_i'var(b | y, β)z_i of every row, or with `fixed` the variance of the fitted value, (n,)."""
        return self.equations.leverages(fixed=fixed)

    def whitened_residuals(self) -> Array:
        """Return L⁻¹(y − Xβ̂), (n,), V = LL'."""
        return self.equations.whitened_residuals()

    def draw(self, rng: np.random.Generator) -> Array:
        """Return one draw from N(0, V), (n,)."""
        return self.equations.draw(rng)
