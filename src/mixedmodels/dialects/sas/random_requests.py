"""Coefficients of random effects: those after `|` in ESTIMATE and CONTRAST, and the solution of RANDOM."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...inference.ddf.containment import _rank_contributions
from ...inference.random_coefficients import functions_of_random
from ...table import Table
from ...typing import Array
from .data_set import level_text
from .effects import Effect
from .fitting import BY_EFFECT, Fitted, GivenDf
from .model_statements import Coefficients, Random, Request, Row
from .tables import last_effect, table

NOTE = "predictions: standard errors take the covariance parameters as known"


def random_coefficients(found: Fitted, request: Request, row: Row) -> dict[str, Array]:
    """Return the coefficients M of a row by random term, each (q, p).

    Notes
    -----
    The coefficients of an effect are in the order of its levels, as in MODEL. Where its RANDOM statement has SUBJECT=,
    they are those within one subject, and `subject` after the slash has a factor for each subject in order
    (SAS/STAT, PROC MIXED, ESTIMATE).
    """
    out = {term.label: np.zeros((term.n_levels, term.n_columns)) for term in found.fit.design.random}
    for one in row.random:
        place, statement = _term_of(found, request, one)
        _fill(found, request, one, place, statement, out[found.fit.design.random[place].label])
    return {label: values for label, values in out.items() if values.any()}


def _term_of(found: Fitted, request: Request, one: Coefficients) -> tuple[int, Random]:
    wanted = _key(one.effect)
    for place, (_, statement, effects) in enumerate(found.asked.random):
        if any(_key(effect) == wanted for effect in effects):
            return place, statement
    known = ", ".join(str(effect) for _, _, effects in found.asked.random for effect in effects)
    return request.statement.program.fail(
        f"{one.effect} is no effect of RANDOM. Effects: {known or 'none'}.", one.token.start
    )


def _key(effect: Effect) -> tuple[str, ...]:
    return tuple(sorted(effect.variables))


def _fill(
    found: Fitted, request: Request, one: Coefficients, place: int, statement: Random, out: Array
) -> None:
    """Put the coefficients of one effect into M (q, p) of its term."""
    if "group" in request.options or statement.group is not None:
        request.statement.fail("coefficients of random effects that differ by group= are not done.")
    subjects = _subjects(found, request, statement)
    cells = _cells(found, one, place)
    rows = {cell: k for k, (cell, _) in enumerate(cells)}
    values = _values(found, request, one, [cell for cell, _ in cells])
    for cell, value in values.items():
        for subject, factor in subjects.items():
            if value * factor == 0.0:
                continue
            at = _place(found, place, subject, cells[rows[cell]])
            if at is None:
                request.statement.program.fail(
                    f"the data have no {one.effect} of the levels {' '.join(map(level_text, (*subject, *cell)))} that "
                    "a coefficient is for.",
                    one.token.start,
                )
            out[at] += value * factor


def _subjects(found: Fitted, request: Request, statement: Random) -> dict[tuple[Any, ...], float]:
    """Return the factor of each subject, by its values; one for all where there is no SUBJECT=."""
    if statement.subject is None:
        return {(): 1.0}
    names = (*statement.subject.nested, *dict.fromkeys(statement.subject.crossed))
    if "subject" not in request.options:
        request.statement.fail(
            f"effects of RANDOM … / subject={statement.subject} need a factor for each subject: "
            "… | intercept 1 / subject 1 0 0;"
        )
    used = _used_values(found, names)
    order = [found.asked.factors[name] for name in names]
    subjects = [one for one in itertools.product(*order) if one in used]
    given = request.options["subject"].numbers()
    if len(given) > len(subjects):
        request.options["subject"].fail(f"there are {len(subjects)} subjects, and {len(given)} factors.")
    return dict(zip(subjects, [*given, *[0.0] * (len(subjects) - len(given))], strict=True))


def _used_values(found: Fitted, names: tuple[str, ...]) -> set[tuple[Any, ...]]:
    data = found.asked.data
    used = found.fit._work.rows().used
    rows = np.arange(data.n) if used is None else np.asarray(used)
    return set(zip(*(data.columns[name][rows].tolist() for name in names), strict=True))


def _cells(found: Fitted, one: Coefficients, place: int) -> list[tuple[tuple[Any, ...], str]]:
    """Return the levels of an effect in SAS's order, each with the column of the term that it is."""
    asked = found.asked
    names = (*one.effect.nested, *[n for n in dict.fromkeys(one.effect.crossed) if n in asked.factors])
    term = found.fit.design.random[place]
    _, statement, effects = asked.random[place]
    if not names:
        which = [_key(effect) for effect in effects].index(_key(one.effect))
        return [((), term.columns[which])]
    used = _used_values(found, names)
    every = [cell for cell in itertools.product(*(asked.factors[n] for n in names)) if cell in used]
    if statement.covariance.name is None:
        return [(cell, term.columns[0]) for cell in every]
    # a structure over the levels has a column for each
    return [(cell, term.columns[k]) for k, cell in enumerate(every)]


