"""PROC GLIMMIX: generalised models, with the statements of PROC MIXED."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ...api.generalised import FREE, read_generalised
from ...api.run import fit_model
from ...control import Control
from ...errors import MixedModelsError, SpecError, suggest
from ...fit import Inputs
from ...spec import Approximation, quoted
from ...table import Table
from .data_set import level_text
from .factors import levels_of
from .fitting import Fitted, denominator, fit_linear, located
from .option_tables import METHODS
from .options import Option
from .tables import table
from .to_spec import Asked

NORMAL = ("normal", "gaussian", "gau", "nor", "g")
FAMILIES = {
    "binary": "binomial", "bern": "binomial", "bernoulli": "binomial", "b": "binomial", "binomial": "binomial",
    "bin": "binomial", "poisson": "poisson", "poi": "poisson", "p": "poisson", "negbin": "nb2", "nb": "nb2",
    "negbinomial": "nb2", "gamma": "gamma", "gam": "gamma", "beta": "beta", "exponential": "exponential",
    "expo": "exponential", "geometric": "geometric", "geom": "geometric", "invgauss": "inverse_gaussian",
    "ig": "inverse_gaussian", "igaussian": "inverse_gaussian", "lognormal": "lognormal", "logn": "lognormal",
}  # fmt: skip
BINARY = ("binary", "bern", "bernoulli", "b")
NOT_DONE = {
    "byobs": "one family for all rows is fitted",
    "tcentral": "fit it with mm.glmm(family='t')", "t": "fit it with mm.glmm(family='t')",
}  # fmt: skip
LINKS = {
    "logit": "logit", "probit": "probit", "cloglog": "cloglog", "ccll": "cloglog", "loglog": "loglog", "log": "log",
    "identity": "identity", "id": "identity", "inverse": "inverse", "reciprocal": "inverse", "recip": "inverse",
    "power(-1)": "inverse", "power(-2)": "inverse_squared", "powerminus2": "inverse_squared", "inv2": "inverse_squared",
}  # fmt: skip
ORDERED = ("multinomial", "multi", "mult")
CUMULATIVE = {
    "cumlogit": "logit", "clogit": "logit", "cumprobit": "probit", "cprobit": "probit", "cumcll": "cloglog",
    "cumloglog": "loglog",
}  # fmt: skip
"""Links of DIST=MULTINOMIAL by the package's names."""
PSEUDO = ("rspl", "mspl", "rmpl", "mmpl")


def fit_generalised(asked: Asked, known: dict[str, Any]) -> Fitted:
    """Return the fit of PROC GLIMMIX."""
    model = asked.model
    dist = _distribution(asked)
    method, points = _method(asked)
    link = _link(asked)
    if dist in NORMAL and link in (None, "identity"):
        return _normal(asked, known, method)
    if dist in ORDERED:
        return _ordinal(asked, known, method, points, link)
    name = FAMILIES["binomial" if dist == "" else "lognormal" if dist in NORMAL else dist]
    if dist in NORMAL:
        model.model_options["link"].fail("dist=normal with another link than the identity is not done.")
    left, asked = _response(asked, dist)
    ddf = denominator(model, asked)
    residual, free = asked.residual, False
    if model.repeated is not None and residual is None and not asked.variance:
        free = True
    beside = residual is not None or bool(asked.variance)
    if (beside or free) and method not in PSEUDO:
        model.repeated.statement.fail(
            "R-side effects need pseudo-likelihood: method=rspl."
        ) if model.repeated else None
    if not asked.random and not beside and not free:
        method = "laplace" if method in PSEUDO else method
    if method not in PSEUDO and ddf not in ("containment", "between-within", "residual", "asymptotic"):
        model.model_options["ddfm"].fail(
            f"ddfm={ddf} needs pseudo-likelihood; use contain, bw, residual or none."
        )
    offset = model.model_options.get("offset")
    spec = read_generalised(
        f"{left} ~ {asked.formula}",
        name,
        link,
        dispersion=FREE if free and name in ("binomial", "poisson", "exponential", "geometric") else None,
        method=method,
        points=points,
        residual=residual,
        variance=asked.variance or None,
        weights=model.weight or None,
        offset=asked.data.find(offset.text) if offset is not None else None,
        ddf=ddf,
        contrasts=asked.contrasts,
    )
    if model.parms is not None:
        model.parms.statement.fail("PARMS in PROC GLIMMIX is not done for families other than the normal.")
    if model.options.has("empirical"):
        model.options["empirical"].fail("empirical is not done for families other than the normal.")
    try:
        fit = fit_model(spec, Inputs(asked.model_data, None, known or None), Control())
    except MixedModelsError as error:
        raise located(asked, error) from error
    return Fitted(asked, fit, ddf)


