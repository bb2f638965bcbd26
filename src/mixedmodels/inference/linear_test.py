"""Wald tests of hypotheses given as a matrix, as coefficients by name, or as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..fit import Fit
from ..table import Table
from ..typing import Array, Ddf
from .hypothesis_text import find_coefficient, read_hypothesis, split_hypotheses
from .random_coefficients import functions_of_random
from .sensitivity import Information
from .wald import wald

Hypothesis = str | Mapping[str, float] | ArrayLike


def linear_test(
    fit: Fit,
    L: Hypothesis | Sequence[Hypothesis],
    rhs: ArrayLike = 0.0,
    *,
    joint: bool = True,
    random: Any = None,
    ddf: Ddf | None = None,
    information: Information = "observed",
    level: float = 0.95,
) -> Table:
    """Return the Wald test of Lβ = rhs.

    Parameters
    ----------
    fit
        The fitted model.
    L
        A matrix (k, p), one column for each column of X; a dict of coefficients by column; text such as
        `"fem:age = male:age"` or `"2*x1 - x2 = 1"`, several separated by commas, or the name of a term; or a list of
        dicts or texts.
    rhs
        Hypothesised values, added to those that text gives.
    joint
        One F test of all rows; otherwise an estimate and t test for each.
    random
        Coefficients of random effects beside those of β, for narrow and intermediate inference: a mapping of terms such
        as `{"Block": {"A": 1, "B": -1}}`, or a list of them, one for each row of L (see
        `inference.random_coefficients`).
    ddf, information
        Degrees-of-freedom method, the fit's own by default, and the information it is computed from.
    level
        Confidence level of the intervals without `joint`.

    Returns
    -------
    Table
        `num_df den_df statistic p_value`, or a row per function. Functions that are not estimable are named
        in a note.

    Notes
    -----
    *Same as* SAS `CONTRAST` (joint) and `ESTIMATE`, `lmerTest::contest`, `car::linearHypothesis`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.test("Days = 10")["p_value"].round(4)
    array([0.7661])
    """
    rows, targets, labels = read_hypotheses(fit, L)
    targets = targets + np.broadcast_to(np.asarray(rhs, dtype=float), (len(rows),))
    if random is not None:
        fit._refuse_generalised("test(random=)")
        asked = {"joint": joint, "ddf": ddf, "information": information, "level": level}
        return functions_of_random(fit, rows, targets, labels, random, **asked)  # type: ignore[arg-type]
    return wald(fit, rows, targets, ddf=ddf, joint=joint, level=level, labels=labels, information=information)


def read_hypotheses(fit: Fit, L: Any) -> tuple[Array, Array, list[str]]:
    """Return the rows (k, p), the values they are compared with (k,) and their names; a term stands for its columns."""
    columns = fit.design.fixed.columns
    if isinstance(L, str):
        L = split_hypotheses(L, columns)
    if isinstance(L, Mapping):
        L = [L]
    if isinstance(L, (list, tuple)) and L and all(isinstance(one, (str, Mapping)) for one in L):
        L = [each for one in L for each in _columns_of(fit, one)]
        read = [
            read_hypothesis(one, columns) if isinstance(one, str) else _read_dict(one, columns) for one in L
        ]
        return (
            np.array([row for row, _, _ in read]),
            np.array([v for _, v, _ in read]),
            [n for _, _, n in read],
        )
    rows = np.atleast_2d(np.asarray(L, dtype=float))
    return rows, np.zeros(len(rows)), [f"L{i + 1}" for i in range(len(rows))]


def _columns_of(fit: Fit, one: Hypothesis) -> Sequence[Hypothesis]:
    """Return the columns of a term named by a text; anything else by itself."""
    fixed = fit.design.fixed
    name = one.strip() if isinstance(one, str) else ""
    if name in fixed.columns or name not in fixed.terms:
        return [one]
    index = fixed.terms.index(name)
    own = [column for column, of in zip(fixed.columns, fixed.assign, strict=True) if of == index]
    return [{column: 1.0} for column in own]


def _read_dict(weights: Mapping[str, float], columns: Sequence[str]) -> tuple[Array, float, str]:
    row = np.zeros(len(columns))
    for name, weight in weights.items():
        row[find_coefficient(name, columns)] += float(weight)
    return row, 0.0, " ".join(f"{weight:+g} {name}" for name, weight in weights.items())