def _values(
    found: Fitted, request: Request, one: Coefficients, cells: list[tuple[Any, ...]]
) -> dict[tuple[Any, ...], float]:
    if one.entries:
        names = [
            *one.effect.nested,
            *[n for n in dict.fromkeys(one.effect.crossed) if n in found.asked.factors],
        ]
        out: dict[tuple[Any, ...], float] = {}
        for weight, places in one.entries:
            if len(places) != len(names) or any(
                not 1 <= k <= len(found.asked.factors[n]) for n, k in zip(names, places, strict=False)
            ):
                request.statement.program.fail(
                    f"{one.effect} has no levels {' '.join(map(str, places))}.", one.token.start
                )
            cell = tuple(found.asked.factors[n][k - 1] for n, k in zip(names, places, strict=True))
            if cell not in cells:
                request.statement.program.fail(
                    f"{one.effect} has no levels {' '.join(map(level_text, cell))}.", one.token.start
                )
            out[cell] = out.get(cell, 0.0) + weight
        return out
    if len(one.values) > len(cells):
        request.statement.program.fail(
            f"{one.effect} has {len(cells)} levels, and there are {len(one.values)} coefficients.",
            one.token.start,
        )
    return dict(zip(cells, one.values, strict=False))


def _place(
    found: Fitted, place: int, subject: tuple[Any, ...], cell: tuple[tuple[Any, ...], str]
) -> tuple[int, int] | None:
    """Return level and column of the term for a subject and a level of its effect; None where there is none."""
    spec, statement, _ = found.asked.random[place]
    term = found.fit.design.random[place]
    values, column = cell
    own = (*subject, *values) if statement.covariance.name is None else subject
    names = spec.group
    if not names:
        return 0, term.columns.index(column)
    named = dict(zip(_group_names(found, place), own, strict=False))
    level = tuple(level_text(named[name]) if name in named else "" for name in names)
    levels = list(zip(*(map(level_text, part.tolist()) for part in term.level_parts), strict=True))
    return (levels.index(level), term.columns.index(column)) if level in levels else None


def _group_names(found: Fitted, place: int) -> tuple[str, ...]:
    """Return the variables of subject and effect of a term in the order in which `_place` has their values."""
    _, statement, effects = found.asked.random[place]
    subject: tuple[str, ...] = ()
    if statement.subject is not None:
        subject = (*statement.subject.nested, *dict.fromkeys(statement.subject.crossed))
    if statement.covariance.name is not None:
        return subject
    effect = effects[0]
    return (*subject, *effect.nested, *[n for n in dict.fromkeys(effect.crossed) if n in found.asked.factors])


def predicted(
    found: Fitted, request: Request, L: Array, df: float | None, level: float = 0.95, joint: bool = False
) -> Table:
    """Return estimates and t tests of rows L (k, P) with the random coefficients of the request, or one F test."""
    from .requests import divisors

    if found.fit.distribution is not None:
        request.statement.fail(
            "coefficients of random effects are of linear models; see fit.random_effects() for the others."
        )
    if found.robust is not None:
        request.statement.fail("coefficients of random effects do not go with EMPIRICAL.")
    functions, _ = found.coding.functions(L)
    random = [
        {label: own / factor for label, own in random_coefficients(found, request, row).items()}
        for row, factor in zip(request.rows, divisors(request.options, len(L)), strict=True)
    ]
    fixed = found.fit.design.fixed
    rows = np.zeros((len(L), len(fixed.columns)))
    rows[:, list(fixed.estimable)] = functions
    return functions_of_random(
        found.fit, rows, np.zeros(len(L)), [row.label for row in request.rows], random, joint=joint,
        ddf=_method(found, L, df), information="observed", level=level,
    )  # fmt: skip


def _method(found: Fitted, L: Array, df: float | None) -> Any:
    """Return the df of the last effect of MODEL with coefficients; n − rank[X Z] where there is none."""
    last = max((last_effect(found, row) or 0 for row in L), default=0)
    if df is not None or (L.any() and found.effect_df is not None):
        return found.method(last, df)
    if found.ddf in BY_EFFECT and not L.any():
        return GivenDf(residual_df(found), found.base)
    return found.base


def residual_df(found: Fitted) -> float:
    """Return n − rank[X Z]: what SAS gives predicted random effects under DDFM=CONTAIN; n − rank X under RESIDUAL."""
    if found.ddf == "residual":
        return float(found.fit.nobs - found.fit.design.fixed.rank)
    return float(_rank_contributions(found.fit)[1])


