"""A model as SAS's statements say it, fitted with the package's own verbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np

from ...api.run import fit_model
from ...control import Control
from ...errors import MixedModelsError, SpecError
from ...fit import Fit, Inputs
from ...inference.ddf import DegreesOfFreedom, choose_method
from ...postfit.sandwich import RobustMethod
from ...postfit.variance_components import natural_parameters
from ...spec import MOMENTS, Method, ModelSpec, quoted
from ...syntax.formula import read_formula
from ...typing import Array
from .coding import Coding, code
from .covariance_parameters import SasParameters, sas_parameters
from .effects import Effect
from .model_statements import Model
from .option_tables import DDFM, METHODS
from .parms import with_parms, without_search
from .to_spec import Asked

BY_EFFECT = ("containment", "between-within", "residual")
"""Methods whose degrees of freedom belong to effects."""


class GivenDf(DegreesOfFreedom):
    """Degrees of freedom given for every row, with the covariance of another method."""

    name: ClassVar[str] = "given"
    note = "degrees of freedom of the effect"

    def __init__(self, df: float, base: DegreesOfFreedom) -> None:
        self.value, self.base = df, base

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        return np.full(len(functions), self.value)

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        return 1.0, self.value

    def vcov(self, fit: Fit) -> Array:
        return self.base.vcov(fit)


@dataclass(frozen=True)
class Fitted:
    """A fit with what SAS's tables need of it: its columns of X, its covariance parameters, degrees of freedom.

    `cuts` has the levels that a cumulative model has intercepts for.
    """

    asked: Asked
    fit: Fit
    ddf: str
    robust: DegreesOfFreedom | None = None
    cuts: tuple[str, ...] = ()

    @property
    def model(self) -> Model:
        return self.asked.model

    @cached_property
    def coding(self) -> Coding:
        return code(self.asked, self.fit)

    @cached_property
    def parameters(self) -> SasParameters:
        return sas_parameters(self.asked, self.fit)

    @cached_property
    def base(self) -> DegreesOfFreedom:
        """The method of ddfm=, with the covariance of EMPIRICAL where that is asked for."""
        method = choose_method(self.ddf)
        if self.robust is None:
            return method
        return method if self.ddf not in (*BY_EFFECT, "asymptotic") else _WithCovariance(method, self.robust)

    @cached_property
    def effect_df(self) -> tuple[float, ...] | None:
        """Degrees of freedom of each effect, None where they belong to functions."""
        given = self._given_df()
        if self.ddf not in BY_EFFECT and given is None:
            return None
        own = self._df_of_effects() if self.ddf in BY_EFFECT else [np.nan] * len(self.coding.effects)
        if given is not None:
            skip = len(self.coding.effects) - len(self.model.effects)
            for i, value in enumerate(given):
                if i + skip < len(own) and not np.isnan(value):
                    own[i + skip] = value
        return tuple(own)

    def _given_df(self) -> list[float] | None:
        """Return the values of ddf=, a missing one NaN."""
        if "ddf" not in self.model.model_options:
            return None
        option = self.model.model_options["ddf"]
        out = []
        for token in option.value or ():
            if not token.is_mark(","):
                out.append(np.nan if token.text == "." else float(token.text))
        if len(out) > len(self.model.effects):
            option.fail(f"ddf= has {len(out)} values for {len(self.model.effects)} effects.")
        return out

    def _df_of_effects(self) -> list[float]:
        method, coding = choose_method(self.ddf), self.coding
        out = []
        for places in coding.places:
            kept = [j for j in places if j in coding.kept]
            rows, _ = coding.functions(np.eye(len(coding.columns))[kept or list(places)])
            df = method.single(self.fit, self._of_effect(places, rows))
            out.append(float(np.nanmin(df)) if len(df) and not np.isnan(df).all() else np.nan)
        return out

    def _of_effect(self, places: Sequence[int], rows: Array) -> Array:
        """Return functions that involve the columns of the fit that are of an effect."""
        effect = self.coding.effects[self.coding.columns[places[0]].effect]
        fixed = self.fit.design.fixed
        intercept = "(thresholds)" if self.coding.thresholds else "1"
        text = intercept if effect.is_intercept else self.asked.terms[effect]
        wanted = _pieces(text)
        own = [k for k, j in enumerate(fixed.estimable) if _pieces(fixed.terms[fixed.assign[j]]) == wanted]
        return np.eye(fixed.rank)[own] if own else rows

    def method(self, effect: int | None, df: float | None = None) -> DegreesOfFreedom:
        """Return the method for a function whose degrees of freedom are those of an effect, or are given."""
        if df is not None:
            return GivenDf(df if df > 0 else np.inf, self.base)
        known = self.effect_df
        if known is None or effect is None or np.isnan(known[effect]):
            return self.base
        return GivenDf(known[effect], self.base)


class _WithCovariance(DegreesOfFreedom):
    """One method's degrees of freedom with another's covariance of β̂."""

    name: ClassVar[str] = "with covariance"
    note = "empirical covariance"

    def __init__(self, df: DegreesOfFreedom, covariance: DegreesOfFreedom) -> None:
        self.df, self.covariance = df, covariance

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        return self.df.df_of_rows(fit, functions)

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        return self.df.df_of_test(fit, functions)

    def vcov(self, fit: Fit) -> Array:
        return self.covariance.vcov(fit)


def _pieces(text: str) -> frozenset[str]:
    return frozenset(part.replace(" ", "").replace("`", "") for part in text.split(":"))


def denominator(model: Model, asked: Asked) -> str:
    """Return the method of degrees of freedom: that of ddfm=, else SAS's default."""
    options = model.model_options
    if "ddfm" in options:
        text = options.text("ddfm")
        if text not in DDFM:
            options["ddfm"].fail(f"ddfm={text} is not known; ddfm= is one of {', '.join(sorted(set(DDFM)))}.")
        return DDFM[text]
    if model.random:
        return "containment"
    if asked.residual is not None and model.repeated is not None and model.repeated.subject is not None:
        return "between-within"
    return "residual"


