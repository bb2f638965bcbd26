"""Generalised models whose random effects are integrated out: parts, criterion, optimum, fit."""

from __future__ import annotations

from dataclasses import replace

from ..control import Control
from ..criterion import LikelihoodCriterion, choose_approximation
from ..criterion.generalised import arrange, solution_at
from ..criterion.separation import check_concordant, infinite_coefficients, recession
from ..errors import DataError, Severity, SpecError, Status, carried_through
from ..fit import Fit, Inputs
from ..likelihood.distribution import Distribution
from ..optimise.newton import optimise
from ..optimise.optimum import Optimum
from ..optimise.points import raise_points
from ..spec import ModelSpec
from ..terms.design import Design
from ..terms.predictors import assemble, build_parts
from ..terms.response import ObservedResponse
from ..typing import Array, Labels
from ..workings import held_values
from .generalised import read_rows
from .run import owned, warn_unconverged


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
        theta = optimum.theta
        direction = recession(arranged.observed, criterion.mode(theta).densities.score)
        if direction is not None:
            optimum = _without_maximum(optimum, infinite_coefficients(design, arranged.basis, direction))
        warn_unconverged(optimum, stacklevel=5)
        solution = solution_at(criterion, theta, arranged.basis)
        fit = Fit(
            spec,
            frame.schema,
            design,
            whole.rows,
            optimum,
            solution,
            theta[: criterion.model.n_theta],
            1.0,
            arranged.engine,
            control,
            notes=frame.notes + observed.notes + design.notes + remarks + criterion.remarks + control.notes,
            inputs=owned(spec, inputs, frame, design) if control.keep_data else None,
            distribution=replace(
                _estimated(criterion, theta, observed, levels, asked.approximation), recession=direction
            ),
        )
        fit._work.keep("covariance", lambda: criterion.covariance(theta))
        return fit


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
    asked = spec.likelihood
    assert asked is not None
    if asked.nominal is not None:
        raise SpecError("nominal= (terms with an effect for every threshold) is not fitted; leave it out.")
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


def _estimated(
    criterion: LikelihoodCriterion, theta: Array, observed: ObservedResponse, levels: Labels, method: str
) -> Distribution:
    """Return the distribution at the estimates."""
    known = Distribution(
        observed.family, observed.responses, observed.label, method, levels=levels, points=criterion.points
    )
    return known.at(criterion.mode(theta).eta, theta[criterion.of_psi])
