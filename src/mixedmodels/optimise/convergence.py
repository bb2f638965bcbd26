"""What to tell the user about where the optimisation ended."""

from __future__ import annotations

import numpy as np

from ..criterion.base import Criterion
from ..criterion.coordinates import column_map
from ..criterion.differences import Evaluation
from ..criterion.parameters import Block, NaturalParameters
from ..errors import Severity, Status
from ..terms.design import RandomTerm
from ..typing import Array

_SHOWN = 4
"""Columns named in a message before it is cut short."""
_AT_LIMIT = 1e-6
"""Distance of a logarithm from its limit below which it is there."""
_UNIT = 1.0 - 1e-7
"""A correlation beyond this is at the end of its range."""
_FLAT = 1e-4
"""Information on the logarithm of a range below which it is not determined (standard error above 100)."""
_SINGULAR = 1e-7
"""Smallest eigenvalue of a correlation matrix below which a fit that did not converge runs into its boundary."""
_EXTREME = 18.4
"""Logarithm of the largest standard deviation of errors over the smallest, 1e8, that a warning tells."""
_FEWER_VARIANCES = "Use a variance function with fewer parameters, or join levels with few rows"
_NOT_FINITE = (
    "the criterion is not finite at the starting values: the covariance of the data is not positive definite "
    "there, or the fixed effects fit the response perfectly; check the response and start=."
)
_FEWER = (
    "Too few clusters show all its positions: use a structure with fewer parameters, such as toep, ar1 or cs"
)
_SIMPLIFY = "Simplify the term if the model should have no such direction"

_NEGATIVE = (
    "bounds='none' allows this: the covariance of the data is positive definite, with negative correlation within "
    "groups. Such a term is no variance of random effects, whose predictions have no standard errors then"
)
_WALLED = (
    "With bounds='none' the likelihood can have its maximum, or several, next to where the covariance of the data is "
    "singular. Leave out random terms with little information, or use bounds='psd'"
)


def ranks(criterion: Criterion, theta: Array, unit: float) -> tuple[tuple[int, ...], ...]:
    """Return the numerical rank of Σ for each random term and set."""
    found: list[list[int]] = [[] for _ in criterion.design.random]
    scales = _scales(criterion, unit)
    for block in criterion.model.random_blocks:
        rank = block.structure.rank(theta[block.place], block.positions, scales[block.term])
        found[block.term].append(rank)
    return tuple(tuple(sets) for sets in found)


def _scales(criterion: Criterion, unit: float) -> list[Array]:
    """Return for each column of each term the variance of b that adds one residual variance to y, (p,) in
    units of Σ(θ)."""
    terms = zip(criterion.design.random, criterion.equations.column_squares(), strict=True)
    return [unit * _column_unit(term, squares) for term, squares in terms]


def _column_unit(term: RandomTerm, total: Array) -> Array:
    """Return 1/(mean of Z'Z per level) of every column, (p,), from their squares."""
    return np.asarray(term.n_levels / np.where(total > 0, total, term.n_levels))


def singular_statuses(
    criterion: Criterion, theta: Array, unit: float, singular: tuple[tuple[int, ...], ...], checked: str
) -> tuple[Status, ...]:
    """Return a note for each covariance that is not positive definite, naming the direction that is zero."""
    statuses = []
    for block in criterion.model.random_blocks:
        term, rank = criterion.design.random[block.term], singular[block.term][block.set]
        if rank < term.n_columns:
            sigma = block.structure.matrix(theta[block.place], block.positions)
            scale = unit * _column_unit(term, criterion.equations.column_squares()[block.term])
            vanished = _vanished_smooth(criterion, term, rank)
            message = vanished or _singular_message(term, block, sigma, scale, rank)
            statuses.append(
                Status(Severity.NOTE, message, checked.strip() if term.penalised else checked + _SIMPLIFY)
            )
    return tuple(statuses)


def indefinite_statuses(criterion: Criterion, theta: Array) -> tuple[Status, ...]:
    """Return a note for each covariance without bounds that is not positive semidefinite."""
    statuses = []
    for block in criterion.model.random_blocks:
        if block.structure.bounded:
            continue
        term = criterion.design.random[block.term]
        sigma = block.structure.matrix(theta[block.place], block.positions)
        lowest = float(np.linalg.eigvalsh(sigma)[0])
        if lowest < 0:
            a = column_map(term)
            sigma = sigma if a is None else a @ sigma @ a.T
            statuses.append(Status(Severity.NOTE, _indefinite_message(term, block, sigma), _NEGATIVE))
    return tuple(statuses)


