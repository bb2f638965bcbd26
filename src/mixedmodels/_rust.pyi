"""Types of the native extension: arrays are C-contiguous, symmetric matrices hold their lower triangle."""

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from .typing import Array, Codes

__all__ = [
    "Blocked",
    "LevelModes",
    "NotPositiveDefinite",
    "Refits",
    "SparseSymmetric",
    "blocked_from_products",
    "cholesky",
    "cholesky_inverse",
    "column_moments",
    "conditional_products",
    "conditional_slopes",
    "conditional_sums",
    "conditional_weights",
    "gram",
    "level_products",
    "pair_distances",
    "refit_responses",
    "response_products",
    "scale_triangle",
    "scale_triangle_in_place",
    "solve_triangular",
    "sparse_product",
    "symmetric_product",
]

class NotPositiveDefinite(ArithmeticError):
    """A pivot was not positive; the argument is its column."""

@final
class Blocked:
    """The chain part of the mixed-model equations of one design.

    A factor is (codes (n,), values (n, p) or None for ones, p, levels); `sets` holds, per chain factor, the
    parameter set of every level.
    """

    def __new__(
        cls,
        chain: list[tuple[Codes, Array | None, int, int]],
        tail: list[tuple[Codes, Array | None, int, int]],
        sets: list[Codes],
        x: Array,
        y: Array,
        centre: Array,
        scale: Array,
        beta0: Array,
        weights: Array | None,
        threads: int,
    ) -> Blocked: ...
    def tail_products(self) -> tuple[Array, Array]: ...
    def ancestors(self, c: int) -> list[NDArray[np.uint32]]: ...
    def chain_products(
        self, c: int
    ) -> tuple[Array, Array, Array, NDArray[np.uint64], NDArray[np.uint32], Array]: ...
    def eliminate(self, factors: list[Array], dense: Array, schur: Array) -> float: ...
    def backward(self, h: Array, x: Array, keep_levels: bool) -> list[tuple[Array, Array]]: ...
    def predictions(self, x: Array) -> list[Array]: ...
    def levels(self, c: int) -> tuple[Array, Array, Array]: ...
    def information(self, directions: list[tuple[int, int, Array]]) -> tuple[Array, Array]: ...
    def level_columns(self, x_tail: Array) -> list[Array]: ...
    def products(self, coefficients: list[Array], count: int) -> tuple[Array, Array]: ...
    def reduce(self, sides: list[Array], count: int) -> Array: ...
    def substitute(self, sides: list[Array], x_tail: Array) -> list[Array]: ...
    def prediction_variance(
        self,
        h: Array,
        x: Array,
        chain: list[tuple[Codes, Array]],
        tail: list[tuple[Codes, Array, int, int]],
    ) -> Array: ...

@final
class SparseSymmetric:
    """Cholesky factor C = P'LL'P, solves and selected inverse of sparse matrices with one pattern.

    The pattern is compressed by columns, the lower triangle or all of it; arrays of values follow its order.
    """

    def __new__(
        cls,
        n: int,
        indptr: NDArray[np.int64],
        indices: Codes,
        *,
        permutation: Codes | None = None,
        threads: int = 1,
    ) -> SparseSymmetric: ...
    def factor(self, values: Array) -> float: ...
    def solve(self, b: Array) -> Array: ...
    def half_solve(self, b: Array) -> Array: ...
    def half_solve_transposed(self, b: Array) -> Array: ...
    def selected_inverse(self) -> Array: ...
    def inverse_entries(self, rows: Codes, cols: Codes) -> Array: ...
    @property
    def n(self) -> int: ...
    @property
    def permutation(self) -> Codes: ...
    @property
    def fill(self) -> int: ...
    @property
    def stored(self) -> int: ...
    @property
    def flops(self) -> float: ...

