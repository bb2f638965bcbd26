"""Reference grids: every combination of levels, covariates at their means, as rows of X."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError, suggest
from ..fit import Fit
from ..formats import value_text
from ..frame.column import Column
from ..inference.model_terms import model_terms
from ..inference.population import spline_rows
from ..inference.predictors import all_predictors, predictors, row_weights
from ..syntax.spelling import variables
from ..terms.new_rows import NewRows, encode_new
from ..typing import Array, Labels

MOST_ROWS = 200_000
"""A grid of more rows is refused: it is nearly always a factor that was meant to be random."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One predictor of a reference grid and the values it takes there; a covariate at its mean has one."""

    name: str
    values: NDArray[Any]
    is_factor: bool
    from_data: bool
    """Whether every value occurs in the data, so that cells can be counted."""

    @property
    def labels(self) -> Labels:
        """Values as text."""
        return tuple(value_text(value) for value in self.values)


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceGrid:
    """Cells of predictor values with their rows of X.

    Parameters
    ----------
    axes
        The predictors, in the order of the formula.
    index
        For each cell the place of its value on every axis, (m, number of axes).
    matrix
        X of the cells with every column of the formula, then the bases of splines, (m, p + splines).
    offset
        Offset of the cells, (m,).
    frequency
        Weighted number of observations with the cell's values of the axes that come from the data, (m,).
    nesting
        Factor → the factors it is nested in, where cells that do not occur were left out.
    notes
        What the reader should know.
    """

    axes: tuple[Axis, ...]
    index: NDArray[np.intp]
    matrix: Array
    offset: Array
    frequency: Array
    nesting: Mapping[str, Labels]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> Labels:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def cells(self) -> dict[str, NDArray[Any]]:
        """The cells as data, a column for each axis; a column of no meaning where there is no axis."""
        data = {axis.name: axis.values[self.index[:, j]] for j, axis in enumerate(self.axes)}
        return data or {"\0cell": np.zeros(len(self.index))}

    def axis(self, name: str) -> int:
        """Return the place of a predictor; `SpecError` with a suggestion when there is none."""
        if name not in self.names:
            known = ", ".join(self.names) or "none"
            raise SpecError(
                f"{name!r} is not a fixed-part predictor.{suggest(name, self.names)} Predictors: {known}."
            )
        return self.names.index(name)


def build_grid(
    fit: Fit,
    at: Mapping[str, Any] | None = None,
    *,
    around: Labels = (),
    nuisance: Labels = (),
    counted: bool = False,
    offset: float | None = None,
    components: bool = False,
    bare: bool = False,
) -> ReferenceGrid:
    """Return the reference grid of a fit: factor levels crossed, covariates at their means or as `at` says.

    Parameters
    ----------
    fit
        The fitted model.
    at
        Values by predictor: levels of factors, numbers for covariates.
    around
        Covariates to take at their mean minus and plus one standard deviation.
    nuisance, counted
        Factors without interactions to average X over, equally or by their counts; they have no axis.
    offset
        Offset of every cell; by default the mean of the offsets of the data, or those of the cells where `at`
        sets their variables.
    components
        Whether predictors of all components of a generalised model have axes, rather than those of the mean.
    bare
        Whether the grid is for its cells alone: its matrix has no columns, and offsets are those of the data's mean.
    """
    columns = all_predictors(fit) if components else predictors(fit)
    asked = dict(at or {})
    for name in asked:
        if name not in columns:
            raise SpecError(
                f"at: {name!r} is not a predictor of the fixed part.{suggest(name, columns)} "
                f"Predictors: {', '.join(columns) or 'none'}."
            )
    notes: list[str] = []
    axes = [_axis(column, asked.get(name), name in around, notes) for name, column in columns.items()]
    averaged = _nuisance_axes(fit, axes, nuisance)
    whole = axes
    axes = [axis for axis in axes if axis.name not in nuisance]
    shape = [len(axis.values) for axis in axes]
    if int(np.prod(shape, dtype=float)) > MOST_ROWS:
        sizes = ", ".join(f"{axis.name}: {len(axis.values)}" for axis in axes if len(axis.values) > 1)
        raise SpecError(
            f"the grid has {int(np.prod(shape, dtype=float)):,} cells ({sizes}); restrict it by at=."
        )
    index = np.array(list(product(*map(range, shape))), dtype=np.intp).reshape(
        int(np.prod(shape, dtype=float)), len(axes)
    )
    frequency = _count(fit, columns, axes, index)
    nesting = find_nesting({name: column for name, column in columns.items() if name not in nuisance})
    for inner, outer in nesting.items():
        notes.append(f"{inner} is nested in {' and '.join(outer)}; cells that do not occur are left out")
    occurs = _occurring(columns, axes, index, nesting)
    index, frequency = index[occurs], frequency[occurs]
    if bare:
        matrix, own = np.zeros((len(index), 0)), np.zeros(len(index))
    elif averaged:
        matrix, own = _averaged_rows(fit, columns, whole, averaged, index, counted)
        how = "their counts" if counted else "equal weights"
        notes.append(f"averaged beforehand, with {how}: {', '.join(nuisance)}")
    else:
        matrix, own = _encode(fit, axes, index)
    offsets = _cell_offsets(fit, asked, offset, own, notes)
    return ReferenceGrid(tuple(axes), index, matrix, offsets, frequency, nesting, tuple(notes))


