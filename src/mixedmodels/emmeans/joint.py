"""Joint tests of every effect through estimated marginal means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np

from ..fit import Fit
from ..inference.ddf import DegreesOfFreedom, method_for
from ..inference.directions import estimability_gap, standardised
from ..inference.population import population_columns
from ..inference.predictors import predictors
from ..inference.sensitivity import Information
from ..inference.wald import empty_tests, joint_test
from ..table import Table, free_name
from ..typing import Array, Ddf, Labels
from .contrasts import consecutive
from .display import level_formats, level_value
from .emm import TESTED
from .grid import ReferenceGrid, build_grid
from .means import average


def joint_tests(
    fit: Fit,
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    ddf: Ddf | None = None,
    information: Information = "observed",
) -> Table:
    """Return F tests that the contrasts of equally weighted marginal means of each effect are zero.

    Parameters
    ----------
    fit
        The fitted model.
    by
        Factors within each combination of whose levels the other effects are tested.
    at
        Values of predictors in the grid; otherwise covariates of more than two values are at their mean minus and
        plus one standard deviation, so that they are tested too.
    ddf, information
        As for `emmeans`.

    Returns
    -------
    Table
        With `by` its columns first, then `term num_df den_df statistic p_value`. Effects the model does not
        hold, and those no estimable contrast is left of, are not listed.

    Notes
    -----
    Like type 3 tests without empty cells; with covariates in interactions they are tests at the covariates'
    means. *Same as* R's `joint_tests`, which takes covariates at their mean ± 1: the same for those that act linearly,
    and for others a test that depends on the unit of the covariate.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> oats = mm.datasets.load("oats")
    >>> fit = mm.lmm("yield ~ Variety + C(nitro) + (1 | Block) + (1 | Block:Variety)", oats)
    >>> fit.joint_tests()["statistic"].round(3)
    array([ 1.485, 41.053])
    """
    groups = (by,) if isinstance(by, str) else tuple(by or ())
    numeric = [name for name, column in predictors(fit).items() if column.levels is None]
    around = tuple(name for name in numeric if name not in (at or {}) and name not in groups)
    method = method_for(fit, ddf, information=information)
    found = _Found()
    whole = build_grid(fit, at, around=around)
    axes = [whole.axes[whole.axis(name)] for name in groups]
    for values in product(*(axis.values for axis in reversed(axes))):
        here = dict(zip(groups, reversed(values), strict=True))
        grid = build_grid(fit, {**(at or {}), **here}, around=around) if groups else whole
        _test_effects(fit, grid, method, tuple(map(level_value, here.values())), found)
    names = [free_name(name, ("term", *TESTED)) for name in groups]
    columns: dict[str, Any] = {
        name: np.array([labels[j] for labels in found.labels], dtype=object) for j, name in enumerate(names)
    }
    columns["term"] = found.terms
    columns.update((name, np.array([row[name] for row in found.rows])) for name in TESTED)
    notes = [*whole.notes, f"df: {method.describe(fit)}", *empty_tests(fit, found.rows, found.terms)]
    if found.reduced:
        listed = ", ".join(dict.fromkeys(found.reduced))
        notes.append(f"fewer df because some contrasts are not estimable: {listed}")
    return Table(
        columns, "Joint tests", tuple(notes), fit.backend, level_formats({n: columns[n] for n in names})
    )


@dataclass(slots=True)
class _Found:
    """Tests as they are computed: levels of `by`, terms, numbers, and terms that lost degrees of freedom."""

    labels: list[tuple[object, ...]] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    reduced: list[str] = field(default_factory=list)


def _test_effects(
    fit: Fit, grid: ReferenceGrid, method: DegreesOfFreedom, labels: tuple[object, ...], found: _Found
) -> None:
    names = tuple(axis.name for axis in grid.axes if len(axis.values) > 1)
    p = len(fit.design.fixed.columns)
    for size in range(1, len(names) + 1):
        for effect in combinations(names, size):
            if any(outer not in effect for name in effect for outer in grid.nesting.get(name, ())):
                continue  # a nested factor is tested together with those it is nested in
            functions = _functions(grid, effect)
            if not np.abs(functions).max(initial=0.0) > 1e-9:
                continue
            weights = estimable_combinations(
                standardised(fit, functions[:, :p])[0], *estimability_gap(fit, functions[:, :p])
            )
            full = weights is None
            L = functions if weights is None else weights @ functions
            if not full:
                found.reduced.append(":".join(effect))
            if len(L):
                found.labels.append(labels)
                found.terms.append(":".join(effect))
                found.rows.append(
                    joint_test(fit, population_columns(fit, L), np.zeros(len(L)), method, ()).row(0)
                )


def _functions(grid: ReferenceGrid, effect: Labels) -> Array:
    """Return the interaction contrasts of consecutive levels of the means of an effect, (k, p)."""
    within = tuple(outer for name in effect for outer in grid.nesting.get(name, ()))
    rows, levels, _ = average(grid, effect, (), "equal")
    means = rows @ grid.matrix
    names = list(effect)
    keys = list(zip(*(levels[name] for name in names), strict=True))
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(tuple(key[names.index(name)] for name in dict.fromkeys(within)), []).append(row)
    crossed = [name for name in effect if name not in within]
    out = []
    for members in groups.values():
        weights = np.ones((1, len(members)))
        for name in crossed:
            values = [keys[row][names.index(name)] for row in members]
            distinct = list(dict.fromkeys(values))
            if len(distinct) < 2:
                weights = np.zeros((0, len(members)))
                break
            coded = consecutive(distinct, 0).weights[:, [distinct.index(value) for value in values]]
            weights = (weights[:, None, :] * coded[None, :, :]).reshape(-1, len(members))
        out.append(weights @ means[members])
    return np.vstack(out)


def estimable_combinations(functions: Array, gap: Array, size: Array) -> Array | None:
    """Return weights (m, k) of independent estimable combinations of functions (k, p), None where all are estimable.

    `functions` are in standardised columns; `gap` (k, c) and `size` (k,) are those of `estimability_gap`.
    """
    if np.abs(gap).max(initial=0.0) <= 1e-8 * size.max(initial=0.0):
        return None
    u, values, _ = np.linalg.svd(gap, full_matrices=True)
    rank = int((values > 1e-8 * size.max(initial=0.0)).sum())
    kept = u[:, rank:].T
    turn, sizes, _ = np.linalg.svd(kept @ functions, full_matrices=False)
    used = sizes > 1e-8 * np.abs(functions).max(initial=0.0)
    return np.asarray(turn[:, used].T @ kept)