def _ordinal(
    asked: Asked, known: dict[str, Any], method: str, points: int | Literal["auto"] | None, link: str | None
) -> Fitted:
    """Return a cumulative-link model: P(y ≤ k) = F(α_k + x'β), of which the package's β is the negative."""
    model = asked.model
    assert model.model is not None
    if model.repeated is not None:
        model.repeated.statement.fail("DIST=MULTINOMIAL has no R side.")
    if asked.random and method in PSEUDO:
        model.head.fail(
            "pseudo-likelihood of DIST=MULTINOMIAL is not done: write method=laplace or method=quad in PROC."
        )
    if not model.intercept:
        model.model_options["noint"].fail("the cuts of DIST=MULTINOMIAL are its intercepts: leave noint out.")
    for name in ("parms", "frequency"):
        if getattr(model, name):
            model.model.fail(f"{name} does not go with DIST=MULTINOMIAL.")
    for request in model.requests:
        if request.kind not in ("estimate", "contrast"):
            request.statement.fail(
                f"{request.kind.upper()} is not for DIST=MULTINOMIAL; ESTIMATE and CONTRAST of effects are."
            )
    ddf = denominator(model, asked)
    levels = _ordered_response(asked)
    spec = read_generalised(
        f"{quoted(model.response)} ~ {asked.formula}", "ordinal", link or "logit",
        method="laplace" if method in PSEUDO else method,  # type: ignore[arg-type]
        points=points, weights=model.weight or None, ddf=ddf, contrasts=asked.contrasts,
    )  # fmt: skip
    try:
        fit = fit_model(spec, Inputs(asked.model_data, None, known or None), Control())
    except MixedModelsError as error:
        raise located(asked, error) from error
    return Fitted(asked, fit, ddf, cuts=levels[:-1])


def _ordered_response(asked: Asked) -> tuple[str, ...]:
    """Put the places of the response's levels in order into the data, and return the levels."""
    model, data = asked.model, asked.data
    options = model.response_options
    for name in ("event", "ref"):
        if name in options:
            options[name].fail(f"{name}= is for two levels; descending turns the order of several round.")
    if options.text("order", "internal") not in ("internal", "formatted", "data"):
        options["order"].fail("order= is one of internal, formatted, data.")
    values = data.columns[model.response].tolist()
    missing = data.missing(model.response)
    levels: list[Any] = list(levels_of(data, model.response))
    if options.text("order") == "data":
        levels = list(dict.fromkeys(v for v, gone in zip(values, missing, strict=True) if not gone))
    if options.has("descending"):
        levels.reverse()
    if len(levels) < 3:
        assert model.model is not None
        model.model.fail(f"the response {model.response} has {len(levels)} levels: write dist=binary.", 1)
    place = {level: float(k) for k, level in enumerate(levels)}
    codes = np.array([place.get(value, np.nan) for value in values])
    codes[missing] = np.nan
    asked.data = data.with_columns({model.response: codes})
    texts = tuple(level_text(level) for level in levels)
    model.notes.append(f"probabilities are cumulated over {model.response} in the order {', '.join(texts)}")
    return texts


def _normal(asked: Asked, known: dict[str, Any], method: str) -> Fitted:
    """Return a linear model: pseudo-likelihood is then (restricted) maximum likelihood."""
    options = asked.model.options
    if "method" in options:
        old = options["method"]
        token = (
            old.value[0]._replace(text="reml" if method in ("rspl", "rmpl") else "ml")
            if old.value
            else old.token
        )
        options["method"] = Option("method", old.token, old.reader, (token,))
    return fit_linear(asked, known)


def _distribution(asked: Asked) -> str:
    model = asked.model
    if "dist" not in model.model_options:
        if model.trials:
            return "binomial"
        return "binary" if asked.data.is_text(model.response) else "normal"
    option = model.model_options["dist"]
    if option.text in NOT_DONE:
        option.fail(f"dist={option.text} is not done: {NOT_DONE[option.text]}.")
    if option.text not in (*FAMILIES, *NORMAL, *ORDERED):
        option.fail(f"dist={option.text} is not known.{suggest(option.text, [*FAMILIES, *NORMAL, *ORDERED])}")
    return option.text


