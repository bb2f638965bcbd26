"""Frame, design, equations, optimum, fit: what every verb does after it has read its text."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..control import Control
from ..criterion import Criterion, Undetermined, linear_part, undetermined
from ..engines import (
    Engine,
    Layout,
    choose_engine,
    engine_of_whole_clusters,
    engine_that_comes_near,
    why_simulated,
)
from ..engines.base import Equations
from ..engines.plan import check_parameters
from ..errors import ConvergenceWarning, FitError, Severity, SpecError, Status, carried_through
from ..fit import Fit, Inputs, conditional_mean
from ..frame.ingest import build_frame
from ..frame.model_frame import ModelFrame
from ..frame.readers import open_source
from ..frame.stream import is_dask, open_stream
from ..optimise.alternate import RENEWALS, alternate, alternate_near
from ..optimise.batched import optimise_near
from ..optimise.newton import optimise
from ..optimise.optimum import Optimum
from ..optimise.start import Start
from ..spec import ModelSpec
from ..syntax.everything import with_everything
from ..terms.build import build_design
from ..terms.design import Design
from ..terms.rows import Rows
from ..tool import load
from ..typing import Array
from ..workings import build_criterion, own_columns

ROOM = 1e-6
"""Fall of −2l by which another value of a parameter that is held counts as better."""


VANISHED = 1e-6
"""σ² over the variance of the response at which −2l of n rows is known to n × 2e-10."""
NEAR_ENOUGH = 1e-6
"""g'H⁻¹g at which a simulated search ends that an exact one goes on from: below its Monte Carlo error."""
THINNED = 2000
"""Rows given their neighbours by which a search of many more begins."""
FEW = 1000
"""Rows up to which a search without errors starts from starting values of its own too."""


FITTERS = {
    "laplace": "api.integrated:fit_integrated",
    "quadrature": "api.integrated:fit_integrated",
    "rspl": "api.pseudo:fit_pseudo",
    "mspl": "api.pseudo:fit_pseudo",
    "rmpl": "api.pseudo:fit_pseudo",
    "mmpl": "api.pseudo:fit_pseudo",
}
"""Who fits a generalised model, `(spec, inputs, control) -> Fit`, by how its random effects are integrated out."""


def refuse_random(spec: ModelSpec, verb: str) -> None:
    """Raise `SpecError` where a model without random terms has some."""
    smooths = () if verb == "gls" else spec.smooths
    random = (*spec.random, *smooths, *(term for part in spec.parts for term in part.random))
    if random:
        terms, other = ", ".join(map(str, random)), "lmm" if spec.likelihood is None else "glmm"
        raise SpecError(f"formula: {terms} is a random term, which `{verb}` does not fit; use `{other}`.")


def _check_known(spec: ModelSpec, known: Mapping[str, Any]) -> None:
    """Raise `SpecError` for a known matrix that no term uses."""
    unused = [name for name in known if not spec.uses_known(name)]
    if unused:
        raise SpecError(
            f"known= holds {', '.join(map(repr, unused))}, which no term of the model uses: write "
            f"(1 | g, cov={unused[0]}) or (1 | g, precision={unused[0]}) in the formula, or leave it out."
        )


