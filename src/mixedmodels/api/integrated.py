"""Generalised models whose random effects are integrated out: parts, criterion, optimum, fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from ..control import Control
from ..criterion import LikelihoodCriterion, choose_approximation
from ..criterion.generalised import Arranged, arrange, solution_at
from ..criterion.separation import check_concordant, infinite_coefficients, recession
from ..criterion.vanishing import vanished
from ..errors import DataError, Severity, Status, carried_through
from ..fit import Fit, Inputs
from ..frame.model_frame import ModelFrame
from ..likelihood.distribution import Distribution
from ..likelihood.families.ordinal import Ordinal
from ..likelihood.responses import Responses
from ..optimise.batched import optimise_near
from ..optimise.newton import optimise
from ..optimise.optimum import Optimum
from ..optimise.points import raise_points
from ..spec import ModelSpec
from ..terms.design import Design
from ..terms.observed import UNITLESS
from ..terms.predictors import Part, assemble, build_parts, parts_of
from ..terms.response import ObservedResponse
from ..terms.rows import Rows
from ..typing import Array, Labels
from ..workings import held_values
from .generalised import read_rows
from .restricted import RestrictedOptimum, check_restricted, search_restricted
from .run import owned, start_near, warn_unconverged

FARTHEST = 30.0
"""A linear predictor on a scale without units beyond this belongs to a mean of 1e13, or to a probability of 0 or 1."""
Redraw: TypeAlias = Callable[[Design, Rows], tuple[Design, Rows]]


def fit_integrated(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a generalised model to data by Laplace's approximation or by quadrature."""
    frame, observed = read_rows(spec, inputs)
    asked = spec.likelihood
    assert asked is not None
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
        if spec.method == "reml":
            check_restricted(spec, arranged)
            known = Distribution(family, responses, observed.label, asked.approximation, levels=levels)
            found = search_restricted(spec, arranged, known, control)
            notes = frame.notes + observed.notes + design.notes + control.notes
            kept = owned(spec, inputs, frame, design) if control.keep_data else None
            return _restricted_fit(spec, frame, (design, whole.rows), found, control, notes, kept)
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
            notes=frame.notes
            + observed.notes
            + far_offset(whole.rows, known)
            + design.notes
            + remarks
            + criterion.remarks
            + control.notes,
            inputs=owned(spec, inputs, frame, design) if control.keep_data else None,
            distribution=distribution,
        )
        fit._work.keep("covariance", lambda: criterion.covariance(theta))
        return fit


def _restricted_fit(
    spec: ModelSpec,
    frame: ModelFrame,
    model: tuple[Design, Rows],
    found: RestrictedOptimum,
    control: Control,
    notes: tuple[Status, ...],
    inputs: Inputs | None,
) -> Fit:
    """Return the fit at an optimum of the restricted likelihood."""
    warn_unconverged(found.optimum, stacklevel=6)
    design, rows = model
    count = sum(term.n_theta for term in design.random)
    theta = found.optimum.theta[:count]
    fit = Fit(
        spec, frame.schema, design, rows, found.optimum, found.solution, theta, 1.0, found.engine, control,
        notes=notes, inputs=inputs, distribution=found.distribution,
    )  # fmt: skip
    fit._work.keep("covariance", lambda: found.covariance)
    return fit


def fit_again(fit: Fit, responses: Responses) -> Fit:
    """Return the model of a fit by Laplace's approximation or by quadrature on other responses of the same rows.

    The search starts from the estimates of the fit, and points of quadrature stay.
    """
    arranged = _arranged_again(fit, responses)
    return _fit_of(fit, arranged, fit.design, replace(fit._work.rows(), y=responses.y), responses)


def fit_redrawn(fit: Fit, redraw: Redraw, responses: Responses) -> Fit:
    """Return the model of a fit on rows drawn from its own, whose responses are these.

    `redraw` gives the design and rows drawn of every part of the model.
    """
    known, asked = fit.distribution, fit.spec.likelihood
    assert known is not None
    assert asked is not None
    parts = []
    for part in parts_of(fit.design, fit._work.rows()):
        design, rows = redraw(part.design, part.rows)
        parts.append(Part.of(part.component, design, rows))
    whole = assemble(parts, known.family, responses, known.levels, asked.thresholds)
    design = whole.design.of_likelihood(known.approximation)
    arranged = arrange(
        design,
        whole.rows,
        known.family,
        responses,
        fit.control,
        levels=known.levels,
        spacing=asked.thresholds,
        held=held_values(fit.spec),
        expected=asked.information == "expected",
    )
    return _fit_of(fit, arranged, design, whole.rows, responses)


