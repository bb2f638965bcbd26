"""Pseudo-likelihood: the optimum of the linear mixed model that a generalised one looks like at its own estimates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..control import Control
from ..criterion import Criterion, linear_part, undetermined
from ..criterion.errors import FittedErrors
from ..engines import Layout, choose_engine
from ..engines.base import Equations
from ..engines.plan import check_parameters
from ..errors import Severity, SpecError, Status, carried_through
from ..fit import Fit, Inputs, mean_with
from ..frame.schema import FrameSchema
from ..likelihood.base import Family, MeanFamily
from ..likelihood.distribution import Distribution
from ..likelihood.families import MEAN_FAMILIES
from ..likelihood.responses import Responses
from ..likelihood.working import working_data
from ..optimise.alternate import RENEWALS, alternate
from ..optimise.start import Start
from ..spec import ModelSpec
from ..terms.build import build_design
from ..terms.design import Design
from ..terms.residual import FITTED
from ..terms.rows import Rows
from ..typing import Array
from ..workings import build_criterion, own_columns
from .generalised import read_rows
from .run import Found, held_note, owned, start_near, warn_unconverged

SETTLED = 1e-8
"""Change of a linear predictor, relative to the largest, below which pseudo-data have settled (PCONV= of GLIMMIX)."""
ROUNDED = 1e-12
"""Range of φ̂ over rows, relative to the largest, that is rounding."""


def fit_pseudo(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a generalised model to data by pseudo-likelihood."""
    frame, observed = read_rows(spec, inputs)
    family = _proportional(spec, observed.family)
    with carried_through("the fit"):
        design, rows = build_design(
            spec,
            frame,
            rank_tolerance=control.rank_tolerance,
            threads=control.threads_for(frame.n),
            memory=control.room,
            response=observed.responses.y,
        )
    with carried_through("the fit"):
        found = search_pseudo(spec, design, rows, family, observed.responses, control)
        warn_unconverged(found.optimum, stacklevel=5)
        return _fit_of(
            spec,
            frame.schema,
            found,
            (family, observed.responses, observed.label),
            control,
            frame.notes + observed.notes + found.design.notes + control.notes,
            owned(spec, inputs, frame, design) if control.keep_data else None,
        )


def fit_near(fit: Fit, design: Design, rows: Rows, responses: Responses, eta: Array) -> Fit:
    """Return the model of a fit by pseudo-likelihood on other rows or responses, searched from its estimates.

    Parameters
    ----------
    design, rows, responses
        The model of the predictor on those rows, and what was observed in them.
    eta
        Linear predictors to start from, (n,).
    """
    known = fit.distribution
    assert known is not None
    family = known.family
    assert isinstance(family, MeanFamily)
    near = (eta, start_near(fit))
    found = search_pseudo(fit.spec, design, rows, family, responses, fit.control, near=near)
    return _fit_of(fit.spec, fit.schema, found, (family, responses, known.label), fit.control, fit.notes)


def _fit_of(
    spec: ModelSpec,
    schema: FrameSchema,
    found: Found,
    observed: tuple[MeanFamily, Responses, str],
    control: Control,
    notes: tuple[Status, ...],
    inputs: Inputs | None = None,
) -> Fit:
    return Fit.from_optimum(
        spec,
        schema,
        found.design,
        found.rows,
        found.criterion,
        found.optimum,
        engine=found.engine,
        control=control,
        notes=notes,
        inputs=inputs,
        distribution=_estimated(spec, *observed, found),
    )


def _proportional(spec: ModelSpec, family: Family) -> MeanFamily:
    """Return the family where its variance is known but for a factor; `SpecError` for others."""
    asked = spec.likelihood
    assert asked is not None
    if asked.parts:
        names = {"zero": "zero_inflation", "dispersion": "dispersion", "hurdle": "hurdle"}
        listed = ", ".join(f"{names[part.component]}=" for part in asked.parts)
        raise SpecError(
            f"method={asked.approximation!r} knows the mean and the variance alone, not {listed}; use method='laplace'."
        )
    if not isinstance(family, MeanFamily) or not family.proportional:
        known = ", ".join(name for name, cls in MEAN_FAMILIES.items() if cls.proportional)
        raise SpecError(
            f"method={asked.approximation!r} needs a family whose variance is known but for a factor: {known}; "
            f"family={asked.family!r} has parameters that pseudo-likelihood does not estimate. Use method='laplace'."
        )
    if any(FITTED in function.arguments for function in spec.variance):
        raise SpecError(
            "variance=: the variance already follows the fitted mean by the family's own function; give functions of "
            "covariates or factors."
        )
    return family


