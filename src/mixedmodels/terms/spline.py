"""Penalised splines as mixed models: a fixed polynomial and iid coefficients of truncated powers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..control import Control
from ..covariance import bind
from ..covariance.base import Structure
from ..errors import DataError
from ..frame.column import Column
from ..spec import SplineSpec, StructureSpec
from ..typing import Array, Labels
from .size import MOST_FIXED, check_matrix


@dataclass(frozen=True, slots=True)
class SplineBasis:
    """The truncated-power basis max(x − κ_k, 0)^degree at knots κ_1 < … < κ_K learned from the data."""

    variable: str
    degree: int
    knots: tuple[float, ...]

    @property
    def label(self) -> str:
        return f"spline({self.variable})"

    @property
    def variables(self) -> Labels:
        return (self.variable,)

    @property
    def columns(self) -> Labels:
        return tuple(f"{self.label}[{k}]" for k in range(1, len(self.knots) + 1))

    @property
    def n_fixed(self) -> int:
        return self.degree

    @property
    def spec(self) -> SplineSpec:
        """The spline as it would be written with these knots."""
        return SplineSpec(self.variable, self.degree, self.knots)

    @property
    def names(self) -> Labels:
        """Names of the powers and of the penalised columns."""
        powers = (f"{self.variable}^{power}" for power in range(2, self.degree + 1))
        return (self.variable, *powers, *self.columns)

    def values(
        self, data: Mapping[str, Column], n: int, derivative: int = 0, part: str = "both", by: bool = True
    ) -> Array:
        """Return the powers and the penalised columns at rows of data, (n, degree + K), or a part of them."""
        x = data[self.variable].number()
        powers = np.column_stack([_derivative(x, p, derivative) for p in range(1, self.degree + 1)])
        if part == "fixed":
            return powers
        above = np.subtract.outer(x, np.array(self.knots))
        curve = np.where(above > 0, _derivative(np.maximum(above, 0.0), self.degree, derivative), 0.0)
        return curve if part == "random" else np.hstack([powers, curve])

    def matrix(self, data: Mapping[str, Column], n: int) -> Array:
        """Return the basis at the rows of `data`, (n, K)."""
        values = data[self.variable].number()
        out: Array = np.subtract.outer(values, np.array(self.knots))
        np.maximum(out, 0.0, out=out)
        return np.power(out, self.degree, out=out)


def _derivative(x: Array, power: int, order: int) -> Array:
    """Return d^order x^power / dx^order."""
    if order > power:
        return np.zeros_like(x)
    return np.asarray(math.perm(power, order) * x ** (power - order))


@dataclass(frozen=True, slots=True, eq=False)
class Powers:
    """The columns x, x², … of a spline that X does not hold already."""

    basis: SplineBasis
    powers: tuple[int, ...]
    names: Labels

    @property
    def label(self) -> str:
        return self.basis.label

    @property
    def variables(self) -> Labels:
        return self.basis.variables

    def fill(self, out: Array, data: Mapping[str, Column]) -> None:
        """Write the columns into `out` (n, number of powers)."""
        values = data[self.basis.variable].number()
        for place, power in enumerate(self.powers):
            out[:, place] = values**power

    @classmethod
    def beside(cls, basis: SplineBasis, taken: set[str]) -> Powers:
        """Return the powers whose names are not among those taken, which are added to."""
        powers, names = [], []
        for power in range(1, basis.degree + 1):
            name = basis.variable if power == 1 else f"{basis.variable}^{power}"
            if name in taken or f"I({basis.variable} ** {power})" in taken:
                continue
            taken.add(name)
            names.append(name)
            powers.append(power)
        return cls(basis, tuple(powers), tuple(names))


@dataclass(frozen=True, slots=True, eq=False)
class LearnedSpline:
    """A truncated-power spline with its penalised columns in the rows of the fit, (n, K)."""

    curve: SplineBasis
    random: Array

    group: ClassVar[Labels] = ()

    @property
    def label(self) -> str:
        return self.curve.label

    @property
    def structure(self) -> Structure:
        """The covariance of the coefficients."""
        return bind(StructureSpec("homdiag"))

    @property
    def most_fixed(self) -> int:
        return self.curve.degree

    def beside(self, taken: set[str]) -> tuple[Powers, None]:
        """Return the powers that X does not hold already."""
        return Powers.beside(self.curve, taken), None


def learn_spline(spec: SplineSpec, data: Mapping[str, Column]) -> LearnedSpline:
    """Return a spline with its knots, and its columns.

    Knots that are not given stand at the sample quantiles (definition 7 of Hyndman and Fan 1996, the default
    of R and NumPy) of the distinct values of x at probabilities k/(K + 1), k = 1 … K.

    Notes
    -----
    y = β₀ + β₁x + … + β_d x^d + Σ_k u_k (x − κ_k)₊^d, u_k ~ N(0, σ_u²): Ruppert, Wand and Carroll (2003),
    *Semiparametric Regression*, section 4.9; Ngo and Wand (2004), Journal of Statistical Software 9(1).
    """
    distinct = np.unique(data[spec.variable].number())
    if len(distinct) < spec.degree + 2:
        raise DataError(
            f"spline({spec.variable}): the column has {len(distinct)} distinct values, too few for degree "
            f"{spec.degree}; lower degree= or use a polynomial."
        )
    count = spec.knots if isinstance(spec.knots, int) else len(spec.knots)
    rows = len(data[spec.variable].number())
    check_matrix(f"spline({spec.variable})", rows, count, MOST_FIXED, Control().room)
    if isinstance(spec.knots, int):
        probabilities = np.arange(1, spec.knots + 1) / (spec.knots + 1)
        placed = tuple(np.quantile(distinct, probabilities).tolist())
        return _learned(SplineBasis(spec.variable, spec.degree, placed), data)
    outside = [knot for knot in spec.knots if not distinct[0] < knot < distinct[-1]]
    if outside:
        raise DataError(
            f"spline({spec.variable}): knots {outside} lie outside the data, which run from "
            f"{distinct[0]:.6g} to {distinct[-1]:.6g}; leave them out."
        )
    return _learned(SplineBasis(spec.variable, spec.degree, spec.knots), data)


def _learned(basis: SplineBasis, data: Mapping[str, Column]) -> LearnedSpline:
    return LearnedSpline(basis, basis.matrix(data, len(data[basis.variable].values)))
