"""The response of a generalised model: numbers, events among trials, or levels of a factor; and its family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, Severity, SpecError, Status
from ..frame.column import Column
from ..frame.model_frame import ModelFrame
from ..likelihood.base import Family, MeanFamily
from ..likelihood.families import Hurdle, ZeroInflated, make_family
from ..likelihood.families.truncated import Truncated
from ..likelihood.responses import Responses
from ..spec import LikelihoodSpec, ModelSpec, quoted
from ..typing import Array
from .functions import OwnFunctions
from .number import learn_number

CATEGORIES = ("ordinal", "multinomial")
SHOWN = 10
"""Levels listed in a message."""


@dataclass(frozen=True, slots=True, eq=False)
class ObservedResponse:
    """What was observed, and the family that gives its density.

    Parameters
    ----------
    family
        With the number of levels, and the zero inflation or hurdle that was asked for.
    responses
        y, trials, weights and frequencies, (n,) each.
    levels
        Levels of a response of categories, in order; of two-level responses the second is the event. None for numbers.
    label
        The response as it is called in messages.
    notes
        Which level is modelled, what proportions were taken for.
    """

    family: Family
    responses: Responses
    levels: NDArray[Any] | None
    label: str
    notes: tuple[Status, ...] = ()

    def take(self, rows: NDArray[np.intp]) -> ObservedResponse:
        """Return the response of some rows."""
        return replace(self, responses=self.responses.take(rows))


def observe(spec: ModelSpec, frame: ModelFrame) -> tuple[ModelFrame, ObservedResponse]:
    """Return the rows that carry information and their response.

    Rows of 0 trials or of frequency 0 say nothing and are left out with a note.

    Raises
    ------
    DataError
        When the response is outside what the family allows (the value and its row are named), or no order is known
        for levels of an ordinal response.
    SpecError
        When trials, weights, a dispersion, a zero inflation or a hurdle do not belong to the family.
    """
    asked = spec.likelihood
    assert asked is not None
    if asked.family in CATEGORIES:
        codes, levels, notes = _categories(spec, frame, ordered=asked.family == "ordinal")
        family = make_family(asked.family, asked.link, levels=len(levels))
        y, trials = codes.astype(float), None
        named: NDArray[Any] | None = levels
    else:
        base = make_family(asked.family, asked.link)
        assert isinstance(base, MeanFamily)
        family = _with_zeros(base, asked)
        y, trials, named, notes = _numbers(spec, frame, base)
    _check_arguments(family, asked, spec, frame)
    responses = Responses(y, trials, frame.weights, _frequency(asked, frame))
    label = f"the response {spec.formula.partition('~')[0].strip()!r}"
    observed = ObservedResponse(family, responses, named, label, notes)
    frame, observed = _informative(frame, observed)
    family.check(observed.responses, label)
    _check_variation(observed)
    return frame, observed


def _with_zeros(base: MeanFamily, asked: LikelihoodSpec) -> Family:
    """Return the family with the zero inflation or hurdle asked for."""
    components = {part.component for part in asked.parts}
    if "zero" in components and "hurdle" in components:
        raise SpecError("zero_inflation= and hurdle= are two models of the zeros; give one of them.")
    if "zero" in components:
        if not base.discrete or isinstance(base, Truncated):
            raise SpecError(
                f"zero_inflation= does not go with family={asked.family!r}, which has no zeros of its own; use hurdle=."
            )
        return ZeroInflated(base)
    if "hurdle" in components:
        counts = base.discrete and not isinstance(base, Truncated)
        return Hurdle(Truncated(base) if counts else base)
    return base


def _check_arguments(family: Family, asked: LikelihoodSpec, spec: ModelSpec, frame: ModelFrame) -> None:
    """Raise `SpecError` for arguments that the family has no place for."""
    base = family.base if isinstance(family, ZeroInflated | Hurdle) else family
    if any(p.component == "dispersion" for p in asked.parts) and "dispersion" not in family.predictors:
        raise SpecError(f"dispersion= does not go with family={asked.family!r}, which has no dispersion.")
    trials = asked.trials is not None or "trials" in frame.beside
    if trials and not base.takes_trials:
        raise SpecError(
            f"trials= does not go with family={asked.family!r}; it belongs to binomial and betabinomial."
        )
    if trials and asked.form != "value":
        raise SpecError("trials= is given twice: left of '~' and as an argument; leave one of them out.")
    weighted = spec.weights is not None or frame.weights is not None
    if weighted and not base.takes_weights:
        meant = "trials= for events among trials, " if base.takes_trials else ""
        raise SpecError(
            f"weights= are known precisions that divide a dispersion, and family={asked.family!r} has none; use "
            f"{meant}frequency= for how many equal rows a row stands for."
        )


def _numbers(
    spec: ModelSpec, frame: ModelFrame, base: MeanFamily
) -> tuple[Array, Array | None, NDArray[Any] | None, tuple[Status, ...]]:
    """Return y, trials, the two levels of a response that is a factor, and notes."""
    asked = spec.likelihood
    assert asked is not None
    column = _plain_column(spec, frame)
    if column is not None and not column.is_number:
        if not base.takes_trials or asked.form != "value":
            raise DataError(
                f"the response {spec.response!r} must be numeric for family={asked.family!r}; column {column.name!r} "
                f"holds {column.kind()}: {column.remedy()}"
            )
        return _two_levels(column)
    y = _evaluated(spec.response, frame)
    notes: tuple[Status, ...] = ()
    if column is not None and column.values.dtype.kind == "b":
        notes = (_event(column.name, "True"),)
    if asked.form == "value":
        trials = frame.beside.get("trials")
        if asked.trials is not None:
            trials = frame.columns[asked.trials].number()
        if trials is None:
            return y, None, None, notes
        y, found = _events(y, trials)
        return y, trials, None, notes + found
    assert asked.beside is not None
    beside = _evaluated(asked.beside, frame)
    return y, y + beside if asked.form == "others" else beside, None, notes


def _events(y: Array, trials: Array) -> tuple[Array, tuple[Status, ...]]:
    """Return events, of proportions too where all of them are such, and a note that says so."""
    events = np.round(y * trials)
    proportions = (y >= 0.0) & (y <= 1.0) & (np.abs(y * trials - events) <= 1e-6 * np.maximum(trials, 1.0))
    if not (y != np.round(y)).any() or not proportions.all():
        return y, ()
    return events, (
        Status(Severity.NOTE, "the response holds proportions: multiplied by trials to have events"),
    )


def _two_levels(column: Column) -> tuple[Array, None, NDArray[Any], tuple[Status, ...]]:
    """Return 1 for the second level of a factor, 0 for the first, and a note that names the event."""
    levels = column.levels
    if levels is None or len(levels) != 2:
        count = "dates" if levels is None else f"{len(levels)} levels: {_listed(levels)}"
        raise DataError(
            f"a binomial response has two levels; column {column.name!r} has {count}. Use family='multinomial' or "
            "'ordinal', or write which level is the event, I(y == \"level\")."
        )
    return column.values.astype(float), None, levels, (_event(column.name, str(levels[1])),)


def _event(name: str, level: str) -> Status:
    return Status(Severity.NOTE, f"{name}: the probability of {level!r} is modelled")


def _categories(
    spec: ModelSpec, frame: ModelFrame, *, ordered: bool
) -> tuple[NDArray[Any], NDArray[Any], tuple[Status, ...]]:
    """Return codes, levels in order, and a note that lists them."""
    column = _plain_column(spec, frame)
    if column is None:
        values = _evaluated(spec.response, frame)
        column = Column(spec.response, values)
    own = column.factor()
    codes, levels = own.values, own.levels
    assert levels is not None
    if ordered and column.is_factor and not column.ordered:
        codes, levels = _by_number(column.name, codes, levels)
    word = "increasing" if ordered else "reference first"
    return codes, levels, (Status(Severity.NOTE, f"levels of {column.name}, {word}: {_listed(levels)}"),)


def _by_number(name: str, codes: NDArray[Any], levels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return codes and levels in the order of the numbers that the levels read as; `DataError` where they do not."""
    try:
        order = np.argsort([float(level) for level in levels], kind="stable")
    except (TypeError, ValueError):
        raise DataError(
            f"the levels of {name!r} have no declared order: {_listed(levels)}. Declare it, "
            f"pandas.Categorical(data[{name!r}], categories=[...], ordered=True), or use numbers."
        ) from None
    rank = np.empty(len(order), codes.dtype)
    rank[order] = np.arange(len(order), dtype=codes.dtype)
    return rank[codes], levels[order]


