"""`mm.r`: model calls of R as text, run one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import MixedModelsError, SpecError, suggest
from ..listing import Listing, Named, Step
from .after import AFTER, Answer, answer
from .fitting import VERBS, fit_call, update_call
from .lex import Source
from .parse import parse
from .parts import part_of
from .tree import Assign, Binary, Call, Name, Node, Number, Part, Program, Text, Unary
from .values import FormulaText, Model, Room

NOTED = frozenset(
    (
        "library",
        "require",
        "requireNamespace",
        "set.seed",
        "options",
        "suppressPackageStartupMessages",
        "data",
    )
)
"""Calls that change nothing here."""
FIGURES = frozenset(
    ("plot", "qqnorm", "qqmath", "hist", "boxplot", "xyplot", "ggplot", "augPred", "dotplot", "emmip", "pwpp", "lines",
     "abline", "par", "check_model")
)  # fmt: skip
PREPARED = frozenset(
    ("read.csv", "read.table", "data.frame", "groupedData", "mutate", "transform", "within", "factor", "as.factor",
     "merge", "reshape", "aggregate", "subset", "read_csv", "pivot_longer", "filter", "tibble", "attach", "scale")
)  # fmt: skip


def r(text: str, data: Any = None) -> Listing:
    """Return what a program of R that fits models and asks about them gives.

    Parameters
    ----------
    text
        Calls, one or many, with assignments: `lme gls lmer glmer glmmTMB lm glm`, and on what they give
        `summary VarCorr fixef ranef coef vcov intervals getVarCov confint logLik AIC BIC anova predict fitted residuals
        sigma nobs emmeans emtrends pairs contrast joint_tests ranova`; `str` and `head` of data.
    data
        The data by the names that the program uses, `{"dent": frame}`, or one frame for all.

    Raises
    ------
    SpecError, DataError, FitError
        With line and column. It is a language of model calls, not R: blocks, functions, `$`, `[ ]` and arithmetic are
        refused by name. Nothing is executed and no file is opened.

    Notes
    -----
    Tables are those of the package, under the names of R's functions, with R's defaults: degrees of freedom of nlme in
    `summary`, `anova` and `intervals` of `lme`, of emmeans in `emmeans`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> listing = mm.r('''
    ... m <- lme(travel ~ 1, data = railData, random = ~ 1 | Rail)
    ... intervals(m, which = "fixed")
    ... ''', {"railData": mm.datasets.load("rail")})
    >>> print(listing.tables["intervals"])
    Fixed effects
    term         conf_low  estimate  conf_high
    (Intercept)   44.3392   66.5000    88.6608
    df: inner–outer (nested groups)
    """
    if not isinstance(text, str):
        raise SpecError(f"r() takes R text, for example 'lme(y ~ x, d, ~ 1 | g)', not {type(text).__name__}.")
    program = parse(Source(text))
    named = _named(data)
    room = Room(program, named, None if named or data is None or _is_empty(data) else data)
    steps = tuple(_step(room, statement) for statement in program.statements)
    return Listing(steps, Named(room.names))


def _named(data: Any) -> Mapping[str, Any]:
    """Return data by name; empty where one frame was given."""
    if data is None or not isinstance(data, Mapping):
        return {}
    frames = [value for value in data.values() if isinstance(value, Mapping) or hasattr(value, "columns")]
    frames += [value for value in data.values() if hasattr(value, "column_names")]
    return data if frames else {}


def _is_empty(data: Any) -> bool:
    return isinstance(data, Mapping) and not data


def _step(room: Room, statement: Node) -> Step:
    """Return the step of one statement; what goes wrong below is told with its place."""
    program, before = room.program, len(room.notes)
    title, line = program.text(statement), program.line(statement)
    try:
        fits, tables, silent = _run(room, statement)
    except MixedModelsError as error:
        if str(error).startswith("line "):
            raise
        where = program.source.place(program.start(statement))
        raise type(error)(f"line {where[0]}, column {where[1]}: {error}") from error
    return Step(title, line, tuple(fits), Named(tables), tuple(room.notes[before:]), silent)


def _run(room: Room, statement: Node) -> tuple[list[Any], dict[str, Any], bool]:
    """Return the fits of a statement, its tables, and whether it prints none."""
    silent, made, node = False, [], statement
    while isinstance(node, Assign):
        made.append(node.target)
        silent, node = silent or not node.printed, node.value
    found = _evaluate(room, node)
    fits = [found.value.fit] if isinstance(found.value, Model) and _fits(node) else []
    for name in made:
        room.names[name] = found.value
    return fits, found.tables, silent


def _fits(node: Node) -> bool:
    return isinstance(node, Call) and (
        node.function in (*VERBS, "update") or any(_fits(argument.value) for argument in node.arguments)
    )


def _evaluate(room: Room, node: Node) -> Answer:
    """Return what a statement gives."""
    if isinstance(node, Call):
        return _call(room, node)
    if isinstance(node, Name):
        value = room.value(node)
        shown = value.fit.summary() if isinstance(value, Model) else value
        return Answer({} if isinstance(value, FormulaText) else {node.value: shown}, value)
    if isinstance(node, (Binary, Unary)) and node.operator == "~":
        return Answer({}, FormulaText(room.program.text(node)))
    if isinstance(node, Part):
        return part_of(room, node, _evaluate(room, node.value))
    what = {
        Number: "a number",
        Text: "a text",
        Binary: "arithmetic",
        Unary: "arithmetic",
        Assign: "an assignment",
    }[type(node)]
    raise room.program.error(
        f"{what} is no model call; this is a language of model calls, not R itself.", node
    )


def _call(room: Room, call: Call) -> Answer:
    if call.function in VERBS:
        model = fit_call(room, call)
        return Answer({call.function: model.fit.summary()}, model)
    if call.function == "update":
        return _updated(room, call)
    if call.function in FIGURES:
        raise room.program.error(
            f"{call.function}() draws, and a program here gives tables; figures are those of the fit, in Python: "
            "listing.fits[0].plot.residuals(), .qq(), .trajectories() …",
            call,
        )
    if call.function in PREPARED:
        raise room.program.error(
            f"{call.function}() prepares data: do that in Python, and pass the frame by name in data=.", call
        )
    if call.function in AFTER:
        return answer(room, call, lambda node: _evaluate(room, node).value)
    if call.function in NOTED:
        return _noted(room, call)
    known = (*VERBS, *AFTER, "update")
    raise room.program.error(
        f"{call.function}() is not read here.{suggest(call.function, known)} Functions: {', '.join(known)}.",
        call,
    )


def _updated(room: Room, call: Call) -> Answer:
    first = next((argument for argument in call.arguments if argument.name in (None, "object")), None)
    if first is None or first is not call.arguments[0]:
        raise room.program.error("update() takes a model first, update(m, . ~ . + x).", call)
    of = _evaluate(room, first.value).value
    if not isinstance(of, Model):
        raise room.program.error("update() takes a fitted model.", first.value)
    model = update_call(room, call, of)
    return Answer({model.verb: model.fit.summary()}, model)


def _noted(room: Room, call: Call) -> Answer:
    program: Program = room.program
    for argument in call.arguments:
        if isinstance(argument.value, Call) and argument.value.function in NOTED:
            _noted(room, argument.value)
        elif isinstance(argument.value, (Name, Text)):
            room.packages.add(argument.value.value)
    room.notes.append(f"{program.text(call)} is noted: there is nothing to do.")
    return Answer({})
