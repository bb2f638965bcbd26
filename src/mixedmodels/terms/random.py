"""Random terms: each bar and each smooth bound to data as a `RandomTerm`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..covariance import bind, structure_class
from ..covariance.base import Positions, Structure
from ..covariance.penalty import Penalty
from ..covariance.unbounded import Unbounded
from ..errors import Severity, SpecError, Status
from ..frame.column import Column
from ..frame.model_frame import ModelFrame
from ..spec import ModelSpec, RandomSpec
from ..syntax.algebra import Term, column, expand
from ..syntax.spelling import variables
from ..typing import Array, Codes, Labels
from .checks import check_identifiable, note_exchangeable
from .design import FixedTerms, RandomTerm
from .encoder import INTERCEPT, DirectEncoder, Encoder
from .fixed import FixedEncoding, fill_direct, learn_encoder
from .groups import Group, bind_group, find_levels, match_codes
from .known import bind_known
from .learn_smooth import Learned
from .positions import order_notes
from .rows import FixedRows, TermRows
from .size import check_points
from .smooth import CurveRandom, LearnedCurve
from .spline import SplineBasis


@dataclass(frozen=True, slots=True, eq=False)
class CoordinateBasis:
    """Indicators of the distinct points of the coordinate columns, sorted; `points` is (p, d)."""

    variables: Labels
    points: Array

    @property
    def columns(self) -> Labels:
        if len(self.variables) == 1:
            return tuple(f"{self.variables[0]}[{point[0]:.6g}]" for point in self.points)
        return tuple(f"({', '.join(f'{value:.6g}' for value in point)})" for point in self.points)

    def matrix(self, data: Mapping[str, Column], n: int) -> Array:
        """Return the indicators, (n, p), zeros where a row stands at none of the points."""
        place = {tuple(point): k for k, point in enumerate(self.points.tolist())}
        out = np.zeros((n, len(self.points)))
        for row, point in enumerate(self.coordinates(data).tolist()):
            if (k := place.get(tuple(point))) is not None:
                out[row, k] = 1.0
        return out

    def coordinates(self, data: Mapping[str, Column]) -> Array:
        """Return where each row stands, (n, d)."""
        return np.column_stack([data[name].number() for name in self.variables])


RowBasis: TypeAlias = Encoder | SplineBasis | CurveRandom | CoordinateBasis
"""Anything that turns columns of data into the Z values of a term."""


@dataclass(frozen=True, slots=True, eq=False)
class RandomEncoding:
    """How one random term reads new data: the columns that form its levels, its Z values, and the column and
    levels that choose the parameter set (`by=`)."""

    group: Labels
    basis: RowBasis
    by: str | None = None
    by_levels: NDArray[Any] | None = None

    def codes(self, term: RandomTerm, data: Mapping[str, Column], n: int) -> Codes:
        """Return the level of each row among those of `term`, (n,), −1 for a level not in the fit."""
        if not self.group:
            return np.zeros(n, np.int32)
        return find_levels(term.level_parts, [data[name] for name in self.group])

    def sets(self, term: RandomTerm, codes: Codes, data: Mapping[str, Column]) -> Codes:
        """Return the parameter set of each row, (n,): that of its level, or what a new level's `by` column
        says; −1 where that is not known."""
        found = term.sets[np.maximum(codes, 0)] if len(term.sets) else codes
        if self.by_levels is None or (codes >= 0).all():
            return found
        column = data.get(self.by or "")
        own = np.full_like(codes, -1) if column is None else match_codes(column, self.by_levels)
        return np.where(codes >= 0, found, own).astype(np.int32)

    def points(self, data: Mapping[str, Column]) -> Array | None:
        """Return where each row stands, (n, d); None for terms without coordinates."""
        return self.basis.coordinates(data) if isinstance(self.basis, CoordinateBasis) else None

    def values(self, data: Mapping[str, Column], n: int) -> Array | None:
        """Return Z values (n, p), None for a single column of ones."""
        return None if self.basis.columns == (INTERCEPT,) else self.basis.matrix(data, n)


def build_random(
    spec: ModelSpec,
    frame: ModelFrame,
    fixed: tuple[FixedTerms, FixedRows, FixedEncoding],
    smooths: tuple[Learned, ...],
    tolerance: float,
) -> tuple[tuple[RandomTerm, ...], tuple[TermRows, ...], tuple[RandomEncoding, ...], tuple[Status, ...]]:
    """Return the random terms in the order written, smooths last, their rows, how each reads new data, and notes."""
    terms: list[RandomTerm] = []
    rows: list[TermRows] = []
    encodings: list[RandomEncoding] = []
    notes: list[Status] = []
    for asked in spec.random:
        term, own, encoding, note = bind_term(asked, spec, frame, fixed, terms)
        terms.append(term)
        rows.append(own)
        encodings.append(encoding)
        notes += note
        check_identifiable(asked, term, own, spec, frame, fixed[:2], tolerance)
        notes += note_exchangeable(asked, term, own, spec, frame)
    for alike in _sharing(smooths):
        if alike[0].random.shape[1]:
            term, own, encoding = _smooth_term(alike, frame)
            terms.append(term)
            rows.append(own)
            encodings.append(encoding)
    return tuple(terms), tuple(rows), tuple(encodings), tuple(notes)


def _unique(label: str, terms: Sequence[RandomTerm]) -> str:
    same = sum(term.group == label for term in terms)
    return f"{label}.{same}" if same else label


def bind_term(
    asked: RandomSpec,
    spec: ModelSpec,
    frame: ModelFrame,
    fixed: tuple[FixedTerms, FixedRows, FixedEncoding],
    before: Sequence[RandomTerm] = (),
) -> tuple[RandomTerm, TermRows, RandomEncoding, list[Status]]:
    """Return a bar bound to rows, its label unlike those of the terms before it; nothing is checked about the rows."""
    names = () if asked.group == ("all",) and "all" not in frame.factors else asked.group
    group = bind_group(names, asked.by, frame.factors, frame.n)
    basis, values, positions, notes = _bind_effects(asked, spec, frame, fixed)
    if not asked.coordinates:
        notes += order_notes(asked, [frame.columns[name] for name in variables(asked.effects)])
    term = RandomTerm(
        label=_unique(group.label, before),
        group=group.label,
        columns=basis.columns,
        level_parts=group.parts,
        structure=_structure(asked, spec, frame, positions),
        positions=positions,
        sets=group.sets,
        set_labels=group.set_labels,
    )
    if asked.cov or asked.precision:
        term = _with_known(term, asked, group, frame)
    by_levels = frame.factors[asked.by].levels if asked.by else None
    rows = TermRows(group.codes, None if basis.columns == (INTERCEPT,) else values)
    return term, rows, RandomEncoding(group.names, basis, asked.by, by_levels), notes


def _structure(asked: RandomSpec, spec: ModelSpec, frame: ModelFrame, positions: Positions) -> Structure:
    """Return the structure of a term, bound to its numbers of coordinates or levels and checked."""
    dimension = None if positions.coordinates is None else positions.coordinates.shape[1]
    sizes: tuple[int, ...] = ()
    if asked.structure.name == "kron":
        sizes = tuple(len(levels) for levels in _pair_levels(asked, frame))
    structure = bind(asked.structure, sizes=sizes, dimension=dimension)
    structure.check(positions)
    if spec.bounds == "psd":
        return structure
    if asked.cov or asked.precision:
        raise SpecError(
            f"{asked}: bounds='none' does not go with a known covariance among levels; use bounds='psd'."
        )
    return Unbounded(structure)


def _pair_levels(asked: RandomSpec, frame: ModelFrame) -> list[NDArray[Any]]:
    found = [frame.columns[name].factor().levels for name in variables(asked.effects)]
    return [levels for levels in found if levels is not None]


def _with_known(term: RandomTerm, asked: RandomSpec, group: Group, frame: ModelFrame) -> RandomTerm:
    if len(group.parts) != 1:
        raise SpecError(
            f"{asked}: a known covariance belongs to one column of levels, not to {group.label!r}."
        )
    name = asked.precision or asked.cov
    assert name is not None
    known, levels = bind_known(name, frame.known, group.parts[0], precision=asked.precision is not None)
    return replace(term, level_parts=(levels,), sets=np.zeros(len(levels), np.int32), known=known)


@cache
def intercept_encoder() -> DirectEncoder:
    """Return the encoder of a column of ones."""
    return fill_direct(((),), {}, 0, {})[0]


def _bind_effects(
    asked: RandomSpec, spec: ModelSpec, frame: ModelFrame, fixed: tuple[FixedTerms, FixedRows, FixedEncoding]
) -> tuple[RowBasis, Array | None, Positions, list[Status]]:
    """Return the basis of a term's columns, its values, the positions of the columns, and notes."""
    if asked.coordinates:
        return *_bind_coordinates(asked, frame), []
    if asked.effects == "1":
        encoder = intercept_encoder()
        return encoder, None, Positions(1, encoder.columns), []
    if asked.structure.name == "kron":
        # the first factor outermost, as in the Kronecker product: encoders vary their first atom fastest
        pair = tuple(column(name, categorical=True) for name in reversed(variables(asked.effects)))
        encoder, values = fill_direct((pair,), frame.columns, frame.n, {})
        return encoder, values, Positions(len(encoder.columns), encoder.columns), []
    if (ordered := _numeric_position(asked, frame)) is not None:
        encoder, values = fill_direct(ordered, frame.columns, frame.n, {})
        name = ordered[0][0].variable
        message = (
            f"{asked}: the {len(encoder.columns)} distinct values of {name} are taken as positions in order"
        )
        note = Status(Severity.NOTE, message, "Use car1 or a spatial structure where distances matter.")
        return encoder, values, Positions(len(encoder.columns), encoder.columns), [note]
    if asked.effects == spec.fixed and not spec.smooths and fixed[0].written is None:
        # the same columns of the same rows: one copy serves X and Z
        return fixed[2].encoder, fixed[1].matrix, Positions(len(fixed[0].columns), fixed[0].columns), []
    learned, values = learn_encoder(asked.effects, frame, dict(spec.contrasts))
    if not learned.columns:
        raise SpecError(f"{asked}: the term has no columns.")
    return learned, values, Positions(len(learned.columns), learned.columns), []


