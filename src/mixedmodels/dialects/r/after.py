"""Calls of R on what was fitted: each returns named tables, ours, and the value of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...emmeans.emm import EMM
from ...inference.compare import compare
from ...inference.ddf.inner_outer import InnerOuter
from ...table import Table
from .arguments import elements, flag, matched, number, numbers, right_side, text, texts
from .tree import Binary, Call, Name, Node, Number, Text, Unary
from .values import Model, Room

DDF = {"lme": "inner-outer", "gls": "satterthwaite", "lmer": "kenward-roger", "lm": "residual"}
"""Degrees of freedom that emmeans takes for what a function fitted, for others none."""
MODES = {
    "kenward-roger": "kenward-roger", "satterthwaite": "satterthwaite", "appx-satterthwaite": "satterthwaite",
    "asymptotic": "asymptotic", "containment": "inner-outer", "df.error": "residual", "auto": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """The tables of a call by name, and its value where another call takes it."""

    tables: dict[str, Any]
    value: Any = None


Handler = Callable[[Room, Call, dict[str, Node], Any], Answer]


def nlme_ddf(model: Model) -> Any:
    """Return the df that nlme prints, which give an intercept the largest there is."""
    return InnerOuter(largest=True) if model.verb == "lme" else None


def summary_ddf(room: Room, model: Model) -> Any:
    """Return the df of a summary: nlme's, those of lmerTest where it is loaded, else the package's."""
    if model.verb == "lmer" and "lmerTest" in room.packages:
        return "satterthwaite"
    return nlme_ddf(model)


def _summary(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    if isinstance(of, EMM):
        return Answer({call.function: of}, of)
    if isinstance(of, Model):
        found = of.fit.summary(ddf=summary_ddf(room, of))
        if of.verb in ("lme", "gls") and of.fit.spec.method == "ml":
            room.notes.append("nlme prints standard errors of ML fits √(N/(N − p)) times as large.")
        return Answer({call.function: found}, of)
    return Answer({call.function: of}, of)


def _fixef(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, _model(room, call, of).fit.params)


def _ranef(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, _model(room, call, of).fit.random_effects())


def _coef(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    model, node = _model(room, call, of), call.arguments[0].value
    if isinstance(node, Call) and node.function == "summary":
        return _one(call, model.fit.fixed_effects(ddf=summary_ddf(room, model)))
    fit = model.fit
    return _one(call, fit.coefficients(wide=True) if fit.design.random else fit.params)


def _varcorr(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, _model(room, call, of).fit.variance_components())


def _vcov(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, _model(room, call, of).fit.cov_params(ddf="asymptotic"))


def _intervals(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    """Return limits of the fixed effects by nlme's df, and of the covariance parameters."""
    model, program = _model(room, call, of), room.program
    level = number(program, given["level"], "level") if "level" in given else 0.95
    which = text(program, given["which"], "which", ("all", "var-cov", "fixed")) if "which" in given else "all"
    tables: dict[str, Any] = {}
    if which != "var-cov":
        fixed = model.fit.fixed_effects(ddf=nlme_ddf(model), level=level)
        columns = {name: fixed[name] for name in ("term", "conf_low", "estimate", "conf_high")}
        tables["intervals"] = Table(columns, "Fixed effects", fixed.notes, fixed.backend)
    if which != "fixed":
        every = model.fit.confint(method="wald", level=level)
        kept = ~np.isin(every["term"], np.array(list(model.fit.params.names), dtype=object))
        limits = {name: every[name][kept] for name in ("term", "conf_low", "estimate", "conf_high")}
        title = "Covariance parameters"
        tables["intervals.var-cov" if tables else "intervals"] = Table(
            limits, title, every.notes, every.backend
        )
    return Answer(tables, next(iter(tables.values())))