def _estimated(
    spec: ModelSpec, family: MeanFamily, responses: Responses, label: str, found: Found
) -> Distribution:
    """Return the distribution at the estimates."""
    asked = spec.likelihood
    assert asked is not None
    phi, n = _scales(found), len(responses)
    constant = float(np.ptp(phi)) <= ROUNDED * float(phi.max())
    if len(family.predictors) > 1:
        zeta = family.scaled(phi)
        beside, scale, natural = zeta[None], None, np.exp(zeta)
    else:
        free = asked.free or spec.residual is not None or bool(spec.variance)
        beside, scale, natural = np.empty((0, n)), phi if free else None, phi
    return Distribution(
        family,
        responses,
        label,
        asked.approximation,
        beside,
        scale=scale,
        dispersion=float(natural[0]) if constant else None,
    )


def _scales(found: Found) -> Array:
    """Return φ̂ of every row, (n,): the variance of its working response times its weight."""
    linear, theta = linear_part(found.criterion), found.optimum.theta
    rows = found.criterion.equations.rows
    assert rows.weights is not None
    if found.design.residual is None:
        return np.full(len(rows), linear.sigma2(theta))
    return np.asarray(FittedErrors(linear.model, theta).variances() * rows.weights)


def search_pseudo(
    spec: ModelSpec,
    design: Design,
    rows: Rows,
    family: MeanFamily,
    responses: Responses,
    control: Control,
    *,
    near: tuple[Array, Array | None] | None = None,
) -> Found:
    """Return the linear mixed model of the pseudo-data that its own estimates imply, and its optimum.

    Parameters
    ----------
    spec, design, rows
        The model of the linear predictor; the response of `rows` is not read.
    family, responses
        What was observed, and its distribution.
    control
        As for `lmm`.
    near
        Linear predictors (n,) and θ of a neighbour to start from; by default those of the responses, and moments.

    Notes
    -----
    The model is made linear at η̃ = Xβ̂ + Zb̂ (subject-specific: RSPL, MSPL), or at η̃ = Xβ̂ (marginal: RMPL, MMPL):
    z = η̃ + (y − μ̃)/μ'(η̃) is fitted by z = Xβ + Zb + e with var(e) = W^-½RW^-½, W = μ'²/V(μ̃), by REML (R…) or ML
    (M…), again and again until η̃ is what the fit says (Wolfinger and
    O'Connell 1993; Breslow and Clayton 1993; PROC GLIMMIX).
    """
    check_parameters(design, control)
    own, own_rows = own_columns(spec, design, rows, control)
    first = family.start(responses)[0] if near is None else near[0]
    start: Start = spec.start_values if near is None else near[1]
    own_rows = _pseudo_rows(own_rows, family, responses, first)
    own = replace(own, weighted=True)
    layout = Layout.of(own)
    engine = choose_engine(layout, own_rows, control)
    equations = engine.equations(layout, own_rows, control)
    if not equations.homogeneous:
        names = [item if isinstance(item, str) else item[0] for item in spec.hold]
        free = undetermined(own, equations, [*names, *dict(design.held)])
        held = tuple((one.name, one.values[0]) for one in free)
        notes = tuple(held_note(one, value) for one, (_, value) in zip(free, held, strict=True))
        design = replace(design, held=design.held + held, notes=design.notes + notes)
        own = replace(own, held=design.held)
    assert spec.likelihood is not None
    included = tuple(spec.likelihood.conditional or term.smooth for term in own.random)
    renewal = _PseudoData(spec, own, equations, family, responses, included)
    begun = build_criterion(spec, own, equations)
    criterion, optimum = alternate(begun, first, renewal, control, start)
    found = criterion.equations.rows
    return Found(
        replace(design, weighted=True),
        replace(rows, y=found.y, weights=found.weights),
        criterion,
        optimum,
        engine.name,
    )


@dataclass(frozen=True, slots=True)
class _PseudoData:
    """The linear predictors at which a model is made linear; `included` says by term whether b̂ is part of them."""

    spec: ModelSpec
    design: Design
    equations: Equations
    family: MeanFamily
    responses: Responses
    included: tuple[bool, ...]
    comparable = False
    unsettled = Status(
        Severity.WARNING,
        f"the pseudo-data did not settle in {RENEWALS} renewals",
        "An estimate may be infinite (events or non-events alone in some level), or the model too large for the data; "
        'method="laplace" says more',
    )

    def read(self, criterion: Criterion, theta: Array) -> Array:
        return mean_with(criterion.equations.rows, linear_part(criterion).solve(theta)[0], self.included)

    def at(self, known: Array) -> Criterion:
        rows = _pseudo_rows(self.equations.rows, self.family, self.responses, known)
        return build_criterion(self.spec, self.design, self.equations.with_rows(rows))

    def arrived(self, known: Array, left: Array) -> bool:
        return bool(np.abs(left).max() <= SETTLED * max(1.0, float(np.abs(known).max())))


def _pseudo_rows(rows: Rows, family: MeanFamily, responses: Responses, eta: Array) -> Rows:
    """Return the rows with the working response, offset subtracted, and the working weights at η."""
    z, weights = working_data(family, responses, eta)
    return replace(rows, y=z if rows.offset is None else z - rows.offset, weights=weights)
