"""The protocol of a smooth: a basis learned from data, its penalties, and where it is linear.

A smooth f(x) = Σ_c B_c(x)β_c comes with penalties β'S_jβ on its roughness. Nothing here knows of fits: `mixed_form`
turns columns and penalties into the fixed and random columns of a mixed model, whose REML criterion is that of the
penalised regression (Wood 2017, *Generalized Additive Models*, section 5.8).

Penalties stand in a unit of x that the basis chooses from the data, so that fits do not depend on whether time is
counted in years or in seconds. The penalty of the literature, in the units of x, is `scales[j] * penalties[j]`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError
from ..typing import Array, Codes, Labels

BLOCK = 4096
"""Rows that are worked on at once, so that what a basis needs beside its result does not grow with the data."""
ENTRIES = 2**21
"""Entries of a matrix of rows by knots that are worked on at once, where a basis has many knots."""

Reader = Callable[[tuple[Array, ...]], Array]
"""What gives a matrix for a block of rows."""

Order = int | tuple[float, ...] | None
"""What `m=` may be: one number, several, or none for the usual order."""


@dataclass(frozen=True, slots=True)
class Given:
    """What learning a basis is told beside the data: `s(x, k=, m=, knots=)` and where it stands in the formula.

    `k` and `m` are None for the basis's usual values. `knots` is (K,) for one variable and (K, d) for several. `levels`
    names the levels of each factor argument, None for a number. `known` is the matrix of `known=` for a basis that
    needs one (a neighbourhood). `margin` is the basis inside `fs` and `sz`;
    `shared` gives all curves of `sz` one smoothing parameter.
    """

    label: str = "s(x)"
    k: int | None = None
    m: Order = None
    knots: Array | None = None
    levels: tuple[Labels | None, ...] = ()
    known: Array | None = None
    margin: str = "tp"
    shared: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Basis(ABC):
    """A basis with all that was learned: plain arrays, so that it pickles and gives the same columns at new x.

    Attributes
    ----------
    penalties
        Symmetric positive semidefinite matrices, (k, k) each; empty for a smooth without one.
    null_dimension
        Dimension of the space that no penalty touches.
    scales
        One number for each penalty: `scales[j] * penalties[j]` is the penalty in the units of x.
    labels
        A name for each column.
    grouping
        Places of the factors whose every combination of levels has coefficients of its own: the model's columns are
        those of `design` repeated over the levels, with the same penalties for each level.
    centred
        Whether the columns hold the constant, so that a sum-to-zero constraint must tell the smooth from the intercept.
    constrained
        (k,), the columns that the constraint is about; None for all.
    """

    penalties: tuple[Array, ...]
    null_dimension: int
    scales: tuple[float, ...]
    labels: Labels
    grouping: tuple[int, ...] = field(default=(), kw_only=True)
    centred: bool = field(default=True, kw_only=True)
    constrained: NDArray[np.bool_] | None = field(default=None, kw_only=True)

    @property
    def size(self) -> int:
        """The number of columns, k."""
        return len(self.labels)

    @property
    def block(self) -> int:
        """How many rows are worked on at once."""
        return BLOCK

    @abstractmethod
    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at a block of rows, (n, k)."""

    def reader(self, derivative: int, transform: Array | None) -> Reader:
        """Return what gives columns, or their product with a transform, at a block of rows."""
        if transform is None:
            return lambda x: self.rows(x, derivative)
        return lambda x: self.rows(x, derivative) @ transform

    def design(
        self, x: tuple[Array | Codes, ...], derivative: int = 0, transform: Array | None = None
    ) -> Array:
        """Return the columns at rows x, (n, k), before any constraint; with `transform` (k, p) their product, (n, p).

        Parameters
        ----------
        x
            The variables, (n,) each: numbers, or codes of levels where −1 is a level that was not seen.
        derivative
            Order of the derivative by x, for one numeric variable.
        transform
            Matrix that the columns are multiplied by, block by block, so that the raw ones are never held at once.
        """
        values = tuple(np.ascontiguousarray(v, dtype=np.float64) for v in x)
        n = len(values[0])
        out: Array = np.empty((n, self.size if transform is None else transform.shape[1]))
        read = self.reader(derivative, transform)
        for block in blocks(n, self.block):
            out[block] = read(tuple(v[block] for v in values))
        return out

    def means(self, x: tuple[Array | Codes, ...]) -> Array:
        """Return the means of the columns over rows x, (k,), without holding the columns at once."""
        values = tuple(np.ascontiguousarray(v, dtype=np.float64) for v in x)
        n = len(values[0])
        total: Array = np.zeros(self.size)
        for block in blocks(n, self.block):
            total += self.rows(tuple(v[block] for v in values), 0).sum(axis=0)
        return total / max(n, 1)

    def cross_products(self, x: tuple[Array | Codes, ...]) -> Array:
        """Return B'B over rows x, (k, k), without holding the columns at once."""
        values = tuple(np.ascontiguousarray(v, dtype=np.float64) for v in x)
        total: Array = np.zeros((self.size, self.size))
        for block in blocks(len(values[0]), self.block):
            columns = self.rows(tuple(v[block] for v in values), 0)
            total += columns.T @ columns
        return total


