"""The Conway–Maxwell–Poisson distribution, by its mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...errors import DataError
from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, log_mean, through_link
from ..derivatives import Table, added, compose, differentiated, product, substitute
from ..links import Link, make_link
from ..responses import Responses
from ..special import log_factorial
from .poisson import refuse_counts

special = LazyModule("scipy.special")

_NEGLIGIBLE = 37.0
_MOST_TERMS = 200_000
_CELLS = 2_000_000


@final
@dataclass(frozen=True, slots=True)
class ConwayMaxwellPoisson(MeanFamily):
    """P(y) ∝ λ^y/(y!)^ν with E y = μ, ν = 1/φ and ζ = log φ: over-dispersed for φ > 1, under-dispersed for φ < 1.

    λ(μ, ν) has no closed form: it is found by Newton's method, and derivatives follow from cumulants of (Y, log Y!) by
    the implicit function (Huang 2017). ν = 1 is Poisson.

    Examples
    --------
    >>> rows = ConwayMaxwellPoisson().at(Responses(np.array([3.0])), np.array([[0.0], [0.0]]))
    >>> rows.value.round(6).tolist(), rows.score[0].round(9).tolist()
    ([-2.791759], [2.0])
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("compois", "conway_maxwell_poisson", "cmp")
    links: ClassVar[Labels] = ("log", "identity", "sqrt")
    discrete: ClassVar[bool] = True
    symbol: ClassVar[str] = "phi"

    def check(self, responses: Responses, label: str) -> None:
        refuse_counts(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        inner = log_mean(self.link, eta[0])
        nu = np.exp(-eta[1])
        y = responses.y
        factorial = log_factorial(y)
        sums = _by_pieces(inner[0], nu)
        of_rate = _density(y, factorial, nu, sums)
        own = _in_mean(of_rate, sums, order)
        return through_link(substitute(own, 1, (nu, -nu, nu, -nu), order), inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        mu = float(np.mean(y)) + 0.1
        phi = np.clip(float(np.mean((y - mu) ** 2)) / mu, 0.2, 20.0)
        return np.array([self.link.forward(y + 0.1), np.full_like(y, np.log(phi))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return _by_pieces(log_mean(self.link, eta[0])[0], np.exp(-eta[1]))["20"]

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        m, nu = log_mean(self.link, eta[0])[0], np.exp(-eta[1])
        sums = _by_pieces(m, nu)
        found = np.empty(len(m))
        for i, uniform in enumerate(rng.random(len(m))):
            low, width = _window(sums["eta"][i : i + 1], nu[i : i + 1])
            counts = low[0] + np.arange(width)
            logs = counts * sums["eta"][i] - nu[i] * special.gammaln(counts + 1.0)
            chance = np.cumsum(np.exp(logs - logs.max()))
            found[i] = counts[np.searchsorted(chance, uniform * chance[-1])]
        return found


def _window(rate: Array, nu: Array) -> tuple[Array, int]:
    """Return the first count of each row and how many to sum, so that what is left out is below e^{−37} of the largest.

    log P falls from its peak at λ^{1/ν} as −ν(j − peak)²/2 peak at first and at least geometrically further out.
    """
    with np.errstate(over="ignore"):
        peak = np.exp(rate / nu)
    if not np.isfinite(peak).all() or float(peak.max(initial=0.0)) > 1e9:
        raise DataError(
            'family "compois": the mean is too large for its series; family "nb2" or "genpois" has none.'
        )
    half = np.sqrt(2.0 * _NEGLIGIBLE * np.maximum(peak, 1.0) / nu)
    reach = np.ceil(1.5 * half + 2.0 * _NEGLIGIBLE / nu + 10.0)
    low = np.maximum(np.floor(peak - 1.5 * half - 10.0), 0.0)
    width = int((peak + reach - low).max())
    if width > _MOST_TERMS:
        raise DataError(
            f'family "compois": {width:,} terms would be summed at dispersion {float((1.0 / nu).max()):.3g}; '
            'counts as dispersed as these are a negative binomial: family="nb2".'
        )
    return low, width


def _by_pieces(m: Array, nu: Array) -> dict[str, Array]:
    """Return log λ, log Z, E log Y! and the cumulants κ_ij of (Y, log Y!) at log mean m, by name `"ij"`."""
    m, nu = np.broadcast_arrays(m, nu)
    parts: list[dict[str, Array]] = []
    start, step = 0, 256
    while start < len(m):
        rows = slice(start, start + step)
        parts.append(_solve(m[rows], nu[rows]))
        start += step
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _solve(m: Array, nu: Array) -> dict[str, Array]:
    """Return the sums of `_by_pieces` for a few rows: Newton on log E(log λ) = m, damped."""
    mu = np.exp(m)
    # mean ≈ λ^{1/ν} − (ν − 1)/2ν (Shmueli et al. 2005)
    eta = nu * np.log(np.maximum(mu + 0.5 * (nu - 1.0) / nu, 0.5 * mu))
    found = _sums(eta, nu)
    for _ in range(60):
        gap = m - np.log(found["10"])
        if np.abs(gap).max() < 1e-14:
            break
        step = np.clip(gap * found["10"] / found["20"], -2.0 * nu - 1.0, 2.0 * nu + 1.0)
        if np.abs(step).max() <= 4e-16 * np.abs(eta).max():
            break
        eta = eta + step
        found = _sums(eta, nu)
    return found


def _sums(eta: Array, nu: Array) -> dict[str, Array]:
    """Return log Z, means and cumulants to order four of (Y, S = log Y!) at log λ and ν."""
    low, width = _window(eta, nu)
    chunk = max(1, _CELLS // width)
    if len(eta) > chunk:
        halves = [_sums(eta[k : k + chunk], nu[k : k + chunk]) for k in range(0, len(eta), chunk)]
        return {name: np.concatenate([half[name] for half in halves]) for name in halves[0]}
    counts = low[:, None] + np.arange(width)
    logs_factorial = special.gammaln(counts + 1.0)
    logs = counts * eta[:, None] - nu[:, None] * logs_factorial
    top = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - top)
    total = weights.sum(axis=1, keepdims=True)
    share = weights / total
    mean_y = (share * counts).sum(axis=1, keepdims=True)
    mean_s = (share * logs_factorial).sum(axis=1, keepdims=True)
    y, s = counts - mean_y, logs_factorial - mean_s

    def moment(i: int, j: int) -> Array:
        return np.asarray((share * y**i * s**j).sum(axis=1))

    found = {f"{i}{j}": moment(i, j) for i in range(5) for j in range(5 - i) if i + j > 1}
    m20, m11, m02 = found["20"], found["11"], found["02"]
    found["40"] = found["40"] - 3.0 * m20**2
    found["31"] = found["31"] - 3.0 * m20 * m11
    found["22"] = found["22"] - m20 * m02 - 2.0 * m11**2
    found["13"] = found["13"] - 3.0 * m02 * m11
    return found | {
        "eta": eta,
        "log_z": top[:, 0] + np.log(total[:, 0]),
        "10": mean_y[:, 0],
        "01": mean_s[:, 0],
    }


def _density(y: Array, factorial: Array, nu: Array, sums: dict[str, Array]) -> Table:
    """Return the table of ℓ = yη − ν log y! − log Z in (η, ν), η = log λ: cumulants with the sign (−1)^j."""
    own: Table = {(0, 0): y * sums["eta"] - nu * factorial - sums["log_z"]}
    own |= {(1, 0): y - sums["10"], (0, 1): sums["01"] - factorial}
    for i in range(4):
        for j in range(4 - i):
            if i + j > 1:
                own[(i, j)] = -((-1.0) ** j) * sums[f"{i}{j}"]
    return own


def _in_mean(own: Table, sums: dict[str, Array], order: int) -> Table:
    """Return the table in (m, ν) of one in (η, ν), where E(η, ν) = e^m.

    ∂_m = (E/E_η)∂_η and ∂_ν at a fixed mean = ∂_ν − (E_ν/E_η)∂_η, applied one after the other.
    """
    mean: Table = {(i, j): (-1.0) ** j * sums[f"{i + 1}{j}"] for i in range(4) for j in range(4 - i)}
    slope = differentiated(mean, 0, 2)
    first = next(iter(slope.values()))
    reciprocal = compose({(0,): 1.0 / first, (1,): -1.0 / first**2, (2,): 2.0 / first**3}, slope, 2)
    along = product(mean, reciprocal, 2)
    across = product(differentiated(mean, 1, 2), reciprocal, 2)

    def by_mean(table: Table, left: int) -> Table:
        return product(along, differentiated(table, 0, left), left)

    def by_nu(table: Table, left: int) -> Table:
        back = product(across, differentiated(table, 0, left), left)
        return added(differentiated(table, 1, left), back, -1.0)

    found: Table = {}
    for i in range(order + 1):
        for j in range(order + 1 - i):
            table, left = own, 3
            for _ in range(i):
                left -= 1
                table = by_mean(table, left)
            for _ in range(j):
                left -= 1
                table = by_nu(table, left)
            found[(i, j)] = table[(0, 0)]
    return found