def _indefinite_message(term: RandomTerm, block: Block, sigma: Array) -> str:
    label = term.set_labels[block.set]
    where = f"{term.label} [{label}]" if label else term.label
    negative = [name for name, value in zip(term.columns, sigma.diagonal(), strict=True) if value < 0]
    if negative:
        noun, verb = ("variance", "is") if len(negative) == 1 else ("variances", "are")
        return f"the {noun} of {_listed(negative)} for {where} {verb} negative"
    return f"the covariance of {_listed(term.columns)} for {where} is not positive semidefinite"


def _vanished_smooth(criterion: Criterion, term: RandomTerm, rank: int) -> str:
    """Return that a smooth is zero where all of it is penalised and no variance is left, "" otherwise."""
    free = any(name.startswith(f"{term.label}[") for name in criterion.design.fixed.columns)
    gone = rank == 0 and term.penalised and term.smooth and not free
    return f"the variance of {term.label} is zero: the smooth is zero everywhere" if gone else ""


def _singular_message(term: RandomTerm, block: Block, sigma: Array, unit: Array, rank: int) -> str:
    label = term.set_labels[block.set]
    where = f"{term.label} [{label}]" if label else term.label
    if rank == 0 and term.penalised:
        free = "what its penalty does not touch, a straight line of one variable"
        return f"the variance of {where} is zero: the smooth is {free}"
    if term.penalised:
        return f"one of the variances of {where} is zero: the smooth is what that penalty does not touch"
    if rank == 0:
        noun = "variance" if term.n_columns == 1 else "variances"
        verb = "is" if term.n_columns == 1 else "are"
        return f"the {noun} of {_listed(term.columns)} for {where} {verb} zero"
    found = column_map(term)
    a: Array = np.eye(term.n_columns) if found is None else found
    zero = np.flatnonzero(np.einsum("ia,ab,ib->i", a, sigma, a) <= 1e-8 * (a**2 @ unit))
    if len(zero) == term.n_columns - rank:
        names = _listed([term.columns[j] for j in zero])
        return f"the variance of {names} for {where} is zero"
    names = _listed(term.columns)
    return f"the covariance of {names} for {where} has rank {rank}: {_null_direction(term, sigma)}"


def _null_direction(term: RandomTerm, sigma: Array) -> str:
    """Write the combination of columns with the smallest variance, in the correlation scale's eigenvector.

    w*'b* with w* of Σ* is w'b with w = A⁻ᵀw*.
    """
    scale = np.sqrt(np.maximum(sigma.diagonal(), 1e-300))
    vectors = np.linalg.eigh(sigma / np.outer(scale, scale))[1]
    weights, a = np.asarray(vectors[:, 0] / scale), column_map(term)
    weights = weights if a is None else np.asarray(np.linalg.solve(a.T, weights), dtype=float)
    weights = weights / weights[np.argmax(np.abs(weights))]
    order = [int(j) for j in np.argsort(-np.abs(weights)) if abs(weights[j]) > 1e-6][:_SHOWN]
    signs = ["-" if weights[j] < 0 else "+" for j in order]
    parts = [f"{abs(weights[j]):.4g}·{term.columns[j]}" for j in order]
    text = " ".join(f"{sign} {part}" for sign, part in zip(signs, parts, strict=True))
    return f"the combination {text.removeprefix('+ ')} has variance zero"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def boundary_check(converged: bool, starts: int) -> str:
    """Return what was checked of an optimum at a boundary, as a sentence; empty where the search did not end."""
    if not converged:
        return ""
    found = f", and no lower value was found from {starts} starts" if starts > 1 else ""
    return f"No step off that boundary lowers −2 log L to first order{found}. "


def several_starts_status(converged: bool, starts: int, astray: float | None = None) -> tuple[Status, ...]:
    """Return what several searches came to; nothing where there was one. `astray` is −2l where one of them ran lower
    without end."""
    if not converged or starts < 2:
        return ()
    if astray is not None:
        message = (
            f"this is the lowest of the optima that searches from {starts} starts ended at, but one of them went on "
            f"to −2 log L = {astray:.5g} without coming to an end: the likelihood may have no maximum"
        )
        hint = (
            "Too few rows for so many parameters: use a simpler structure. fit.start_grid() lists the starts"
        )
        return (Status(Severity.WARNING, message, hint),)
    return (
        Status(Severity.OK, f"no lower value was found from {starts} starts", "fit.start_grid() lists them"),
    )


