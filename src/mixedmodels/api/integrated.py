"""Generalised models whose random effects are integrated out: parts, criterion, optimum, fit."""

from __future__ import annotations

from dataclasses import replace

from ..control import Control
from ..criterion import LikelihoodCriterion, choose_approximation
from ..criterion.generalised import Arranged, arrange, solution_at
from ..criterion.separation import check_concordant, infinite_coefficients, recession
from ..errors import DataError, Severity, SpecError, Status, carried_through
from ..fit import Fit, Inputs
from ..likelihood.distribution import Distribution
from ..likelihood.responses import Responses
from ..optimise.newton import optimise
from ..optimise.optimum import Optimum
from ..optimise.points import raise_points
from ..spec import ModelSpec
from ..terms.design import Design
from ..terms.predictors import assemble, build_parts
from ..terms.response import ObservedResponse
from ..typing import Labels
from ..workings import held_values
from .generalised import read_rows
from .run import owned, start_near, warn_unconverged


def fit_integrated(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a generalised model to data by Laplace's approximation or by quadrature."""
    frame, observed = read_rows(spec, inputs)
    asked = spec.likelihood
    assert asked is not None
    _refuse(spec)
    family, responses = observed.family, observed.responses
    levels = () if observed.levels is None else tuple(str(level) for level in observed.levels)
    with carried_through("the fit"):
        parts = build_parts(spec, frame, observed, control)
        whole = assemble(parts, family, responses, levels, asked.thresholds)
        design = whole.design.of_likelihood(asked.approximation)
        _check_units(design, observed)
        check_concordant(design, whole.predictors[0].random, family, responses)
    with carried_through("the fit"):
        held = held_values(spec)
        arranged = arrange(
            design,
            whole.rows,
            family,
            responses,
            control,
            levels=levels,
            spacing=asked.thresholds,
            held=held,
            expected=asked.information == "expected",
        )
        points = None if asked.points == "auto" else asked.points
        criterion = choose_approximation(asked.approximation, arranged, held, points)
        optimum = optimise(criterion, control, spec.start_values)
        remarks: tuple[Status, ...] = ()
        if asked.points == "auto":
            criterion, optimum, remarks = raise_points(criterion, optimum, control)
        known = Distribution(
            family, responses, observed.label, asked.approximation, levels=levels, points=criterion.points
        )
        optimum, distribution = _ended(criterion, arranged, optimum, known)
        warn_unconverged(optimum, stacklevel=5)
        theta = optimum.theta
        fit = Fit(
            spec,
            frame.schema,
            design,
            whole.rows,
            optimum,
            solution_at(criterion, theta, arranged.basis),
            theta[: criterion.model.n_theta],
            1.0,
            arranged.engine,
            control,
            notes=frame.notes + observed.notes + design.notes + remarks + criterion.remarks + control.notes,
            inputs=owned(spec, inputs, frame, design) if control.keep_data else None,
            distribution=distribution,
        )
        fit._work.keep("covariance", lambda: criterion.covariance(theta))
        return fit


def fit_again(fit: Fit, responses: Responses) -> Fit:
    """Return the model of a fit by Laplace's approximation or by quadrature on other responses of the same rows.

    The search starts from the estimates of the fit, and points of quadrature stay.
    """
    known = fit.distribution
    assert known is not None
    arranged = fit._work.arranged()
    arranged = replace(arranged, observed=replace(arranged.observed, responses=responses))
    criterion = choose_approximation(known.approximation, arranged, held_values(fit.spec), known.points)
    found = optimise(criterion, fit.control, start_near(fit))
    optimum, distribution = _ended(criterion, arranged, found, replace(known, responses=responses))
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
        distribution=distribution,
    )


def _ended(
    criterion: LikelihoodCriterion, arranged: Arranged, optimum: Optimum, known: Distribution
) -> tuple[Optimum, Distribution]:
    """Return the end of a search with what is to be said of infinite estimates, and the distribution there."""
    mode = criterion.mode(optimum.theta)
    direction = recession(arranged.observed, mode.densities.score)
    found = replace(known.at(mode.eta, optimum.theta[criterion.of_psi]), recession=direction)
    if direction is not None:
        names = infinite_coefficients(arranged.design, arranged.basis, direction)
        optimum = _without_maximum(optimum, names)
    return optimum, found


def _without_maximum(optimum: Optimum, names: Labels) -> Optimum:
    """Return an optimum that says that coefficients have no finite estimate, in place of where the search gave up."""
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    told = Status(
        Severity.WARNING,
        f"no finite estimate of {listed}: there is a direction of these coefficients along which the density of no row "
        "falls, whatever the random effects (separation)",
        "Tests of functions that do not move along it stand. Leave the terms out, join levels, or look at the rows "
        "that they tell apart",
    )
    others = tuple(s for s in optimum.statuses if not s.message.startswith("did not converge"))
    return replace(optimum, converged=False, statuses=(told, *others))


def _refuse(spec: ModelSpec) -> None:
    """Raise `SpecError` for what is not computed."""
    if spec.method == "reml":
        raise SpecError(
            "reml=True is not computed by Laplace's approximation; use method='rspl' for restricted likelihood, or "
            "leave it out for maximum likelihood."
        )


def _check_units(design: Design, observed: ObservedResponse) -> None:
    """Raise `DataError` where single trials have effects of their own, whose variance such data do not determine."""
    trials = observed.responses.trials_or_one
    if not observed.family.discrete or trials.max() > 1.0 or observed.responses.y.max() > 1.0:
        return
    if "binomial" not in observed.family.names:
        return
    for term in design.random:
        if term.n_levels == design.n and term.n_columns == 1:
            raise DataError(
                f"random term {term.label!r} has one row of one trial in every level: the variance of such effects "
                "cannot be told from the distribution of a single 0 or 1. Leave the term out, or group by something "
                "observed repeatedly."
            )