def fit_linear(asked: Asked, known: dict[str, Any]) -> Fitted:
    """Return the fit of PROC MIXED and its kin."""
    model = asked.model
    ddf = denominator(model, asked)
    spec: ModelSpec = linear_spec(asked, ddf)
    inputs = Inputs(asked.model_data, None, known or None)
    control = Control()
    try:
        spec = _with_given(asked, spec, inputs, control)
        if model.parms is not None:
            spec = with_parms(asked, spec, inputs, control)
        fit = without_search(asked, fit_model(spec, inputs, control))
    except MixedModelsError as error:
        raise located(asked, error) from error
    robust: RobustMethod | None = (
        fit.vcov_robust(kind="CR0").method if model.options.has("empirical") else None
    )
    return Fitted(asked, fit, ddf, robust)


def _with_given(asked: Asked, spec: ModelSpec, inputs: Inputs, control: Control) -> ModelSpec:
    """Return the spec with the scale of every matrix of GDATA= held at one: G is known, not up to a factor."""
    given = [k for k, (_, statement, _) in enumerate(asked.random) if "gdata" in statement.options]
    if not given:
        return spec
    free = fit_model(spec, inputs, control)
    names = free._work.parameters().natural(free.optimum.theta).names
    first, hold = 0, []
    for block, found in natural_parameters(free):
        if block.term in given:
            hold.append((names[first], 1.0))
        first += len(found.values)
    return replace(spec, hold=tuple(hold))


def located(asked: Asked, error: MixedModelsError) -> MixedModelsError:
    line = asked.model.head.line
    return type(error)(f"PROC {asked.model.procedure.upper()} on line {line}: {error}")


def linear_spec(asked: Asked, ddf: str) -> ModelSpec:
    """Return the spec of a linear model, as `lmm` would read it."""
    model = asked.model
    method = model.options.text("method", "reml")
    moments = method in MOMENTS and model.procedure == "mixed"
    if not moments and METHODS.get(method) not in ("reml", "ml"):
        model.options["method"].fail(f"method={method} is none of reml, ml, type1, type2, type3, mivque0.")
    return read_formula(
        f"{quoted(model.response)} ~ {asked.formula}",
        residual=asked.residual,
        variance=asked.variance or None,
        weights=model.weight or None,
        method=cast(Method, method if moments else METHODS[method]),
        contrasts=asked.contrasts,
        bounds="none" if model.options.has("nobound") else "psd",
        ddf=ddf,
    )


def subject_of(effect: Effect | None) -> str:
    """Return a subject effect as text, empty for none."""
    return "" if effect is None else str(effect)


__all__ = ["Fitted", "GivenDf", "SpecError", "denominator", "fit_linear", "linear_spec", "subject_of"]
