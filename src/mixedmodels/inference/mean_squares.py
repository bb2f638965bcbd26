"""Analyses of variance with expected mean squares, and the variance components that equate the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..api.run import fit_model, read_model
from ..control import Control
from ..errors import DataError, SpecError
from ..fit import Fit, Inputs
from ..frame.model_frame import ModelFrame
from ..spec import ModelSpec, RandomSpec, quoted
from ..syntax.formula import read_formula
from ..table import Table
from ..typing import Array
from .anova import hypotheses
from .distributions import f_upper
from .model_terms import model_terms

KINDS = {"type1": 1, "type2": 2, "type3": 3}
NEGLIGIBLE = 1e-9
"""Coefficient of an expected mean square, or weight of one, that counts as zero."""
NOTHING = 1e-9
"""Share of its own length below which a direction of a hypothesis is none."""


@dataclass(frozen=True, slots=True)
class Source:
    """One line: its name, whether it is fixed, its df and sum of squares, and E(MS) = σ² + Σ coefficients·σ_l²."""

    name: str
    fixed: bool
    df: int
    squares: float
    coefficients: Array

    @property
    def mean(self) -> float:
        """The mean square; NaN without degrees of freedom."""
        return self.squares / self.df if self.df else float("nan")


@dataclass(frozen=True, slots=True)
class Analysis:
    """The sources in order, the last the residual; `components` names the random terms of the coefficients."""

    kind: int
    sources: tuple[Source, ...]
    components: tuple[str, ...]

    def random(self) -> tuple[Source, ...]:
        """Return the sources whose mean squares have variances alone in their expectation."""
        return tuple(one for one in self.sources if not one.fixed)

    def variances(self) -> Array:
        """Return the variances that equate mean squares and expectations, by random term, the residual last."""
        rows = self.random()
        empty = next((one.name for one in rows if one.df == 0), None)
        if empty is not None:
            raise DataError(
                f"method of moments: {empty} has no degrees of freedom beside the other effects, so that its variance "
                "has no mean square; use method='reml'."
            )
        matrix = np.array([[*one.coefficients, 1.0] for one in rows])
        if np.linalg.matrix_rank(matrix) < len(matrix):
            raise DataError(
                "method of moments: the expected mean squares cannot be told apart; use method='reml'."
            )
        return np.linalg.solve(matrix, np.array([one.mean for one in rows]))


def mean_squares(fit: Fit, type: int | None = None) -> Table:
    """Return the analysis of variance with expected mean squares of a model of variance components.

    Parameters
    ----------
    fit
        A linear mixed model with independent errors and random terms of one column each: `(1 | g)`, `(1 | a:b)`,
        `(0 + x | g)`.
    type
        Type of the sums of squares, 1, 2 or 3; that of the fit where it is by moments, else 3.

    Returns
    -------
    Table
        `source df sum_of_squares mean_square expected error_term error_df statistic p_value`, fixed terms first, then
        random terms, the residual last.

    Raises
    ------
    SpecError
        For a model that is none of variance components.

    Notes
    -----
    All effects are taken as fixed for the sums of squares SS = y'Q'Qy of hypothesis matrices (types 1 to 3), Q (df, n)
    with orthonormal rows; E(MS) = σ² + Σ_l σ_l² ‖QZ_l‖²/df, and Q(term) for a fixed one. An error term is the
    combination Σ w_iMS_i of random lines whose expectation is that of the line without its own effect; its df are
    Satterthwaite's, (Σ w_iMS_i)²/Σ (w_iMS_i)²/df_i. *Same as* SAS PROC MIXED `METHOD=TYPE3`, PROC GLM `RANDOM / TEST`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), method="type3")
    >>> table = fit.mean_squares()
    >>> table["source"].tolist(), table["expected"].tolist(), table["statistic"].round(3).tolist()
    (['Rail', 'Residual'], ['Var(Residual) + 3 Var(Rail)', 'Var(Residual)'], [115.181, nan])
    """
    kind = KINDS.get(str(fit.spec.moments), 3) if type is None else type
    if kind not in (1, 2, 3):
        raise SpecError(f"type={type!r} is not known. Allowed: 1, 2, 3.")
    if fit.inputs is None:
        raise fit._work.no_data("an analysis of variance")
    used = fit._work.rows().used
    rows = np.arange(fit.schema.n_given) if used is None else used
    analysis = analyse(fit.spec, replace(fit.inputs, subset=rows), fit.control, kind)
    lines = [_line(analysis, one) for one in analysis.sources]
    names = (
        "source", "df", "sum_of_squares", "mean_square", "expected", "error_term", "error_df", "statistic", "p_value"
    )  # fmt: skip
    columns: dict[str, Any] = {name: [line[j] for line in lines] for j, name in enumerate(names)}
    return Table(columns, f"Type {kind} analysis of variance", (), fit.backend)


def check_components(spec: ModelSpec, what: str) -> None:
    """Raise `SpecError` for a model whose covariance is not Σ σ_l²Z_lZ_l' + σ²I."""
    other = ""
    if spec.likelihood is not None:
        other = f"family {spec.likelihood.family!r}"
    elif spec.residual is not None or spec.variance or spec.weights:
        other = "structured errors, variance functions or weights"
    elif spec.smooths or spec.offsets:
        other = "smooths or offsets"
    elif spec.hold or spec.sampling:
        other = "held parameters"
    elif not spec.random:
        other = "no random terms"
    plain = [term for term in spec.random if term.by or term.cov or term.precision or term.coordinates]
    if not other and plain:
        other = f"the term {plain[0]}"
    if other:
        raise SpecError(
            f"{what} is for variance components, random terms such as (1 | g) and independent errors; this model has "
            f"{other}. Use method='reml'."
        )