def _numeric_position(asked: RandomSpec, frame: ModelFrame) -> tuple[Term, ...] | None:
    """Return the terms of a single numeric column taken as a factor, where the structure orders positions."""
    if not structure_class(asked.structure.name).over_positions:
        return None
    terms = expand(asked.effects)
    if len(terms) != 1 or len(terms[0]) != 1:
        return None
    atom = terms[0][0]
    if not atom.is_column or frame.columns[atom.variable].is_factor:
        return None
    return ((replace(atom, categorical=True),),)


def _bind_coordinates(asked: RandomSpec, frame: ModelFrame) -> tuple[CoordinateBasis, Array, Positions]:
    names = variables(asked.effects)
    given = np.column_stack([frame.columns[name].number() for name in names])
    points, place = np.unique(given, axis=0, return_inverse=True)
    check_points(str(asked), frame.n, len(points), Control().room)
    values = np.zeros((frame.n, len(points)))
    values[np.arange(frame.n), place.ravel()] = 1.0
    basis = CoordinateBasis(names, points)
    return basis, values, Positions(len(points), basis.columns, points)


def _sharing(smooths: tuple[Learned, ...]) -> list[list[Learned]]:
    """Return smooths, the curves of one `id=` together, whose penalised coefficients have the same variances."""
    found: dict[tuple[str, int], list[Learned]] = {}
    for j, smooth in enumerate(smooths):
        shared = isinstance(smooth, LearnedCurve) and smooth.curve.spec.id is not None and not smooth.group
        key = (str(smooth.curve.spec), 0) if shared else (smooth.label, j)
        found.setdefault(key, []).append(smooth)
    return list(found.values())