def _getvarcov(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    model, program = _model(room, call, of), room.program
    kinds = ("random.effects", "conditional", "marginal")
    default = "conditional" if model.verb == "gls" else "random.effects"
    kind = text(program, given["type"], "type", kinds) if "type" in given else default
    if kind == "random.effects":
        return _one(call, model.fit.random_cov())
    groups = texts(program, given["individuals"], "individuals") if "individuals" in given else [None]
    tool = model.fit.marginal_cov if kind == "marginal" or model.verb == "gls" else model.fit.residual_cov
    found = {group: tool(group) for group in groups}
    tables = {
        call.function if len(found) == 1 else f"{call.function} {group}": value
        for group, value in found.items()
    }
    return Answer(tables, next(iter(found.values())))


def _likelihood(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    """Return `logLik`, `AIC` or `BIC` of one or several models, counted as the function that fitted counts."""
    models = [_model(room, call, of)] + [_named_model(room, call, node) for node in room.further]
    names = _written(room, call)
    rows = [_criteria(model) for model in models]
    columns: dict[str, Any] = {"model": names}
    wanted = {
        "logLik": ("loglik", "df"),
        "AIC": ("df", "aic"),
        "BIC": ("df", "bic"),
        "deviance": ("deviance",),
    }
    for name in wanted[call.function]:
        columns[name] = [row[name] for row in rows]
    return _one(call, Table(columns, "", (), "pandas", {"df": "integer"}))


def _written(room: Room, call: Call) -> list[str]:
    """Return the models of a call as they are written."""
    return [room.program.text(node) for node in (call.arguments[0].value, *room.further)]


def _criteria(model: Model) -> dict[str, float]:
    fit = model.fit
    if fit.distribution is not None or model.verb == "glmmTMB":
        parameters = round((fit.aic + 2 * fit.loglik) / 2)
        return {
            "loglik": fit.loglik,
            "df": parameters,
            "aic": fit.aic,
            "bic": fit.bic,
            "deviance": -2 * fit.loglik,
        }
    table = fit.information_criteria()
    column = "nlme" if model.verb in ("lme", "gls") else "lme4"
    values = dict(zip(table["criterion"].tolist(), table[column].tolist(), strict=True))
    parameters = round((values["AIC"] - fit.criterion) / 2)
    return {
        "loglik": fit.loglik,
        "df": parameters,
        "aic": values["AIC"],
        "bic": values["BIC"],
        "deviance": fit.criterion,
    }


def _anova(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    model = _model(room, call, of)
    others = [_named_model(room, call, node) for node in room.further]
    if others:
        names, models = _written(room, call), [model, *others]
        fits = [one.fit for one in models]
        again = flag(room.program, given["refit"], "refit") if "refit" in given else True
        if again and all(one.verb == "lmer" for one in models) and any(fit.design.reml for fit in fits):
            room.notes.append(
                "refitting models with ML (instead of REML), as lme4 does; refit = FALSE leaves them."
            )
            fits = [fit.update(method="ml") if fit.design.reml else fit for fit in fits]
        return _one(call, compare(*fits, names=names))
    kind, ddf = _anova_type(room, model, given), nlme_ddf(model)
    if model.verb == "lmer":
        ddf = "satterthwaite"
        if "lmerTest" not in room.packages:
            room.notes.append(
                "lme4 prints no p values; these are lmerTest's type 1 tests, by Satterthwaite's df."
            )
    return _one(call, model.fit.anova(type=kind, ddf=ddf))


def _anova_type(room: Room, model: Model, given: dict[str, Node]) -> int:
    node = given.get("type")
    tested = model.verb == "lmer" and "lmerTest" in room.packages
    if node is None:
        return 3 if tested else 1
    if isinstance(node, Number) and node.value in (1, 2, 3):
        return int(node.value)
    kinds = {
        "sequential": 1,
        "marginal": 3,
        "s": 1,
        "m": 3,
        "I": 1,
        "II": 2,
        "III": 3,
        "1": 1,
        "2": 2,
        "3": 3,
    }
    return kinds[text(room.program, node, "type", tuple(kinds))]


def _predict(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    model, program = _model(room, call, of), room.program
    newdata = room.frame(call, given["newdata"]) if "newdata" in given else None
    level, kind = "conditional", "link"
    if (node := given.get("level")) is not None:
        steps = number(program, node, "level")
        inner = len({term.group for term in model.fit.design.random})
        if steps not in (0, inner):
            raise program.error(f"level = is 0 (population) or {inner} (the innermost groups).", node)
        level = "population" if steps == 0 else "conditional"
    if (node := given.get("re.form")) is not None:
        alone = isinstance(node, Name) and node.value == "NA"
        none = isinstance(node, Unary) and node.operator == "~" and program.text(node.operand) == "0"
        if not (alone or none):
            raise program.error("re.form = is NA or ~ 0 (population), or NULL (all random effects).", node)
        level = "population"
    if (node := given.get("type")) is not None:
        kind = text(program, node, "type", ("link", "response"))
    elif model.verb in ("glmmTMB", "glmer"):
        kind = "link"
    kept = given.get("allow.new.levels")
    new = "population" if kept is not None and flag(program, kept, "allow.new.levels") else "raise"
    values = np.asarray(model.fit.predict(newdata, level=level, type=kind, new_levels=new))
    return _one(call, Table({"fit": values}, "Predictions"))


def _residuals(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    fit = _model(room, call, of).fit
    if call.function == "fitted":
        return _one(call, Table({"fitted": np.asarray(fit.fitted)}, "Fitted values"))
    kind = "response"
    if (node := given.get("type")) is not None:
        kinds = ("response", "pearson", "normalized", "deviance", "working")
        kind = text(room.program, node, "type", kinds)
    return _one(
        call,
        Table({"residual": fit.residuals({"normalized": "scaled"}.get(kind, kind))}, f"Residuals ({kind})"),
    )


def _sigma(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    fit = _model(room, call, of).fit
    value = fit.sigma if call.function == "sigma" else fit.nobs
    return _one(call, Table({call.function: [value]}))


def _confint(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    if isinstance(of, EMM):
        return _one(call, of)
    model, program = _model(room, call, of), room.program
    level = number(program, given["level"], "level") if "level" in given else 0.95
    default = "profile" if model.verb in ("lmer", "glmer") else "wald"
    method = (
        text(program, given["method"], "method", ("profile", "Wald", "wald")).lower()
        if "method" in given
        else default
    )
    ml = {"likelihood": "ml"} if method == "profile" and model.verb == "lmer" else {}
    ddf: Any = "asymptotic" if method == "wald" and model.verb != "lm" else None
    terms = _parm(room, model, given["parm"]) if "parm" in given else {}
    return _one(call, model.fit.confint(method=method, level=level, ddf=ddf, **ml, **terms))


def _parm(room: Room, model: Model, node: Node) -> dict[str, Any]:
    """Return the terms that parm = names: coefficients, "beta_" for all of them, "theta_" for the others."""
    wanted = texts(room.program, node, "parm")
    fixed = list(model.fit.params.names)
    if wanted == ["beta_"]:
        return {"terms": fixed}
    if wanted == ["theta_"]:
        every = model.fit.confint(method="wald")["term"].tolist()
        return {"terms": [name for name in every if name not in fixed]}
    return {"terms": wanted}


def _emmeans(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    """Return means by emmeans' defaults of df, and their contrasts where the left side of specs names them."""
    model, program = _model(room, call, of), room.program
    trends = call.function == "emtrends"
    left, specs = _specs(room, call, given)
    options: dict[str, Any] = {}
    if "by" in given:
        options["by"] = texts(program, given["by"], "by")
    if "at" in given:
        options["at"] = _at(room, given["at"])
    if "weights" in given:
        options["weights"] = text(program, given["weights"], "weights")
    if "level" in given:
        options["level"] = number(program, given["level"], "level")
    if "type" in given and not trends:
        options["type"] = text(program, given["type"], "type", ("link", "response"))
    options["ddf"] = _mode(room, model, given)
    if options["ddf"] == "kenward-roger":
        # as pbkrtest has it
        options["information"] = "expected"
    if trends:
        if "var" not in given:
            raise program.error("emtrends() needs var =.", call)
        means = model.fit.emtrends(text(program, given["var"], "var"), specs, **options)
    else:
        means = model.fit.emmeans(specs, **options)
    if not left:
        return Answer({call.function: means}, means)
    adjust = text(program, given["adjust"], "adjust") if "adjust" in given else None
    contrasts = _contrasted(room, call, means, left, adjust, reverse=False)
    return Answer({call.function: means, "contrasts": contrasts}, means)


def _specs(room: Room, call: Call, given: dict[str, Node]) -> tuple[str, str | list[str]]:
    """Return the contrasts on the left of `pairwise ~ a | b` and the factors."""
    program = room.program
    node = given.get("specs")
    if node is None:
        raise program.error(f"{call.function}() needs specs, for example ~ arm.", call)
    if isinstance(node, Binary) and node.operator == "~":
        if not isinstance(node.left, Name):
            raise program.error("left of ~ stands the name of contrasts, pairwise ~ arm.", node.left)
        return node.left.value, program.text(node.right)
    if isinstance(node, Unary) and node.operator == "~":
        return "", program.text(right_side(program, node, "specs"))
    if (
        isinstance(node, Unary)
        and node.operator == "-"
        and isinstance(node.operand, Number)
        and node.operand.value == 1
    ):
        room.notes.append("specs = -1 is read as ~1, of which print has lost the tilde.")
        return "", "1"
    if isinstance(node, Number) and node.value == 1:
        return "", "1"
    return "", texts(program, node, "specs")


def _at(room: Room, node: Node) -> dict[str, Any]:
    """Return `list(x = c(1, 2), f = "a")` as values by column."""
    program = room.program
    if not (isinstance(node, Call) and node.function == "list" and all(a.name for a in node.arguments)):
        raise program.error("at = is list(x = c(1, 2)).", node)
    found: dict[str, Any] = {}
    for argument in node.arguments:
        parts = elements(argument.value) or ()
        wordy = bool(parts) and all(isinstance(part, Text) for part in parts)
        read = texts if wordy else numbers
        found[str(argument.name)] = read(program, argument.value, str(argument.name))
    return found


def _mode(room: Room, model: Model, given: dict[str, Node]) -> str:
    for name in ("mode", "lmer.df"):
        if name in given:
            asked = text(room.program, given[name], name, tuple(MODES))
            if MODES[asked]:
                return MODES[asked]
    return DDF.get(
        model.verb, "residual" if model.verb == "glmmTMB" and model.fit.distribution is None else "asymptotic"
    )


def _contrast(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    program = room.program
    if not isinstance(of, EMM):
        raise program.error(f"{call.function}() takes what emmeans() or emtrends() gave.", call)
    pairs = call.function == "pairs"
    method = "pairwise" if pairs else "eff"
    if not pairs and "method" in given:
        node = given["method"]
        if isinstance(node, Call) and node.function == "list":
            return _one(call, _weighted(room, of, node, given))
        method = node.value if isinstance(node, (Text, Name)) else ""
        if not method or method == "list":
            raise program.error(
                'method = is the name of contrasts, "pairwise", "trt.vs.ctrl", "poly" …', node
            )
    adjust = text(program, given["adjust"], "adjust") if "adjust" in given else None
    reverse = "reverse" in given and flag(program, given["reverse"], "reverse")
    options = {"by": texts(program, given["by"], "by")} if "by" in given else {}
    return _one(call, _contrasted(room, call, of, method, adjust, reverse=reverse, **options))


def _weighted(room: Room, means: EMM, node: Call, given: dict[str, Node]) -> Any:
    """Return the contrasts of `list(name = c(1, -1, 0))`."""
    program = room.program
    if not node.arguments or not all(argument.name for argument in node.arguments):
        raise program.error("contrasts by weights have names, list(a_b = c(1, -1)).", node)
    weights = {str(one.name): numbers(program, one.value, str(one.name)) for one in node.arguments}
    adjust = text(program, given["adjust"], "adjust") if "adjust" in given else "none"
    return means.contrast(weights, adjust=adjust)


def _contrasted(
    room: Room, call: Call, means: EMM, method: str, adjust: str | None, *, reverse: bool, **options: Any
) -> Any:
    name = "revpairwise" if reverse and method == "pairwise" else method
    # emmeans' defaults: tukey for pairs, dunnettx against a control, fdr for deviations from the mean
    default = {"pairwise": "tukey", "revpairwise": "tukey", "eff": "fdr", "del.eff": "fdr"}
    chosen = adjust or default.get(name, "dunnettx" if name.startswith("trt.vs.ctrl") else "none")
    return means.contrast(name, adjust=chosen, **options)


def _joint(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    model = _model(room, call, of)
    ddf = DDF.get(model.verb, "asymptotic")
    extra = {"information": "expected"} if ddf == "kenward-roger" else {}
    return _one(call, model.fit.joint_tests(ddf=ddf, **extra))


def _ranova(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, _model(room, call, of).fit.ranova())


def _drop1(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, _model(room, call, of).fit.drop1())


def _singular(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    fit = _model(room, call, of).fit
    return _one(call, Table({"isSingular": [bool(fit.singular)]}))


def _car_anova(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    """Return car's tests: type II by default, χ² of Wald, or F with Kenward–Roger's df for lmer."""
    model, program = _model(room, call, of), room.program
    node = given.get("type")
    kind = {"II": 2, "III": 3, "2": 2, "3": 3}[_roman(program, node)] if node is not None else 2
    test = (
        text(program, given["test.statistic"], "test.statistic", ("F", "Chisq"))
        if "test.statistic" in given
        else "Chisq"
    )
    if kind == 3:
        room.notes.append(
            "type 3 tests do not depend on the coding of factors here; car's do, and agree under contr.sum."
        )
    if test == "F":
        if model.verb != "lmer":
            raise program.error(
                'test.statistic = "F" is for lmer, by Kenward-Roger.', given["test.statistic"]
            )
        return _one(call, model.fit.anova(type=kind, ddf="kenward-roger", information="expected"))
    return _one(call, model.fit.anova(type=kind, ddf="asymptotic"))


def _roman(program: Any, node: Node) -> str:
    if isinstance(node, Number):
        return str(int(node.value)) if node.value in (2, 3) else text(program, node, "type", ("II", "III"))
    return text(program, node, "type", ("II", "III", "2", "3"))


def _letters(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    if not isinstance(of, EMM):
        raise room.program.error("cld() takes what emmeans() gave.", call)
    adjust = text(room.program, given["adjust"], "adjust") if "adjust" in given else "tukey"
    return _one(call, of.cld(adjust=adjust))


def _written_formula(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, Table({"formula": [_model(room, call, of).fit.spec.formula]}))


def _residual_df(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    return _one(call, Table({"df.residual": [_model(room, call, of).fit.df_resid]}))


def _frame(room: Room, call: Call, given: dict[str, Node], of: Any) -> Answer:
    """Return `str` or `head` of data."""
    from ...frame.readers import open_source

    if isinstance(of, (Model, EMM, Table)):
        raise room.program.error(f"{call.function}() is for data here.", call)
    source = open_source(of)
    columns = {name: source.read(name) for name in source.names}
    if call.function == "str":
        kinds = [
            f"factor, {len(c.levels)} levels" if c.levels is not None else str(c.values.dtype)
            for c in columns.values()
        ]
        return _one(call, Table({"column": list(columns), "kind": kinds}, f"{source.n} rows"))
    shown = int(number(room.program, given["n"], "n")) if "n" in given else 6
    values = {
        name: (column.values if column.levels is None else column.levels[column.values])[:shown]
        for name, column in columns.items()
    }
    return _one(call, Table(values))


def _one(call: Call, value: Any) -> Answer:
    return Answer({call.function: value}, value)


def _model(room: Room, call: Call, of: Any) -> Model:
    if isinstance(of, Model):
        return of
    raise room.program.error(f"{call.function}() takes a fitted model.", call)


def _named_model(room: Room, call: Call, node: Node) -> Model:
    if isinstance(node, Name) and isinstance(found := room.value(node), Model):
        return found
    raise room.program.error(f"{call.function}() compares fitted models by their names.", node)


_MEANS = ("object", "specs", "by", "at", "weights", "type", "mode", "lmer.df", "level", "adjust")
AFTER: Mapping[str, tuple[tuple[str, ...], Handler]] = {
    "summary": (("object",), _summary),
    "print": (("x",), _summary),
    "fixef": (("object",), _fixef),
    "fixed.effects": (("object",), _fixef),
    "ranef": (("object",), _ranef),
    "random.effects": (("object",), _ranef),
    "coef": (("object",), _coef),
    "VarCorr": (("x",), _varcorr),
    "vcov": (("object",), _vcov),
    "intervals": (("object", "level", "which"), _intervals),
    "getVarCov": (("obj", "individuals", "type"), _getvarcov),
    "logLik": (("object",), _likelihood),
    "deviance": (("object",), _likelihood),
    "AIC": (("object",), _likelihood),
    "BIC": (("object",), _likelihood),
    "anova": (("object", "type", "refit"), _anova),
    "predict": (("object", "newdata", "level", "re.form", "type", "allow.new.levels"), _predict),
    "fitted": (("object",), _residuals),
    "residuals": (("object", "type"), _residuals),
    "resid": (("object", "type"), _residuals),
    "sigma": (("object",), _sigma),
    "nobs": (("object",), _sigma),
    "confint": (("object", "parm", "level", "method"), _confint),
    "emmeans": (_MEANS, _emmeans),
    "emtrends": (("object", "specs", "var", *_MEANS[2:]), _emmeans),
    "pairs": (("x", "adjust", "reverse", "by"), _contrast),
    "contrast": (("object", "method", "adjust", "reverse", "by"), _contrast),
    "joint_tests": (("object",), _joint),
    "ranova": (("model",), _ranova),
    "rand": (("model",), _ranova),
    "drop1": (("object",), _drop1),
    "isSingular": (("x",), _singular),
    "Anova": (("mod", "type", "test.statistic"), _car_anova),
    "lsmeans": (_MEANS, _emmeans),
    "cld": (("object", "adjust"), _letters),
    "formula": (("x",), _written_formula),
    "df.residual": (("object",), _residual_df),
    "str": (("object",), _frame),
    "head": (("x", "n"), _frame),
}
"""Functions of R on fitted models, means and data: their parameters, and what answers them."""
SEVERAL = frozenset(("AIC", "BIC", "logLik", "anova"))
"""Functions that take further models by place."""


def answer(room: Room, call: Call, evaluate: Callable[[Node], Any]) -> Answer:
    """Return what a call on a fit gives."""
    parameters, handler = AFTER[call.function]
    further: tuple[Node, ...] = ()
    if call.function in SEVERAL:
        places = [argument for argument in call.arguments if argument.name is None]
        further = tuple(argument.value for argument in places[1:])
        kept = tuple(
            argument for argument in call.arguments if argument.name is not None or argument is places[0]
        )
        call = Call(call.function, kept, call.first, call.last) if places else call
    given = matched(room.program, call, parameters)
    first = given.pop(parameters[0], None)
    if first is None:
        raise room.program.error(f"{call.function}() needs its {parameters[0]}.", call)
    room.further = further
    return handler(room, call, given, evaluate(first))
