"""Contrasts among the functions of each group, pairwise comparisons and contrasts of contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..formats import value_text
from ..inference.multiplicity import ADJUSTMENTS, ALIASES, FamilyKind
from ..registry import look_up
from ..typing import Array, Labels
from .contrasts import ContrastSet, choose_contrasts
from .display import as_objects, level_formats
from .emm import EMM
from .regrouped import regrouped


def contrast(
    emm: EMM,
    method: Any = "eff",
    *,
    by: str | Sequence[str] | None = None,
    adjust: str | None = None,
    ref: Any = None,
    interaction: bool | str | Sequence[str] = False,
    level: float | None = None,
) -> EMM:
    """Return contrasts among the functions of each group.

    Parameters
    ----------
    method
        `"pairwise" "revpairwise" "trt.vs.ctrl" "trt.vs.ctrlk" "consec" "poly" "eff" "del.eff" "helmert"
        "mean_chg"`, a dict of coefficients (`{"late - early": [-1, 0, 1]}` or by level), or a matrix,
        one column per function.
    by
        Factors to contrast within; those of the functions by default.
    adjust
        `"tukey" "sidak" "bonferroni" "holm" "hochberg" "hommel" "bh" "by" "scheffe" "dunnettx" "mvt"
        "none"`; by default what suits the method, as in R's emmeans.
    ref
        Reference level for `"trt.vs.ctrl"`.
    interaction
        True, or a method per factor: contrasts of contrasts over the primary factors.
    level
        Confidence level; that of the functions by default.

    Notes
    -----
    Functions that are not estimable leave the family. *Same as* `contrast`, `pairs` of emmeans; SAS
    `LSMEANS / DIFF ADJUST=`, `LSMESTIMATE`.
    """
    source = emm if by is None else regrouped(emm, by)
    if interaction:
        return _interaction(source, method, interaction, adjust, ref, level)
    rows: list[Array] = []
    names: list[str] = []
    groups: list[int] = []
    chosen = ContrastSet((), np.zeros((0, 0)))
    for group in source.groups:
        chosen = choose_contrasts(method, _names(source, group), ref, plain=_plain_names(source, group))
        rows.append(chosen.weights @ _rows_of(len(source), group))
        names += chosen.names
        groups += [group[0]] * len(chosen.names)
    if not rows:
        raise SpecError("contrast: there are no means to compare; those of one mean have none.")
    levels: dict[str, NDArray[np.object_]] = {"contrast": as_objects(names)}
    levels.update((name, source.levels[name][groups]) for name in source.by)
    return _derived(
        source, np.vstack(rows), levels, ("contrast",), chosen.kind, adjust or chosen.adjust, level
    )


def pairs(emm: EMM, *, by: str | Sequence[str] | None = None, adjust: str | None = None) -> EMM:
    """Return all pairwise comparisons: `contrast("pairwise")`."""
    return contrast(emm, "pairwise", by=by, adjust=adjust)


def _interaction(emm: EMM, method: Any, asked: Any, adjust: str | None, ref: Any, level: float | None) -> EMM:
    default = method if isinstance(method, str) and method != "eff" else "pairwise"
    methods = (
        [default] * len(emm.primary) if asked is True else [asked] if isinstance(asked, str) else list(asked)
    )
    if len(methods) == 1:
        methods *= len(emm.primary)
    if len(methods) != len(emm.primary):
        raise SpecError(
            f"interaction={asked!r} has {len(methods)} methods for factors {', '.join(emm.primary)}."
        )
    labels = tuple(f"{name}_{one}" for name, one in zip(emm.primary, methods, strict=True))
    rows: list[Array] = []
    columns: dict[str, list[Any]] = {name: [] for name in (*labels, *emm.by)}
    for group in emm.groups:
        sets = [
            _factor_contrasts(emm, name, one, group, ref)
            for name, one in zip(emm.primary, methods, strict=True)
        ]
        for places in product(*(range(len(made.names)) for made, _ in reversed(sets))):
            weights = np.ones(len(group))
            for (made, codes), place, label in zip(sets, reversed(places), labels, strict=True):
                weights = weights * made.weights[place][codes]
                columns[label].append(made.names[place])
            for name in emm.by:
                columns[name].append(emm.levels[name][group[0]])
            rows.append(weights @ _rows_of(len(emm), group))
    levels = {name: as_objects(values) for name, values in columns.items()}
    matrix = np.array(rows).reshape(-1, len(emm))
    return _derived(emm, matrix, levels, labels, "other", adjust or "none", level)


def _factor_contrasts(
    emm: EMM, name: str, method: str, group: NDArray[np.intp], ref: Any
) -> tuple[ContrastSet, NDArray[np.intp]]:
    """Return contrasts among the levels of one factor in a group, and the level of each function."""
    values = emm.levels[name][group].tolist()
    distinct = list(dict.fromkeys(values))
    single = replace(emm, primary=(name,))
    first = np.array([group[values.index(value)] for value in distinct], dtype=np.intp)
    made = choose_contrasts(method, _names(single, first), ref, plain=_plain_names(single, first))
    return made, np.array([distinct.index(value) for value in values], dtype=np.intp)


def _derived(
    emm: EMM,
    weights: Array,
    levels: Mapping[str, NDArray[np.object_]],
    primary: Labels,
    family: FamilyKind,
    adjust: str,
    level: float | None,
) -> EMM:
    look_up("adjustment", adjust, ADJUSTMENTS, ALIASES)
    settings = replace(emm.settings, adjust=adjust, level=emm.settings.level if level is None else level)
    notes = emm.notes
    if (
        settings.response is not None
        and (np.abs(weights.sum(axis=1)) > 1e-8 * np.abs(weights).sum(axis=1)).any()
    ):
        settings = replace(settings, response=None)
        notes = (
            *notes,
            "on the scale of the model: only contrasts, whose coefficients add up to zero, are ratios",
        )
    return EMM(
        emm.fit,
        weights @ emm.L,
        weights @ emm.offset,
        levels,
        primary,
        emm.by,
        settings,
        "contrast",
        family,
        notes,
        None if emm.root is None else weights @ emm.root,
    )


def _names(emm: EMM, group: NDArray[np.intp]) -> Labels:
    """Return names of the functions of a group; levels that are numbers carry the factor's name."""
    parts = []
    for name in emm.primary:
        values = [value_text(emm.levels[name][i]) for i in group]
        numeric = level_formats({name: emm.levels[name]})[name] == "aligned"
        parts.append([f"{name}{value}" if numeric else value for value in values])
    joined = [" ".join(pieces) for pieces in zip(*parts, strict=True)] if parts else ["overall"] * len(group)
    return tuple(f"({text})" if any(sign in text for sign in "+-*/") else text for text in joined)


def _plain_names(emm: EMM, group: NDArray[np.intp]) -> Labels:
    """Return the levels of the functions of a group as they stand in the data."""
    return tuple(" ".join(value_text(emm.levels[name][i]) for name in emm.primary) for i in group)


def _rows_of(k: int, group: NDArray[np.intp]) -> Array:
    return np.eye(k)[group]
