"""Where the optimisation starts: moments, or values given by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..criterion.base import Criterion
from ..criterion.held_columns import placed
from ..criterion.parameters import place_by_name
from ..errors import SpecError
from ..typing import Array
from .ladder import ladder, ladder_starts
from .moments import moment_start
from .random_ladder import around_moments

Start: TypeAlias = Array | Mapping[str, float] | Sequence[Mapping[str, float]] | None

RAISES = 40
"""Times variances that were not given are doubled to make room for values that were."""


def starting_points(criterion: Criterion, start: Start, control: Control) -> list[Array]:
    """Return the θ to search from, the most promising first.

    Parameters
    ----------
    criterion
        The criterion.
    start
        θ itself, natural values by parameter name, several such sets, or None for moments.
    control
        `starts` is how many there are at most.
    """
    points = _starting_points(criterion, start)
    return points if control.starts is None else points[: control.starts]


def _starting_points(criterion: Criterion, start: Start) -> list[Array]:
    if isinstance(start, np.ndarray):
        return [np.array(start, dtype=float)]
    if not start and not criterion.held and criterion.linear is None:
        return [_moments(criterion)]
    if not start and not criterion.equations.homogeneous:
        held = _held_values(criterion)
        return ladder_starts(
            criterion, (lambda theta: place_values(criterion, theta, held, "hold")) if held else None
        )
    if not start and not criterion.held:
        return around_moments(criterion, moment_start(criterion))
    points = [point for point in given_points(criterion, start or {}) if point is not None]
    return [min(points, key=criterion.value)] if len(points) > 1 else points


def given_points(
    criterion: Criterion, start: Mapping[str, float] | Sequence[Mapping[str, float]]
) -> list[Array | None]:
    """Return θ at natural values given by name, one for each set; None for sets of a grid that define no Σ.

    Parameters not named are at moments. Values that the criterion holds are put in place too.
    """
    rows = [start] if isinstance(start, Mapping) else list(start)
    linear, base = criterion.linear, _moments(criterion)
    joint = criterion if linear is None else linear.jointly()
    base = base if linear is None else linear.absolute(base)
    names, held = joint.natural(base).names, _held_values(criterion)
    given = [place_by_name(row, names, "start") for row in rows]
    argument = "start= or hold" if held else "start"

    def place(values: Mapping[int, float]) -> Array:
        both = {**values, **held}
        theta = place_values(joint, base, both, argument)
        theta = joint.placed(theta, {names[i]: value for i, value in both.items()})
        return theta if linear is None or linear.joint else linear.jointly().relative(theta)

    if len(rows) == 1:
        return [place(given[0])]
    found: list[Array | None] = []
    reasons: list[str] = []
    for row in given:
        try:
            found.append(place(row))
        except SpecError as error:
            found.append(None)
            reasons.append(str(error))
    if len(reasons) == len(rows):
        raise SpecError(f"start: none of {len(rows)} combinations of values can be used: {reasons[0]}")
    return found


def _moments(criterion: Criterion) -> Array:
    """Return θ from the data alone, whatever is held."""
    own = criterion.own_start()
    if own is not None:
        return own
    if criterion.equations.homogeneous:
        return moment_start(criterion)
    held = _held_values(criterion)
    return ladder_starts(
        criterion, (lambda theta: place_values(criterion, theta, held, "hold")) if held else None
    )[0]


def _held_values(criterion: Criterion) -> dict[int, float]:
    if not criterion.held:
        return {}
    usual = criterion.own_start()
    if usual is None:
        usual = moment_start(criterion) if criterion.equations.homogeneous else ladder(criterion)[0][1]
    return place_by_name(dict(criterion.held), criterion.natural(usual).names, "hold")


def place_values(criterion: Criterion, theta: Array, given: Mapping[int, float], argument: str) -> Array:
    """Return joint θ with some natural values replaced, by their places.

    Variances not given are raised where Σ would not be valid.
    """
    out = theta.copy()
    structural = criterion.model.n_structural
    # variances of the errors are read by the parameters of variance functions, so that these come first
    stages = ((structural, criterion.n_theta), (0, structural))
    for lowest, end in stages if criterion.model.by_row else stages[1:]:
        _place_blocks(criterion, out, (lowest, end), given, argument)
    return out


def _place_blocks(
    criterion: Criterion, out: Array, among: tuple[int, int], given: Mapping[int, float], argument: str
) -> None:
    """Put natural values into θ for the blocks that stand among some of its parameters."""
    first = 0
    for place, found, names in criterion.model.natural_blocks(out):
        inside = {i - first: v for i, v in given.items() if first <= i < first + len(names)}
        if inside and among[0] <= place.start < among[1]:
            target = np.array(found.values, dtype=float)
            raisable = np.array([kind == "variance" for kind in found.kinds])
            for i, value in inside.items():
                target[i], raisable[i] = value, False
            named = {names[i]: v for i, v in inside.items()}
            own = placed(criterion.model, place, out, inside)
            if own is None:
                own = _from_natural(criterion, out, place, target, raisable, named, argument)
            out[place] = own
        first += len(names)


def _from_natural(
    criterion: Criterion,
    theta: Array,
    place: slice,
    target: Array,
    raisable: NDArray[np.bool_],
    given: Mapping[str, float],
    argument: str,
) -> Array:
    for _ in range(RAISES):
        try:
            return criterion.model.from_natural(place, target, theta)
        except ValueError as error:
            reason = str(error)
        if not raisable.any():
            break
        target = np.where(raisable, 2 * target, target)
    shown = ", ".join(f"{name} = {value:g}" for name, value in given.items())
    raise SpecError(f"no valid covariance has {shown}: {reason}. Change these values of {argument}=.")