def analyse(spec: ModelSpec, inputs: Inputs, control: Control, kind: int) -> Analysis:
    """Return the analysis of variance of a model of variance components, its random terms taken as fixed beside X."""
    check_components(spec, f"type {kind} sums of squares")
    if inputs.weights is not None:
        raise SpecError(f"type {kind} sums of squares take no weights; use method='reml'.")
    frame, design, rows = read_model(spec, inputs, control)
    wide = [term.label for term in design.random if term.n_columns != 1]
    if wide:
        raise SpecError(
            f"type {kind} sums of squares: the random term {wide[0]!r} has several columns; write one term for each "
            "effect, (1 | g) + (0 + x | g)."
        )
    labels = tuple(term.label for term in design.random)
    texts = [_as_fixed(term, frame) for term in spec.random]
    plain = read_formula(
        f"{spec.response} ~ {spec.fixed} + {' + '.join(texts)}", contrasts=dict(spec.contrasts), na=spec.na
    )
    fixed = fit_model(plain, replace(inputs, known=None), control)
    directions, left = _directions(fixed, kind, len(texts), labels)
    y = fixed.response
    sources = []
    for name, is_fixed, q in directions:
        own = np.array([_share(q, term.codes, term.dense_values()) for term in rows.random])
        sources.append(Source(name, is_fixed, len(q), float(np.sum((q @ y) ** 2)), own))
    df = fixed.nobs - fixed.design.fixed.rank
    if df < 1:
        raise DataError(
            "method of moments: the effects, all taken as fixed, leave no rows for the errors; use method='reml'."
        )
    residual = Source("Residual", False, df, float(left), np.zeros(len(labels)))
    return Analysis(kind, (*sources, residual), labels)


def _share(q: Array, codes: Any, values: Array) -> float:
    """Return ‖QZ‖²/df of one random term."""
    if not len(q):
        return float("nan")
    total = np.zeros((int(codes.max(initial=-1)) + 1, len(q)))
    np.add.at(total, codes, values[:, :1] * q.T)
    return float(np.sum(total**2) / len(q))


def _as_fixed(term: RandomSpec, frame: ModelFrame) -> str:
    """Return a random term of one column as a term of the fixed part; numbers that group are factors there."""
    groups = ":".join(
        quoted(name) if _is_factor(frame, name) else f"C({quoted(name)})" for name in term.group
    )
    effects = term.effects.replace(" ", "")
    if effects in ("1", ""):
        return groups
    return f"{effects.removeprefix('0+')}:{groups}"


def _is_factor(frame: ModelFrame, name: str) -> bool:
    """Return whether a column is a factor in the fixed part as it stands."""
    if name in frame.columns:
        return frame.columns[name].is_factor
    levels = frame.factors[name].levels
    return levels is not None and levels.dtype.kind not in "iufb"


