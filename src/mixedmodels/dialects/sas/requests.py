"""ESTIMATE, CONTRAST, LSMEANS, LSMESTIMATE and SLICE answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from ...inference.distributions import f_upper
from ...inference.wald import Estimates, joint_test
from ...table import Table
from ...typing import Array
from .adjusting import adjusted
from .coding import Coding
from .fitting import Fitted
from .model_statements import Coefficients, Request, Row
from .options import Options
from .tables import columns_of, estimates, last_effect, table

Made = list[tuple[str, Table]]
"""Tables with their ODS names."""
ALPHA = 0.05


def coefficients(found: Fitted, request: Request, row: Row) -> Array:
    """Return the coefficients of a row on SAS's columns of X, (P,).

    Notes
    -----
    Fewer coefficients than levels are filled with zeros, more are an error. Levels are counted over all combinations of
    the effect's CLASS variables that the data have. An effect without coefficients that contains one with some, `a*b`
    beside `a 1 -1`, has these in equal parts over its levels (SAS/STAT, PROC GLM, Specification of ESTIMATE
    Expressions, and PROC MIXED, CONTRAST).
    """
    coding = found.coding
    out = np.zeros(len(coding.columns))
    given: list[int] = []
    for one in row.fixed:
        place = coding.index(one.effect)
        if place is None:
            fail_at(request, one, f"{one.effect} is no effect of MODEL.")
        given.append(place)
        columns = coding.places[place]
        if one.entries:
            _by_entries(found, request, one, place, out)
            continue
        if len(one.values) > len(columns):
            fail_at(
                request,
                one,
                f"{one.effect} has {len(columns)} columns, and there are {len(one.values)} coefficients.",
            )
        out[list(columns[: len(one.values)])] += one.values
    for place in range(len(coding.effects)):
        if place not in given:
            _distribute(found, given, place, out)
    if coding.thresholds and out[0] != 0.0:
        request.statement.fail(
            "DIST=MULTINOMIAL has an intercept for each cut: give coefficients of the other effects."
        )
    return out


def _distribute(found: Fitted, given: list[int], place: int, out: Array) -> None:
    """Give an effect without coefficients those of the largest effect with some that it contains, in equal parts."""
    coding, factors = found.coding, found.asked.levels
    effect = coding.effects[place]
    own, numbers = set(effect.classes(factors)), sorted(effect.numbers(factors))
    inside = [
        k
        for k in given
        if not coding.effects[k].is_intercept
        and set(coding.effects[k].classes(factors)) < own
        and sorted(coding.effects[k].numbers(factors)) == numbers
    ]
    if not inside:
        return
    source = max(inside, key=lambda k: len(coding.effects[k].classes(factors)))
    names = coding.effects[source].classes(factors)
    weights = {_levels_of(coding, j, names): out[j] for j in coding.places[source]}
    shared: dict[tuple[int, ...], list[int]] = {}
    for j in coding.places[place]:
        shared.setdefault(_levels_of(coding, j, names), []).append(j)
    for levels, columns in shared.items():
        out[columns] = weights.get(levels, 0.0) / len(columns)


def _levels_of(coding: Coding, column: int, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the levels that a column has of some of its CLASS variables."""
    levels = dict(coding.columns[column].levels)
    return tuple(levels[name] for name in names)


def fail_at(request: Request, one: Coefficients, message: str) -> NoReturn:
    request.statement.program.fail(message, one.token.start, one.token.stop - one.token.start)


def _by_entries(found: Fitted, request: Request, one: Coefficients, place: int, out: Array) -> None:
    coding = found.coding
    names = [n for n in dict.fromkeys(one.effect.crossed + one.effect.nested) if n in found.asked.levels]
    for weight, places in one.entries:
        if len(places) != len(names):
            fail_at(
                request,
                one,
                f"[…] names {len(places)} levels for {len(names)} CLASS variables of {one.effect}.",
            )
        wanted = {name: k - 1 for name, k in zip(names, places, strict=True)}
        hits = [j for j in coding.places[place] if dict(coding.columns[j].levels) == wanted]
        if not hits:
            fail_at(request, one, f"{one.effect} has no levels {' '.join(map(str, places))}.")
        out[hits[0]] += weight


# -- ESTIMATE and CONTRAST -----------------------------------------------------------------------------------
def divisors(options: Options, count: int) -> Array:
    if "divisor" not in options:
        return np.ones(count)
    values = options["divisor"].numbers()
    if any(value == 0 for value in values):
        options["divisor"].fail("divisor= is not zero.")
    if len(values) == 1:
        return np.full(count, values[0])
    if len(values) != count:
        options["divisor"].fail(f"divisor= has {len(values)} values for {count} rows.")
    return np.array(values)


