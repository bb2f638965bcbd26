"""A model in words: sentences that a reader without formulas follows."""

from __future__ import annotations

from collections.abc import Sequence

from ..fit import Fit
from ..terms.design import RandomTerm

STRUCTURES = {
    "us": "any covariance between them", "diag": "no covariance between them",
    "homdiag": "one variance for all and no covariance",
    "cs": "one variance and one covariance", "hcs": "a variance each and one correlation",
    "ar1": "first-order autoregressive", "har1": "first-order autoregressive with a variance each",
    "car1": "autoregressive in continuous time", "toep": "Toeplitz (a correlation for each lag)",
    "htoep": "Toeplitz with a variance each", "ante1": "first-order antedependent", "fa": "factor analytic",
    "exp": "exponential in distance", "gau": "Gaussian in distance", "sph": "spherical in distance",
    "mat": "Matérn in distance", "pow": "a power of distance",
}  # fmt: skip
"""What structures are called in a sentence; others by their name."""


def model_words(fit: Fit) -> list[str]:
    """Return sentences that say what was modelled and how it was fitted.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> for sentence in model_words(fit)[::2]: print(sentence)
    Reaction is modelled by a linear mixed model with a fixed effect of Days.
    Errors are independent and normal with one variance.
    """
    return [_first(fit), *map(_random, fit.design.random), *_errors(fit), _estimated(fit)]


def listed(parts: Sequence[str]) -> str:
    """Return words joined by commas and a last "and"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def kind_of_model(fit: Fit) -> str:
    """Return what the model is called in a sentence, with its article."""
    mixed = bool(fit.design.random)
    if fit.distribution is not None:
        return f"a generalised linear {'mixed ' if mixed else ''}model"
    if mixed:
        return "a linear mixed model"
    return "a linear model" if fit.design.residual is None else "a linear model with structured errors"


def fixed_terms(fit: Fit) -> list[str]:
    """Return the terms of the fixed part as they are read, the intercept and smooths left out."""
    names: dict[str, None] = {}
    curves = {term.label for term in fit.design.random if term.smooth or term.penalised}
    for column in fit.design.fixed.columns:
        if column != "(Intercept)":
            names.setdefault(":".join(part.partition("[")[0] for part in column.split(":")), None)
    return [name.replace(":", " by ") for name in names if name not in curves]


def _first(fit: Fit) -> str:
    response, terms = fit.spec.response.strip("`"), fixed_terms(fit)
    shown = [*terms[:12], f"{len(terms) - 12} more"] if len(terms) > 12 else terms
    effects = (
        f"fixed effect{'s' if len(terms) > 1 else ''} of {listed(shown)}" if terms else "an intercept alone"
    )
    effects = f"a {effects}" if len(terms) == 1 else effects
    start = f"{response} is modelled by {kind_of_model(fit)} with {effects}"
    if fit.distribution is None:
        return f"{start}."
    link = fit.distribution.link
    through = "" if link is None else f" on the scale of the {link.name} of its mean"
    return f"{start}{through}; given these and the random effects it is {fit.family.replace('_', ' ')}."


def _random(term: RandomTerm) -> str:
    if term.smooth or term.penalised:
        return (
            f"{term.label} is a smooth curve, a penalised spline whose wiggliness is estimated as a variance."
        )
    what = listed([_column(name) for name in term.columns[:6]])
    if len(term.columns) > 6:
        what = f"{len(term.columns)} random coefficients ({listed(term.columns[:3])}, …)"
    name = term.structure.names[0]
    how = "" if len(term.columns) == 1 else f", with {STRUCTURES.get(name, f'covariance {name}')}"
    sets = f", with parameters for each of {listed(term.set_labels)}" if term.n_sets > 1 else ""
    known = ", correlated between levels as is known" if term.known is not None else ""
    return f"The {term.n_levels:,} levels of {term.group} have {what}, normal{how}{sets}{known}."


def _column(name: str) -> str:
    return "a random intercept" if name == "(Intercept)" else f"a random slope of {name}"


def _errors(fit: Fit) -> list[str]:
    if fit.distribution is not None and fit.spec.residual is None and not fit.spec.variance:
        return []
    variance = " * ".join(map(str, fit.spec.variance))
    residual, weights = fit.spec.residual, ", divided by known weights" if fit.design.weighted else ""
    if residual is None:
        scale = f"a variance that goes with {variance}" if variance else "one variance"
        return [f"Errors are independent and normal with {scale}{weights}."]
    name = residual.structure.name
    within = " within " + ":".join(residual.cluster) if residual.cluster else ""
    along = f" along {listed(residual.position)}" if residual.position else ""
    scale = f", their variance goes with {variance}" if variance else ""
    return [
        f"Errors{within} are correlated{along}: {STRUCTURES.get(name, name)} ({residual}){scale}{weights}."
    ]


def _estimated(fit: Fit) -> str:
    return f"Estimates are by {estimation(fit)}, from {fit.nobs:,} observations."


def estimation(fit: Fit) -> str:
    """Return the method of estimation in words."""
    known = fit.distribution
    if known is None:
        if not fit.design.random and fit.design.residual is None:
            return "least squares"
        return "restricted maximum likelihood (REML)" if fit.design.reml else "maximum likelihood"
    if known.pseudo:
        return f"{'restricted ' if fit.design.reml else ''}pseudo-likelihood ({known.approximation.upper()})"
    if not fit.design.random:
        return "maximum likelihood"
    if known.points is not None:
        return f"maximum likelihood by adaptive Gauss–Hermite quadrature with {known.points} points"
    return "maximum likelihood by Laplace's approximation"
