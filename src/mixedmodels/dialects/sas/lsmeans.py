"""LSMEANS, LSMESTIMATE and SLICE answered, and which statement is answered by what."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.wald import joint_test
from ...table import Table
from ...typing import Array
from .adjusting import adjusted
from .coding import lsmeans_rows, own_order
from .data_set import level_text
from .effects import Effect
from .fitting import Fitted
from .lex import Kind
from .model_statements import Request
from .options import Option, Options
from .requests import (
    ALPHA,
    Made,
    answer_contrast,
    answer_estimate,
    coefficient_table,
    df_of,
    divisors,
    fail_at,
    merge,
    tails,
    transformed,
)
from .tables import columns_of, estimates, table


def means_of(
    found: Fitted, request: Request, effect: Effect
) -> tuple[Array, list[tuple[int, ...]], tuple[str, ...]]:
    """Return the coefficients of least squares means (k, P), the places of their levels, and their variables."""
    coding, options = found.coding, request.options
    names = own_order(effect, found.asked.levels)
    if coding.index(effect) is None or not names or set(names) != set(effect.variables):
        request.statement.fail(f"{effect} is no effect of CLASS variables in MODEL.")
    at = _at(found, request, options["at"]) if "at" in options else None
    margins = None
    if options.has("om", "bylevel"):
        margins = Margins(found, request)
        if options.has("bylevel"):
            return margins.by_level(effect, at), lsmeans_rows(coding, effect, at)[1], names
    rows, cells = lsmeans_rows(coding, effect, at, margins)
    return rows, cells, names


class Margins:
    """Shares of the combinations of levels among the rows of the fit, which OM gives the means for weights."""

    def __init__(self, found: Fitted, request: Request) -> None:
        option = request.options.get("om")
        if option is not None and option.value:
            option.fail(
                "om= another data set is not done; om alone takes the margins of the data of the fit."
            )
        used = found.fit._work.rows().used
        data = found.asked.data
        rows = np.arange(data.n) if used is None else np.asarray(used)
        self.found = found
        self.codes = {
            name: np.array([levels.index(value) for value in data.columns[name][rows].tolist()])
            for name, levels in found.asked.levels.items()
        }

    def __getitem__(self, names: tuple[str, ...]) -> Array:
        sizes = [len(self.found.asked.levels[name]) for name in names]
        cell = np.ravel_multi_index([self.codes[name] for name in names], sizes)
        counts = np.bincount(cell, minlength=int(np.prod(sizes)))
        return np.asarray(counts / len(cell)).reshape(sizes)

    def by_level(self, effect: Effect, at: dict[str, float] | None) -> Array:
        """Return the means of the rows of X of each level: margins and covariates of the level itself."""
        coding = self.found.coding
        names = own_order(effect, self.found.asked.levels)
        x = self.found.fit._work.rows().x[:, list(coding.own)] @ coding.map
        if at is not None:
            raise NotImplementedError
        cells = lsmeans_rows(coding, effect)[1]
        out = np.zeros((len(cells), x.shape[1]))
        for k, cell in enumerate(cells):
            hit = np.all([self.codes[name] == place for name, place in zip(names, cell, strict=True)], axis=0)
            out[k] = x[hit].mean(axis=0) if hit.any() else np.nan
        return np.nan_to_num(out, nan=1e6)


def _at(found: Fitted, request: Request, option: Option) -> dict[str, float]:
    """Return covariate → value of `at`."""
    if request.options.has("bylevel"):
        option.fail("at together with bylevel is not done.")
    reader = option.inner
    if reader.take_word("means", "mean"):
        return {}
    names, values = [], []
    groups = reader.is_mark("(")
    left = reader.inner(reader.group()) if groups else None
    if left is None:
        names = [reader.next()]
    while left:
        names.append(left.next())
    reader.mark("=")
    right = reader.inner(reader.group()) if groups else reader
    while right:
        token = right.peek()
        if token is not None and token.kind is Kind.NAME:
            right.next()
            values.append(np.nan)
        else:
            values.append(right.signed())
    out = {}
    for token, value in zip(names, values, strict=False):
        name = found.asked.data.name_of(token.text)
        if name is None or name not in found.coding.means:
            reader.fail(f"{token.text!r} is no covariate of the model.", token)
        out[name] = found.coding.means[name] if np.isnan(value) else value
    if len(names) != len(values):
        option.fail("at names as many covariates as it gives values.")
    return out


def _level_columns(
    found: Fitted, names: tuple[str, ...], cells: list[tuple[int, ...]], prefix: str = ""
) -> dict[str, Any]:
    levels = found.asked.levels
    return {
        f"{prefix}{name}": [level_text(levels[name][cell[i]]) for cell in cells]
        for i, name in enumerate(names)
    }


def _lsmeans(found: Fitted, request: Request) -> Made:
    options = request.options
    effects = request.effects or tuple(
        e for e in found.model.effects if e.variables and not e.numbers(found.asked.levels)
    )
    if not effects:
        request.statement.fail("LSMEANS names effects of CLASS variables.")
    made: Made = []
    for effect in effects:
        rows, cells, names = means_of(found, request, effect)
        if not options.has("nomeans"):
            made.append(("LSMeans", _means_table(found, request, effect, rows, cells, names)))
        if options.has("diff", "adjust", "oddsratio"):
            made.append(("Diffs", differences(found, request, effect, rows, cells, names)))
        if "slice" in options or options.has("slicediff"):
            made += _sliced(found, request, effect, rows, cells, names)
        if options.has("e"):
            made.append(
                ("Coef", coefficient_table(found, rows, f"Coefficients for {effect} Least Squares Means"))
            )
    return merge(made)


def _means_table(
    found: Fitted, request: Request, effect: Effect, rows: Array, cells: Any, names: tuple[str, ...]
) -> Table:
    options = request.options
    alpha = options.number("alpha", ALPHA)
    place = found.coding.index(effect)
    values, estimable = estimates(found, rows, [place] * len(rows), alpha=alpha, df=df_of(options))
    columns: dict[str, Any] = {"Effect": [str(effect)] * len(rows), **_level_columns(found, names, cells)}
    if "at" in options:
        at = {**found.coding.means, **_at(found, request, options["at"])}
        columns.update({name: np.full(len(rows), value) for name, value in at.items()})
    columns.update(columns_of(values, alpha if options.has("cl") else None))
    columns = transformed(
        found, columns, values, Options({k: v for k, v in options.items() if k in ("ilink", "exp", "cl")})
    )
    if options.has("corr", "cov"):
        columns.update(_joint_covariance(found, rows, options.has("corr")))
    notes = () if all(estimable) else ("Non-est: means without an estimate have no unique value",)
    return table(found, columns, "Least Squares Means", notes)


def _joint_covariance(found: Fitted, rows: Array, correlation: bool) -> dict[str, Any]:
    functions, _ = found.coding.functions(rows)
    own = found.fit.solution.basis.rows(functions)
    matrix = own @ found.base.vcov(found.fit) @ own.T
    if correlation:
        scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        matrix = matrix / np.outer(scale, scale)
    stem = "Corr" if correlation else "Cov"
    return {f"{stem}{j + 1}": matrix[:, j] for j in range(len(matrix))}


def _control(found: Fitted, request: Request, cells: Any, names: tuple[str, ...]) -> tuple[str, int]:
    """Return which differences `diff=` asks for, and the place of the control."""
    option = request.options.get("diff")
    if option is None or (not option.value and not option.group):
        adjust = request.options.text("adjust").partition("(")[0]
        return ("control", 0) if adjust == "dunnett" else ("all", 0)
    reader = option.inner if option.value else option.reader.inner(option.group or ())
    word = reader.name("all or control").word
    if word == "anom":
        option.fail("diff=anom is not done; contrast('eff') of the package is its like.")
    if word not in ("all", "control", "controll", "controlu"):
        option.fail(f"diff={option.text} is not known: all, control, controll, controlu.")
    if word == "all" or not reader:
        return word, 0
    inner = reader.inner(reader.group())
    wanted = [inner.next().text.strip() for _ in inner.tokens]
    texts = [[level_text(found.asked.levels[n][cell[i]]) for i, n in enumerate(names)] for cell in cells]
    for place, own in enumerate(texts):
        if [one.lower() for one in own] == [one.lower() for one in wanted]:
            return word, place
    return option.fail(f"{' '.join(wanted)!r} is no level of {' '.join(names)}.")


def differences(
    found: Fitted,
    request: Request,
    effect: Effect,
    rows: Array,
    cells: list[tuple[int, ...]],
    names: tuple[str, ...],
) -> Table:
    """Return the differences of least squares means: all, or those with a control."""
    options = request.options
    alpha = options.number("alpha", ALPHA)
    kind, control = _control(found, request, cells, names)
    k = len(rows)
    pairs = (
        [(i, j) for i in range(k) for j in range(i + 1, k)]
        if kind == "all"
        else [(i, control) for i in range(k) if i != control]
    )
    if not pairs:
        request.statement.fail(f"{effect} has one level, and no differences.")
    L = np.array([rows[i] - rows[j] for i, j in pairs])
    place = found.coding.index(effect)
    values, _ = estimates(found, L, [place] * len(L), alpha=alpha, df=df_of(options))
    columns: dict[str, Any] = {"Effect": [str(effect)] * len(L)}
    columns.update(_level_columns(found, names, [cells[i] for i, _ in pairs]))
    columns.update(_level_columns(found, names, [cells[j] for _, j in pairs], "_"))
    columns.update(columns_of(values, alpha if options.has("cl") else None))
    if kind in ("controll", "controlu"):
        side = Options({"upper" if kind == "controlu" else "lower": options["diff"]})
        columns["Probt"] = tails(side, values)
    if "adjust" in options:
        family = "pairwise" if kind == "all" else "control"
        columns.update(adjusted(found, L, values, options, family, k, alpha))
    columns = transformed(
        found, columns, values, Options({k: v for k, v in options.items() if k in ("oddsratio", "exp", "cl")})
    )
    return table(found, columns, "Differences of Least Squares Means")


def _sliced(
    found: Fitted, request: Request, effect: Effect, rows: Array, cells: Any, names: tuple[str, ...]
) -> Made:
    options = request.options
    by = _slice_names(found, request, names)
    made: Made = []
    if "slice" in options:
        made.append(("Slices", slice_tests(found, request, effect, rows, cells, names, by)))
    if options.has("slicediff"):
        made += slice_differences(found, request, effect, rows, cells, names, by)
    return made


def _slice_names(found: Fitted, request: Request, names: tuple[str, ...]) -> list[str]:
    options = request.options
    option = options.get("slice") or options.get("sliceby") or options.get("slicediff")
    assert option is not None
    wanted = []
    for token in option.value or ():
        if token.is_mark("(", ")", "*"):
            continue
        if token.kind is not Kind.NAME:
            option.fail("slice= names CLASS variables of the effect.")
        name = found.asked.data.name_of(token.text)
        if name not in names:
            option.fail(f"{token.text} is no variable of the effect.")
        wanted.append(name)
    joint = any(token.is_mark("*") for token in option.value or ())
    return ["*".join(wanted)] if joint else wanted


def slice_tests(
    found: Fitted,
    request: Request,
    effect: Effect,
    rows: Array,
    cells: Any,
    names: tuple[str, ...],
    by: list[str],
) -> Table:
    """Return F tests of the other variables of an effect within each level of those it is sliced by."""
    place = found.coding.index(effect)
    out: dict[str, list[Any]] = {
        "Effect": [],
        **{name: [] for name in names},
        "NumDF": [],
        "DenDF": [],
        "FValue": [],
        "ProbF": [],
    }
    for names_by in by:
        own = [names.index(name) for name in names_by.split("*")]
        for key in dict.fromkeys(tuple(cell[i] for i in own) for cell in cells):
            members = [k for k, cell in enumerate(cells) if tuple(cell[i] for i in own) == key]
            L = np.array([rows[members[0]] - rows[k] for k in members[1:]]).reshape(-1, rows.shape[1])
            functions, estimable = found.coding.functions(L)
            kept = functions[estimable]
            row = joint_test(
                found.fit, kept, np.zeros(len(kept)), found.method(place, df_of(request.options)), ()
            ).row(0)
            out["Effect"].append(str(effect))
            for i, name in enumerate(names):
                text = level_text(found.asked.levels[name][key[own.index(i)]]) if i in own else ""
                out[name].append(text)
            for ours, theirs in (
                ("NumDF", "num_df"),
                ("DenDF", "den_df"),
                ("FValue", "statistic"),
                ("ProbF", "p_value"),
            ):
                out[ours].append(row[theirs])
    columns = {
        name: np.array(v, dtype=float) if name in ("NumDF", "DenDF", "FValue", "ProbF") else v
        for name, v in out.items()
    }
    return table(found, columns, "Tests of Effect Slices")


def slice_differences(
    found: Fitted,
    request: Request,
    effect: Effect,
    rows: Array,
    cells: Any,
    names: tuple[str, ...],
    by: list[str],
) -> Made:
    """Return the differences of means within each slice, adjusted within it."""
    made: Made = []
    for names_by in by:
        own = [names.index(name) for name in names_by.split("*")]
        rest = [i for i in range(len(names)) if i not in own]
        for key in dict.fromkeys(tuple(cell[i] for i in own) for cell in cells):
            members = [k for k, cell in enumerate(cells) if tuple(cell[i] for i in own) == key]
            inner = [tuple(cells[k][i] for i in rest) for k in members]
            one = differences(found, request, effect, rows[members], inner, tuple(names[i] for i in rest))
            label = " ".join(
                f"{names[i]} {level_text(found.asked.levels[names[i]][v])}"
                for i, v in zip(own, key, strict=True)
            )
            columns = {"Slice": [label] * len(one), **one.columns}
            made.append(
                (
                    "SliceDiffs",
                    Table(columns, "Simple Effect Comparisons", one.notes, one.backend, one.formats),
                )
            )
    return made


def _slice(found: Fitted, request: Request) -> Made:
    made: Made = []
    for effect in request.effects:
        rows, cells, names = means_of(found, request, effect)
        by = _slice_names(found, request, names)
        if not request.options.has("nof"):
            made.append(("SliceTests", slice_tests(found, request, effect, rows, cells, names, by)))
        if request.options.has("means"):
            made.append(("SliceMeans", _means_table(found, request, effect, rows, cells, names)))
        if request.options.has("diff", "adjust", "oddsratio"):
            made += slice_differences(found, request, effect, rows, cells, names, by)
    return merge(made)


def _lsmestimate(found: Fitted, request: Request) -> Made:
    options = request.options
    rows, cells, _ = means_of(found, request, request.effects[0])
    weights = np.zeros((len(request.rows), len(cells)))
    for r, row in enumerate(request.rows):
        one = row.fixed[0]
        if len(one.values) > len(cells):
            fail_at(
                request,
                one,
                f"{one.effect} has {len(cells)} means, and there are {len(one.values)} coefficients.",
            )
        weights[r, : len(one.values)] = one.values
        for weight, places in one.entries:
            cell = tuple(k - 1 for k in places)
            if cell not in cells:
                fail_at(request, one, f"{one.effect} has no levels {' '.join(map(str, places))}.")
            weights[r, cells.index(cell)] += weight
    L = (weights @ rows) / divisors(options, len(weights))[:, None]
    place = found.coding.index(request.effects[0])
    alpha = options.number("alpha", ALPHA)
    values, _ = estimates(found, L, [place] * len(L), alpha=alpha, df=df_of(options))
    columns: dict[str, Any] = {
        "Effect": [str(request.effects[0])] * len(L),
        "Label": [row.label for row in request.rows],
    }
    columns.update(columns_of(values, alpha if options.has("cl") else None))
    columns["Probt"] = tails(options, values)
    if "adjust" in options:
        columns.update(adjusted(found, L, values, options, "other", float("nan"), alpha))
    columns = transformed(
        found, columns, values, Options({k: v for k, v in options.items() if k in ("ilink", "exp", "cl")})
    )
    made = [("LSMEstimates", table(found, columns, "Least Squares Means Estimates"))]
    if options.has("joint"):
        functions, estimable = found.coding.functions(L)
        kept = functions[estimable]
        joint = joint_test(found.fit, kept, np.zeros(len(kept)), found.method(place, df_of(options)), ()).row(
            0
        )
        names_ = (("NumDF", "num_df"), ("DenDF", "den_df"), ("FValue", "statistic"), ("ProbF", "p_value"))
        own = {
            "Effect": [str(request.effects[0])],
            **{ours: np.array([joint[theirs]]) for ours, theirs in names_},
        }
        made.append(("LSMFtest", table(found, own, "F Test for Least Squares Means Estimates")))
    return made


def answer(found: Fitted, request: Request) -> Made:
    """Return the tables of one statement."""
    if "stepdown" in request.options and "adjust" not in request.options:
        request.options["stepdown"].fail("stepdown needs adjust=.")
    return {
        "estimate": answer_estimate, "contrast": answer_contrast, "lsmeans": _lsmeans, "lsmestimate": _lsmestimate,
        "slice": _slice,
    }[request.kind](found, request)  # fmt: skip