def df_of(options: Options) -> float | None:
    return options["df"].number() if "df" in options else None


def tails(options: Options, found: Estimates) -> Array:
    """Return p-values of tests to one side where `lower` or `upper` ask for them."""
    from ...inference.distributions import t_one_sided

    if options.has("upper"):
        return t_one_sided(found.statistic, found.df)
    if options.has("lower"):
        return t_one_sided(-found.statistic, found.df)
    return found.p_value


def answer_estimate(found: Fitted, request: Request) -> Made:
    options = request.options
    L = np.array([coefficients(found, request, row) for row in request.rows])
    L = L / divisors(options, len(L))[:, None]
    if any(row.random for row in request.rows):
        return [("Estimates", _predicted_estimates(found, request, L))]
    own = estimate_table(found, [row.label for row in request.rows], L, options)
    made = [("Estimates", table(found, own, "Estimates", _not_estimable(found, L, request)))]
    if options.has("e"):
        made.append(("Coef", coefficient_table(found, L, "Coefficients for Estimates")))
    return made


def _predicted_estimates(found: Fitted, request: Request, L: Array) -> Table:
    """Return the rows of ESTIMATE that have coefficients of random effects: narrow and intermediate inference."""
    from .random_requests import NOTE, predicted

    options = request.options
    for name in ("adjust", "exp", "ilink", "e"):
        if name in options:
            options[name].fail(f"{name} beside coefficients of random effects is not done.")
    alpha = options.number("alpha", ALPHA)
    _, estimable = found.coding.functions(L)
    rows = [row for row, ok in zip(request.rows, estimable, strict=True) if ok]
    found_values = {name: np.full(len(L), np.nan) for name in Estimates.__slots__}
    if rows:
        own = predicted(found, replace(request, rows=tuple(rows)), L[estimable], df_of(options), 1 - alpha)
        for name, one in found_values.items():
            one[estimable] = np.asarray(own[name], dtype=float)
    values = Estimates(**found_values)
    columns: dict[str, Any] = {"Label": [row.label for row in request.rows], **columns_of(values)}
    columns["Probt"] = tails(options, values)
    if options.has("cl"):
        columns.update(Alpha=np.full(len(L), alpha), Lower=values.conf_low, Upper=values.conf_high)
    return table(found, columns, "Estimates", (NOTE, *_not_estimable(found, L, request)))


def estimate_table(found: Fitted, labels: list[str], L: Array, options: Options) -> dict[str, Any]:
    """Return the columns of a table of estimates of functions of SAS's coefficients."""
    alpha = options.number("alpha", ALPHA)
    effects = [last_effect(found, row) for row in L]
    values, _ = estimates(found, L, effects, alpha=alpha, df=df_of(options))
    out: dict[str, Any] = {"Label": labels, **columns_of(values)}
    out["Probt"] = tails(options, values)
    if "adjust" in options:
        out.update(adjusted(found, L, values, options, "other", float("nan"), alpha))
    if options.has("cl"):
        out.update(Alpha=np.full(len(L), alpha), Lower=values.conf_low, Upper=values.conf_high)
    return transformed(found, out, values, options)


def transformed(found: Fitted, out: dict[str, Any], values: Any, options: Options) -> dict[str, Any]:
    """Return the columns with the mean (ILINK) or the exponential (EXP, ODDSRATIO) of every estimate."""
    limits = {"Lower": values.conf_low, "Upper": values.conf_high}
    if options.has("ilink") and found.fit.distribution is not None:
        link = found.fit.distribution.link
        assert link is not None
        mean_of = _inverse(link)
        with np.errstate(all="ignore"):
            mean = mean_of(values.estimate)
            above, below = (np.asarray(mean_of(values.estimate + h)) for h in (1e-6, -1e-6))
            slope = (above - below) / 2e-6
        out.update(Mu=mean, StdErrMu=np.abs(slope) * values.std_error)
        if options.has("cl"):
            ends = np.sort(np.array([mean_of(one) for one in limits.values()]), axis=0)
            out.update(LowerMu=ends[0], UpperMu=ends[1])
    if options.has("exp", "oddsratio"):
        name = "OddsRatio" if options.has("oddsratio") else "ExpEstimate"
        with np.errstate(over="ignore"):
            out[name] = np.exp(values.estimate)
            if options.has("cl"):
                short = "OR" if name == "OddsRatio" else "Exp"
                out.update({f"{end}{short}": np.exp(one) for end, one in limits.items()})
    return out


