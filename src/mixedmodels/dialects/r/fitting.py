"""Calls of R that fit models: `lme gls lmer glmer glmmTMB lm glm`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...api import glm, lm
from ...fit import Fit
from ..glmer import glmer
from ..glmmtmb import glmmTMB
from ..lme4 import lmer
from ..nlme import gls, lme
from .arguments import flag, is_null, matched, text, whole
from .tree import Binary, Call, Name, Node, Program, Text, Unary
from .update import updated_formula
from .values import FormulaText, Model, Room

_MISSING = {"na.omit": "drop", "na.exclude": "exclude", "na.fail": "raise"}


@dataclass(frozen=True, slots=True)
class Verb:
    """A function of R that fits: its parameters, what its formula is called, its default for missing values."""

    parameters: tuple[str, ...]
    formula: str
    missing: str
    fit: Callable[[Room, Call, dict[str, Node], str, Any, dict[str, Any]], Fit]
    unused: tuple[str, ...] = ()


def fit_call(room: Room, call: Call) -> Model:
    """Return the fit that a call asks for."""
    verb = VERBS[call.function]
    program = room.program
    given = matched(program, call, verb.parameters)
    if verb.formula not in given:
        raise program.error(f"{call.function}() needs its {verb.formula}.", call)
    formula = _formula(room, given.pop(verb.formula))
    return fit_with(room, call, call.function, formula, given)


def update_call(room: Room, call: Call, model: Model) -> Model:
    """Return the fit of a model's call with some of its arguments changed: `update(m, . ~ . + x)`."""
    verb, program = VERBS[model.verb], room.program
    if model.made is None:
        raise program.error("update() takes a model that the program fitted.", call)
    names = (verb.formula, *(name for name in verb.parameters if name != verb.formula))
    rest = replace(call, arguments=call.arguments[1:])
    # without matched(), which leaves NULL out: here it takes an argument away
    changes = matched(program, rest, names)
    formula, old = model.made
    gone = {argument.name for argument in rest.arguments if is_null(argument.value)}
    kept = {name: node for name, node in old.items() if name not in gone} | changes
    if verb.formula in kept:
        formula = updated_formula(room, formula, kept.pop(verb.formula))
    return fit_with(room, call, model.verb, formula, kept)


def fit_with(room: Room, call: Call, name: str, formula: str, given: dict[str, Node]) -> Model:
    """Return the fit of a verb with a formula and the nodes of its other arguments."""
    verb, program, made = VERBS[name], room.program, (formula, dict(given))
    data = room.frame(call, given.pop("data", None))
    common = _common(program, given, verb)
    for one in [one for one in given if one in verb.unused]:
        room.notes.append(
            f"{one} = {program.text(given.pop(one))} is noted: searches are set with mm.Control."
        )
    fit = verb.fit(room, call, given, formula, data, common)
    if given:
        unread, node = next(iter(given.items()))
        raise program.error(f"{unread} = of {name}() is not read; {_remedy(unread)}.", node)
    return Model(fit, name, made)


def _remedy(name: str) -> str:
    return {
        "subset": "choose the rows before, in Python",
        "offset": "write offset(x) in the formula",
        "weights": "name a column of the data",
    }.get(name, "leave it out")


def _formula(room: Room, node: Node) -> str:
    if isinstance(node, Name) and isinstance(named := room.names.get(node.value), FormulaText):
        return named.text
    if isinstance(node, (Binary, Unary)) and node.operator == "~":
        return room.program.text(node)
    raise room.program.error("a formula is expected, y ~ x.", node)


def _common(program: Program, given: dict[str, Node], verb: Verb) -> dict[str, Any]:
    """Return the arguments that all verbs have, taken out of those given."""
    missing = verb.missing
    if (node := given.pop("na.action", None)) is not None:
        name = program.text(node).strip("\"'").removeprefix("stats::")
        if name not in _MISSING:
            raise program.error(f"na.action = {name} is not known; use {', '.join(_MISSING)}.", node)
        missing = _MISSING[name]
    common: dict[str, Any] = {"na": missing}
    if (node := given.pop("contrasts", None)) is not None:
        common["contrasts"] = _contrasts(program, node)
    return common


def _contrasts(program: Program, node: Node) -> dict[str, str]:
    """Return codings by column of `list(f = "contr.sum")`."""
    if not (isinstance(node, Call) and node.function == "list" and all(a.name for a in node.arguments)):
        raise program.error('contrasts = is list(f = "contr.sum").', node)
    found = {}
    for argument in node.arguments:
        value = argument.value
        name = value.value if isinstance(value, (Name, Text)) else ""
        if not name.startswith("contr."):
            raise program.error('a coding is "contr.treatment", "contr.sum", "contr.helmert" …', value)
        found[str(argument.name)] = name.removeprefix("contr.")
    return found


def _column(program: Program, given: dict[str, Node], name: str) -> str | None:
    """Return the column that an argument names, taken out of those given."""
    node = given.get(name)
    if node is None:
        return None
    if not isinstance(node, Name):
        raise program.error(f"{name} = is a column of the data here.", node)
    del given[name]
    return node.value