def error_statuses(
    criterion: Criterion, theta: Array, evaluation: Evaluation, checked: str
) -> tuple[Status, ...]:
    """Return notes on covariance parameters of the errors that are at a boundary or not determined by the
    data."""
    if criterion.design.residual is None:
        return ()
    natural = criterion.natural(theta)
    notes = _singular_notes(criterion, theta, evaluation) if checked else []
    furthest = _smallest_correlation(criterion, theta)
    criterion.value(theta)
    edge = criterion.equations.edge()
    if edge is not None:
        hint = (
            "Take a residual structure with fewer parameters, leave out random effects that say the same, or, where "
            "at most 2,500 rows are tied together, mm.Control(engine='clusters')"
        )
        notes.append(Status(Severity.WARNING, edge, hint))
    if not criterion.model.readable(theta):
        message = (
            "variances of the errors are those of a row of average log standard deviation: no number holds those of "
            "a row whose variance functions are one, so far is it from the data"
        )
        hint = "Centre the covariate, or divide it by its mean, to read them where the functions are one"
        notes.append(Status(Severity.NOTE, message, hint))
    for name, value, kind in zip(natural.names, natural.values.tolist(), natural.kinds, strict=True):
        if name.startswith("nugget") and value == 0:
            notes.append(Status(Severity.NOTE, f"{name} is zero", checked + _SIMPLIFY))
        elif kind != "correlation" or not name.split("(")[-1].startswith("Residual"):
            continue
        elif abs(value if furthest is None else furthest) > _UNIT:
            notes.append(Status(Severity.NOTE, f"{name} is {value:.6g}, at the end of its range", _SIMPLIFY))
    information = evaluation.information + evaluation.curvature
    for block in criterion.model.residual_blocks:
        if block.structure is None or not block.structure.needs_coordinates:
            continue
        for one in block.structure.ranges(block.positions):
            at = theta[block.place.start + one.place]
            if at <= one.low + _AT_LIMIT or at >= one.high - _AT_LIMIT:
                notes.append(_limit_status(natural, block.place.start + one.place))
        own = range(block.place.start + 1, block.place.stop)
        flat = [a for a in own if criterion.free[a] and abs(information[a, a]) < _FLAT and theta[a] != 0]
        named = [natural.names[a] for a in flat if natural.kinds[a] in ("range", "correlation", "other")]
        if named:
            message = f"the likelihood is flat in {', '.join(named)}: the data do not determine it"
            notes.append(Status(Severity.NOTE, message, "Simplify the residual structure"))
    return tuple(notes)


def _limit_status(natural: NaturalParameters, place: int) -> Status:
    return Status(
        Severity.NOTE,
        f"{natural.names[place]} went to the limit of what can be computed: −2 log L falls towards it as far as it is "
        "looked at, so that the data give its direction alone",
        "Simplify the residual structure",
    )


def _smallest_correlation(criterion: Criterion, theta: Array) -> float | None:
    """Return the smallest correlation of two positions where correlations are given per unit of distance, or None.

    Such a parameter is near one in a small unit, whatever the errors do.
    """
    found = []
    for block in criterion.model.residual_blocks:
        structure, at = block.structure, block.positions
        if structure is None or not structure.needs_coordinates or structure.names[0] == "kron":
            return None
        sigma = structure.matrix(theta[block.place], at)
        sd = np.sqrt(np.maximum(np.diag(sigma), 1e-300))
        found.append(float((sigma / np.outer(sd, sd)).min()))
    return min(found)


def _singular_errors(criterion: Criterion, theta: Array) -> str:
    """Return the sets of errors on a grid whose Σ_R is singular to rounding, as text; empty where none is."""
    residual = criterion.design.residual
    if residual is None:
        return ""
    found = []
    for block in criterion.model.residual_blocks:
        if block.structure is None or block.structure.needs_coordinates:
            continue
        with np.errstate(all="ignore"):
            sigma = block.structure.matrix(theta[block.place], block.positions)
            sd = np.sqrt(np.maximum(np.diag(sigma), 1e-300))
            correlation = sigma / sd / sd[:, None]
        # variances that are not finite are of no rank at all
        if not np.isfinite(correlation).all() or np.linalg.eigvalsh(correlation)[0] < _SINGULAR:
            label = residual.set_labels[block.set]
            found.append(f"{block.structure.names[0]}, {label}" if label else block.structure.names[0])
    return "; ".join(found)


def _singular_notes(criterion: Criterion, theta: Array, evaluation: Evaluation) -> list[Status]:
    """Return warnings of errors without variance: a singular Σ_R, and variances that the data leave open."""
    notes = []
    singular = _singular_errors(criterion, theta)
    if singular:
        message = (
            f"the covariance of the errors ({singular}) is all but singular: −2 log L, standard errors and tests "
            "rest on what rounding leaves of its smallest variance"
        )
        notes.append(Status(Severity.WARNING, message, _FEWER))
    undetermined = _undetermined_variances(criterion, theta, evaluation)
    if undetermined:
        message = (
            f"the likelihood does not settle {_listed(undetermined)}: the fixed part fits the rows there exactly, "
            "so that the data say next to nothing of the variance; standard errors rest on it"
        )
        notes.append(Status(Severity.WARNING, message, _FEWER, untested=True))
    return notes + _extreme_rows(criterion, theta, evaluation)


