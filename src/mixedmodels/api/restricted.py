"""Generalised models by restricted likelihood: β integrated out with the random effects by Laplace's approximation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..control import Control
from ..criterion import choose_approximation
from ..criterion.generalised import Arranged
from ..criterion.glm_start import glm_coefficients
from ..criterion.restricted import (
    CLOSE,
    ROUNDS,
    WIDE,
    restricted,
    restricted_covariance,
    restricted_solution,
)
from ..engines.base import Solution
from ..errors import SpecError
from ..fit import Fit
from ..likelihood.distribution import Distribution
from ..optimise.newton import optimise
from ..optimise.optimum import Optimum
from ..optimise.start import Start
from ..spec import ModelSpec
from ..typing import Array
from ..workings import held_values


@dataclass(frozen=True, slots=True, eq=False)
class RestrictedOptimum:
    """Where −2l_R is smallest: the optimum in (θ, β, ψ), the estimates, the distribution, Cov, and the engine."""

    optimum: Optimum
    solution: Solution
    distribution: Distribution
    covariance: Array
    engine: str


def check_restricted(spec: ModelSpec, arranged: Arranged) -> None:
    """Raise `SpecError` for models whose restricted likelihood is not computed."""
    asked = spec.likelihood
    assert asked is not None
    first, *others = arranged.observed.stack.predictors
    if asked.parts or any(np.intersect1d(first.columns, one.columns).size for one in others):
        raise SpecError(
            f"reml=True is for models with one formula; {asked.family} with its models of dispersion, zeros or "
            "categories has several. Leave reml= out for maximum likelihood."
        )
    if asked.information == "expected":
        raise SpecError("reml=True goes with information='observed'.")


def search_restricted(
    spec: ModelSpec, arranged: Arranged, known: Distribution, control: Control
) -> RestrictedOptimum:
    """Return the optimum of the restricted likelihood of an arranged model."""
    held, observed = held_values(spec), arranged.observed
    psi = np.array([p.working(held.get(p.name, p.start)) for p in observed.family.parameters])
    about = glm_coefficients(observed, psi) if observed.stack.rank else np.zeros(0)
    curvature = observed.at(observed.stack.fixed(about), psi, 2).curvature
    start: Start = spec.start_values
    for _ in range(ROUNDS):
        form = restricted(arranged, control, about, curvature)
        criterion = choose_approximation("laplace", form.model, held)
        found = optimise(criterion, control, start)
        mode = criterion.mode(found.theta)
        if not form.rank or float(np.sum(mode.b[-1] ** 2)) / WIDE < CLOSE:
            break
        about, curvature = form.beta(criterion, found.theta), mode.densities.curvature
        start = found.theta
    covariance = restricted_covariance(form, criterion, found.theta)
    optimum = replace(
        found,
        theta=form.full(criterion, found.theta),
        value=found.value + form.constant(arranged.basis) + form.correction(mode),
        singular=found.singular[:-1] if form.rank else found.singular,
    )
    distribution = replace(known.at(mode.eta, found.theta[criterion.of_psi]), recession=None)
    solution = restricted_solution(arranged, form, criterion, found.theta, covariance)
    return RestrictedOptimum(optimum, solution, distribution, np.asarray(covariance), arranged.engine)


def covariance_again(fit: Fit) -> Array:
    """Return the covariance of (θ, β, ψ) of a fit by restricted likelihood, (k, k)."""
    theta, model, own = fit.optimum.theta, fit._work.arranged(), fit._work.likelihood()
    form = restricted(model, fit.control, theta[own.of_beta], fit._work.mode().densities.curvature)
    criterion = choose_approximation("laplace", form.model, held_values(fit.spec))
    return restricted_covariance(form, criterion, form.reduced(theta, own.of_beta))