def _link(asked: Asked) -> str | None:
    if "link" not in asked.model.model_options:
        return None
    option = asked.model.model_options["link"]
    text = option.text
    if _distribution(asked) in ORDERED:
        if text == "glogit":
            option.fail("generalised logits are not done; fit them with mm.glmm(family='multinomial').")
        if text not in CUMULATIVE:
            option.fail(f"link={text} is not of DIST=MULTINOMIAL. Links: {', '.join(CUMULATIVE)}.")
        return CUMULATIVE[text]
    if text not in LINKS:
        option.fail(f"link={text} is not done.{suggest(text, LINKS)} Links: {', '.join(sorted(LINKS))}.")
    return LINKS[text]


def _method(asked: Asked) -> tuple[Approximation, int | Literal["auto"] | None]:
    options = asked.model.options
    if "method" not in options:
        return "rspl", None
    option = options["method"]
    word = option.text.partition("(")[0]
    if METHODS.get(word) not in (*PSEUDO, "laplace", "quadrature"):
        option.fail(f"method={option.text} is none of rspl, mspl, rmpl, mmpl, laplace, quad.")
    points = None
    if "(" in option.text:
        inner = option.inner
        inner.next()
        inside = inner.inner(inner.group())
        while inside:
            key = inside.name("qpoints")
            if key.word != "qpoints":
                inside.fail(f"{key.text} of method= is not done; qpoints= is.", key)
            inside.mark("=")
            points = int(inside.signed())
    return METHODS[word], points  # type: ignore[return-value]


def _response(asked: Asked, dist: str) -> tuple[str, Asked]:
    """Return the left side of the formula, and the data with the event of a binary response as 1.

    Notes
    -----
    Under DIST=BINARY the first level in order is the event, unless `event=`, `descending` or `ref=` says otherwise.
    """
    model, data = asked.model, asked.data
    if model.trials:
        return f"{quoted(model.response)} / {quoted(model.trials)}", asked
    options = model.response_options
    if dist not in BINARY and not options and not data.is_text(model.response):
        return quoted(model.response), asked
    levels = list(levels_of(data, model.response))
    texts = [level_text(level) for level in levels]
    if len(levels) != 2:
        assert model.model is not None
        model.model.fail(
            f"the response {model.response} has {len(levels)} levels, and DIST=BINARY needs 2.", 1
        )
    event = 1 if options.has("descending") else 0
    for key, other in (("event", False), ("ref", True)):
        if key in options:
            wanted = (options[key].value or (options[key].token,))[0].text.strip()
            place = {"first": 0, "last": 1}.get(
                wanted.lower(), texts.index(wanted) if wanted in texts else -1
            )
            if place < 0:
                options[key].fail(f"{wanted!r} is no level of {model.response}: {', '.join(texts)}.")
            event = 1 - place if other else place
    missing = data.missing(model.response)
    values = np.array([float(value == levels[event]) for value in data.columns[model.response].tolist()])
    values[missing] = np.nan
    asked.data = data.with_columns({model.response: values})
    model.notes.append(f"the model is of the probability that {model.response} = {texts[event]}")
    return quoted(model.response), asked


def fit_statistics(found: Fitted) -> list[tuple[str, Table]]:
    """Return `FitStatistics` of a generalised model."""
    fit = found.fit
    assert fit.distribution is not None
    if fit.distribution.pseudo:
        restricted = found.fit.spec.method == "reml"
        name = "-2 Res Log Pseudo-Likelihood" if restricted else "-2 Log Pseudo-Likelihood"
        value = -2 * fit.pseudo_loglik + (found.coding.log_volume if restricted else 0.0)
        notes = ("pseudo-data differ from model to model: this compares nothing",)
        return [
            (
                "FitStatistics",
                table(found, {"Descr": [name], "Value": np.array([value])}, "Fit Statistics", notes),
            )
        ]
    try:
        criteria = fit.information_criteria()
    except SpecError:
        return [
            (
                "FitStatistics",
                table(
                    found,
                    {"Descr": ["-2 Log Likelihood"], "Value": np.array([fit.criterion])},
                    "Fit Statistics",
                ),
            )
        ]
    value_of = dict(zip(criteria["criterion"].tolist(), criteria["sas"].tolist(), strict=True))
    names = [
        "-2 Log Likelihood",
        *(f"{one} (smaller is better)" for one in ("AIC", "AICC", "BIC", "CAIC", "HQIC")),
    ]
    values = [value_of[one] for one in ("-2 log L", "AIC", "AICC", "BIC", "CAIC", "HQIC")]
    return [("FitStatistics", table(found, {"Descr": names, "Value": np.array(values)}, "Fit Statistics"))]
