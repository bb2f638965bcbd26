"""SAS's columns of X, a level of a factor each, and functions of their coefficients as functions of β."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fit import Fit
from ...typing import Array
from .data_set import level_text
from .effects import INTERCEPT, Effect
from .to_spec import Asked

DEPENDENT = 1e-8
"""Length of a column left after those before it, relative to its own, below which it is aliased."""
NOT_ESTIMABLE = 1e-8


@dataclass(frozen=True, slots=True)
class SasColumn:
    """One column: its effect, and the level of each of its CLASS variables by place."""

    effect: int
    levels: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Coding:
    """SAS's columns of X.

    Parameters
    ----------
    effects
        The effects in order, the intercept first where there is one.
    columns
        The columns that are not zero throughout.
    places
        Places of the columns of each effect.
    map
        T (rank, P): SAS's columns are those of the fit times T.
    kept
        Columns that do not depend on those before them, (rank,): the others are aliased.
    means, products
        Means of the covariates, and of the product of those of each effect.
    own, rank
        Which of the estimable columns of the fit are of the mean, and how many columns there are.
    thresholds
        Of a cumulative model the columns of its thresholds: T has a first row for them, SAS's columns being those of
        (1, −x), since P(y ≤ k) = F(α_k + x'β).
    """

    asked: Asked
    effects: tuple[Effect, ...]
    columns: tuple[SasColumn, ...]
    places: tuple[tuple[int, ...], ...]
    map: Array
    kept: tuple[int, ...]
    means: dict[str, float]
    products: tuple[float, ...]
    own: tuple[int, ...]
    rank: int
    thresholds: tuple[int, ...] = ()

    @cached_property
    def inverse(self) -> Array:
        """The inverse of the kept columns of T, (rank, rank)."""
        return np.asarray(np.linalg.inv(self.map[:, list(self.kept)]))

    @property
    def log_volume(self) -> float:
        """2 log |det T| of the kept columns: what −2l by REML in SAS's columns is above that in the fit's."""
        return 2.0 * float(np.linalg.slogdet(self.map[:, list(self.kept)])[1])

    def functions(self, rows: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return rows L (k, P) as functions of the estimable columns of the fit (k, rank), and which are estimable."""
        found = rows[:, list(self.kept)] @ self.inverse
        found = np.where(
            np.abs(found) < 1e-13 * np.abs(found).max(axis=1, keepdims=True, initial=1e-300), 0.0, found
        )
        gap = np.abs(found @ self.map - rows).max(axis=1, initial=0.0)
        size = np.abs(rows).max(axis=1, initial=0.0)
        return self.spread(found), gap <= NOT_ESTIMABLE * np.maximum(size, 1e-300)

    def spread(self, functions: Array) -> Array:
        """Return functions of the columns of the mean as functions of all estimable columns, (k, rank)."""
        if len(self.own) == self.rank:
            return functions
        if self.thresholds:
            return self.spread_cut(functions, 0)
        out = np.zeros((len(functions), self.rank))
        out[:, list(self.own)] = functions
        return out

    def spread_cut(self, functions: Array, cut: int) -> Array:
        """Return functions of (1, x) of a cumulative model, (k, rank), with its intercept that of one cut."""
        out = np.zeros((len(functions), self.rank))
        out[:, self.thresholds[cut]] = functions[:, 0]
        out[:, list(self.own)] = -functions[:, 1:]
        return out

    @property
    def mean_map(self) -> Array:
        """T of the columns of the mean alone, SAS's columns by those of the fit."""
        return -self.map[1:] if self.thresholds else self.map

    def index(self, effect: Effect) -> int | None:
        """Return the place of an effect of the model, whatever the order of its variables; None for none."""
        for place, own in enumerate(self.effects):
            if sorted(own.variables) == sorted(effect.variables) and sorted(
                own.crossed + own.nested
            ) == sorted(effect.crossed + effect.nested):
                return place
        return None


def code(asked: Asked, fit: Fit) -> Coding:
    """Return SAS's columns for the rows of a fit."""
    used = fit._work.rows().used
    rows = np.arange(asked.data.n) if used is None else np.asarray(used)
    effects = ((INTERCEPT,) if asked.model.intercept else ()) + asked.model.effects
    numbers = {n: asked.data.columns[n][rows] for e in effects for n in e.numbers(asked.levels)}
    codes = {n: _codes(asked, n, rows) for e in effects for n in e.classes(asked.levels)}
    blocks: list[Array] = []
    columns: list[SasColumn] = []
    places: list[tuple[int, ...]] = []
    for index, effect in enumerate(effects):
        block, made = _block(asked, effect, index, numbers, codes, len(rows))
        places.append(tuple(range(len(columns), len(columns) + len(made))))
        blocks.append(block)
        columns += made
    wide = np.hstack(blocks)
    fixed = fit.design.fixed
    # predictors beside the mean have columns of their own, of which SAS's functions are free
    own = [k for k, j in enumerate(fixed.estimable) if not fixed.components or fixed.components[j] == "mean"]
    thresholds = [
        k for k, j in enumerate(fixed.estimable) if fixed.components and fixed.components[j] == "threshold"
    ]
    x = fit._work.rows().x[:, own]
    map_ = _solve(np.hstack([np.ones((len(x), 1)), x]) if thresholds else x, wide)
    means = {name: float(values.mean()) for name, values in numbers.items()}
    products = tuple(
        float(np.prod([numbers[n] for n in e.numbers(asked.levels)], axis=0).mean())
        if e.numbers(asked.levels)
        else 1.0
        for e in effects
    )
    return Coding(
        asked,
        effects,
        tuple(columns),
        tuple(places),
        map_,
        _independent(map_),
        means,
        products,
        tuple(own),
        fixed.rank,
        tuple(thresholds),
    )


def _codes(asked: Asked, name: str, rows: Any) -> NDArray[np.intp]:
    place = {level: k for k, level in enumerate(asked.levels[name])}
    return np.array([place[value] for value in asked.data.columns[name][rows].tolist()], dtype=np.intp)


def own_order(effect: Effect, factors: Any) -> tuple[str, ...]:
    """Return the CLASS variables of an effect, that whose level changes fastest last."""
    own = [name for name in dict.fromkeys(effect.crossed) if name in factors]
    return (*effect.nested, *own)


def _block(
    asked: Asked, effect: Effect, index: int, numbers: Any, codes: Any, n: int
) -> tuple[Array, list[SasColumn]]:
    """Return the columns (n, k) of an effect that are not zero, and what they are."""
    value = np.ones(n)
    for name in effect.numbers(asked.levels):
        value = value * numbers[name]
    names = own_order(effect, asked.levels)
    if not names:
        return value[:, None], [SasColumn(index, ())]
    sizes = [len(asked.levels[name]) for name in names]
    cell = np.ravel_multi_index([codes[name] for name in names], sizes)
    found = np.unique(cell[value != 0] if effect.numbers(asked.levels) else cell)
    place = np.full(int(np.prod(sizes)), -1)
    place[found] = np.arange(len(found))
    block = np.zeros((n, len(found)))
    rows = np.flatnonzero(place[cell] >= 0)
    block[rows, place[cell[rows]]] = value[rows]
    levels = np.array(np.unravel_index(found, sizes)).T.tolist()
    return block, [SasColumn(index, tuple(zip(names, row, strict=True))) for row in levels]


def _solve(x: Array, wide: Array) -> Array:
    """Return T with XT the wide columns, by distinct rows of columns of length one; rounding of ±1 and 0 removed."""
    size = np.maximum(np.abs(x).max(axis=0, initial=0.0), 1e-300)
    width = np.maximum(np.abs(wide).max(axis=0, initial=0.0), 1e-300)
    q, r = np.linalg.qr(x / size)
    unit = np.linalg.solve(r, q.T @ (wide / width))
    # one step of refinement: columns far from zero lose digits
    unit += np.linalg.solve(r, q.T @ (wide / width - (x / size) @ unit))
    out = unit / size[:, None] * width
    near = np.round(out)
    scale = width / size[:, None]
    return np.asarray(np.where(np.abs(out - near) < 1e-9 * np.maximum(scale, 1.0), near, out))


def _independent(map_: Array) -> tuple[int, ...]:
    """Return the columns of T that do not depend on those before them."""
    size = np.maximum(np.abs(map_).max(axis=1, keepdims=True, initial=0.0), 1e-300)
    left = map_ / size
    length = np.maximum(np.linalg.norm(left, axis=0), 1e-300)
    left = left / length
    kept: list[int] = []
    for j in range(left.shape[1]):
        rest = float(np.linalg.norm(left[:, j]))
        if rest > DEPENDENT and len(kept) < len(map_):
            direction = left[:, j] / rest
            left = left - np.outer(direction, direction @ left)
            kept.append(j)
    return tuple(kept)


def level_cells(coding: Coding, effects: Sequence[int], columns: Sequence[int]) -> dict[str, list[str]]:
    """Return for every CLASS variable of some effects its level at each column, empty where it has none."""
    asked = coding.asked
    names = dict.fromkeys(n for k in effects for n in own_order(coding.effects[k], asked.levels))
    out: dict[str, list[str]] = {}
    for name in names:
        cells = []
        for j in columns:
            own = dict(coding.columns[j].levels)
            cells.append(level_text(asked.levels[name][own[name]]) if name in own else "")
        out[name] = cells
    return out


def lsmeans_rows(
    coding: Coding,
    effect: Effect,
    at: dict[str, float] | None = None,
    margins: Any = None,
) -> tuple[Array, list[tuple[int, ...]]]:
    """Return the coefficients L (k, P) of the least squares means of an effect, and the places of their levels.

    Notes
    -----
    CLASS variables that are not of the effect have equal weight at every level (`margins`: their observed shares).
    Columns of covariates are at their means, those of products at the means of the products; with `at` covariates are
    there or at their means, and products are products of these values. Levels of nested variables are those that occur.
    """
    asked = coding.asked
    names = own_order(effect, asked.levels)
    cells = list(itertools.product(*(range(len(asked.levels[name])) for name in names)))
    values = None if at is None else {**coding.means, **at}
    out = np.zeros((len(cells), len(coding.columns)))
    for row, cell in enumerate(cells):
        out[row] = _mean_row(coding, dict(zip(names, cell, strict=True)), values, margins)
    return out, cells


def _mean_row(coding: Coding, fixed: dict[str, int], values: dict[str, float] | None, margins: Any) -> Array:
    asked = coding.asked
    row = np.zeros(len(coding.columns))
    for k, effect in enumerate(coding.effects):
        product = coding.products[k]
        if values is not None:
            product = float(np.prod([values[name] for name in effect.numbers(asked.levels)]))
        matching = [
            j for j in coding.places[k]
            if all(fixed.get(name, place) == place for name, place in coding.columns[j].levels)
        ]  # fmt: skip
        for j in matching:
            row[j] = product * _share(coding, effect, j, fixed, len(matching), margins)
    return row


def _share(
    coding: Coding, effect: Effect, j: int, fixed: dict[str, int], matching: int, margins: Any
) -> float:
    free = [(name, place) for name, place in coding.columns[j].levels if name not in fixed]
    if not free:
        return 1.0
    if effect.nested:
        return 1.0 / matching
    if margins is not None:
        return float(margins[tuple(name for name, _ in free)][tuple(place for _, place in free)])
    return float(np.prod([1.0 / len(coding.asked.levels[name]) for name, _ in free]))
