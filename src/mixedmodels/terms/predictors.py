"""The predictors of a generalised model as one design: β and b of all of them stacked, and what each one reads.

A family's predictors beside the mean (a dispersion, a share of zeros) have formulas of their own, an intercept where
none is given. Their columns and random terms stand after those of the mean, with the component before their names. An
ordinal response has thresholds before the columns of its location; a multinomial one has the columns of the formula for
every level but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..control import Control
from ..covariance.base import Positions
from ..errors import SpecError
from ..frame.model_frame import ModelFrame
from ..likelihood.base import Family
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..likelihood.responses import Responses
from ..spec import ModelSpec, PartSpec
from ..typing import Array, Labels
from .build import build_design
from .design import Design, FixedTerms, RandomTerm
from .response import ObservedResponse
from .rows import FixedRows, Rows, TermRows
from .stack import PredictorRows

INTERCEPT = "(Intercept)"
THRESHOLDS = "(thresholds)"
OVER_LEVELS = ("us", "diag", "homdiag")
"""Structures over random columns that may also be over the levels of a multinomial response."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What the formula of one component became: its design and rows, and X (n, r) in some coordinates."""

    component: str
    design: Design
    rows: Rows
    x: Array

    @classmethod
    def of(cls, component: str, design: Design, rows: Rows) -> Part:
        """Return a part with X as it is in the rows."""
        return cls(component, design, rows, rows.x)


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """The stacked design, its rows as the first predictor reads them, and every predictor."""

    design: Design
    rows: Rows
    predictors: tuple[PredictorRows, ...]


def build_parts(
    spec: ModelSpec, frame: ModelFrame, observed: ObservedResponse, control: Control
) -> tuple[Part, ...]:
    """Return the parts of a generalised model, that of the mean first.

    Raises
    ------
    SpecError, DataError
        As `build_design`, for the formula of any component.
    """
    given = {part.component: part for part in spec.parts}
    names = observed.family.predictors
    categories = isinstance(observed.family, Ordinal | Multinomial)
    parts = [("mean", spec, frame)]
    beside = [name for name in ("nominal",) if name in given] if categories else list(names[1:])
    for name in beside:
        asked = given.get(name) or PartSpec(name, "1")  # type: ignore[call-overload,arg-type]
        own = spec.with_changes(
            fixed=asked.fixed, random=asked.random, offsets=asked.offsets, smooths=(), hold=()
        )
        parts.append((name, own, replace(frame, beside={})))
    found = []
    for name, own_spec, own_frame in parts:
        design, rows = build_design(
            own_spec,
            replace(own_frame, weights=None),
            rank_tolerance=control.rank_tolerance,
            threads=control.threads_for(frame.n),
            memory=control.room,
            response=observed.responses.y,
        )
        part = Part.of(name, design, rows)
        found.append(location_part(part) if isinstance(observed.family, Ordinal) else part)
    return tuple(found)


def assemble(
    parts: Sequence[Part], family: Family, responses: Responses, levels: Labels, spacing: str
) -> Assembled:
    """Return the parts as one model; `levels` are those of categories, `spacing` that of thresholds.

    Raises
    ------
    SpecError
        For a structure that a multinomial response cannot have over its levels.
    """
    if isinstance(family, Ordinal):
        return _ordinal(parts, responses, levels, spacing)
    if isinstance(family, Multinomial):
        return _multinomial(parts[0], levels)
    if len(parts) == 1:
        only = parts[0]
        return Assembled(only.design, only.rows, (_reading(only, 0, only.rows.random),))
    return _components(parts)


def parts_of(design: Design, rows: Rows) -> tuple[Part, ...]:
    """Return the parts of a model that was assembled."""
    return rows.parts or (Part.of("mean", design, rows),)


def _reading(part: Part, first: int, random: tuple[TermRows | None, ...]) -> PredictorRows:
    places = np.arange(first, first + part.x.shape[1])
    return PredictorRows(places, part.x, random, part.rows.offset)


def _components(parts: Sequence[Part]) -> Assembled:
    """Return predictors that share nothing."""
    n = parts[0].design.n
    fixed = join_fixed([(_prefix(part, k), part.design.fixed) for k, part in enumerate(parts)])
    fixed = replace(
        fixed, components=tuple(part.component for part in parts for _ in part.design.fixed.columns)
    )
    random = tuple(
        _prefixed(term, _prefix(part, k)) for k, part in enumerate(parts) for term in part.design.random
    )
    predictors, first, before = [], 0, 0
    for part in parts:
        own: list[TermRows | None] = [None] * len(random)
        own[before : before + len(part.rows.random)] = part.rows.random
        predictors.append(_reading(part, first, tuple(own)))
        first, before = first + part.x.shape[1], before + len(part.rows.random)
    mean = parts[0]
    width = len(fixed.columns) - mean.rows.fixed.matrix.shape[1]
    matrix = np.hstack([mean.rows.fixed.matrix, np.zeros((n, width))])
    absent = [
        TermRows(own.codes, np.zeros((n, term.n_columns)))
        for part in parts[1:]
        for term, own in zip(part.design.random, part.rows.random, strict=True)
    ]
    notes = tuple(note for part in parts for note in part.design.notes)
    return Assembled(
        replace(mean.design, fixed=fixed, random=random, notes=notes),
        replace(
            mean.rows,
            fixed=FixedRows(matrix, fixed.estimable, None, fixed.written_kept),
            random=(*mean.rows.random, *absent),
            parts=tuple(parts),
        ),
        tuple(predictors),
    )


