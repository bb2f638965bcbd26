"""Shares of the variance: intraclass correlations by term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..table import Table
from ..terms.design import RandomTerm
from ..terms.rows import TermRows
from ..typing import Array
from .covariances import level_scale
from .error_side import error_variances
from .observation_variance import observation_variance


def icc(fit: Fit, observation: str = "auto") -> Table:
    """Return the variance of each random term with its share of the total, columns `group variance icc
    icc_unadjusted`.

    Parameters
    ----------
    observation
        Of a generalised model: how the variance of an observation is taken on the scale of the link, `"latent"`,
        `"delta"`, `"lognormal"`, `"trigamma"`; by default latent for links of probabilities, lognormal for the log link
        and delta for others (Nakagawa, Johnson and Schielzeth 2017).

    Returns
    -------
    Table
        One row for each random term, `"all"` for their sum, `"Residual"` and `"Fixed"`. `icc` is the share of
        the variance that is not due to fixed effects, `icc_unadjusted` that of all variance.

    Notes
    -----
    The variance of a term is the mean over observations of z_i'Σz_i, σ_b² for a random intercept (Johnson
    2014); that of the residual the mean of R_ii, which is σ²/w_i for independent errors and the variance on
    the diagonal of R for structured or unequal ones; that of the fixed part, splines included, the sample variance
    of its fitted values. Rows of one level with correlated errors are correlated more, or less, than the share of
    its term says: `fit.marginal_cov(correlation=True)` shows by how much. Without random terms other than splines
    there is no such share, and `SpecError` is raised.
    *Same as* `performance::icc(by_group = FALSE)`, its adjusted and unadjusted ICC in the row `"all"`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> print(fit.icc())
    Intraclass correlations
    group     variance     icc  icc_unadjusted
    Rail       615.311   0.974           0.974
    all        615.311   0.974           0.974
    Residual    16.167  0.0256          0.0256
    Fixed        0.000       –           0.000
    """
    if all(term.smooth for term in fit.design.random):
        residual = fit.design.residual
        correlated = residual is not None and residual.structure is not None
        hint = (
            "fit.residual_cov(correlation=True) shows the correlation of errors within a cluster"
            if correlated
            else "add one such as `(1 | group)`"
        )
        raise SpecError(
            "icc: the model has no random terms, and an intraclass correlation is their share of the variance; "
            f"{hint}."
        )
    parts = variance_parts(fit, observation)
    random = sum(parts.random)
    labels = [term.label for term in fit.design.random if not term.smooth]
    variances = np.array([*parts.random, random, parts.residual, parts.fixed])
    adjusted = variances / (random + parts.residual)
    adjusted[-1] = np.nan
    columns = {
        "group": [*labels, "all", "Residual", "Fixed"],
        "variance": variances,
        "icc": adjusted,
        "icc_unadjusted": variances / (random + parts.residual + parts.fixed),
    }
    formats = {"icc": "statistic", "icc_unadjusted": "statistic"}
    return Table(columns, "Intraclass correlations", share_notes(fit, parts), fit.backend, formats)


def share_notes(fit: Fit, parts: VarianceParts) -> tuple[str, ...]:
    """Return what to say of shares of a variance: components that are negative, the scale of a generalised model."""
    notes: tuple[str, ...] = ()
    if not all(part >= 0 for part in parts.random):
        notes = (
            "a component is negative (bounds='none'): it is a covariance within groups, not a share of a variance",
        )
    if not parts.observation:
        return notes
    return (
        *notes,
        f"on the scale of the {fit.link} link; the variance of an observation is {parts.observation}",
    )


ROUNDING = 1e-28
"""Square of the rounding error of a mean, relative to its own."""


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """Variance of the fixed part, of each random term, and of the residual."""

    fixed: float
    random: tuple[float, ...]
    residual: float
    observation: str = ""
    """How the variance of an observation of a generalised model is taken."""


def variance_parts(fit: Fit, observation: str = "auto") -> VarianceParts:
    """Return the partition of the variance of an observation, averaged over the data."""
    how = ""
    if fit.distribution is not None:
        residual, how = observation_variance(fit, observation)
    elif observation != "auto":
        raise SpecError(
            f"observation={observation!r} is for generalised models; a linear one estimates its variance."
        )
    else:
        residual = float(np.mean(error_variances(fit)))
    mean = fit.solution.estimates(fit._work.rows().x)
    for term, own, effects in zip(
        fit.design.random, fit._work.rows().random, fit.solution.random, strict=True
    ):
        # splines are part of the mean
        mean = mean + own.products(effects) if term.smooth else mean
    design, rows = fit._work.own_model()
    terms = zip(design.random, rows.random, fit._work.own_covariances(), strict=True)
    random = tuple(_mean_variance(term, own, sigmas) for term, own, sigmas in terms if not term.smooth)
    fixed = float(np.var(mean, ddof=1))
    # a constant mean varies by rounding alone
    if fixed <= ROUNDING * float(np.mean(np.square(mean))):
        fixed = 0.0
    return VarianceParts(fixed, random, residual, how)


def _mean_variance(term: RandomTerm, rows: TermRows, sigmas: Array) -> float:
    values = rows.dense_values()
    own = np.einsum("ia,iab,ib->i", values, sigmas[term.sets[rows.codes]], values)
    return float(np.mean(own * level_scale(term)[rows.codes]))