def fit_model(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a spec to data: frame, design, objective, optimum, fit."""
    load("inference.ddf:check_method")(spec.ddf)
    if not isinstance(control, Control):
        raise SpecError(f"control={control!r} must be settings, for example mm.Control(threads=1).")
    if inputs.known is not None and not isinstance(inputs.known, Mapping):
        kind = type(inputs.known).__name__
        raise SpecError(
            f"known= must map names to matrices, for example known={{'A': matrix}}, not a {kind}."
        )
    if inputs.client is not None or is_dask(inputs.data):
        spread: Fit = load("api.spread:fit_spread")(spec, inputs, control)
        return spread
    stream = open_stream(inputs.data)
    if stream is not None:
        streamed: Fit = load("api.streamed:fit_stream")(spec, stream, inputs, control)
        return streamed
    spec = with_everything(spec, lambda: open_source(inputs.data).names)
    _check_known(spec, inputs.known or {})
    if spec.likelihood is not None:
        generalised: Fit = load(FITTERS[spec.likelihood.approximation])(spec, inputs, control)
        load("inference.ddf:check_given")(generalised)
        return generalised
    if spec.moments:
        by_moments: Fit = load("api.moments:fit_moments")(spec, inputs, control)
        return by_moments
    frame, design, rows = read_model(spec, inputs, control)
    with carried_through("the fit"):
        found = search(spec, design, rows, control, spec.start_values)
        warn_unconverged(found.optimum)
        fit = Fit.from_optimum(
            spec,
            frame.schema,
            found.design,
            found.rows,
            found.criterion,
            found.optimum,
            engine=found.engine,
            control=control,
            notes=frame.notes + found.design.notes + control.notes,
            inputs=owned(spec, inputs, frame, design) if control.keep_data else None,
        )
    load("inference.ddf:check_given")(fit)
    return fit


def read_model(spec: ModelSpec, inputs: Inputs, control: Control) -> tuple[ModelFrame, Design, Rows]:
    """Return the columns of a linear model, its design and its rows."""
    frame = build_frame(
        spec,
        inputs.data,
        weights=inputs.weights,
        known=inputs.known,
        subset=inputs.subset,
        context=inputs.context,
    )
    threads = control.threads_for(frame.n)
    tolerance, room = control.rank_tolerance, control.room
    with carried_through("the fit"):
        return frame, *build_design(spec, frame, rank_tolerance=tolerance, threads=threads, memory=room)


def warn_unconverged(optimum: Optimum, stacklevel: int = 4) -> None:
    """Warn of a fit that did not converge where the verb was called."""
    if not optimum.converged:
        stalled = [status for status in optimum.statuses if status.severity is Severity.WARNING]
        warnings.warn(" ".join(f"{status}." for status in stalled), ConvergenceWarning, stacklevel=stacklevel)


def owned(spec: ModelSpec, inputs: Inputs, frame: ModelFrame, design: Design) -> Inputs:
    """Return what a fit keeps of what it was given: copies of its own."""
    summed = spec.residual is not None and spec.residual.structure.name == "lin"
    if summed:
        known = deepcopy(dict(inputs.known or {}))
    else:
        given = inputs.known or {}
        maps = {name: deepcopy(given[name]) for name in spec.known_of_smooths if name in given}
        known = _known_in_design(design) | maps
    return replace(
        inputs,
        data=frame.kept,
        weights=deepcopy(inputs.weights),
        known=known or None,
        subset=deepcopy(inputs.subset),
        beside=deepcopy(dict(inputs.beside)),
    )


def _known_in_design(design: Design) -> dict[str, Any]:
    """Return the known covariances of random terms as the design holds them, with their levels."""
    return {
        term.known.name: (
            term.known.covariance if term.known.precision is None else term.known.precision,
            term.level_parts[0],
        )
        for term in design.random
        if term.known is not None
    }


@dataclass(frozen=True, slots=True)
class Found:
    """What a search ends with.

    The design with what its data do not determine held, the rows with variance functions of the fitted mean settled,
    the criterion and its optimum, both about random columns in coordinates of their own, and the engine's name.
    """

    design: Design
    rows: Rows
    criterion: Criterion
    optimum: Optimum
    engine: str


def search(
    spec: ModelSpec,
    design: Design,
    rows: Rows,
    control: Control,
    start: Start = None,
    near: Array | None = None,
) -> Found:
    """Return the optimum of a design and its rows; `near` is θ̂ of a neighbouring fit."""
    check_parameters(design, control)
    own, own_rows = own_columns(spec, design, rows, control)
    layout = Layout.of(own)
    engine = choose_engine(layout, own_rows, control)
    notes: tuple[Status, ...] = ()
    if start is None and near is None and not spec.hold and not own.held:
        near, notes = simulated_start(spec, own, own_rows, control, engine)
    if engine.simulates and control.engine == "auto":
        reason = why_simulated(layout, own_rows, control)
        notes = (
            Status(
                Severity.NOTE, f"simulated by the {engine.name} engine, no exact one being taken ({reason})"
            ),
        )
    equations = engine.equations(layout, own_rows, control)
    free: tuple[Undetermined, ...] = ()
    if not equations.homogeneous:
        names = [item if isinstance(item, str) else item[0] for item in spec.hold]
        free = undetermined(own, equations, [*names, *dict(design.held)])
    if free:
        design, criterion, optimum = _with_room(spec, design, own, equations, control, start, free)
    else:
        criterion, optimum = fit_equations(spec, own, equations, control, start, near)
        if control.engine == "auto" and errors_vanish(own, criterion, optimum):
            engine, criterion, optimum = _without_errors(
                spec, own, own_rows, control, engine, criterion, optimum
            )
    settled = criterion.equations.rows.residual
    rows = rows if settled is rows.residual else replace(rows, residual=settled)
    if notes:
        optimum = replace(optimum, statuses=(*optimum.statuses, *notes))
    return Found(design, rows, criterion, optimum, engine.name)


def simulated_start(
    spec: ModelSpec, design: Design, rows: Rows, control: Control, engine: Engine
) -> tuple[Array | None, tuple[Status, ...]]:
    """Return θ next to the optimum from a simulated search, where exact evaluations take long, and what is said of it.

    The exact engine then confirms it: a search from there ends by its own derivatives, as any other.
    """
    layout = Layout.of(design)
    first = engine_that_comes_near(layout, rows, control, engine)
    if first is None:
        return None, ()
    other, _ = first
    criterion = build_criterion(spec, design, other.equations(layout, rows, control))
    try:
        found = optimise(criterion, replace(control, decrement=max(control.decrement, NEAR_ENOUGH)))
    except FitError:
        # levels that hardly meet, for which conjugate gradients take too many steps
        return None, ()
    if not found.converged:
        return None, ()
    operations = engine.cost(layout, rows)[0]
    note = Status(
        Severity.NOTE,
        f"one exact evaluation takes {operations:.0e} operations, so that the search began by simulation (the "
        f"{other.name} engine, {found.probes} random probes); the {engine.name} "
        "engine went on from there, and everything reported is exact",
        f"control=mm.Control(engine={engine.name!r}) leaves simulation out",
    )
    return found.theta, (note,)


def errors_vanish(design: Design, criterion: Criterion, optimum: Optimum) -> bool:
    """Return whether random effects, as many as there are rows, leave next to no variance to the errors.

    Notes
    -----
    Equations relative to σ² then lose the digits by which y'y exceeds y'P̃y = νσ̂²: −2l is known to about
    n ε var(y)/σ², ε = 2.2e-16, and its slope in the logarithm of σ² to no better.
    """
    linear = criterion.linear
    if linear is None or linear.joint or not criterion.equations.homogeneous or not optimum.theta.size:
        return False
    if sum(term.n_levels * term.n_columns for term in design.random) < criterion.nu:
        return False
    spread = criterion.equations.response_square() / design.n
    return bool(linear.sigma2(optimum.theta) <= VANISHED * spread)


def _without_errors(
    spec: ModelSpec,
    design: Design,
    rows: Rows,
    control: Control,
    engine: Engine,
    criterion: Criterion,
    optimum: Optimum,
) -> tuple[Engine, Criterion, Optimum]:
    """Return engine, criterion and optimum where V is formed itself, as it is at σ² = 0, or what was found before."""
    layout = Layout.of(design)
    other = engine_of_whole_clusters(layout, rows, control)
    if other is None:
        return engine, criterion, optimum
    equations = other.equations(layout, rows, control)
    linear = linear_part(criterion)
    found = []
    for near in (linear.absolute(optimum.theta), None):
        if near is None and len(rows) > FEW:
            continue
        try:
            ended = fit_equations(spec, design, equations, control, near=near)
            # an error variance that has left the range of numbers is that of a fit which is exact
            linear_part(ended[0]).relative(ended[1].theta)
            found.append(ended)
        except (FitError, ArithmeticError, np.linalg.LinAlgError):
            # a response that is fitted exactly: V is singular without errors, or grows without limit
            continue
    if not found:
        return engine, criterion, optimum
    exact, best = min(found, key=lambda one: (not one[1].converged, round(one[1].value, 6)))
    return other, exact, best


def _with_room(
    spec: ModelSpec,
    design: Design,
    own: Design,
    equations: Equations,
    control: Control,
    start: Start,
    free: tuple[Undetermined, ...],
) -> tuple[Design, Criterion, Optimum]:
    """Return the design with ratios that the data do not determine held, its criterion and optimum.

    They are held at one, or, where a variance of random effects then ends on its boundary, at a value that leaves it
    room.
    """
    best: tuple[tuple[tuple[str, float], ...], Criterion, Optimum] | None = None
    for values in zip(*(one.values for one in free), strict=True):
        held = tuple((one.name, value) for one, value in zip(free, values, strict=True))
        criterion, optimum = fit_equations(
            spec, replace(own, held=own.held + held), equations, control, start
        )
        if best is None or optimum.value < best[2].value - ROOM:
            best = held, criterion, optimum
        full = zip(own.random, best[2].singular, strict=True)
        if all(rank == term.n_columns for term, ranks in full for rank in ranks):
            break
    assert best is not None
    held, criterion, optimum = best
    notes = tuple(held_note(one, value) for one, (_, value) in zip(free, held, strict=True))
    return replace(design, held=design.held + held, notes=design.notes + notes), criterion, optimum


def held_note(one: Undetermined, value: float) -> Status:
    """Return what is said of a parameter that the data do not determine."""
    return Status(
        Severity.NOTE,
        f"the data do not determine {one.name} beside {', '.join(one.others)}: moving them together changes no "
        "covariance of the data, and so neither the likelihood nor the fixed effects and their covariance. It is held "
        f"at {value:g}, without a standard error",
        "Give hold= to hold it elsewhere",
    )


def fit_equations(
    spec: ModelSpec,
    design: Design,
    equations: Equations,
    control: Control,
    start: Start = None,
    near: Array | None = None,
) -> tuple[Criterion, Optimum]:
    """Return criterion and optimum of a design on its equations, variance functions of the fitted mean settled.

    Notes
    -----
    Such functions take the fitted mean as known; it is renewed after each fit until the criterion moves by
    less than 1e-8, as in nlme (`optimise.alternate`).
    """
    if spec.moments:
        raise SpecError(
            f"a fit by method={spec.moments!r} has no search to repeat for other rows or responses; use "
            "fit.update(method='reml')."
        )
    criterion = build_criterion(spec, design, equations)
    if near is None and not start:
        near = thinned_start(spec, design, equations, control)
    # equations of cross-products hold no rows, and have no such functions
    known = None if design.residual is None else fitted_covariate(design, equations.rows)
    if near is not None and len(near) != criterion.n_theta:
        # a neighbour on another engine, in other parameters
        near = None
    if known is None:
        optimum = (
            optimise(criterion, control, start) if near is None else optimise_near(criterion, control, near)
        )
        return criterion, optimum
    renewal = _FittedMean(spec, design, equations)
    if near is None:
        return alternate(criterion, known, renewal, control, start)
    return alternate_near(criterion, known, renewal, control, near)


def thinned_start(spec: ModelSpec, design: Design, equations: Equations, control: Control) -> Array | None:
    """Return θ̂ of some of the rows given their neighbours, where there are many; None for a search of all rows.

    What the other rows say moves it by a fraction, so that the ranges to start from are tried on few rows.
    """
    if not equations.packed or design.n < 2 * THINNED:
        return None
    few = build_criterion(spec, replace(design, n=THINNED), equations.thinned(THINNED))
    try:
        found = optimise(few, control)
    except FitError:
        return None
    return found.theta if found.converged else None


@dataclass(frozen=True, slots=True)
class _FittedMean:
    """The fitted mean that variance functions take as known."""

    spec: ModelSpec
    design: Design
    equations: Equations
    comparable = True
    unsettled = Status(
        Severity.WARNING,
        f"the variance function of the fitted mean did not settle in {RENEWALS} renewals",
        "Use a function of a covariate instead",
    )

    def arrived(self, known: Array, left: Array) -> bool:
        """Return False: that −2l does not change any more says it."""
        return False

    def read(self, criterion: Criterion, theta: Array) -> Array:
        return conditional_mean(self.equations.rows, linear_part(criterion).solve(theta)[0])

    def at(self, known: Array) -> Criterion:
        rows = _renewed(self.design, self.equations.rows, known)
        return build_criterion(self.spec, self.design, self.equations.with_rows(rows))


def fitted_covariate(design: Design, rows: Rows) -> Array | None:
    """Return the fitted mean in the variance functions of a model, (n,), None where they have none."""
    if design.residual is None or rows.residual is None:
        return None
    terms = zip(design.residual.variance, rows.residual.variance, strict=True)
    return next((own.covariate for term, own in terms if term.fitted), None)


def start_near(fit: Fit) -> Array | None:
    """Return θ̂ as the start of a search for another response or other rows, None for a search from scratch.

    A singular θ̂ is no good start, and −2l of errors correlated over distances may have several minima.
    """
    residual = fit.design.residual
    structure = None if residual is None else residual.structure
    if fit.singular or (residual and structure and structure.ranges(residual.positions)):
        return None
    return fit.optimum.theta


def _renewed(design: Design, rows: Rows, mean: Array) -> Rows:
    """Return the rows with the fitted mean in variance functions of it."""
    assert design.residual is not None
    fitted = [k for k, term in enumerate(design.residual.variance) if term.fitted]
    return rows.with_covariates(dict.fromkeys(fitted, mean))