def _inverse(link: Any) -> Callable[[Array], Array]:
    """Return g⁻¹ of a link as a function of linear predictors."""

    def mean(eta: Array) -> Array:
        found = link.inverse(eta)
        return np.asarray(found[0] if isinstance(found, tuple) else found)

    return mean


def _not_estimable(found: Fitted, L: Array, request: Request) -> tuple[str, ...]:
    _, estimable = found.coding.functions(L)
    names = [row.label for row, ok in zip(request.rows, estimable, strict=True) if not ok]
    return (f"Non-est: {', '.join(names)}",) if names else ()


def coefficient_table(found: Fitted, L: Array, title: str) -> Table:
    from .coding import level_cells

    coding = found.coding
    k = range(len(coding.columns))
    columns: dict[str, Any] = {"Effect": [str(coding.effects[coding.columns[j].effect]) for j in k]}
    columns.update(level_cells(coding, range(len(coding.effects)), k))
    columns.update({f"Row{i + 1}": row for i, row in enumerate(L)})
    return table(found, columns, title)


def answer_contrast(found: Fitted, request: Request) -> Made:
    options = request.options
    L = np.array([coefficients(found, request, row) for row in request.rows])
    if any(row.random for row in request.rows):
        return [("Contrasts", _predicted_contrast(found, request, L))]
    functions, estimable = found.coding.functions(L)
    last = max((last_effect(found, row) or 0 for row in L), default=0)
    method = found.method(last, df_of(options))
    notes: tuple[str, ...] = ()
    if not estimable.all():
        notes = (f"Non-est: {request.label}",)
        row = dict.fromkeys(("num_df", "den_df", "statistic", "p_value"), np.nan)
    else:
        row = joint_test(found.fit, functions, np.zeros(len(L)), method, ()).row(0)
    columns: dict[str, Any] = {
        "Label": [request.label], "NumDF": np.array([row["num_df"]]), "DenDF": np.array([row["den_df"]]),
    }  # fmt: skip
    if options.has("chisq"):
        columns["ChiSq"] = np.array([row["num_df"] * row["statistic"]])
    columns["FValue"] = np.array([row["statistic"]])
    if options.has("chisq"):
        columns["ProbChiSq"] = np.array([f_upper(row["statistic"], row["num_df"], np.inf)])
    columns["ProbF"] = np.array([row["p_value"]])
    made = [("Contrasts", table(found, columns, "Contrasts", notes))]
    if options.has("e"):
        made.append(("Coef", coefficient_table(found, L, f"Coefficients for {request.label}")))
    return made


def _predicted_contrast(found: Fitted, request: Request, L: Array) -> Table:
    from .random_requests import NOTE, predicted

    if not found.coding.functions(L)[1].all():
        row, notes = (
            dict.fromkeys(("num_df", "den_df", "statistic", "p_value"), np.nan),
            (f"Non-est: {request.label}",),
        )
    else:
        row, notes = predicted(found, request, L, df_of(request.options), joint=True).row(0), (NOTE,)
    columns: dict[str, Any] = {
        "Label": [request.label], "NumDF": np.array([row["num_df"]]), "DenDF": np.array([row["den_df"]]),
        "FValue": np.array([row["statistic"]]), "ProbF": np.array([row["p_value"]]),
    }  # fmt: skip
    return table(found, columns, "Contrasts", notes)


def merge(made: Made) -> Made:
    """Return tables with those of one name and the same columns put under one another."""
    out: dict[str, Table] = {}
    for name, one in made:
        if name not in out:
            out[name] = one
            continue
        before = out[name]
        keys = list(dict.fromkeys((*before.columns, *one.columns)))
        columns = {key: _stacked(before, one, key) for key in keys}
        notes = tuple(dict.fromkeys((*before.notes, *one.notes)))
        out[name] = Table(columns, before.title, notes, before.backend, {**before.formats, **one.formats})
    return list(out.items())


def _stacked(before: Table, one: Table, key: str) -> Any:
    parts = []
    for part in (before, one):
        if key in part.columns:
            parts.append(np.asarray(part.columns[key]))
        else:
            like = np.asarray((before if key in before.columns else one).columns[key])
            parts.append(
                np.full(len(part), np.nan)
                if like.dtype.kind in "fiu"
                else np.full(len(part), "", dtype=object)
            )
    return np.concatenate([part.astype(object) if part.dtype.kind in "UO" else part for part in parts])
