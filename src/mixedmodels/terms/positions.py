"""Where the errors of a cluster stand: on a grid of levels, in row order, or at coordinates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..covariance import bind, structure_class
from ..covariance.base import Positions, Structure
from ..errors import DataError, Severity, SpecError, Status
from ..frame.column import Column
from ..frame.model_frame import ModelFrame
from ..spec import RandomSpec, ResidualSpec
from ..typing import Array, Codes, Labels
from .known import known_among

REPRESENTATIVE = 200
"""Coordinates at most that stand for all when a structure is started and reported."""


@dataclass(frozen=True, slots=True, eq=False)
class PositionEncoding:
    """How rows are placed: columns read as levels of a grid, then columns read as coordinates.

    `levels` holds the grid's levels for the first columns of `names`; the other columns are coordinates.
    Without names rows are placed by their order within the cluster.
    """

    names: Labels
    levels: tuple[NDArray[Any], ...]

    def place(self, data: Mapping[str, Column], n: int) -> tuple[Codes, Array | None]:
        """Return the grid position of each row (n,), −1 where it has none, and coordinates (n, d) or None."""
        if not self.names:
            return np.full(n, -1, np.int32), None
        grid, rest = self.names[: len(self.levels)], self.names[len(self.levels) :]
        codes = [data[name].codes_in(own) for name, own in zip(grid, self.levels, strict=True)]
        if rest:
            columns = [*(one.astype(np.float64) for one in codes), *(data[name].number() for name in rest)]
            return np.zeros(n, np.int32), np.column_stack(columns)
        index = np.zeros(n, np.int32)
        for one, own in zip(codes, self.levels, strict=True):
            index = np.where((one < 0) | (index < 0), np.int32(-1), index * np.int32(len(own)) + one)
        return index.astype(np.int32), None


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The rows of a frame placed for a structure that is bound to the grid."""

    structure: Structure
    positions: Positions
    index: Codes
    coordinates: Array | None
    encoding: PositionEncoding
    notes: tuple[Status, ...] = ()


def place_rows(
    asked: ResidualSpec, frame: ModelFrame, clusters: Codes, known: Mapping[str, Any] | None = None
) -> Placed:
    """Return the positions of all rows as the structure needs them; `known` are the matrices of `lin`, by name."""
    if asked.structure.name == "kron":
        return _place_pairs(asked, frame, clusters)
    if structure_class(asked.structure.name).needs_coordinates:
        return _place_coordinates(asked, frame, clusters)
    if not asked.position:
        return _place_in_order(asked, clusters)
    if len(asked.position) > 1:
        raise SpecError(
            f"{asked}: {asked.structure} takes one position column, got {', '.join(asked.position)}; cross "
            "two with kron, as in kron(us, ar1)(trait, week | id)."
        )
    column = frame.columns[asked.position[0]]
    notes = _check_counts(asked, column) + order_notes(asked, [column])
    own = column.factor()
    assert own.levels is not None
    labels = tuple(str(level) for level in own.levels)
    positions = Positions(len(labels), labels)
    structure = bind(asked.structure, matrices=_known_matrices(asked, known, own.levels))
    encoding = PositionEncoding(asked.position, (own.levels,))
    return Placed(structure, positions, own.values, None, encoding, notes)


def _known_matrices(
    asked: ResidualSpec, known: Mapping[str, Any] | None, levels: NDArray[Any]
) -> tuple[Array, ...]:
    """Return the known matrices of `lin` among the positions, (m, m) each; none for other structures."""
    if asked.structure.name != "lin":
        return ()
    if not known:
        raise SpecError(
            f"{asked}: lin is a sum of known matrices and there are none; give them as known={{'A': matrix}}, with "
            "a row for each position."
        )
    return tuple(known_among(f"known={name!r}", matrix, levels) for name, matrix in known.items())


def order_notes(asked: ResidualSpec | RandomSpec, columns: Iterable[Column]) -> tuple[Status, ...]:
    """Return a warning where text is sorted `week 1`, `week 10`, `week 2` and the structure goes by order."""
    kinds = (asked.structure.name, *(part.name for part in asked.structure.parts))
    if not any(structure_class(name).ordered for name in kinds):
        return ()
    notes = []
    for column in columns:
        levels = [] if column.levels is None else column.levels.tolist()
        if not all(isinstance(level, str) for level in levels):
            continue
        if levels != sorted(levels) or levels == sorted(levels, key=_by_number):
            continue
        shown = ", ".join(levels[:4]) + (" …" if len(levels) > 4 else "")
        message = f"{asked}: the positions are the levels of {column.name} in the order {shown}"
        hint = "Give a categorical column whose levels are in the order you mean, or a column of numbers"
        notes.append(Status(Severity.WARNING, message, hint))
    return tuple(notes)


