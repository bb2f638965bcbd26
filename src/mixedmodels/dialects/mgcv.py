"""mgcv's language: `gam` and `gamm` read, and models written as calls of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api import glmm, lmm
from ..api.generalised import WITH_TRIALS
from ..control import Control
from ..errors import SpecError
from ..fit import Fit
from ..registry import check_choice
from ..spec import NaAction, RandomSpec, SmoothSpec
from ..syntax.smooth import selecting
from ..syntax.spelling import variables
from .asked import Asked
from .nlme import check_position, read_errors, read_random_argument
from .r_text import family_in_r, in_r, name_in_r, read_family, response_in_r

METHODS = ("REML", "ML", "fREML", "P-REML", "P-ML")
UNLIKE = ("GCV.Cp", "GACV.Cp", "NCV")
FAMILIES = {
    "binomial": "binomial",
    "poisson": "poisson",
    "gamma": "Gamma",
    "inverse_gaussian": "inverse.gaussian",
    "gaussian": "gaussian",
}


def gam(
    formula: str,
    data: Any,
    family: str = "gaussian",
    *,
    method: str = "REML",
    weights: Any = None,
    offset: Any = None,
    select: bool = False,
    ddf: str = "residual",
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the additive model that `mgcv::gam(formula, family, data, method = "REML")` fits.

    Parameters
    ----------
    formula
        As in mgcv, `"y ~ f + s(x, by = f) + te(u, v) + s(g, bs = 're')"`; bars `(1 | g)` as well.
    data
        As for `lmm`.
    family
        `"gaussian"`, `"poisson"`, `'binomial(link = "probit")'`, `"Gamma(log)"` …
    method
        `"REML"` (mgcv's own default is GCV, which is not computed) or `"ML"`.
    weights
        As in R: known precisions, or the trials of a binomial proportion.
    offset, contrasts, na, subset, context, control
        As for `glmm`.
    select
        Whether every smooth can vanish: what its penalty leaves free gets a penalty of its own, `s(x, select=True)`.
    ddf
        Degrees of freedom of parametric terms; mgcv's are n less all effective ones.

    Raises
    ------
    SpecError
        For a criterion that is not a likelihood, and what `glmm` refuses.

    Notes
    -----
    Gaussian models are those of `lmm`, others of `glmm` with `reml=True`. `fit.smooths()` is the table of smooths of
    `summary`, `fit.smooth("s(x)")` a curve, `predict(exclude=)` leaves terms out. *Same as* `mgcv::gam`; `bam` gives
    the same model on large data.

    Examples
    --------
    >>> import numpy as np, mixedmodels as mm
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(size=200)
    >>> data = {"x": x, "y": np.sin(6 * x) + rng.normal(0, 0.3, 200)}
    >>> fit = mm.gam("y ~ s(x, bs = 'cr')", data)
    >>> print(fit.to_mgcv())
    gam(y ~ 1 + s(x, bs = "cr"), data = data, method = "REML")
    """
    restricted = _restricted(method)
    name, link = read_family(family)
    if select:
        formula = selecting(formula)
    shared: dict[str, Any] = {
        "ddf": ddf, "contrasts": contrasts, "na": na, "subset": subset, "context": context, "control": control,
    }  # fmt: skip
    if name == "gaussian" and link in (None, "identity") and offset is None:
        return lmm(formula, data, method="reml" if restricted else "ml", weights=weights, **shared)
    shared["ddf"] = "auto" if ddf == "residual" else ddf
    counted = name in WITH_TRIALS
    return glmm(
        formula,
        data,
        name,
        link,
        reml=restricted,
        trials=weights if counted else None,
        weights=None if counted else weights,
        offset=offset,
        **shared,
    )