def _fit_of(fit: Fit, arranged: Arranged, design: Design, rows: Rows, responses: Responses) -> Fit:
    """Return the model of a fit on other responses or rows, searched from its estimates."""
    known = fit.distribution
    assert known is not None
    criterion, optimum = _search_near(fit, arranged)
    optimum, distribution = _ended(criterion, arranged, optimum, replace(known, responses=responses))
    theta = optimum.theta
    return Fit(
        fit.spec,
        fit.schema,
        design,
        rows,
        optimum,
        solution_at(criterion, theta, arranged.basis),
        theta[: criterion.model.n_theta],
        1.0,
        fit.engine,
        fit.control,
        notes=fit.notes,
        distribution=distribution,
    )


def estimates_again(fit: Fit, responses: Responses) -> tuple[Array, Optimum]:
    """Return β̂ as written, (rank,), and the optimum of the model of a fit on other responses of the same rows.

    Nothing but estimates: the covariance of a fit costs as much as its search.
    """
    arranged = _arranged_again(fit, responses)
    criterion, optimum = _search_near(fit, arranged)
    known = fit.distribution
    assert known is not None
    optimum, _ = _ended(criterion, arranged, optimum, replace(known, responses=responses))
    return arranged.basis.coefficients(optimum.theta[criterion.of_beta]), optimum


def _arranged_again(fit: Fit, responses: Responses) -> Arranged:
    """Return the model of a fit ready for its criterion on other responses of the same rows."""
    if isinstance(fit._distribution.family, Ordinal):
        # which thresholds a row reads is part of its predictors
        return fit._work.arranged(responses)
    arranged = fit._work.shared_arrangement()
    return replace(arranged, observed=replace(arranged.observed, responses=responses))


def _search_near(fit: Fit, arranged: Arranged) -> tuple[LikelihoodCriterion, Optimum]:
    """Return the criterion of a model and its optimum, searched from the estimates of a fit and then from none."""
    known = fit.distribution
    assert known is not None
    fit._refuse_restricted("refits and the bootstrap")
    criterion = choose_approximation(known.approximation, arranged, held_values(fit.spec), known.points)
    return criterion, optimise_near(criterion, fit.control, start_near(fit))


def _ended(
    criterion: LikelihoodCriterion, arranged: Arranged, optimum: Optimum, known: Distribution
) -> tuple[Optimum, Distribution]:
    """Return the end of a search with what is to be said of infinite estimates, and the distribution there."""
    rest = criterion.rest(optimum.theta)
    direction = recession(arranged.observed, rest.score)
    found = replace(known.at(rest.eta, optimum.theta[criterion.of_psi]), recession=direction)
    if direction is not None:
        names = infinite_coefficients(arranged.design, arranged.basis, direction)
        return _without_maximum(optimum, names), found
    gone = vanished(known.family, known.responses, rest.eta, arranged.design, arranged.basis)
    if gone is None:
        return optimum, found
    optimum = replace(optimum, statuses=(gone.status, *optimum.statuses))
    return optimum, replace(found, recession=gone.direction)


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


def far_offset(rows: Rows, known: Distribution) -> tuple[Status, ...]:
    """Return a note on offsets that are far from what the scale of a link holds: a size in place of its logarithm."""
    if rows.offset is None or known.link is None or known.link.name not in UNITLESS:
        return ()
    largest = float(rows.offset[np.argmax(np.abs(rows.offset))])
    if abs(largest) <= FARTHEST:
        return ()
    return (
        Status(
            Severity.WARNING,
            f"an offset of {largest:g} stands beside the linear predictor on the scale of the {known.link.name} link",
            "An exposure enters by its logarithm, offset(log(size))",
        ),
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