def _cell_offsets(
    fit: Fit, asked: Mapping[str, Any], given: float | None, own: Array, notes: list[str]
) -> Array:
    """Return the offset of each cell, (m,): as given, of the cell itself, or the mean over the data."""
    offsets = fit._work.rows().offset
    if offsets is None:
        if given is not None:
            raise SpecError(f"offset={given!r}: the model has no offset().")
        return own
    if given is None and any(name in asked for text in fit.spec.offsets for name in variables(text)):
        return own
    value = float(np.mean(offsets)) if given is None else float(given)
    notes.append(f"offset {value_text(value)}" + (", its mean" if given is None else ""))
    return np.full(len(own), value)


def _nuisance_axes(fit: Fit, axes: Sequence[Axis], nuisance: Labels) -> list[Axis]:
    """Return the axes of nuisance factors; `SpecError` where one is no factor or interacts."""
    known = {axis.name: axis for axis in axes}
    for name in nuisance:
        if name not in known or not known[name].is_factor:
            factors = [axis.name for axis in axes if axis.is_factor]
            raise SpecError(
                f"nuisance: {name!r} is no factor of the fixed part.{suggest(name, factors)} "
                f"Factors: {', '.join(factors) or 'none'}."
            )
        for term in model_terms(fit) if nuisance else []:
            atoms = {variable for atom in term.atoms for variable in atom.variables}
            if name in atoms and len(atoms) > 1:
                raise SpecError(
                    f"nuisance: {name} interacts in {term.name}, so that its levels differ by cell; leave it out of "
                    "nuisance= to average over it as usual."
                )
    return [known[name] for name in nuisance]


def _averaged_rows(
    fit: Fit,
    columns: Mapping[str, Column],
    axes: Sequence[Axis],
    averaged: Sequence[Axis],
    index: NDArray[np.intp],
    counted: bool,
) -> tuple[Array, Array]:
    """Return X and offsets of the cells of the other axes, averaged over factors that act additively."""
    names = [axis.name for axis in averaged]
    full = np.zeros((len(index), len(axes)), dtype=np.intp)
    full[:, [j for j, axis in enumerate(axes) if axis.name not in names]] = index
    base, offset = _encode(fit, axes, full)
    matrix = base.copy()
    for axis in averaged:
        j = [one.name for one in axes].index(axis.name)
        share = np.full(len(axis.values), 1.0 / len(axis.values))
        if counted:
            place = _place_of_rows(columns[axis.name], axis)
            share = np.bincount(place[place >= 0], row_weights(fit)[place >= 0], len(axis.values))
            share = share / share.sum()
        for level, weight in enumerate(share):
            moved = full.copy()
            moved[:, j] = level
            matrix += weight * (_encode(fit, axes, moved)[0] - base)
    return matrix, offset


def new_rows_of(fit: Fit, grid: ReferenceGrid) -> NewRows:
    """Return the cells of a grid with the Z values of every random term, at levels that are none of the fit.

    Raises
    ------
    SpecError
        Where a random slope is of a variable that is not in the fixed part.
    """
    try:
        return encode_new(fit.spec, fit.schema, fit.design, grid.cells, grouping=False)
    except DataError as error:
        raise SpecError(
            "means='averaged' needs the variables of random terms in the fixed part, whose grid gives them values: "
            f"{error}"
        ) from None


def rows_at(fit: Fit, axes: Sequence[Axis], index: NDArray[np.intp], changed: Mapping[str, Array]) -> Array:
    """Return X and spline bases (m, p + splines) of cells of a grid, values of some covariates replaced, (m,) each."""
    return _encode(fit, axes, index, changed)[0]


def _encode(
    fit: Fit, axes: Sequence[Axis], index: NDArray[np.intp], changed: Mapping[str, Array] | None = None
) -> tuple[Array, Array]:
    data: dict[str, Any] = {axis.name: axis.values[index[:, j]] for j, axis in enumerate(axes)}
    data.update(changed or {})
    if not data:
        m = len(index)
        row = fit._work.rows().fixed.matrix[:1]  # without predictors there are no splines
        return np.repeat(row, m, axis=0), np.zeros(m)
    new = encode_new(fit.spec, fit.schema, fit.design, data, random=False)
    return np.hstack([new.matrix, spline_rows(fit, new)]), np.zeros(
        len(new)
    ) if new.offset is None else new.offset