def _shared_structure(alike: list[Learned]) -> Structure:
    """Return the covariance of the penalised coefficients of curves with the same variances."""
    structure = alike[0].structure
    if len(alike) == 1 or not isinstance(structure, Penalty):
        return structure
    if not structure.diagonal:
        raise SpecError(
            f"{alike[0].label}: id= is for smooths of one or two penalties, or of a tensor product."
        )
    weights = [
        np.concatenate([one.structure.weights[j] for one in alike if isinstance(one.structure, Penalty)])
        for j in range(len(structure.weights))
    ]
    return Penalty(tuple(weights), structure.scales)


def _smooth_term(alike: list[Learned], frame: ModelFrame) -> tuple[RandomTerm, TermRows, RandomEncoding]:
    """Return the penalised coefficients of a smooth: one group of all rows, or the levels of its factors."""
    smooth = alike[0]
    curves = tuple(one.curve for one in alike if isinstance(one, LearnedCurve))
    basis: RowBasis = CurveRandom(curves) if isinstance(smooth, LearnedCurve) else smooth.curve
    structure = _shared_structure(alike)
    values = smooth.random if len(alike) == 1 else np.hstack([one.random for one in alike])
    factors = {name: frame.columns[name].factor() for name in smooth.group}
    group = bind_group(smooth.group, None, factors, frame.n)
    positions = Positions(len(basis.columns), basis.columns)
    structure.check(positions)
    term = RandomTerm(
        label=smooth.label if len(alike) == 1 else smooth.curve.spec.label,
        group=group.label,
        columns=basis.columns,
        level_parts=group.parts,
        structure=structure,
        positions=positions,
        sets=group.sets,
        smooth=not smooth.group,
        penalised=True,
    )
    squares = smooth.squares if isinstance(smooth, LearnedCurve) and len(alike) == 1 else None
    return term, TermRows(group.codes, values, squares), RandomEncoding(smooth.group, basis)
