"""The variance of an observation of a generalised model on the scale of its link."""

from __future__ import annotations

import numpy as np
from scipy import special

from ..errors import SpecError
from ..fit import Fit
from ..inference.averaged import integrated
from ..likelihood.base import MeanFamily
from ..likelihood.links import Link, ProbabilityLink
from ..registry import check_choice
from .covariances import random_variances

OBSERVATIONS = ("auto", "latent", "delta", "lognormal", "trigamma")


def observation_variance(fit: Fit, how: str) -> tuple[float, str]:
    """Return the variance of an observation given its linear predictor, on the link's scale, and how it is taken.

    Notes
    -----
    With μ̄ the mean response of the population, averaged over the data and over the random effects, and v its variance:
    `"latent"` the variance of the distribution that is the inverse link (π²/3 for logit, 1 for probit, π²/6 for
    cloglog), times a scale φ where there is one; `"delta"` v/μ'(η̄)²; `"lognormal"` log(1 + v/μ̄²); `"trigamma"`
    ψ₁(μ̄²/v) (Nakagawa, Johnson and Schielzeth 2017).
    """
    check_choice("observation", how, OBSERVATIONS)
    known = fit.distribution
    assert known is not None
    family, link = known.family, known.link
    if link is None or not isinstance(family, MeanFamily) or type(family).mean is not MeanFamily.mean:
        raise SpecError(
            f"shares of the variance are known for families whose mean is the inverse of a link; family {fit.family!r} "
            "is none of them."
        )
    if any(part.random for part in fit.spec.parts):
        raise SpecError("shares of the variance are not defined with random effects on the dispersion.")
    if how == "auto":
        how = (
            "latent" if isinstance(link, ProbabilityLink) else "lognormal" if link.name == "log" else "delta"
        )
    if how == "latent":
        scale = 1.0 if known.scale is None else float(np.mean(known.scale))
        return scale * _latent(link), how
    if how != "delta" and link.name != "log":
        raise SpecError(
            f"observation={how!r} is for the log link, and this fit has link {link.name!r}; use 'delta'."
        )
    spread = random_variances(fit, smooth=False) if fit.design.random else np.zeros(fit.nobs)
    mean = float(np.mean(integrated(link, fit.linear_predictor, spread)[0]))
    eta = np.full(fit.nobs, float(link.forward(np.array([mean]))[0]))
    variance = float(np.mean(known.variance(eta)))
    if how == "delta":
        return variance / float(link.inverse(eta[:1])[1][0]) ** 2, how
    ratio = variance / mean**2
    return float(np.log1p(ratio) if how == "lognormal" else special.polygamma(1, 1.0 / ratio)), how


def _latent(link: Link) -> float:
    variance = link.latent_variance() if isinstance(link, ProbabilityLink) else np.inf
    if not np.isfinite(variance):
        raise SpecError(
            f"observation='latent' needs a link that is a distribution with a variance (logit, probit, cloglog), not "
            f"{link.name!r}; use 'delta'."
        )
    return float(variance)
