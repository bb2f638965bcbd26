"""SAS's tables of a fit, by their ODS names, with the columns of their ODS data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import MixedModelsError
from ...inference.anova import hypotheses
from ...inference.distributions import f_upper
from ...inference.multivariate import multivariate_tests
from ...inference.wald import Estimates, estimate_rows, joint_test
from ...table import Table
from ...typing import Array
from .coding import level_cells
from .fitting import Fitted, _pieces

FORMATS = {
    "DF": "df", "NumDF": "df", "DenDF": "df", "tValue": "statistic", "FValue": "statistic", "ZValue": "statistic",
    "Probt": "p", "ProbF": "p", "ProbZ": "p", "ProbChiSq": "p", "ChiSq": "statistic", "PVal": "p", "Adjp": "p",
    "Alpha": "p",
}  # fmt: skip


ALIASED = "a coefficient of 0 without standard error is that of a column aliased with those before it"


def table(found: Fitted, columns: dict[str, Any], title: str, notes: Sequence[str] = ()) -> Table:
    """Return a table in the backend of the fit."""
    return Table(
        columns, title, tuple(notes), found.fit.backend, {k: v for k, v in FORMATS.items() if k in columns}
    )


def estimates(
    found: Fitted, rows: Array, effect: Sequence[int | None], *, alpha: float = 0.05, df: float | None = None
) -> tuple[Estimates, list[bool]]:
    """Return inference on functions L (k, P) of SAS's coefficients; of what is not estimable all is NaN."""
    functions, estimable = found.coding.functions(rows)
    out: dict[str, list[float]] = {}
    for i, own in enumerate(effect):
        one = estimate_rows(
            found.fit,
            functions[i : i + 1],
            np.zeros(1),
            found.method(own, df),
            1 - alpha,
            estimable[i : i + 1],
        )
        for name, values in one.columns().items():
            out.setdefault(name, []).append(float(values[0]))
    return Estimates(**{name: np.array(values) for name, values in out.items()}), estimable.tolist()


def columns_of(found: Estimates, alpha: float | None = None) -> dict[str, Any]:
    """Return estimates under SAS's names, with limits where `alpha` is given."""
    out: dict[str, Any] = {
        "Estimate": found.estimate, "StdErr": found.std_error, "DF": found.df, "tValue": found.statistic,
        "Probt": found.p_value,
    }  # fmt: skip
    if alpha is not None:
        out.update(Alpha=np.full(len(found.estimate), alpha), Lower=found.conf_low, Upper=found.conf_high)
    return out


def last_effect(found: Fitted, row: Array) -> int | None:
    """Return the last effect with coefficients in a row: that whose degrees of freedom ESTIMATE takes."""
    used = np.flatnonzero(row)
    return found.coding.columns[int(used.max())].effect if len(used) else None


def solution(found: Fitted) -> Table:
    """Return `SolutionF`: every column of X with its coefficient, zero for aliased ones."""
    coding, options = found.coding, found.model.model_options
    k = len(coding.columns)
    effects = [column.effect for column in coding.columns]
    kept = list(coding.kept)
    alpha = options.number("alpha", 0.05)
    # a kept coefficient is that function of β which it is with aliased ones at zero
    functions = np.zeros((k, len(kept)))
    functions[kept] = coding.inverse
    if coding.thresholds:
        return _cumulative_solution(found, functions)
    functions = coding.spread(functions)
    out = {name: np.full(k, np.nan) for name in Estimates.__slots__}
    for j in kept:
        one = estimate_rows(
            found.fit,
            functions[j : j + 1],
            np.zeros(1),
            found.method(effects[j]),
            1 - alpha,
            np.ones(1, bool),
        )
        for name, values in one.columns().items():
            out[name][j] = values[0]
    aliased = np.setdiff1d(np.arange(k), kept)
    out["estimate"][aliased] = 0.0
    shown = alpha if options.has("cl") else None
    cells = level_cells(coding, range(len(coding.effects)), range(k))
    names = [str(coding.effects[e]) for e in effects]
    notes = (ALIASED,)
    columns = {"Effect": names, **cells, **columns_of(Estimates(**out), shown)}
    return table(found, columns, "Solution for Fixed Effects", notes if len(aliased) else ())


def _cumulative_solution(found: Fitted, functions: Array) -> Table:
    """Return `ParameterEstimates` of a cumulative model: an intercept for each cut, then the other columns of X."""
    coding, options = found.coding, found.model.model_options
    alpha = options.number("alpha", 0.05)
    kept, rows = set(coding.kept), []
    columns = [(0, cut) for cut in range(len(coding.thresholds))]
    columns += [(j, -1) for j in range(1, len(coding.columns))]
    for j, cut in columns:
        if j not in kept:
            rows.append({name: 0.0 if name == "estimate" else np.nan for name in Estimates.__slots__})
            continue
        L = coding.spread_cut(functions[j : j + 1], max(cut, 0))
        method = found.method(coding.columns[j].effect)
        one = estimate_rows(found.fit, L, np.zeros(1), method, 1 - alpha, np.ones(1, bool))
        rows.append({name: float(values[0]) for name, values in one.columns().items()})
    out = {name: np.array([row[name] for row in rows]) for name in Estimates.__slots__}
    places = [j for j, _ in columns]
    shown: dict[str, Any] = {"Effect": [str(coding.effects[coding.columns[j].effect]) for j in places]}
    shown[found.model.response] = [found.cuts[cut] if cut >= 0 else "" for _, cut in columns]
    shown |= level_cells(coding, range(len(coding.effects)), places)
    shown |= columns_of(Estimates(**out), alpha if options.has("cl") else None)
    return table(found, shown, "Parameter Estimates", (ALIASED,) if len(kept) < len(coding.columns) else ())