def _taken(program: Program, given: dict[str, Node], name: str) -> str | None:
    """Return the text of an argument, taken out of those given."""
    node = given.pop(name, None)
    return None if node is None else program.text(node)


def _method(program: Program, given: dict[str, Node]) -> str:
    node = given.pop("method", None)
    return "REML" if node is None else text(program, node, "method", ("REML", "ML"))


def _lme(
    room: Room, call: Call, given: dict[str, Node], formula: str, data: Any, common: dict[str, Any]
) -> Fit:
    if "random" not in given:
        raise room.program.error(
            "lme() needs random = ~ x | g; groups of groupedData objects are not known here.", call
        )
    written: dict[str, Any] = {
        name: _taken(room.program, given, name) for name in ("random", "correlation", "weights")
    }
    random = str(written.pop("random"))
    return lme(formula, data, random, **written, method=_method(room.program, given), **common)


def _gls(
    room: Room, call: Call, given: dict[str, Node], formula: str, data: Any, common: dict[str, Any]
) -> Fit:
    written: dict[str, Any] = {name: _taken(room.program, given, name) for name in ("correlation", "weights")}
    method: Any = _method(room.program, given)
    return gls(formula, data, **written, method=method, ddf="residual", **common)


def _lmer(
    room: Room, call: Call, given: dict[str, Node], formula: str, data: Any, common: dict[str, Any]
) -> Fit:
    node = given.pop("REML", None)
    reml = True if node is None else flag(room.program, node, "REML")
    return lmer(formula, data, reml, weights=_column(room.program, given, "weights"), **common)


def _glmer(
    room: Room, call: Call, given: dict[str, Node], formula: str, data: Any, common: dict[str, Any]
) -> Fit:
    if "family" not in given:
        raise room.program.error("glmer() needs family = binomial, poisson …", call)
    node = given.pop("nAGQ", None)
    points = 1 if node is None else whole(room.program, node, "nAGQ")
    columns: dict[str, Any] = {name: _column(room.program, given, name) for name in ("weights", "offset")}
    return glmer(formula, data, _family(room.program, given), points, **columns, **common)


def _family(program: Program, given: dict[str, Node], default: str = "gaussian") -> str:
    node = given.pop("family", None)
    if node is None:
        return default
    return node.value if isinstance(node, Text) else program.text(node)


def _glmmtmb(
    room: Room, call: Call, given: dict[str, Node], formula: str, data: Any, common: dict[str, Any]
) -> Fit:
    program = room.program
    parts: dict[str, Any] = {name: _taken(program, given, name) for name in ("ziformula", "dispformula")}
    node = given.pop("REML", None)
    columns: dict[str, Any] = {name: _column(program, given, name) for name in ("weights", "offset")}
    return glmmTMB(
        formula,
        data,
        _family(program, given),
        **{name: value for name, value in parts.items() if value is not None},
        REML=False if node is None else flag(program, node, "REML"),
        **columns,
        **common,
    )


def _lm(
    room: Room, call: Call, given: dict[str, Node], formula: str, data: Any, common: dict[str, Any]
) -> Fit:
    return lm(formula, data, weights=_column(room.program, given, "weights"), **common)


def _glm(
    room: Room, call: Call, given: dict[str, Node], formula: str, data: Any, common: dict[str, Any]
) -> Fit:
    from ..r_text import read_family

    family, link = read_family(_family(room.program, given))
    return glm(formula, data, family, link, **common)


_MIXED = ("control", "start", "verbose")
VERBS = {
    "lme": Verb(
        ("fixed", "data", "random", "correlation", "weights", "subset", "method", "na.action", "control", "contrasts",
         "keep.data"),
        "fixed", "raise", _lme, ("control", "keep.data"),
    ),
    "gls": Verb(
        ("model", "data", "correlation", "weights", "subset", "method", "na.action", "control", "verbose"),
        "model", "raise", _gls, ("control", "verbose"),
    ),
    "lmer": Verb(
        ("formula", "data", "REML", *_MIXED, "subset", "weights", "na.action", "offset", "contrasts"),
        "formula", "drop", _lmer, _MIXED,
    ),
    "glmer": Verb(
        ("formula", "data", "family", *_MIXED, "nAGQ", "subset", "weights", "na.action", "offset", "contrasts"),
        "formula", "drop", _glmer, _MIXED,
    ),
    "glmmTMB": Verb(
        ("formula", "data", "family", "ziformula", "dispformula", "weights", "offset", "contrasts", "na.action", "se",
         "verbose", "doFit", "control", "REML", "start"),
        "formula", "drop", _glmmtmb, ("verbose", "control", "start", "se"),
    ),
    "lm": Verb(("formula", "data", "subset", "weights", "na.action", "contrasts"), "formula", "drop", _lm),
    "glm": Verb(
        ("formula", "family", "data", "weights", "subset", "na.action", "offset", "control", "contrasts"),
        "formula", "drop", _glm, ("control",),
    ),
}  # fmt: skip
"""Functions of R that fit models, with their parameters in R's order."""