class Smooth(ABC):
    """A kind of basis by its name in `s(…, bs=)`: facts about it, and how one is learned. Subclasses are final."""

    __slots__ = ()

    names: ClassVar[Labels]
    """Name in `bs=` first, then other spellings (SAS)."""
    variables: ClassVar[tuple[int, int]] = (1, 1)
    """Fewest and most numeric variables."""
    factors: ClassVar[tuple[int, int]] = (0, 0)
    """Fewest and most factors among the arguments."""
    tensor: ClassVar[bool] = True
    """Whether it may be a margin of `te`, `ti`, `t2`."""
    by_values: ClassVar[bool] = False
    """Whether a margin is taken as it is: its coefficients are values of the function, or it has no ends."""
    derivatives: ClassVar[int] = 0
    """Highest order of derivative that `design` gives."""

    def usual_size(self, d: int) -> int:
        """Return k where it is not given, for d variables."""
        return 10

    @abstractmethod
    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x.

        Raises
        ------
        DataError
            Where x has fewer distinct values than the basis needs; the message names k.
        SpecError
            Where k, m or the knots are outside what the basis allows.
        """


def blocks(n: int, most: int) -> Iterator[slice]:
    """Yield slices of at most `most` rows that cover n rows."""
    for start in range(0, n, most):
        yield slice(start, min(start + most, n))


def numbers(names: str, k: int) -> Labels:
    """Return the labels name[1] … name[k]."""
    return tuple(f"{names}[{c}]" for c in range(1, k + 1))


def checked_size(given: Given, usual: int, least: int) -> int:
    """Return k, or raise `SpecError` where it is below what the basis needs."""
    k = usual if given.k is None else given.k
    if k < least:
        raise SpecError(f"{given.label}: k={k} is too small; this basis needs k={least} or more.")
    return k


def counted(distinct: int) -> str:
    """Return how many distinct values there are, in words.

    Examples
    --------
    >>> counted(1), counted(5)
    ('1 distinct value', '5 distinct values')
    """
    return f"{distinct} distinct value{'' if distinct == 1 else 's'}"


def distinct_values(x: Array, given: Given, k: int, needed: int | None = None) -> Array:
    """Return the sorted distinct values of x, or raise `DataError` where there are too few of them for k."""
    if not np.isfinite(x).all():
        raise DataError(
            f"{given.label}: the variable is not finite in every row; check what it is computed from."
        )
    distinct: Array = np.unique(x)
    needed = k if needed is None else needed
    if len(distinct) < needed:
        raise DataError(
            f"{given.label}: the variable has {counted(len(distinct))}, too few for k={k}, which needs "
            f"{needed}; give a smaller k= or put the variable in as a polynomial or a factor."
        )
    return distinct


def one_order(given: Given, usual: int, allowed: tuple[int, ...]) -> int:
    """Return m where the basis takes a single number, or raise `SpecError`."""
    m = given.m
    if m is None:
        return usual
    if isinstance(m, tuple) and len(m) == 1:
        m = int(m[0]) if m[0] == int(m[0]) else m
    if isinstance(m, tuple) or m not in allowed or int(m) != m:
        listed = ", ".join(map(str, allowed))
        raise SpecError(f"{given.label}: m={m!r} is not possible for this basis. Allowed: {listed}.")
    return m
