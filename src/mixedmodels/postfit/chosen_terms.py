"""Predictions of some of the terms of a model: the others left out of the mean and of its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import SpecError, suggest
from ..fit import Fit
from ..inference.smooth_posterior import smooths_of
from ..terms.new_rows import NewRows
from ..typing import Array

INTERCEPT = ("1", "(Intercept)", "Intercept")
Names = str | Sequence[str] | None


def with_terms(fit: Fit, rows: NewRows, terms: Names, exclude: Names) -> NewRows:
    """Return rows in which the terms that are left out are zero.

    Parameters
    ----------
    fit
        The model.
    rows
        Rows to predict at.
    terms
        Names of the terms to keep, all others and the offset left out; None for all.
    exclude
        Names of terms to leave out.

    Raises
    ------
    SpecError
        For a name that is no term of the model, and for both arguments together.
    """
    if terms is None and exclude is None:
        return rows
    if terms is not None and exclude is not None:
        raise SpecError("predict: give terms= (what to keep) or exclude= (what to leave out), not both.")
    argument, given = ("terms", terms) if terms is not None else ("exclude", exclude)
    assert given is not None
    chosen = [given] if isinstance(given, str) else list(given)
    fixed, random = _named(fit)
    names = dict.fromkeys([*fixed, *random])
    picked = {_match(name, names, argument) for name in chosen}
    gone = picked if argument == "exclude" else set(names) - picked
    return _without(fit, rows, fixed, random, gone, offset=argument == "exclude")


Places = dict[str, list[tuple[int, slice]]]


def _named(fit: Fit) -> tuple[dict[str, list[int]], Places]:
    """Return the columns of X of each term, and the random terms with their columns, by name."""
    design = fit.design
    fixed: dict[str, list[int]] = {}
    for column, term in enumerate(design.fixed.assign):
        name = design.fixed.terms[term]
        fixed.setdefault("1" if name in INTERCEPT else name, []).append(column)
    random: Places = {}
    for place in smooths_of(fit):
        if place.term is not None:
            random.setdefault(place.label, []).append((place.term, slice(*place.columns)))
    taken = {k for found in random.values() for k, _ in found}
    for k, bar in enumerate(design.random):
        if k not in taken:
            random.setdefault(bar.label, []).append((k, slice(0, bar.n_columns)))
    return fixed, random


def _match(name: object, names: dict[str, None], argument: str) -> str:
    if not isinstance(name, str):
        raise SpecError(f"{argument}= holds {name!r}; give names of terms.")
    if name in INTERCEPT and "1" in names:
        return "1"
    folded = {_fold(one): one for one in names}
    if _fold(name) not in folded:
        listed = ", ".join(map(repr, names))
        raise SpecError(
            f"{argument}: {name!r} is no term of this model.{suggest(name, names)} Terms: {listed}."
        )
    return folded[_fold(name)]


def _fold(name: str) -> str:
    return name.replace(" ", "").replace("`", "")


def _without(
    fit: Fit, rows: NewRows, fixed: dict[str, list[int]], random: Places, gone: set[str], *, offset: bool
) -> NewRows:
    matrix = rows.matrix.copy()
    values: list[Array | None] = list(rows.values)
    for name in gone:
        matrix[:, fixed.get(name, [])] = 0.0
        for k, columns in random.get(name, []):
            term, own = fit.design.random[k], values[k]
            whole = np.ones((len(rows), term.n_columns)) if own is None else np.array(own)
            whole[:, columns] = 0.0
            values[k] = whole
    return replace(
        rows,
        matrix=matrix,
        x=matrix[:, list(fit.design.fixed.estimable)],
        values=tuple(values),
        offset=rows.offset if offset else None,
    )
