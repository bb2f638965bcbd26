"""Low-rank radial smoothers, `rsmooth`: the square root of a thin plate's matrix between knots."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, checked_size, numbers
from .places import distances, knot_places, stacked
from .polynomials import powers
from .radial import Radial, radial_basis, thin_plate_order, usual_size


class RadialSmooth(Smooth):
    """`rsmooth`: |x − κ|^{2m − d} at knots (times its logarithm for even d), with iid coefficients after Ω^{−1/2}.

    Notes
    -----
    Ω = (|κ_i − κ_j|^{2m−d}) = U diag(s) V', and Z = ZₖU diag(s)^{−1/2} V' (Ruppert, Wand and Carroll 2003,
    *Semiparametric Regression*, sections 13.4 and 13.5). k counts the knots and the polynomials below order m, which
    have no penalty. Knots stand at quantiles of the distinct values of one variable, and at a choice that fills space
    for several, unless `knots=` gives them, as a table of SAS's `knotmethod=data` does. *Same as* GLIMMIX's
    `type=rsmooth(m)` at the same knots, with the polynomials in the MODEL statement.
    """

    names: ClassVar[Labels] = ("rsmooth",)
    variables: ClassVar[tuple[int, int]] = (1, 8)
    derivatives: ClassVar[int] = 2

    def usual_size(self, d: int) -> int:
        """Return k where it is not given, for d variables."""
        return usual_size(d, len(powers(d, thin_plate_order(Given(), d)[0] - 1)))

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        points = stacked(x, given)
        d = points.shape[1]
        m, _ = thin_plate_order(given, d)
        exponents = powers(d, m - 1)
        count = len(exponents)
        usual = usual_size(d, count) if given.knots is None else len(given.knots) + count
        k = checked_size(given, usual, count + 2)
        every = knot_places(points, given, k - count if given.knots is not None else k)
        places = every if given.knots is not None else spread(every, k - count)
        origin, unit = points.mean(axis=0), float(np.ptp(every, axis=0).max())
        knots = (places - origin) / unit
        energy = Radial(1.0, 2 * m - d, d % 2 == 0, float(np.log(unit)) if d % 2 == 0 else 0.0)
        left, sizes, right = np.linalg.svd(energy.at(distances(knots, knots)))
        penalty: Array = np.zeros((len(knots) + count,) * 2)
        penalty[: len(knots), : len(knots)] = np.eye(len(knots))
        root = (left / np.sqrt(sizes)) @ right
        labels, scale = numbers(given.label, len(penalty)), unit ** (d - 2 * m)
        return radial_basis(penalty, count, scale, labels, origin, unit, knots, root, energy, exponents)


def spread(places: Array, count: int) -> Array:
    """Return `count` of the places: quantiles of one coordinate, or a choice that fills the space of several.

    Notes
    -----
    The first of several is the one nearest their mean; each next one is farthest from those chosen (Gonzalez 1985).
    """
    if places.shape[1] == 1:
        probabilities = np.arange(1, count + 1) / (count + 1)
        return np.asarray(np.quantile(places[:, 0], probabilities))[:, None]
    away = np.linalg.norm(places - places.mean(axis=0), axis=1)
    chosen = [int(away.argmin())]
    nearest = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    out: Array = places[np.sort(chosen)]
    return out