def _by_number(text: str) -> list[tuple[int, int, str]]:
    """Return what sorts `week 2` before `week 10`."""
    pieces = re.split(r"(\d+)", text)
    return [(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces]


def _check_counts(asked: ResidualSpec, column: Column) -> tuple[Status, ...]:
    """Refuse fractional times where steps are counted; note times that are not equally spaced."""
    dates = column.levels is None and column.values.dtype.kind == "M"
    if not structure_class(asked.structure.name).counted or not (column.is_number or dates):
        return ()
    times = np.unique(column.values.astype(np.int64) if dates else column.number())
    name = asked.structure.name
    if not np.array_equal(times, np.round(times)):
        other = "car1" if name in ("ar1", "har1") else "car1 or a spatial structure such as exp"
        raise DataError(
            f"{asked}: {name} counts steps between positions and {column.name!r} holds times that are not "
            f"whole numbers, such as {times[times != np.round(times)][0]:.6g}; use {other} for distances in "
            "time, or make the column a factor of visits."
        )
    if len(set(np.diff(times))) < 2:
        return ()
    message = f"{asked}: the {len(times)} distinct values of {column.name} are taken as positions in order"
    return (Status(Severity.NOTE, message, "Use car1 or a spatial structure where distances matter"),)


def _place_in_order(asked: ResidualSpec, clusters: Codes) -> Placed:
    order = np.argsort(clusters, kind="stable")
    counts = np.bincount(clusters)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    index = np.empty(len(clusters), np.int32)
    index[order] = np.arange(len(clusters)) - np.repeat(starts, counts)
    size = int(counts.max())
    positions = Positions(size, tuple(str(i + 1) for i in range(size)))
    return Placed(bind(asked.structure), positions, index, None, PositionEncoding((), ()))


def _place_pairs(asked: ResidualSpec, frame: ModelFrame, clusters: Codes) -> Placed:
    """Place rows on the grid of pairs of levels, or at (level, coordinates) where the second structure needs some."""
    if len(asked.position) < len(asked.structure.parts):
        raise SpecError(f"{asked}: {asked.structure} takes one position column per structure: trait, week.")
    spatial = structure_class(asked.structure.parts[-1].name).needs_coordinates
    count = len(asked.structure.parts) - 1 if spatial else len(asked.position)
    if (not spatial and count != len(asked.structure.parts)) or (spatial and count != 1):
        raise SpecError(f"{asked}: {asked.structure} takes one position column per structure: trait, week.")
    factors = [frame.columns[name].factor() for name in asked.position[:count]]
    levels = tuple(column.levels for column in factors if column.levels is not None)
    notes = order_notes(asked, factors)
    encoding = PositionEncoding(asked.position, levels)
    if spatial:
        _numbers(asked, frame, asked.position[count:])
        index, coordinates = encoding.place(frame.columns, frame.n)
        assert coordinates is not None
        structure = bind(asked.structure, sizes=(len(levels[0]), 1), dimension=coordinates.shape[1])
        positions = _representative(coordinates, clusters)
        return Placed(structure, positions, index, coordinates, encoding, notes)
    index, _ = encoding.place(frame.columns, frame.n)
    labels = tuple(", ".join(map(str, pair)) for pair in product(*levels))
    structure = bind(asked.structure, sizes=tuple(len(own) for own in levels))
    return Placed(structure, Positions(len(labels), labels), index, None, encoding, notes)


def _place_coordinates(asked: ResidualSpec, frame: ModelFrame, clusters: Codes) -> Placed:
    if not asked.position:
        raise SpecError(
            f"{asked}: {asked.structure} needs times or coordinates left of the bar, as in "
            f"{asked.structure}(time | id)."
        )
    _numbers(asked, frame, asked.position)
    coordinates = np.column_stack([frame.columns[name].number() for name in asked.position])
    structure = bind(asked.structure, dimension=coordinates.shape[1])
    encoding = PositionEncoding(asked.position, ())
    return Placed(
        structure, _representative(coordinates, clusters), np.zeros(frame.n, np.int32), coordinates, encoding
    )


def _numbers(asked: ResidualSpec, frame: ModelFrame, names: Labels) -> None:
    for name in names:
        column = frame.columns[name]
        if not column.is_number:
            what = f"categories such as {column.examples()}" if column.is_factor else "dates"
            raise DataError(
                f"{asked}: {asked.structure} needs numbers for its distances and column {name!r} holds "
                f"{what}; convert it, or use a structure for ordered visits such as ar1."
            )


def _representative(coordinates: Array, clusters: Codes) -> Positions:
    """Return the distinct coordinates of the largest cluster, evenly thinned when there are many."""
    largest = int(np.argmax(np.bincount(clusters)))
    own = np.unique(coordinates[clusters == largest], axis=0)
    if len(own) > REPRESENTATIVE:
        own = own[np.linspace(0, len(own) - 1, REPRESENTATIVE).round().astype(int)]
    labels = tuple(", ".join(f"{value:.6g}" for value in point) for point in own)
    return Positions(len(own), labels, own)
