"""All responses of a model with one variance of random effects at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..api.run import read_model
from ..engines.standardise import Standardised, standardise
from ..errors import MixedModelsError
from ..frame.column import Column
from ..spec import ModelSpec
from ..syntax.spelling import variables
from ..terms.design import Design
from ..terms.functions import OwnFunctions
from ..terms.number import learn_number
from ..terms.rows import Rows
from ..typing import Array
from .estimates import Estimates
from .one_ratio import Levels, Optima, Responses, search

if TYPE_CHECKING:
    from .block import Block

VECTORISED = ("satterthwaite", "residual", "asymptotic")
"""Degrees of freedom that are computed for all responses at once."""
VANISHING = 1e-20
"""Residual variance relative to that of the response below which its fit is looked at on its own."""
ROUNDED = 1e-12
"""Residual standard deviation relative to the largest response below which it may be rounding."""
LARGEST = 1e140
"""Responses beyond this, or below its inverse, have no squares."""


def fit_together(block: Block, responses: Sequence[Column]) -> tuple[list[Column], list[Estimates]]:
    """Return the responses that have to be fitted one by one, and the estimates of the others."""
    responses = list(responses)
    if not _simple(block.spec):
        return responses, []
    values = _responses(block, responses)
    usable = [
        j for j, y in enumerate(values) if y is not None and np.isfinite(y).all() and np.ptp(y) > 0
        and 1 / LARGEST < np.abs(y).max() < LARGEST
    ]  # fmt: skip
    if not usable:
        return responses, []
    try:
        _, design, rows = read_model(block.spec, block.inputs(responses[usable[0]]), block.control)
    except MixedModelsError:
        # who is to blame is found out one by one
        return responses, []
    if len(design.random) != 1 or design.random[0].n_columns != 1 or design.random[0].n_sets != 1:
        return responses, []
    y = np.array([values[j] for j in usable])
    if rows.offset is not None:
        y = y - rows.offset
    together = Together.of(design, rows, block)
    optima, sums = together.search(y)
    good = together.settled(optima, y)
    kept = np.flatnonzero(good)
    names = [responses[usable[j]].name for j in kept]
    done = {usable[j] for j in kept}
    left = [column for j, column in enumerate(responses) if j not in done]
    return left, [together.estimates(names, optima, sums, kept, str(block.spec.ddf))] if len(kept) else []


def _simple(spec: ModelSpec) -> bool:
    """Return whether the model has independent errors and one random term, estimated in the ordinary way."""
    term = spec.random[0] if len(spec.random) == 1 else None
    plain = term is not None and not (term.cov or term.precision or term.by or term.coordinates)
    asked = spec.residual or spec.variance or spec.smooths or spec.hold or spec.start or spec.sampling
    return plain and not asked and spec.bounds == "psd" and spec.ddf in VECTORISED


def _responses(block: Block, columns: Sequence[Column]) -> list[Array | None]:
    """Return y of every response, (n,), None where it cannot be computed."""
    hole = (block.hole,)
    plain = variables(block.spec.response) == hole and block.spec.response.strip("`") == block.hole
    if plain:
        return [np.ascontiguousarray(column.number()) for column in columns]
    functions = OwnFunctions(block.context or {})
    out: list[Array | None] = []
    for column in columns:
        try:
            data = {**block.columns, block.hole: column}
            out.append(learn_number(block.spec.response, data, len(column.values), functions)[1])
        except MixedModelsError:
            out.append(None)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """What all responses share: the design, dense columns in own coordinates, and sums over levels."""

    design: Design
    standard: Standardised
    levels: Levels
    functions: Array

    @classmethod
    def of(cls, design: Design, rows: Rows, block: Block) -> Together:
        """Return it for a design and its rows."""
        standard = standardise(rows, block.control)
        x = (standard.x - standard.centre) * standard.scale
        own, term = rows.random[0], design.random[0]
        z = None if own.values is None else np.ascontiguousarray(own.values[:, 0])
        levels = Levels.of(own.codes, term.n_levels, z, rows.weights, x, design.reml)
        kept = list(design.fixed.estimable)
        written = design.fixed.functions(np.eye(len(design.fixed.columns)))[np.ix_(kept, kept)]
        return cls(design, standard, levels, standard.basis.rows(written))

    def search(self, y: Array) -> tuple[Optima, Responses]:
        """Return the optimum of each response (m, n)."""
        sums = Responses.of(self.levels, y)
        return search(self.levels, sums), sums

    def settled(self, optima: Optima, y: Array) -> NDArray[np.bool_]:
        """Return which optima are beyond doubt, (m,): converged, and with residuals that are more than rounding."""
        nu = self.levels.degrees
        spread = np.square(y - y.mean(axis=1, keepdims=True)).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = optima.point.quadratic / nu
            least = np.maximum(VANISHING * spread / y.shape[1], (ROUNDED * np.abs(y).max(axis=1)) ** 2)
        return np.asarray(optima.converged & (variance > least))

    def estimates(
        self, names: Sequence[str], optima: Optima, sums: Responses, kept: NDArray[np.intp], ddf: str
    ) -> Estimates:
        """Return the rows of some of the responses."""
        found = _Inference.of(self, optima, kept)
        point, fixed = optima.point, self.design.fixed
        beta = point.beta[kept] + sums.start[kept]
        estimates = self.standard.basis.coefficients(beta.T).T
        p, m, inner = len(fixed.columns), len(names), list(fixed.estimable)
        numbers = np.full((5, m, p + 2), np.nan)
        variance = np.einsum("ki,mij,kj->mk", self.functions, found.phi, self.functions)
        se = np.sqrt(variance)
        numbers[0, :, inner], numbers[1, :, inner] = estimates.T, se.T
        numbers[2, :, inner] = found.df(ddf, self.functions, variance).T
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers[3, :, inner] = (estimates / se).T
        numbers[4] = np.where(np.isnan(numbers[3]), np.nan, _two_sided(numbers[3], numbers[2]))
        numbers[0, :, p:], numbers[1, :, p:] = found.variances()
        term = self.design.random[0]
        terms = [(name, "fixed") for name in fixed.columns]
        terms += [(f"var({term.label}: {term.columns[0]})", "variance"), ("var(Residual)", "variance")]
        status = np.where(found.ratio > 0, "converged", "singular").tolist()
        return Estimates.of_terms(
            names, terms, numbers, self.loglik(point.value[kept]), self.design.n, status
        )

    def loglik(self, value: Array) -> Array:
        """Return the (restricted) log-likelihood from f."""
        nu, s = self.levels.degrees, self.standard
        shift = s.log_weights + (s.logdet_shift if self.design.reml else 0.0)
        return np.asarray(-0.5 * (value + nu * (1.0 + np.log(2.0 * np.pi / nu)) + shift))


@dataclass(frozen=True, slots=True, eq=False)
class _Inference:
    """λ̂ and σ̂² (m,), Φ = σ²(X'Ṽ⁻¹X)⁻¹ and ∂Φ/∂λ (m, r, r), and 2H⁻¹ of (λ, σ²), (m, 2, 2); λ at zero is held."""

    ratio: Array
    sigma2: Array
    phi: Array
    d_phi: Array
    spread: Array
    df_resid: float

    @classmethod
    def of(cls, together: Together, optima: Optima, kept: NDArray[np.intp]) -> _Inference:
        """Return it from the observed information of −2l in (λ, σ²)."""
        at, nu, (n, r) = optima.point, together.levels.degrees, together.levels.x.shape
        sigma2 = at.quadratic[kept] / nu
        ratio = optima.ratio[kept]
        own = at.d2_logdet[kept] + at.d2_quadratic[kept] / sigma2
        cross = -at.d_quadratic[kept] / sigma2**2
        scale = nu / sigma2**2
        free = ratio > 0
        determinant = np.where(free, own * scale - cross**2, 1.0)
        spread = np.zeros((len(kept), 2, 2))
        spread[:, 0, 0] = np.where(free, 2 * scale / determinant, 0.0)
        spread[:, 0, 1] = spread[:, 1, 0] = np.where(free, -2 * cross / determinant, 0.0)
        spread[:, 1, 1] = np.where(free, 2 * own / determinant, 2 / scale)
        inverse = sigma2[:, None, None] * at.inverse[kept]
        return cls(ratio, sigma2, inverse, sigma2[:, None, None] * at.d_inverse[kept], spread, float(n - r))

    def df(self, ddf: str, functions: Array, variance: Array) -> Array:
        """Return ν of functions (k, r), (m, k)."""
        if ddf == "asymptotic":
            return np.full(variance.shape, np.inf)
        if ddf == "residual":
            return np.full(variance.shape, self.df_resid)
        slopes = np.stack(
            [np.einsum("ki,mij,kj->mk", functions, self.d_phi, functions), variance / self.sigma2[:, None]],
            axis=2,
        )
        total = np.einsum("mka,mab,mkb->mk", slopes, self.spread, slopes)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, 2 * variance**2 / total, np.inf)

    def variances(self) -> tuple[Array, Array]:
        """Return estimates and standard errors of the variances of random effects and errors, (m, 2) each."""
        values = np.stack([self.ratio * self.sigma2, self.sigma2], axis=1)
        slopes = np.zeros((len(values), 2, 2))
        slopes[:, 0, 0], slopes[:, 0, 1], slopes[:, 1, 1] = self.sigma2, self.ratio, 1.0
        covariance = np.einsum("mab,mbc,mac->ma", slopes, self.spread, slopes)
        errors = np.sqrt(np.maximum(covariance, 0.0))
        errors[self.ratio == 0, 0] = np.nan
        return values, errors


def _two_sided(statistic: Array, df: Array) -> Array:
    """Return two-sided p-values of t statistics; infinite degrees of freedom are the normal distribution's."""
    size = -np.abs(statistic)
    finite = np.isfinite(df)
    return np.asarray(
        2 * np.where(finite, special.stdtr(np.where(finite, df, 1.0), size), special.ndtr(size))
    )
