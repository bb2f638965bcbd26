"""The model of a fit whose random effects are integrated out, on other responses."""

from __future__ import annotations

from dataclasses import replace

from ..criterion import choose_approximation
from ..criterion.generalised import solution_at
from ..fit import Fit
from ..likelihood.responses import Responses
from ..optimise.newton import optimise
from ..workings import held_values
from .run import start_near


def fit_again(fit: Fit, responses: Responses) -> Fit:
    """Return the model of a fit by Laplace's approximation or by quadrature on other responses of the same rows.

    The search starts from the estimates of the fit, and points of quadrature stay.
    """
    known = fit.distribution
    assert known is not None
    arranged = fit._work.arranged()
    arranged = replace(arranged, observed=replace(arranged.observed, responses=responses))
    criterion = choose_approximation(known.approximation, arranged, held_values(fit.spec), known.points)
    optimum = optimise(criterion, fit.control, start_near(fit))
    theta = optimum.theta
    return Fit(
        fit.spec,
        fit.schema,
        fit.design,
        replace(fit._work.rows(), y=responses.y),
        optimum,
        solution_at(criterion, theta, arranged.basis),
        theta[: criterion.model.n_theta],
        1.0,
        fit.engine,
        fit.control,
        notes=fit.notes,
        distribution=replace(known, responses=responses).at(
            criterion.mode(theta).eta, theta[criterion.of_psi]
        ),
    )