def _axis(column: Column, asked: Any, around: bool, notes: list[str]) -> Axis:
    if column.levels is not None:
        return Axis(column.name, _levels_asked(column, asked), True, True)
    values = column.number()
    if asked is not None:
        try:
            numbers = np.array(asked, dtype=float, ndmin=1)
        except (TypeError, ValueError):
            numbers = np.array([np.nan])
        if not np.isfinite(numbers).all() or numbers.ndim > 1 or not numbers.size:
            raise SpecError(
                f"at: {column.name!r} is a number in this model; {asked!r} is none. Give one value or a list."
            )
        outside = numbers[(numbers < values.min()) | (numbers > values.max())]
        if len(outside):
            shown = ", ".join(map(value_text, outside))
            span = f"{value_text(values.min())} to {value_text(values.max())}"
            notes.append(f"{column.name} = {shown} is outside the data ({span})")
        return Axis(column.name, numbers, False, False)
    distinct = np.unique(values)
    if len(distinct) == 2:
        return Axis(column.name, distinct, True, True)
    mean, step = float(np.mean(values)), float(np.std(values))
    return Axis(column.name, np.array([mean - step, mean + step] if around else [mean]), False, False)


def _levels_asked(column: Column, asked: Any) -> NDArray[Any]:
    levels = column.levels
    assert levels is not None
    if asked is None:
        return levels
    wanted = [asked] if isinstance(asked, str) or not isinstance(asked, Iterable) else list(asked)
    known = {value_text(level): i for i, level in enumerate(levels)}
    places = []
    for level in wanted:
        if value_text(level) not in known:
            raise SpecError(
                f"at: {level!r} is not a level of {column.name!r}.{suggest(value_text(level), known)} "
                f"Levels: {', '.join(known)}."
            )
        places.append(known[value_text(level)])
    return levels[places]


def _place_of_rows(column: Column, axis: Axis) -> NDArray[np.intp]:
    """Return for each row of the data the place of its value on an axis, −1 where the axis leaves it out."""
    if column.levels is not None:
        place = {value_text(value): i for i, value in enumerate(axis.values)}
        of_level = np.array([place.get(value_text(level), -1) for level in column.levels], dtype=np.intp)
        return np.asarray(of_level[column.values], dtype=np.intp)
    found = np.searchsorted(axis.values, column.number())
    return np.asarray(found, dtype=np.intp)


def _count(fit: Fit, columns: Mapping[str, Column], axes: Sequence[Axis], index: NDArray[np.intp]) -> Array:
    counted = [j for j, axis in enumerate(axes) if axis.from_data]
    if not counted:
        return np.full(len(index), float(row_weights(fit).sum()))
    shape = [len(axes[j].values) for j in counted]
    places = np.array([_place_of_rows(columns[axes[j].name], axes[j]) for j in counted])
    inside = (places >= 0).all(axis=0)
    flat = np.ravel_multi_index(tuple(places[:, inside]), shape)
    totals = np.bincount(flat, weights=row_weights(fit)[inside], minlength=int(np.prod(shape)))
    return np.asarray(totals[np.ravel_multi_index(tuple(index[:, counted].T), shape)], dtype=float)


def find_nesting(columns: Mapping[str, Column]) -> dict[str, Labels]:
    """Return for each factor the factors in one level of which each of its levels lies.

    A factor is nested only in factors with fewer levels, more than one.
    """
    factors = [column for column in columns.values() if column.levels is not None and len(column.levels) > 1]
    nesting: dict[str, Labels] = {}
    for inner in factors:
        assert inner.levels is not None
        outer = tuple(
            other.name
            for other in factors
            if other.levels is not None and len(other.levels) < len(inner.levels) and _nested(inner, other)
        )
        if outer:
            nesting[inner.name] = outer
    return nesting


def _nested(inner: Column, outer: Column) -> bool:
    assert inner.levels is not None
    home = np.zeros(len(inner.levels), outer.values.dtype)
    home[inner.values] = outer.values
    return bool(np.array_equal(home[inner.values], outer.values))


def _occurring(
    columns: Mapping[str, Column],
    axes: Sequence[Axis],
    index: NDArray[np.intp],
    nesting: Mapping[str, Labels],
) -> NDArray[np.bool_]:
    """Return which cells put every nested level in the levels it belongs to, (m,)."""
    keep = np.ones(len(index), bool)
    place = {axis.name: j for j, axis in enumerate(axes)}
    for inner, outers in nesting.items():
        own = _place_of_rows(columns[inner], axes[place[inner]])
        for outer in outers:
            other = _place_of_rows(columns[outer], axes[place[outer]])
            both = (own >= 0) & (other >= 0)
            home = np.full(len(axes[place[inner]].values), -1, dtype=np.intp)
            home[own[both]] = other[both]
            keep &= home[index[:, place[inner]]] == index[:, place[outer]]
    return keep
