"""Pairs of rows of one cluster: where rows stand, and the covariance that a fit gives two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest
from ..fit import Fit
from ..frame.column import Column
from ..postfit.choose_term import choose_factor, grouping_factors
from ..postfit.error_side import error_covariance
from ..postfit.used_data import read_data
from ..typing import Array, Codes

Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Clusters:
    """The cluster of every row used, (n,), and what the clusters are called; nothing where all rows are one."""

    codes: Codes
    name: str


def clusters_of(fit: Fit, group: str | None) -> Clusters:
    """Return the clusters within which residuals are compared: of the errors, else the outermost factor, else all."""
    residual, rows = fit.design.residual, fit._work.rows().residual
    if group is None and residual is not None and residual.structure is not None and rows is not None:
        return Clusters(rows.clusters, residual.label)
    if group is None and not grouping_factors(fit, splines=False):
        return Clusters(np.zeros(fit.nobs, np.int32), "")
    factor = choose_factor(fit, group, splines=False)
    return Clusters(factor.codes, factor.name)


def positions_of(fit: Fit, names: str | Sequence[str] | None, figure: str) -> tuple[Array, str] | None:
    """Return where every row stands, (n, d), and what that is called: columns asked for, or those of the errors.

    None where neither is there.
    """
    if names is not None:
        asked = [names] if isinstance(names, str) else list(names)
        data = read_data(fit)
        for name in asked:
            if name not in data:
                raise SpecError(f"position={name!r} is not a column of the data.{suggest(name, data)}")
        return np.column_stack([_numbers(data[name], figure) for name in asked]), ", ".join(asked)
    residual, rows = fit.design.residual, fit._work.rows().residual
    if residual is None or residual.structure is None or rows is None:
        return None
    spec = fit.spec.residual
    label = ", ".join(spec.position) if spec is not None and spec.position else "order of rows"
    if rows.coordinates is not None:
        return rows.coordinates, label
    return _grid_numbers(residual.positions.labels)[rows.index][:, None], label


def _grid_numbers(labels: Sequence[str]) -> Array:
    """Return the positions of a grid as numbers: what their labels read as, or else their order."""
    try:
        return np.array([float(label) for label in labels])
    except ValueError:
        return np.arange(len(labels), dtype=float)


def _numbers(column: Column, figure: str) -> Array:
    if column.is_number:
        return column.number()
    own = column.factor()
    assert own.levels is not None
    try:
        values: Array = np.array([float(level) for level in own.levels])[own.values]
    except (TypeError, ValueError):
        raise SpecError(
            f"fit.plot.{figure}: position={column.name!r} holds categories such as {column.examples()}; give "
            "columns of numbers."
        ) from None
    return values


def pair_covariances(
    fit: Fit, first: Places, second: Places, *, marginal: bool
) -> tuple[Array, Array, Array]:
    """Return cov(y_i, y_j) and the two variances of pairs of rows, (m,) each: of V, or of R where not `marginal`.

    V is that about the curves of splines.
    """
    pairs = np.column_stack([first, second])
    errors = error_covariance(fit, pairs)
    total = [errors[:, 0, 1].copy(), errors[:, 0, 0].copy(), errors[:, 1, 1].copy()]
    if marginal:
        for part, (i, j) in zip(total, ((first, second), (first, first), (second, second)), strict=True):
            part += _random_covariances(fit, i, j)
    return total[0], total[1], total[2]


def _random_covariances(fit: Fit, i: Places, j: Places) -> Array:
    """Return Σ_k z_ik'cov(b_k)z_jk of pairs of rows, (m,)."""
    out = np.zeros(len(i))
    design, rows = fit._work.own_model()
    for term, given, sigmas in zip(design.random, rows.random, fit._work.own_covariances(), strict=True):
        if term.smooth:
            continue
        left, right = given.codes[i], given.codes[j]
        if term.known is None:
            between = (left == right).astype(float)
        else:
            levels, place = np.unique(np.concatenate([left, right]), return_inverse=True)
            known = term.known.among(levels)
            between = known[place[: len(i)], place[len(i) :]]
        values = given.dense_values()
        for s, sigma in enumerate(sigmas):
            own = (term.sets[left] == s) & (term.sets[right] == s)
            out += np.where(own, between, 0.0) * np.einsum("ia,ab,ib->i", values[i], sigma, values[j])
    return out
