"""What the summary of a generalised model says of its distribution and of how it was fitted."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..formats import format_number
from ..likelihood.distribution import Distribution
from ..table import Table

METHODS = {
    "laplace": "maximum likelihood (Laplace)",
    "quadrature": "maximum likelihood (adaptive quadrature)",
    "rspl": "restricted pseudo-likelihood (subject-specific)",
    "mspl": "pseudo-likelihood (subject-specific)",
    "rmpl": "restricted pseudo-likelihood (marginal)",
    "mmpl": "pseudo-likelihood (marginal)",
}
"""How every approximation is called in print."""


def generalised_title(fit: Fit) -> str:
    """Return the title of the summary of a generalised model."""
    known = _known(fit)
    if not fit.design.random and not known.pseudo:
        return "Generalised linear model by maximum likelihood"
    kind = "Generalised linear mixed model" if fit.design.random else "Generalised linear model"
    if not fit.design.random and fit.design.residual is not None:
        kind += " with correlated responses" if fit.design.residual.structure else " with unequal variances"
    method = METHODS[known.approximation]
    if known.points is not None:
        method = f"{method[:-1]}, {known.points} points)"
    # without random effects both expansions are one
    return f"{kind} by {method if fit.design.random else method.partition(' (')[0]}"


def generalised_facts(fit: Fit) -> tuple[tuple[str, str], ...]:
    """Return family, link and dispersion as facts; none for a linear model."""
    if fit.distribution is None:
        return ()
    known = fit.distribution
    about = [known.family.name]
    if known.link is not None:
        about.append(f"{known.link.name} link")
    if known.dispersion is not None and known.symbol:
        about.append(f"{known.symbol} = {format_number(known.dispersion)}")
    return (("Family", ", ".join(about)),)


def pseudo_criterion(fit: Fit) -> Table:
    """Return −2 log pseudo-likelihood, and Pearson's statistic of the pseudo-data as GLIMMIX prints it."""
    word = "residual " if fit.design.reml else ""
    values = {f"-2 {word}log pseudo-likelihood": -2.0 * fit.pseudo_loglik}
    columns = {name: [format_number(value, criterion_digits(value))] for name, value in values.items()}
    return Table(columns, formats=dict.fromkeys(columns, "aligned"))


def criterion_digits(value: float) -> int:
    """Return the digits that show three decimals: criteria are compared by their differences."""
    return 4 + int(np.log10(max(abs(value), 1.0))) if np.isfinite(value) else 6


def _known(fit: Fit) -> Distribution:
    assert fit.distribution is not None
    return fit.distribution
