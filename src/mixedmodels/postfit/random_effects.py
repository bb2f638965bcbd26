"""Predicted random effects (BLUPs) with their conditional standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..labelled import LabelledMatrix
from ..table import Table
from ..terms.design import RandomTerm
from .choose_term import choose_term
from .standard_errors import standard_errors


def random_effects(
    fit: Fit, *, se: bool = True, term: str | None = None, joint: bool = False
) -> Table | LabelledMatrix:
    """Return b̂ with standard errors √var(b̂ − b), one row per level and column of each random term.

    Parameters
    ----------
    se
        Whether to compute standard errors (they need the inverse of the mixed-model equations).
    term
        Label of one random term; all by default.
    joint
        Return instead the covariance matrix var(b̂ − b) of all effects of one term, (q·p, q·p), level by
        level.

    Returns
    -------
    Table or LabelledMatrix
        `group level term estimate std_error`; with `joint` a matrix whose names are `"level column"`.

        Levels are of the type they have in the data (of crossed factors, their names joined by colons).

    Notes
    -----
    b̂ = GZ'V⁻¹(y − Xβ̂); var(b̂ − b) = G − GZ'PZG counts the uncertainty of β̂ but not that of the covariance
    parameters. *Same as* SAS `RANDOM … / SOLUTION` (StdErrPred); lme4's `condVar` holds β at its estimate and
    is smaller.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> print(fit.random_effects(se=False))
    Random effects
    group  level  term         estimate
    Rail   1      (Intercept)  -12.3915
    Rail   2      (Intercept)  -34.5309
    Rail   3      (Intercept)   18.0089
    Rail   4      (Intercept)   29.2439
    Rail   5      (Intercept)  -16.3567
    Rail   6      (Intercept)   16.0263
    """
    if not fit.design.random:
        raise SpecError(
            "the model has no random terms; add one such as `(1 | group)` to have random effects."
        )
    if joint:
        return _joint_covariance(fit, choose_term(fit, term))
    chosen = range(len(fit.design.random)) if term is None else [choose_term(fit, term)]
    parts = [_term_columns(fit, k, se) for k in chosen]
    columns = {name: stacked([part[name] for part in parts]) for name in parts[0]}
    return Table(columns, "Random effects", backend=fit.backend, formats={"level": "text"})


def _term_columns(fit: Fit, k: int, se: bool) -> dict[str, Any]:
    term = fit.design.random[k]
    q, p = term.n_levels, term.n_columns
    columns: dict[str, Any] = {
        "group": np.full(q * p, term.group, dtype=object),
        "level": np.repeat(term.level_values, p),
        "term": np.tile(np.array(term.columns, dtype=object), q),
        "estimate": fit.solution.random[k].reshape(-1),
    }
    if se:
        variance = np.einsum("jaa->ja", fit._work.equations().conditional_covariance(k))
        columns["std_error"] = standard_errors(fit, variance).reshape(-1)
    return columns


def stacked(parts: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return parts of one column under each other, each value of its own type."""
    same = len({part.dtype for part in parts}) == 1
    return np.concatenate(parts if same else [part.astype(object) for part in parts])


def _joint_covariance(fit: Fit, k: int) -> LabelledMatrix:
    term = fit.design.random[k]
    names = effect_names(term)
    array = fit._work.equations().joint_covariance(k)
    return LabelledMatrix(names, names, array, f"var(b̂ − b) of {term.label}", fit.backend)


def effect_names(term: RandomTerm) -> tuple[str, ...]:
    """Return names of the q·p effects of a term: `"308 Days"`, or the level alone for p = 1."""
    if term.n_columns == 1:
        return term.levels
    return tuple(f"{level} {column}" for level in term.levels for column in term.columns)