def _directions(
    fixed: Fit, kind: int, n_random: int, labels: Sequence[str]
) -> tuple[list[tuple[str, bool, Array]], float]:
    """Return name, whether it is fixed and Q (df, n) of every effect, and the residual sum of squares."""
    x, kept = fixed._work.rows().x, list(fixed.design.fixed.estimable)
    basis, triangle = np.linalg.qr(x)
    terms = [term for term in model_terms(fixed) if not term.is_intercept]
    random = _random_names(fixed, n_random)
    order = [term for term in terms if term.name not in random] + [
        next(term for term in terms if term.name == name) for name in random
    ]
    shown = dict(zip(random, labels, strict=True))
    found = []
    if kind == 1:
        done = np.zeros((len(x), 0))
        start = [j for j, column in enumerate(kept) if not any(column in term.place for term in terms)]
        done = np.linalg.qr(x[:, start])[0] if start else done
        for term in order:
            own = x[:, [j for j, column in enumerate(kept) if column in term.place]]
            added = _new_directions(own, done)
            done = np.hstack([done, added.T])
            found.append((shown.get(term.name, term.name), term.name not in shown, added))
    else:
        rows = hypotheses(fixed, kind)
        for term in order:
            L = rows[term.name][:, kept]
            own = np.linalg.solve(triangle.T, L.T).T @ basis.T if len(L) else np.zeros((0, len(x)))
            found.append((shown.get(term.name, term.name), term.name not in shown, _orthonormal(own)))
    gap = fixed.response - basis @ (basis.T @ fixed.response)
    return found, float(gap @ gap)


def _random_names(fixed: Fit, n_random: int) -> list[str]:
    """Return the names of the terms that stand for the random ones, in the order they were written."""
    written = fixed.spec.formula.partition("~")[2].rsplit(" + ", n_random)[1:]
    wanted = [frozenset(part.strip() for part in text.split(":")) for text in written]
    by_atoms = {frozenset(atom.text for atom in term.atoms): term.name for term in model_terms(fixed)}
    missing = next((text for text, atoms in zip(written, wanted, strict=True) if atoms not in by_atoms), None)
    if missing is not None:
        raise SpecError(
            f"method of moments: {missing} is in the fixed part already, or cannot be taken as fixed."
        )
    return [by_atoms[atoms] for atoms in wanted]


def _new_directions(own: Array, done: Array) -> Array:
    """Return orthonormal directions of columns beyond those that came before, (df, n)."""
    left = own - done @ (done.T @ own)
    left = left - done @ (done.T @ left)
    size = np.linalg.norm(own, axis=0)
    return _orthonormal((left / np.where(size > 0, size, 1.0)).T)


def _orthonormal(rows: Array) -> Array:
    """Return an orthonormal basis of the span of rows, (rank, n)."""
    if not len(rows):
        return rows
    _, values, right = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(right[values > NOTHING * max(float(values[0]), NOTHING)])


def _line(analysis: Analysis, one: Source) -> tuple[Any, ...]:
    error, df, mean = "", float("nan"), float("nan")
    statistic, p = float("nan"), float("nan")
    if one.name != "Residual" and one.df:
        error, df, mean = _error_term(analysis, one)
        if mean > 0.0 and df > 0.0:
            statistic = one.mean / mean
            p = f_upper(statistic, float(one.df), df)
    return one.name, one.df, one.squares, one.mean, _expected(analysis, one), error, df, statistic, p


def _expected(analysis: Analysis, one: Source) -> str:
    pairs = zip(analysis.components, one.coefficients, strict=True)
    parts = [f"{value:.6g} Var({name})" for name, value in reversed(list(pairs)) if abs(value) > NEGLIGIBLE]
    own = [f"Q({one.name})"] if one.fixed else []
    return " + ".join(["Var(Residual)", *parts, *own])


def _error_term(analysis: Analysis, one: Source) -> tuple[str, float, float]:
    """Return the error term of a line as text, its degrees of freedom and its value; NaN where there is none."""
    rows = [row for row in analysis.random() if row.df]
    wanted = np.append(one.coefficients, 1.0)
    if not one.fixed:
        wanted[analysis.components.index(one.name)] = 0.0
    matrix = np.array([[*row.coefficients, 1.0] for row in rows])
    weights, *_ = np.linalg.lstsq(matrix.T, wanted)
    if np.abs(matrix.T @ weights - wanted).max() > 1e-6 * np.abs(wanted).max():
        return "", float("nan"), float("nan")
    used = [(w, row) for w, row in zip(weights, rows, strict=True) if abs(w) > 1e-6]
    mean = sum(w * row.mean for w, row in used)
    spread = sum((w * row.mean) ** 2 / row.df for w, row in used)
    text = ""
    for w, row in used:
        sign = (" + " if w > 0 else " - ") if text else ("" if w > 0 else "-")
        text += sign + (f"{abs(w):.5g} " if abs(abs(w) - 1.0) > 1e-6 else "") + f"MS({row.name})"
    return text, float(mean**2 / spread) if spread > 0 else float("nan"), float(mean)