def _plain_column(spec: ModelSpec, frame: ModelFrame) -> Column | None:
    """Return the column that a response is, None where it is an expression of columns."""
    plain = {quoted(name): column for name, column in frame.columns.items()}
    return plain.get(spec.response) or frame.columns.get(spec.response)


def _evaluated(text: str, frame: ModelFrame) -> Array:
    return learn_number(text, frame.columns, frame.n, OwnFunctions(frame.context))[1]


def _frequency(asked: LikelihoodSpec, frame: ModelFrame) -> Array | None:
    """Return how many equal rows every row stands for, (n,)."""
    frequency = frame.beside.get("frequency")
    if asked.frequency is not None:
        frequency = frame.columns[asked.frequency].number()
    if frequency is not None and (wrong := (frequency < 0) | (frequency != np.round(frequency))).any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"frequency is {frequency[row]:g} in row {row}; it counts equal rows, so it is a whole number from 0. Use "
            "weights= for precisions."
        )
    return frequency


def _informative(frame: ModelFrame, observed: ObservedResponse) -> tuple[ModelFrame, ObservedResponse]:
    """Return frame and response without the rows of 0 trials or frequency 0."""
    found = observed.responses
    none = np.zeros(frame.n, bool)
    notes = observed.notes
    for values, what in ((found.trials, "0 trials"), (found.frequency, "frequency 0")):
        if values is not None and (empty := (values == 0.0) & ~none).any():
            count = int(empty.sum())
            notes += (Status(Severity.NOTE, f"{count} row{'s' if count > 1 else ''} of {what} left out"),)
            none |= empty
    if not none.any():
        return frame, observed
    rows = np.flatnonzero(~none)
    if len(rows) == 0:
        raise DataError(f"{observed.label} has no row with trials or frequency above 0.")
    return frame.take(rows), replace(observed.take(rows), notes=notes)


def _check_variation(observed: ObservedResponse) -> None:
    """Raise `DataError` for a response that is the same in every row."""
    y, trials = observed.responses.y, observed.responses.trials_or_one
    share = y / trials if observed.responses.trials is not None else y
    if len(y) < 2 or share.min() < share.max():
        return
    what = f"{share[0]:g}" if observed.levels is None else repr(str(observed.levels[int(y[0])]))
    shown = f"{what} of the trials" if observed.responses.trials is not None else what
    raise DataError(f"{observed.label} is {shown} in every row; there is no variation to explain.")


def _listed(levels: NDArray[Any]) -> str:
    return ", ".join(map(str, levels[:SHOWN])) + (" …" if len(levels) > SHOWN else "")