def tests(found: Fitted, kind: int) -> Table:
    """Return `Tests1`, `Tests2` or `Tests3`: F tests of the effects."""
    options = found.model.model_options
    names, rows = [], []
    for place, L in effect_hypotheses(found, kind):
        names.append(str(found.coding.effects[place]))
        rows.append(joint_test(found.fit, L, np.zeros(len(L)), found.method(place), ()).row(0))
    columns: dict[str, Any] = {
        "Effect": names, "NumDF": _of(rows, "num_df"), "DenDF": _of(rows, "den_df"),
    }  # fmt: skip
    f = _of(rows, "statistic")
    chi = {"ChiSq": columns["NumDF"] * f} if options.has("chisq") else {}
    columns.update(chi)
    columns["FValue"] = f
    if chi:
        columns["ProbChiSq"] = np.array(
            [f_upper(v, d, np.inf) for v, d in zip(f, columns["NumDF"], strict=True)]
        )
    columns["ProbF"] = _of(rows, "p_value")
    return table(found, columns, f"Type {kind} Tests of Fixed Effects")


def _of(rows: list[dict[str, Any]], name: str) -> Array:
    return np.array([row[name] for row in rows], dtype=float)


def effect_hypotheses(found: Fitted, kind: int) -> list[tuple[int, Array]]:
    """Return for each effect but the intercept the rows L (q, rank) of its test on the columns of the fit."""
    coding, fit = found.coding, found.fit
    kept = list(fit.design.fixed.estimable)
    first = 0
    if coding.effects[0].is_intercept and not found.model.model_options.has("intercept"):
        first = 1
    if kind == 1:
        blocks = _sequential(found)
        return [(k, blocks[k]) for k in range(first, len(coding.effects))]
    own = {_pieces(name): L[:, kept] for name, L in hypotheses(fit, kind).items()}
    out = []
    for place in range(first, len(coding.effects)):
        effect = coding.effects[place]
        if effect.is_intercept:
            row = np.zeros((1, len(coding.columns)))
            row[0] = _intercept_row(found)
            functions, estimable = coding.functions(row)
            out.append((place, functions[estimable]))
            continue
        rows = own[_pieces(found.asked.terms[effect])]
        out.append((place, _echelon(found, place, rows)))
    return out


def _echelon(found: Fitted, place: int, rows: Array) -> Array:
    """Return a basis of the rows that is reduced over SAS's columns of the effect, in their order.

    F and its numerator do not depend on the basis; the degrees of freedom of Fai and Cornelius do, and this is SAS's.
    """
    own = list(found.coding.places[place])
    rows = np.array(rows)
    written = rows[:, list(found.coding.own)] @ found.coding.mean_map[:, own]
    free = list(range(len(rows)))
    scale = np.abs(written).max(initial=0.0)
    for j in range(len(own)):
        if not free:
            break
        best = max(free, key=lambda i: abs(float(written[i, j])))
        pivot = written[best, j]
        if abs(pivot) <= 1e-8 * scale:
            continue
        rows[best], written[best] = rows[best] / pivot, written[best] / pivot
        for i in range(len(rows)):
            if i != best:
                factor = written[i, j]
                rows[i], written[i] = rows[i] - factor * rows[best], written[i] - factor * written[best]
        free.remove(best)
    return rows


def _intercept_row(found: Fitted) -> Array:
    from .coding import lsmeans_rows
    from .effects import INTERCEPT

    rows, _ = lsmeans_rows(found.coding, INTERCEPT, dict.fromkeys(found.coding.means, 0.0))
    return np.asarray(rows[0])


def _sequential(found: Fitted) -> list[Array]:
    """Return the rows of the triangular factor of SAS's X, effect by effect, as functions of the fit's columns."""
    coding = found.coding
    if coding.thresholds:
        found.model.model_options["htype"].fail("type 1 tests of DIST=MULTINOMIAL are not done; use 2 or 3.")
    x = found.fit._work.rows().x[:, list(coding.own)]
    kept = list(coding.kept)
    columns = x @ coding.map[:, kept]
    size = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    r = np.linalg.qr(columns / size, mode="r") * size
    full = r @ coding.inverse
    effects = np.array([coding.columns[j].effect for j in kept])
    return [
        np.asarray(full[effects == k] / np.abs(np.diag(r))[effects == k, None])
        for k in range(len(coding.effects))
    ]


def multivariate(found: Fitted, method: str, kind: int) -> Table:
    """Return `HLM1` … `HLPS3`: Hotelling–Lawley tests of the effects that change within subjects."""
    assert found.model.repeated is not None
    try:
        own = multivariate_tests(found.fit, method, kind)
    except MixedModelsError as error:
        found.model.repeated.options[method].fail(str(error))
    written = {_pieces(text): str(effect) for effect, text in found.asked.terms.items()}
    columns = {
        "Effect": [written.get(_pieces(str(term)), str(term)) for term in own["term"]], "NumDF": own["num_df"],
        "DenDF": own["den_df"], "FValue": own["statistic"], "ProbF": own["p_value"],
    }  # fmt: skip
    name = "Hotelling-Lawley-McKeon" if method == "hlm" else "Hotelling-Lawley-Pillai-Samson"
    return table(found, columns, f"Type {kind} {name} Statistics", own.notes)