def random_solution(found: Fitted) -> Table:
    """Return `SolutionR`: the predicted random effects of the statements that ask for them, in SAS's order.

    Notes
    -----
    Degrees of freedom are n − rank[X Z] under containment and those of Satterthwaite for the prediction under
    SATTERTHWAITE and KENWARDROGER; under BETWITHIN they are left out.
    """
    fit = found.fit
    every: dict[str, list[Any]] = {"Effect": [], "Subject": [], "Group": []}
    estimate: list[float] = []
    error: list[float] = []
    own = fit.random_effects(se=True)
    values, errors = np.asarray(own["estimate"]), np.asarray(own["std_error"])
    at, random = 0, []
    for place, (_, statement, effects) in enumerate(found.asked.random):
        term = fit.design.random[place]
        q, p = term.n_levels, term.n_columns
        for level in range(q):
            for column in range(p):
                if statement.options.has("solution"):
                    name, subject = _names(found, place, level, column, effects)
                    every["Effect"].append(name)
                    every["Subject"].append(subject)
                    every["Group"].append(term.set_labels[int(term.sets[level])])
                    estimate.append(float(values[at]))
                    error.append(float(errors[at]))
                    random.append((term.label, (q, p), level, column))
                at += 1
    columns: dict[str, Any] = {name: cells for name, cells in every.items() if name == "Effect" or any(cells)}
    columns |= {"Estimate": np.array(estimate), "StdErrPred": np.array(error)}
    df, note = _df_of_predictions(found, random)
    if df is not None:
        from ...inference.distributions import t_quantile, t_two_sided

        t = np.array(estimate) / np.where(np.array(error) > 0, error, np.nan)
        columns |= {"DF": df, "tValue": t, "Probt": t_two_sided(t, df)}
        shown = [one for _, one, _ in found.asked.random if one.options.has("solution")]
        if any(one.options.has("cl") for one in shown):
            alpha = next((one.options.number("alpha", 0.05) for one in shown if one.options.has("cl")), 0.05)
            half = t_quantile(1.0 - alpha, df) * np.where(np.array(error) > 0, error, np.nan)
            columns |= {"Alpha": np.full(len(half), alpha), "Lower": columns["Estimate"] - half}
            columns["Upper"] = columns["Estimate"] + half
    return table(found, columns, "Solution for Random Effects", (note,))


def _names(
    found: Fitted, place: int, level: int, column: int, effects: tuple[Effect, ...]
) -> tuple[str, str]:
    """Return effect with its levels, and subject, of one predicted effect as SAS writes them."""
    spec, statement, _ = found.asked.random[place]
    term = found.fit.design.random[place]
    parts = [level_text(part.tolist()[level]) for part in term.level_parts]
    named = dict(zip(spec.group, parts, strict=False))
    subject = ""
    if statement.subject is not None:
        names = (*dict.fromkeys(statement.subject.crossed), *statement.subject.nested)
        subject = f"{statement.subject} {' '.join(named.get(name, '') for name in names)}"
    if statement.covariance.name is None or len(effects) == 1:
        effect = effects[0]
        inside = [named[n] for n in (*dict.fromkeys(effect.crossed), *effect.nested) if n in named]
        if statement.covariance.name is not None and effect.classes(found.asked.factors):
            inside = [term.columns[column].rpartition("[")[2].rstrip("]")]
        return " ".join((str(effect), *inside)), subject
    return str(effects[column]), subject


LARGEST = 500
"""Predicted effects that are given degrees of freedom of their own."""


def _df_of_predictions(found: Fitted, random: list[tuple[str, tuple[int, int], int, int]]) -> tuple[Any, str]:
    fit = found.fit
    if fit.distribution is not None or found.ddf == "between-within":
        return None, f"{NOTE}; degrees of freedom and tests of predicted random effects are not printed"
    if found.ddf in BY_EFFECT:
        return np.full(len(random), residual_df(found)), NOTE
    if found.ddf == "asymptotic":
        return np.full(len(random), np.inf), NOTE
    if len(random) > LARGEST:
        return None, f"{NOTE}; degrees of freedom of more than {LARGEST} predicted effects are not printed"
    asked = []
    for label, shape, level, column in random:
        one = np.zeros(shape)
        one[level, column] = 1.0
        asked.append({label: one})
    rows = np.zeros((len(asked), len(fit.design.fixed.columns)))
    found_df = functions_of_random(
        fit, rows, np.zeros(len(asked)), [""] * len(asked), asked, joint=False, ddf=found.base,  # type: ignore[arg-type]
        information="observed", level=0.95,
    )["df"]  # fmt: skip
    return np.asarray(found_df), NOTE