def level_products(
    own: tuple[Codes, Array | None, int, int],
    others: list[tuple[Codes, Array | None, int, int]],
    x: Array,
    y: Array,
    centre: Array,
    scale: Array,
    beta0: Array,
    weights: Array | None,
    threads: int,
) -> tuple[Array, Array, NDArray[np.uint64], NDArray[np.uint32], Array]: ...
def blocked_from_products(
    chain: list[tuple[int, int, list[Codes], Array, Array, Array, NDArray[np.int64], Codes, Array]],
    sets: list[Codes],
    tail_width: int,
    d: int,
    tail: Array,
    tail_dense: Array,
    threads: int,
) -> Blocked: ...
def cholesky(m: Array, threads: int) -> None: ...
def cholesky_inverse(lower: Array, threads: int) -> Array: ...
def scale_triangle(matrix: Array, weights: Array, out: Array) -> None: ...
def scale_triangle_in_place(m: Array, weights: Array) -> None: ...
def solve_triangular(lower: Array, b: Array, transposed: bool) -> Array: ...
def sparse_product(
    start: NDArray[np.int64], column: NDArray[np.int32], values: Array, dense: Array, threads: int
) -> Array: ...
def symmetric_product(lower: Array, b: Array) -> Array: ...
def column_moments(x: Array, threads: int) -> tuple[Array, NDArray[np.bool_], Array]: ...
def conditional_sums(v: Array, z: Array, threads: int) -> tuple[float, Array]:
    """Return Σ log d and Σ hh'/d, flat (c·c), of covariances (C, t(t+1)/2) and data (C, t, c), own rows last."""

def conditional_weights(v: Array, z: Array, threads: int) -> tuple[Array, Array]:
    """Return w, flat (C·t), and d (C,) of every set."""

def conditional_slopes(v: Array, z: Array, weight: Array, log_weight: float, threads: int) -> Array:
    """Return the slopes of log_weight·Σ log d + tr(W Σ hh'/d) in V, flat, both halves of V in one."""

def conditional_products(v: Array, z: Array, directions: Array, threads: int) -> tuple[Array, Array, Array]:
    """Return E (k·k), P (k·c·c) and Q (k·k·c·c), flat, along directions (k, C, t(t+1)/2)."""

def pair_distances(coordinates: Array, t: int, k: int, threads: int) -> Array:
    """Return the distances of pairs of t positions, flat (C·t(t+1)/2), of flat coordinates (C·t·k)."""

def gram(
    x: Array, y: Array, weights: Array | None, centre: Array, scale: Array, beta: Array, threads: int
) -> Array: ...
def response_products(
    x: Array, y: Array, weights: Array | None, centre: Array, scale: Array, beta: Array, threads: int
) -> Array: ...

@final
class Refits:
    """Optima of several responses: θ, −2l, σ², decrement, standardised β, (X'Ṽ⁻¹X)⁻¹ and b̂ of each."""

    def interior(self) -> list[bool]: ...
    def counts(self) -> list[tuple[int, int]]: ...
    def result(self, i: int) -> tuple[Array, float, float, float, Array, Array, Array]: ...

def refit_responses(
    system: Blocked,
    chain: list[tuple[Codes, Array | None, int, int]],
    x: Array,
    responses: Array,
    centre: Array,
    scale: Array,
    beta0: Array,
    weights: Array | None,
    template: NDArray[np.int64],
    start: Array,
    settings: tuple[float, bool, float, float, int],
    threads: int,
) -> Refits:
    """Refit responses (k, n); template rows are (chain factor, set, row, column, parameter)."""

@final
class LevelModes:
    """Rows of one grouping factor, sorted by level, with what is kept between evaluations."""

    def __new__(
        cls,
        density: str,
        y: Array,
        trials: Array | None,
        frequency: Array | None,
        offset: Array | None,
        codes: NDArray[np.int64],
        z: Array | None,
        x: Array,
        scale: float,
        sets: NDArray[np.int64],
        n_sets: int,
        directions: int,
        threads: int,
    ) -> Self: ...
    def evaluate(
        self,
        beta: Array,
        zeta: float,
        roots: Array,
        tolerance: float,
        directions: Array | None,
        moved: tuple[Array, Array] | None,
    ) -> tuple[float, Array, Array, Array, Array, Array] | None: ...
    def settle(self) -> None: ...
    def effects(self) -> tuple[Array, Array]: ...
    def start_from(self, duals: Array) -> None: ...
    def without_effects(self, beta: Array, zeta: float) -> tuple[float, Array, Array]: ...
    def rows_at(self, beta: Array, zeta: float) -> tuple[Array, Array, Array]: ...
    def furthest(self, theta: Array, beta: Array) -> float: ...
