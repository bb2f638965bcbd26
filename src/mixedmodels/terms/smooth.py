"""Smooths bound to data: a basis learned from columns, split into fixed columns and penalised random ones.

What a smooth is at any row is one product, [B F, B R]·by, of the columns B of its basis, the maps F and R onto what no
penalty touches and onto coordinates in which the penalty is one variance (or a few), and what `by=` says of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Structure
from ..errors import DataError
from ..frame.column import Column
from ..smooths.base import Basis
from ..spec import SmoothSpec
from ..typing import Array, Codes, Labels
from .design import RandomTerm
from .number import NumberEncoding
from .spline import LearnedSpline, SplineBasis


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """One argument of a smooth: numbers, or codes of the levels of a factor."""

    text: str
    variables: Labels
    number: NumberEncoding | None
    levels: NDArray[Any] | None = None

    def values(self, data: Mapping[str, Column], n: int) -> Array | Codes:
        """Return the numbers of rows (n,), or their places among the levels, −1 for others."""
        if self.number is not None:
            return self.number.values(data, n)
        assert self.levels is not None
        return data[self.variables[0]].codes_in(self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class By:
    """What multiplies a smooth: a number, or the indicator of one of the levels of a factor."""

    name: str
    levels: NDArray[Any] | None = None
    level: int = 0

    @property
    def label(self) -> str:
        """What follows the name of the smooth, as in mgcv: `":age"`, `":armA"`."""
        return f":{self.name}" + ("" if self.levels is None else str(self.levels[self.level]))

    def weights(self, data: Mapping[str, Column]) -> Array:
        """Return the multiplier of every row, (n,)."""
        if self.levels is None:
            return data[self.name].number()
        return np.asarray(data[self.name].known_codes(self.levels) == self.level, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One smooth function at any rows.

    Parameters
    ----------
    spec
        As it was asked for.
    label
        `"s(x)"`, `"s(x):armA"`.
    arguments, basis
        What it is a function of, and its basis of k columns.
    fixed, random
        Maps onto its unpenalised (k, M) and penalised coordinates (k, r).
    shift
        Means of the columns of the two together that are subtracted, (M + r,); None where they are zero.
    by
        What multiplies it.
    lead
        The first column of the basis as it is centred, in these coordinates, (M + r,): it settles signs in tests.
    """

    spec: SmoothSpec
    label: str
    arguments: tuple[Argument, ...]
    basis: Basis
    fixed: Array
    random: Array
    shift: Array | None = None
    by: By | None = None
    lead: Array | None = None

    @property
    def variables(self) -> Labels:
        """Columns of data that are read."""
        own = [name for argument in self.arguments for name in argument.variables]
        return tuple(dict.fromkeys((*own, *((self.by.name,) if self.by else ()))))

    @property
    def names(self) -> Labels:
        """Names of the unpenalised and of the penalised columns."""
        return tuple(f"{self.label}[{j}]" for j in range(1, self.fixed.shape[1] + self.random.shape[1] + 1))

    @property
    def n_fixed(self) -> int:
        return int(self.fixed.shape[1])

    def values(
        self, data: Mapping[str, Column], n: int, derivative: int = 0, part: str = "both", by: bool = True
    ) -> Array:
        """Return the columns at rows of data, (n, M + r): `part` "fixed" or "random" alone, `by` as one where False."""
        maps = {"fixed": [self.fixed], "random": [self.random]}.get(part, [self.fixed, self.random])
        found = tuple(argument.values(data, n) for argument in self.arguments)
        out = self.basis.design(found, derivative, np.hstack(maps))
        if self.shift is not None and not derivative:
            m = self.n_fixed
            out -= {"fixed": self.shift[:m], "random": self.shift[m:]}.get(part, self.shift)
        if self.by is not None and by:
            out *= self.by.weights(data)[:, None]
        return out

    def writer(
        self, fixed: Array, random: Array, squares: Array, data: Mapping[str, Column]
    ) -> Callable[[slice], None]:
        """Return what writes the unpenalised (n, M) and the penalised columns (n, r) of a block of rows of data, and
        adds up Σ z² of the latter (r,)."""
        n, m = fixed.shape
        found = tuple(argument.values(data, n) for argument in self.arguments)
        values = tuple(np.ascontiguousarray(v, dtype=np.float64) for v in found)
        read = self.basis.reader(0, np.hstack([self.fixed, self.random]))
        weights = None if self.by is None else self.by.weights(data)

        def write(block: slice) -> None:
            columns = read(tuple(v[block] for v in values))
            if self.shift is not None:
                columns = columns - self.shift
            if weights is not None:
                columns = columns * weights[block, None]
            fixed[block], random[block] = columns[:, :m], columns[:, m:]
            np.square(columns, out=columns)
            squares[:] += (np.ones(len(columns)) @ columns)[m:]

        return write