def _restricted(method: str) -> bool:
    """Return whether a criterion of mgcv is the restricted likelihood."""
    if method in UNLIKE:
        raise SpecError(
            f"method={method!r}: smoothing parameters are estimated by likelihood here; give method='REML', which "
            "mgcv has too."
        )
    check_choice("method", method, METHODS)
    return "REML" in method


def gamm(
    formula: str,
    data: Any,
    random: str | None = None,
    correlation: str | None = None,
    family: str = "gaussian",
    weights: Any = None,
    *,
    method: str = "REML",
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the additive mixed model that `mgcv::gamm(formula, random, correlation, family, data)` fits.

    Parameters
    ----------
    formula
        As for `gam`.
    data
        As for `lmm`.
    random
        R text as for `lme`, `"list(g = ~ 1)"` or `"~ 1 | g"`; bars in the formula say the same.
    correlation, weights
        R text as for `lme`: `"corAR1(form = ~ t | g)"`, `"varIdent(form = ~ 1 | f)"`, or known precision weights.
    family
        As for `gam`; other than Gaussian the fit is by penalised quasi-likelihood, as in mgcv.
    method
        `"REML"` or `"ML"`; mgcv's own default is ML.
    contrasts, na, subset, context, control
        As for `lmm`.

    Notes
    -----
    One fit has what `$lme` and `$gam` have there: variances of bars and of smooths, curves, tests. *Same as*
    `mgcv::gamm`, `gamm4::gamm4` for bars.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleep = mm.datasets.load("sleepstudy")
    >>> fit = mm.gamm("Reaction ~ s(Days, bs = 'cr', k = 5)", sleep, random="list(Subject = ~ 1)")
    >>> round(fit.loglik, 3)
    -891.27
    """
    restricted = _restricted(method)
    part = None if random is None else read_random_argument(random)
    errors = read_errors(correlation, weights, () if part is None else part.groups)
    check_position(errors.position, data)
    whole = " + ".join([formula, *(part.bars if part else ())])
    name, link = read_family(family)
    shared: dict[str, Any] = {
        "residual": errors.residual, "variance": errors.variance, "start": errors.start, "hold": errors.hold,
        "contrasts": contrasts, "na": na, "subset": subset, "context": context, "control": control,
    }  # fmt: skip
    if name == "gaussian" and link in (None, "identity"):
        kind = "reml" if restricted else "ml"
        return lmm(whole, data, method=kind, weights=errors.weights, ddf="residual", **shared)  # type: ignore[arg-type]
    counted = name in WITH_TRIALS
    return glmm(
        whole,
        data,
        name,
        link,
        method="rspl" if restricted else "mspl",
        trials=errors.weights if counted else None,
        weights=None if counted else errors.weights,
        **shared,
    )


def to_mgcv(fit: Fit) -> str:
    """Return the model as an R call of `gam`, or raise `SpecError` saying why it cannot be written there.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ s(Days, bs='cr', k=5) + (1 | Subject)", mm.datasets.load("sleepstudy"))
    >>> print(fit.to_mgcv())
    gam(Reaction ~ 1 + s(Days, bs = "cr", k = 5) + s(Subject, bs = "re"), data = data, method = "REML")
    """
    return write_mgcv(Asked.of_fit(fit))


def write_mgcv(asked_for: Asked) -> str:
    """Return the call; `SpecError` with the reason where mgcv does not have the model."""
    spec, asked = asked_for.spec, asked_for.spec.likelihood
    if spec.residual is not None or spec.variance:
        _refuse("residual= and variance= are those of nlme; gamm(…, correlation=, weights=) has some of them")
    if spec.hold or spec.bounds == "none":
        _refuse("held parameters and bounds='none' have no counterpart")
    if asked is not None and (asked.parts or asked.approximation != "laplace"):
        _refuse("of generalised models those with one formula, by Laplace's approximation, are written")
    asked_smooths = [one for one in spec.smooths if isinstance(one, SmoothSpec)]
    chosen = {one.select for one in asked_smooths if one.basis != ("re",)}
    if len(chosen) > 1:
        _refuse("select = TRUE is of all smooths of a gam, and some of these have select=True alone")
    terms = [in_r(spec.fixed), *(f"offset({in_r(text)})" for text in spec.offsets)]
    for smooth in spec.smooths:
        if not isinstance(smooth, SmoothSpec):
            _refuse(f"{smooth} has no counterpart; write s({smooth.variable}, bs='ps')")
            raise AssertionError
        terms.append(smooth_in_r(smooth))
    terms += [one for term in spec.random for one in _bar(asked_for, term)]
    arguments = [f"{response_in_r(spec)} ~ {' + '.join(terms)}", "data = data"]
    if asked is not None:
        family = family_in_r(asked.family, asked.link, FAMILIES)
        if family is None:
            _refuse(f"family={asked.family!r} is none of {', '.join(FAMILIES)}")
        arguments.append(f"family = {family}")
    if spec.weights:
        arguments.append(f"weights = {name_in_r(spec.weights)}")
    elif asked_for.weighted:
        _refuse("weights were given as an array; make them a column of the data")
    if True in chosen:
        arguments.append("select = TRUE")
    return f'gam({", ".join(arguments)}, method = "{spec.method.upper()}")'


def smooth_in_r(smooth: SmoothSpec) -> str:
    """Return a smooth in mgcv's spelling.

    Examples
    --------
    >>> smooth_in_r(SmoothSpec("te", ("x", "z"), ("cr",), (5, 6), by="f"))
    'te(x, z, bs = "cr", k = c(5, 6), by = f)'
    """
    out = [in_r(text) for text in smooth.arguments]
    out += [f"bs = {_vector([_quoted(name) for name in smooth.basis])}"] if smooth.basis else []
    out += [f"k = {_vector(list(map(str, smooth.k)))}"] if smooth.k else []
    if smooth.m:
        orders = [_vector([f"{value:g}" for value in one]) for one in smooth.m]
        out.append(f"m = {orders[0] if len(orders) == 1 else 'list(' + ', '.join(orders) + ')'}")
    out += [f"by = {name_in_r(smooth.by)}"] if smooth.by else []
    out += ["fx = TRUE"] if smooth.fixed else []
    out += [f"id = {_quoted(smooth.id)}"] if smooth.id else []
    out += [f"xt = list(bs = {_quoted(smooth.margin)})"] if smooth.margin else []
    out += [f"d = {_vector(list(map(str, smooth.dimensions)))}"] if smooth.dimensions else []
    out += ["full = TRUE"] if smooth.full else []
    if smooth.knots:
        _refuse(f"{smooth}: knots stand in an argument of gam(…, knots = list(…))")
    return f"{smooth.kind}({', '.join(out)})"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _vector(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"c({', '.join(texts)})"


def _bar(asked_for: Asked, term: RandomSpec) -> list[str]:
    """Return a bar as smooths of `bs = "re"`, one for each column with a variance of its own."""
    if term.by or term.cov or term.precision or term.coordinates or not term.group:
        _refuse(f"{term}: by=, cov=, precision=, coordinates and single groups are not written")
    parts = [part.strip() for part in term.effects.split("+")]
    columns = [part for part in parts if part not in ("0", "1")]
    plain = all(part in variables(term.effects) and asked_for.kind(part) == "number" for part in columns)
    single = len(columns) + ("1" in parts) == 1
    if not plain or not (single or term.structure.name == "diag"):
        _refuse(f"{term}: effects that correlate have no counterpart; see gamm4 or to_lme4()")
    group = ", ".join(name_in_r(name) for name in term.group)
    out = [f's({group}, bs = "re")'] if "1" in parts else []
    return out + [f's({name_in_r(name)}, {group}, bs = "re")' for name in columns]


def _refuse(reason: str) -> None:
    raise SpecError(f"this model cannot be written in mgcv: {reason}.")
