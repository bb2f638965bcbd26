"""What every verb of generalised models shares: text and arguments → spec, inputs, frame, response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

from ..criterion.parameters import RESIDUAL
from ..errors import SpecError
from ..fit import Inputs
from ..frame.ingest import build_frame
from ..frame.model_frame import ModelFrame
from ..likelihood.families import FAMILIES, family_name
from ..spec import (
    PSEUDO,
    Approximation,
    Component,
    Information,
    LikelihoodSpec,
    ModelSpec,
    NaAction,
    PartSpec,
    ResidualSpec,
    VarianceSpec,
    quoted,
)
from ..syntax.formula import check_functions, parse_formula, read_formula
from ..syntax.response import split_response
from ..syntax.start_values import StartValues
from ..terms.response import ObservedResponse, observe
from ..typing import Ddf

WITH_TRIALS = ("binomial", "betabinomial")
RESTRICTED = ("rspl", "rmpl")
FREE = "free"
"""What `dispersion=` says of a scale that is estimated, for a family without a dispersion."""


def read_generalised(
    formula: str,
    family: str,
    link: str | None,
    *,
    dispersion: str | None = None,
    zero_inflation: str | None = None,
    hurdle: str | None = None,
    nominal: str | None = None,
    thresholds: str = "flexible",
    method: Approximation = "laplace",
    points: int | Literal["auto"] | None = None,
    reml: bool = False,
    information: Information = "observed",
    residual: str | ResidualSpec | None = None,
    variance: str | tuple[VarianceSpec, ...] | None = None,
    trials: Any = None,
    weights: Any = None,
    frequency: Any = None,
    offset: Any = None,
    ddf: Ddf = "auto",
    start: StartValues = None,
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    context: Mapping[str, Any] | None = None,
) -> ModelSpec:
    """Return the spec of a generalised model; the arguments are those of `glmm`."""
    if not isinstance(family, str):
        raise SpecError(
            f"family={family!r} must be the name of a family, for example 'binomial' or 'poisson'."
        )
    name, method = family_name(family), _approximation(method)
    form = split_response(formula, counted=name in WITH_TRIALS)
    pseudo = method in PSEUDO
    if not pseudo and (residual is not None or variance is not None):
        raise SpecError(
            f"residual= and variance= describe errors, which method={method!r} has none of; use method='rspl' (or "
            "'mspl', 'rmpl', 'mmpl'), or a random term for the correlation."
        )
    if pseudo and reml:
        raise SpecError(f"reml= is for method='laplace'; method={method!r} says it in its first letter.")
    if nominal is not None and name != "ordinal":
        raise SpecError(
            f"nominal={nominal!r}: effects on every threshold are those of family='ordinal', and this is "
            f"family={family!r}."
        )
    if method == "quadrature" and reml:
        raise SpecError("reml= is for method='laplace'; method='quadrature' is maximum likelihood.")
    if points is not None and method != "quadrature":
        raise SpecError(f"points= are those of method='quadrature', and method={method!r}.")
    spec = read_formula(
        form.formula,
        residual=residual,
        variance=variance,
        weights=weights,
        method="reml" if reml or method in RESTRICTED else "ml",
        ddf=ddf,
        start=start,
        hold=hold,
        contrasts=contrasts,
        na=na,
        context=context,
    )
    free = dispersion == FREE
    if free:
        _check_free(name, method)
        dispersion = None
    names = check_functions(context)
    written = (
        ("dispersion", dispersion),
        ("zero", zero_inflation),
        ("hurdle", hurdle),
        ("nominal", nominal),
    )
    parts = tuple(
        _read_part(cast(Component, component), text, spec.response, names)
        for component, text in written
        if text is not None
    )
    likelihood = LikelihoodSpec(
        name,
        link,
        method,
        points,
        information,
        parts,
        form.beside,
        form.form,
        trials if isinstance(trials, str) else None,
        frequency if isinstance(frequency, str) else None,
        nominal,
        thresholds,
        free,
        offset if isinstance(offset, str) else None,
    )
    if pseudo and not (free or _has_dispersion(name) or spec.residual is not None or spec.variance):
        spec = spec.with_changes(hold=_with_scale_held(spec))
    offsets = (*spec.offsets, quoted(offset)) if isinstance(offset, str) else spec.offsets
    return spec.with_changes(formula=formula, offsets=offsets, likelihood=likelihood)


def arguments_of(spec: ModelSpec) -> dict[str, Any]:
    """Return the arguments of `read_generalised`, but for the formula, that a spec was read from."""
    asked = spec.likelihood
    assert asked is not None
    parts = {part.component: part.formula for part in asked.parts}
    return {
        "family": asked.family,
        "link": asked.link,
        "dispersion": FREE if asked.free else parts.get("dispersion"),
        "zero_inflation": parts.get("zero"),
        "hurdle": parts.get("hurdle"),
        "nominal": asked.nominal,
        "thresholds": asked.thresholds,
        "method": asked.approximation,
        "points": asked.points,
        "reml": spec.method == "reml" and asked.approximation not in PSEUDO,
        "information": asked.information,
        "residual": spec.residual,
        "variance": spec.variance or None,
        "trials": asked.trials,
        "weights": spec.weights,
        "frequency": asked.frequency,
        "offset": asked.offset,
        "ddf": spec.ddf,
        "start": spec.start_values,
        "hold": _asked_to_hold(spec),
        "contrasts": dict(spec.contrasts),
        "na": spec.na,
    }


def _asked_to_hold(spec: ModelSpec) -> dict[str, float] | tuple[str, ...]:
    """Return what is held but for a scale that pseudo-likelihood holds by itself."""
    pairs = dict(item for item in spec.hold if isinstance(item, tuple))
    names = tuple(item for item in spec.hold if isinstance(item, str))
    return names or {name: value for name, value in pairs.items() if name != RESIDUAL}


def generalised_inputs(
    data: Any,
    *,
    weights: Any = None,
    known: Mapping[str, Any] | None = None,
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    **beside: Any,
) -> Inputs:
    """Return what a fit is given beside its spec; `beside` are trials, frequency and offset, where they are arrays."""
    arrays = {
        key: values for key, values in beside.items() if values is not None and not isinstance(values, str)
    }
    return Inputs(data, None if isinstance(weights, str) else weights, known, subset, context, arrays)


def read_rows(spec: ModelSpec, inputs: Inputs) -> tuple[ModelFrame, ObservedResponse]:
    """Return the complete rows that carry information, and their response."""
    frame = build_frame(
        spec,
        inputs.data,
        weights=inputs.weights,
        known=inputs.known,
        subset=inputs.subset,
        context=inputs.context,
        beside=inputs.beside,
    )
    return observe(spec, frame)


def _has_dispersion(family: str) -> bool:
    return bool(getattr(FAMILIES[family], "symbol", ""))


def _check_free(family: str, method: Approximation) -> None:
    """Raise `SpecError` unless a scale of the variance can be estimated beside a family."""
    if method not in PSEUDO:
        raise SpecError(
            f"dispersion='free' scales the variance of a working model, which method={method!r} has none of; use "
            "method='rspl', or a family with a dispersion of its own (betabinomial, nb2)."
        )
    if _has_dispersion(family):
        raise SpecError(
            f"dispersion='free' is for families without a dispersion; that of family={family!r} is estimated anyway."
        )


def _with_scale_held(spec: ModelSpec) -> tuple[tuple[str, float], ...]:
    """Return the values held with those of the error variance, one: that of the family is known."""
    start = dict(spec.start)
    held: dict[str, float] = {}
    for item in spec.hold:
        name, value = item if isinstance(item, tuple) else (item, start.get(item))
        if value is None:
            raise SpecError(
                f"hold: {name!r} has no value; write hold={{{name!r}: value}} or give it in start=."
            )
        held[name] = value
    held.setdefault(RESIDUAL, 1.0)
    return tuple(held.items())


def _approximation(method: str) -> Approximation:
    lowered = method.lower() if isinstance(method, str) else method
    if lowered in ("reml", "ml"):
        raise SpecError(
            f"method={method!r} is for linear models; glmm takes 'laplace' (with reml=True for the restricted form), "
            "'quadrature', 'rspl', 'mspl', 'rmpl', 'mmpl'."
        )
    return cast(Approximation, lowered)


def _read_part(component: Component, text: str, response: str, functions: frozenset[str]) -> PartSpec:
    """Return a one-sided formula read."""
    argument = {"zero": "zero_inflation"}.get(component, component)
    if not isinstance(text, str) or not text.lstrip().startswith("~"):
        raise SpecError(f"{argument}={text!r} must be a formula without a response, for example '~ 1 + x'.")
    parsed = parse_formula(f"{response} {text.strip()}", functions)
    if parsed.smooths:
        raise SpecError(f"{argument}={text!r}: spline(...) stands in the formula of the mean only.")
    if component == "nominal" and (parsed.random or parsed.offsets):
        raise SpecError(
            f"nominal={text!r}: random terms and offsets stand in the formula of the location only."
        )
    return PartSpec(component, parsed.fixed, parsed.random, parsed.offsets, text.strip())