@dataclass(frozen=True, slots=True, eq=False)
class CurveFixed:
    """The unpenalised columns of a curve."""

    curve: Curve

    @property
    def label(self) -> str:
        return self.curve.label

    @property
    def names(self) -> Labels:
        return self.curve.names[: self.curve.n_fixed]

    @property
    def variables(self) -> Labels:
        return self.curve.variables

    def fill(self, out: Array, data: Mapping[str, Column]) -> None:
        """Write the columns of some rows into `out` (n, M)."""
        out[:] = self.curve.values(data, len(out), part="fixed")


@dataclass(frozen=True, slots=True, eq=False)
class CurveRandom:
    """The penalised columns of curves that share their variances: one, or all of one `id=`."""

    curves: tuple[Curve, ...]

    @property
    def columns(self) -> Labels:
        return tuple(name for curve in self.curves for name in curve.names[curve.n_fixed :])

    @property
    def variables(self) -> Labels:
        return tuple(dict.fromkeys(name for curve in self.curves for name in curve.variables))

    def matrix(self, data: Mapping[str, Column], n: int) -> Array:
        """Return the columns at rows of data, (n, r)."""
        parts = [curve.values(data, n, part="random") for curve in self.curves]
        return parts[0] if len(parts) == 1 else np.hstack(parts)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedCurve:
    """A curve with its columns in the rows of the fit, and the covariance of its penalised coefficients.

    Parameters
    ----------
    curve
        The function.
    structure
        Covariance of the penalised coefficients.
    fixed, random
        The columns, (n, M) and (n, r).
    squares
        Σ z² of the penalised columns, (r,).
    group
        Factors each of whose combinations of levels has penalised coefficients of its own; none for a curve of the
        population.
    """

    curve: Curve
    structure: Structure
    fixed: Array
    random: Array
    squares: Array | None = None
    group: Labels = ()

    @property
    def label(self) -> str:
        return self.curve.label

    @property
    def most_fixed(self) -> int:
        return self.curve.n_fixed

    def beside(self, taken: set[str]) -> tuple[CurveFixed, Array | None]:
        """Return the unpenalised columns and their values."""
        part = CurveFixed(self.curve)
        again = [name for name in part.names if name in taken]
        if again:
            raise DataError(
                f"{self.curve.spec}: the model has columns called {again[0]!r} already; a smooth stands once in a "
                "formula."
            )
        taken.update(part.names)
        return part, self.fixed

    def without_values(self) -> LearnedCurve:
        """Return it without its columns, for what is kept with the fit."""
        none = np.zeros((0, 0))
        return replace(self, fixed=none, random=none)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCurve:
    """Where the coefficients of a smooth stand in a model.

    Parameters
    ----------
    curve
        The function.
    fixed
        Its columns of X, (M,); −1 for one that X does not hold as the curve has it.
    term, columns
        The random term of its penalised coefficients, None without any, and their places in it.
    grouped
        Whether each level of the term has coefficients of its own, so that it is no part of the population's mean.
    """

    curve: Curve | SplineBasis
    fixed: tuple[int, ...]
    term: int | None
    columns: tuple[int, int] = (0, 0)
    grouped: bool = False

    @property
    def label(self) -> str:
        return self.curve.label


def placed_curves(
    smooths: Sequence[LearnedCurve | LearnedSpline], fixed: Labels, random: Sequence[RandomTerm]
) -> tuple[PlacedCurve, ...]:
    """Return where each smooth stands among the columns of X, by name, and the random terms."""
    columns = {name: j for j, name in enumerate(fixed)}
    terms = {
        name: (k, j) for k, term in enumerate(random) if term.penalised for j, name in enumerate(term.columns)
    }
    found = []
    for smooth in smooths:
        curve = smooth.curve
        own, rest = curve.names[: curve.n_fixed], curve.names[curve.n_fixed :]
        term, first = terms[rest[0]] if rest else (None, 0)
        places = tuple(columns.get(name, -1) for name in own)
        found.append(PlacedCurve(curve, places, term, (first, first + len(rest)), bool(smooth.group)))
    return tuple(found)
