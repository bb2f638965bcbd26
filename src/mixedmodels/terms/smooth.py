"""Penalised splines as mixed models: a fixed polynomial and iid coefficients of truncated powers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..control import Control
from ..errors import DataError
from ..frame.column import Column
from ..spec import SplineSpec
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
    def columns(self) -> Labels:
        return tuple(f"{self.label}[{k}]" for k in range(1, len(self.knots) + 1))

    def matrix(self, data: Mapping[str, Column], n: int) -> Array:
        """Return the basis at the rows of `data`, (n, K)."""
        values = data[self.variable].number()
        out: Array = np.subtract.outer(values, np.array(self.knots))
        np.maximum(out, 0.0, out=out)
        return np.power(out, self.degree, out=out)


def learn_spline(spec: SplineSpec, data: Mapping[str, Column]) -> SplineBasis:
    """Return the basis of a spline with its knots.

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
        return SplineBasis(spec.variable, spec.degree, tuple(np.quantile(distinct, probabilities).tolist()))
    outside = [knot for knot in spec.knots if not distinct[0] < knot < distinct[-1]]
    if outside:
        raise DataError(
            f"spline({spec.variable}): knots {outside} lie outside the data, which run from "
            f"{distinct[0]:.6g} to {distinct[-1]:.6g}; leave them out."
        )
    return SplineBasis(spec.variable, spec.degree, spec.knots)