def _extreme_rows(criterion: Criterion, theta: Array, evaluation: Evaluation) -> list[Status]:
    """Return a warning where the variance function leaves the errors of some rows next to nothing."""
    model = criterion.model
    if not model.variance_blocks:
        return []
    natural, flat = criterion.natural(theta), []
    information = (evaluation.information + evaluation.curvature).diagonal()
    for block in model.variance_blocks:
        for a in range(block.place.start, block.place.stop):
            own = np.flatnonzero(natural.jacobian[:, a])
            if len(own) != 1 or natural.kinds[own[0]] != "ratio" or not criterion.free[a]:
                continue
            value, slope = natural.values[own[0]], natural.jacobian[own[0], a]
            if abs(information[a]) * (value / slope) ** 2 < _FLAT:
                flat.append(natural.names[own[0]])
    if flat:
        message = (
            f"the likelihood does not settle {_listed(flat)}: the model fits the rows there, so that the data say "
            "next to nothing of their variance; standard errors rest on it"
        )
        return [Status(Severity.WARNING, message, _FEWER_VARIANCES, untested=True)]
    estimated = any(criterion.free[block.place].any() for block in model.variance_blocks)
    log_sd = model.relative_log_sd(theta) if estimated else np.zeros(1)
    if np.ptp(log_sd) <= _EXTREME:
        return []
    message = (
        "the errors of some rows are all but zero: the variance function spreads their standard deviations "
        f"{np.exp(np.ptp(log_sd)):.0e} to 1, so that everything rests on a few rows"
    )
    return [Status(Severity.WARNING, message, _FEWER_VARIANCES, untested=True)]


def _undetermined_variances(criterion: Criterion, theta: Array, evaluation: Evaluation) -> list[str]:
    """Return variances of errors on a grid, by name, on whose logarithm there is next to no information."""
    natural, found = criterion.natural(theta), []
    information = (evaluation.information + evaluation.curvature).diagonal()
    for block in criterion.model.residual_blocks:
        if block.structure is None or block.structure.needs_coordinates:
            continue
        for a in range(block.place.start, block.place.stop):
            own = np.flatnonzero(natural.jacobian[:, a])
            if len(own) != 1 or natural.kinds[own[0]] != "variance" or not criterion.free[a]:
                continue
            value, slope = natural.values[own[0]], natural.jacobian[own[0], a]
            if abs(information[a]) * (value / slope) ** 2 < _FLAT:
                found.append(natural.names[own[0]])
    return found


def not_finite_message(criterion: Criterion, theta: Array) -> str:
    """Return why a search cannot start at θ, where the criterion is not finite."""
    singular = _singular_errors(criterion, theta)
    if not singular:
        return _NOT_FINITE
    return (
        f"the criterion is not finite at the starting values: the covariance of the errors ({singular}) is singular "
        "there, and no random effects make up for it; use a structure of full rank, such as fa(q), which adds a "
        "variance of its own to each position of fa0(q), or other start= values."
    )


def stalled_status(
    criterion: Criterion, theta: Array, evaluation: Evaluation, decrement: float, iterations: int, reason: str
) -> Status:
    """Return the warning of a fit that did not converge."""
    message = (
        f"did not converge after {iterations} iterations ({reason}): the criterion {evaluation.value:.8g} is "
        f"predicted to fall by {0.5 * decrement:.2g} more"
    )
    if not criterion.design.bounded:
        return Status(Severity.WARNING, message, _WALLED)
    singular = _singular_errors(criterion, theta)
    if singular:
        return Status(
            Severity.WARNING,
            f"{message}; the covariance of the errors ({singular}) becomes singular and the likelihood keeps rising",
            _FEWER,
        )
    return Status(
        Severity.WARNING,
        message,
        "Centre the columns of random slopes and scale them to similar size, simplify the random terms, give "
        "start= values, or "
        "raise control.max_iterations",
    )


def kink_status(criterion: Criterion, theta: Array, place: int) -> Status:
    """Return the note of a range that is one of the observed distances."""
    return Status(
        Severity.NOTE,
        f"the likelihood has its maximum at a kink: {criterion.natural(theta).names[place]} is that of an observed "
        "distance",
        "Its standard error takes the likelihood as smooth; 'sph' is a similar structure without kinks",
    )
