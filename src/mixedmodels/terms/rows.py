"""The numbers of a model row by row: y, X, Z, level codes, weights. A `Design` says what they are.

Every array is the fit's own: none is a view of the caller's data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..typing import Array, Codes

if TYPE_CHECKING:
    from .predictors import Part
    from .rank import ColumnMoments


ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class FixedRows:
    """X, (n, p), every column written by the formula, aliased ones included.

    `estimable` are the columns kept after in-order pivoting; `moments` those of all columns, where they are known;
    `written` (rank, rank) the way from β of the columns kept to β of them as written (see `FixedTerms.written`).
    """

    matrix: Array
    estimable: tuple[int, ...]
    moments: ColumnMoments | None = None
    written: Array | None = None

    @property
    def x(self) -> Array:
        """The full-rank fixed-effects matrix, (n, rank)."""
        if len(self.estimable) == self.matrix.shape[1]:
            return self.matrix
        return self.matrix[:, list(self.estimable)]


@dataclass(frozen=True, slots=True, eq=False)
class TermRows:
    """One random term row by row: the level of each row (n,), and Z values (n, p), None for one column of ones.

    `squares` are Σ z² of the columns (p,) where they are known.
    """

    codes: Codes
    values: Array | None = None
    squares: Array | None = None

    def dense_values(self) -> Array:
        """Return Z values as an (n, p) array."""
        return np.ones((len(self.codes), 1)) if self.values is None else self.values

    def column_squares(self) -> Array:
        """Return Σ z² of every column, (p,)."""
        if self.squares is not None:
            return self.squares
        if self.values is None:
            return np.array([float(len(self.codes))])
        total: Array = np.zeros(self.values.shape[1])
        # by blocks that stay in the cache, summed by BLAS: NumPy is slow along short rows
        for first in range(0, len(self.values), ROWS_AT_ONCE):
            squares = np.square(self.values[first : first + ROWS_AT_ONCE])
            total += np.ones(len(squares)) @ squares
        return total

    def products(self, effects: Array) -> Array:
        """Return z_i'b of the level of each row, (n,), for effects b (q, p)."""
        own = effects[self.codes]
        return own[:, 0] if self.values is None else np.asarray(np.einsum("ij,ij->i", self.values, own))


@dataclass(frozen=True, slots=True, eq=False)
class VarianceRows:
    """One variance function row by row: the stratum (n,), and the covariate, None for functions of strata alone."""

    groups: Codes
    covariate: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ErrorRows:
    """The errors row by row.

    Parameters
    ----------
    clusters
        Cluster of each row, (n,).
    index
        Position of each row on the grid, (n,); zeros where `coordinates` is given.
    coordinates
        Coordinates of each row, (n, d), for structures in continuous time or space; None on a grid.
    variance
        The factors of the residual standard deviation.
    """

    clusters: Codes
    index: Codes
    coordinates: Array | None = None
    variance: tuple[VarianceRows, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The n rows of one model, by the terms of its `Design`.

    Parameters
    ----------
    y
        The response with offsets subtracted, (n,).
    fixed
        X.
    random
        Codes and Z values of every random term.
    residual
        Clusters and positions of the errors, None where they are independent and equal.
    weights
        Known precision weights, var(e_i) = σ²/w_i, (n,), or None.
    offset
        What was subtracted from the response, (n,), or None.
    used
        Positions of the rows in the data given, (n,), None when all were used.
    parts
        What the formulas of a generalised model with several predictors became, one for each component, where the rows
        themselves are as the first predictor reads them; empty for others.
    """

    y: Array
    fixed: FixedRows
    random: tuple[TermRows, ...] = ()
    residual: ErrorRows | None = None
    weights: Array | None = None
    offset: Array | None = None
    used: NDArray[np.intp] | None = None
    parts: tuple[Part, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @property
    def x(self) -> Array:
        """The full-rank fixed-effects matrix, (n, rank)."""
        return self.fixed.x

    @property
    def response(self) -> Array:
        """The response as modelled, offsets included, (n,)."""
        return self.y if self.offset is None else self.y + self.offset

    @property
    def root_weights(self) -> Array:
        """√w of every row, ones without weights, (n,)."""
        return np.ones(len(self)) if self.weights is None else np.sqrt(self.weights)

    def with_response(self, y: Array) -> Rows:
        """Return the rows with another response, (n,), offsets subtracted."""
        return Rows(y, self.fixed, self.random, self.residual, self.weights, self.offset, self.used)

    def with_covariates(self, values: dict[int, Array]) -> Rows:
        """Return the rows with other covariates (n,) of some variance functions, by their number."""
        assert self.residual is not None
        terms = tuple(
            replace(term, covariate=values[k]) if k in values else term
            for k, term in enumerate(self.residual.variance)
        )
        return replace(self, residual=replace(self.residual, variance=terms))