def _prefix(part: Part, place: int) -> str:
    return "" if place == 0 else f"{part.component}: "


def _prefixed(term: RandomTerm, prefix: str) -> RandomTerm:
    if not prefix:
        return term
    return replace(term, label=prefix + term.label, group=prefix + term.group)


def join_fixed(pieces: Sequence[tuple[str, FixedTerms]]) -> FixedTerms:
    """Return the columns of several fixed parts one after the other, each with a prefix to its names."""
    columns: list[str] = []
    terms: list[str] = []
    assign: list[int] = []
    estimable: list[int] = []
    for prefix, fixed in pieces:
        assign += [len(terms) + j for j in fixed.assign]
        estimable += [len(columns) + j for j in fixed.estimable]
        columns += [prefix + name for name in fixed.columns]
        terms += [prefix + name for name in fixed.terms]
    written = None
    if any(fixed.written is not None for _, fixed in pieces):
        written = _diagonal([np.eye(len(f.columns)) if f.written is None else f.written for _, f in pieces])
    null = _diagonal([fixed.null_basis for _, fixed in pieces])
    return FixedTerms(tuple(columns), tuple(terms), tuple(assign), tuple(estimable), null, written)


def _diagonal(blocks: Sequence[Array]) -> Array:
    """Return a block-diagonal matrix of blocks that need not be square."""
    out = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)))
    row = column = 0
    for block in blocks:
        out[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return out


# -- ordered categories ----------------------------------------------------------------------------------------


def location_part(part: Part) -> Part:
    """Return the part of a location without its intercept, which thresholds take the place of."""
    fixed, own = part.design.fixed, part.rows.fixed
    constant = [j for j, name in enumerate(fixed.columns) if name in (INTERCEPT, "Intercept")]
    if not constant or constant[0] not in fixed.estimable:
        raise SpecError(
            "formula: thresholds take the place of the intercept of an ordinal model, so that it must not be taken "
            "out; write the formula without '0 +' or '- 1'."
        )
    (gone,) = constant
    kept = [j for j in range(len(fixed.columns)) if j != gone]
    new = {old: k for k, old in enumerate(kept)}
    used = sorted({fixed.assign[j] for j in kept})
    null = fixed.null_basis[kept]
    written = None if fixed.written is None else fixed.written[np.ix_(kept, kept)]
    terms = FixedTerms(
        tuple(fixed.columns[j] for j in kept),
        tuple(fixed.terms[t] for t in used),
        tuple(used.index(fixed.assign[j]) for j in kept),
        tuple(new[j] for j in fixed.estimable if j != gone),
        null[:, np.abs(null).max(axis=0, initial=0.0) > 0.0],
        written,
    )
    matrix = own.matrix[:, kept]
    rows = FixedRows(matrix, terms.estimable, None, terms.written_kept)
    return Part.of(part.component, replace(part.design, fixed=terms), replace(part.rows, fixed=rows))


def threshold_map(spacing: str, levels: Labels) -> tuple[Array, Labels]:
    """Return J with thresholds τ = Jα, (K − 1, ·), and the names of α; `levels` are the K levels in order.

    `"flexible"`: every threshold its own; `"equidistant"`: the first, and the distance between neighbours;
    `"symmetric"`: the middle of them, and distances from it on either side.
    """
    count = len(levels) - 1
    if spacing == "equidistant" and count > 1:
        return np.column_stack([np.ones(count), np.arange(count)]), ("threshold.1", "spacing")
    if spacing == "symmetric" and count > 2:
        half = count // 2
        side = np.zeros((count, half))
        odd = count % 2
        for k in range(half):
            side[half - 1 - k, k], side[half + odd + k, k] = -1.0, 1.0
        centre = "central" if odd else "centre"
        return np.column_stack([np.ones(count), side]), (centre, *(f"spacing.{k + 1}" for k in range(half)))
    return np.eye(count), tuple(f"{low}|{high}" for low, high in pairwise(levels))


def nominal_columns(x: Array, ends: Array) -> Array:
    """Return the columns of effects on every threshold, (n, r·count), from X (n, r) and rows of J, (n, count)."""
    return np.asarray((x[:, :, None] * ends[:, None, :]).reshape(len(x), -1))


def _nominal_terms(part: Part, thresholds: Labels, mean: Part) -> FixedTerms:
    """Return the coefficients of a part with an effect on every threshold, `"1|2: contact[T.yes]"`.

    Raises
    ------
    SpecError
        Where a column is aliased, or has an effect on the location too.
    """
    fixed = part.design.fixed
    both = [name for name in fixed.columns if name in mean.design.fixed.columns]
    if both:
        raise SpecError(
            f"nominal: {', '.join(both)} has an effect on the location too, which those on all thresholds make up; "
            "leave it out of the formula."
        )
    if fixed.aliased:
        raise SpecError(
            f"nominal: {', '.join(fixed.aliased)} depends linearly on the other columns; leave it out."
        )
    count = len(thresholds)
    columns = tuple(f"{name}: {column}" for column in fixed.columns for name in thresholds)
    terms = tuple(f"thresholds: {term}" for term in fixed.terms)
    assign = tuple(place for place in fixed.assign for _ in thresholds)
    written = (
        None if fixed.written is None else np.asarray(np.kron(fixed.written, np.eye(count)), dtype=np.float64)
    )
    size = len(columns)
    return FixedTerms(columns, terms, assign, tuple(range(size)), np.zeros((size, 0)), written)


def _ordinal(parts: Sequence[Part], responses: Responses, levels: Labels, spacing: str) -> Assembled:
    """Return the ends of the interval of a row: τ_y − η and τ_{y−1} − η, with one z for both."""
    part, nominal = parts[0], parts[1] if len(parts) > 1 else None
    n = part.design.n
    spaced, names = threshold_map(spacing, levels)
    count = spaced.shape[1]
    y = responses.y.astype(np.int64)
    ends = np.vstack([np.zeros((1, count)), spaced, np.zeros((1, count))])
    w = np.empty((n, 0)) if nominal is None else nominal.x
    upper = np.hstack([ends[y + 1], nominal_columns(w, ends[y + 1]), -part.x])
    lower = np.hstack([ends[y], nominal_columns(w, ends[y]), -part.x])
    random = tuple(TermRows(own.codes, -own.dense_values()) for own in part.rows.random)
    offset = None if part.rows.offset is None else -part.rows.offset
    places = np.arange(upper.shape[1])
    thresholds = FixedTerms(names, (THRESHOLDS,), (0,) * count, tuple(range(count)), np.zeros((count, 0)))
    beside = [] if nominal is None else [("", _nominal_terms(nominal, names, part))]
    fixed = join_fixed([("", thresholds), *beside, ("", part.design.fixed)])
    own = len(part.design.fixed.columns)
    components = ("threshold",) * (len(fixed.columns) - own) + ("mean",) * own
    matrix = np.hstack([np.zeros((n, len(fixed.columns) - own)), part.rows.fixed.matrix])
    return Assembled(
        replace(part.design, fixed=replace(fixed, components=components)),
        replace(
            part.rows,
            fixed=FixedRows(matrix, fixed.estimable, None, fixed.written_kept),
            parts=tuple(parts),
        ),
        (PredictorRows(places, upper, random, offset), PredictorRows(places, lower, random, offset)),
    )


# -- unordered categories --------------------------------------------------------------------------------------


def _multinomial(part: Part, levels: Labels) -> Assembled:
    """Return a predictor for every level but the first, each with coefficients and random effects of its own."""
    count = len(levels) - 1
    fixed = join_fixed([(f"{level}: ", part.design.fixed) for level in levels[1:]])
    width, n = part.x.shape[1], part.design.n
    random = tuple(_over_levels(term, levels[1:]) for term in part.design.random)
    predictors = []
    for k in range(count):
        own = tuple(_widened(rows, k, count) for rows in part.rows.random)
        predictors.append(PredictorRows(np.arange(k * width, (k + 1) * width), part.x, own, part.rows.offset))
    columns = len(part.design.fixed.columns)
    matrix = np.zeros((n, columns * count))
    matrix[:, :columns] = part.rows.fixed.matrix
    first = tuple(own for own in predictors[0].random if own is not None)
    return Assembled(
        replace(part.design, fixed=replace(fixed, components=("mean",) * len(fixed.columns)), random=random),
        replace(
            part.rows,
            fixed=FixedRows(matrix, fixed.estimable, None, fixed.written_kept),
            random=first,
            parts=(part,),
        ),
        tuple(predictors),
    )


def _over_levels(term: RandomTerm, levels: Sequence[str]) -> RandomTerm:
    """Return a term with its columns for every level."""
    if term.structure.names[0] not in OVER_LEVELS or term.positions.coordinates is not None:
        raise SpecError(
            f"random term {term.label!r}: a multinomial response has effects for each of its levels, which "
            f"{term.structure.names[0]!r} cannot be over; use {', '.join(OVER_LEVELS)}."
        )
    columns = tuple(f"{level}: {name}" for level in levels for name in term.columns)
    labels = tuple(f"{level}: {name}" for level in levels for name in term.positions.labels)
    return replace(term, columns=columns, positions=Positions(len(columns), labels))


def _widened(own: TermRows, place: int, count: int) -> TermRows:
    """Return Z values among the columns of all levels, (n, p·count)."""
    values = own.dense_values()
    p = values.shape[1]
    wide = np.zeros((len(values), p * count))
    wide[:, place * p : (place + 1) * p] = values
    return TermRows(own.codes, wide)
