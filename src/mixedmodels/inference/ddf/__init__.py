"""Denominator degrees of freedom: one file per method, one line in `DDF_METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import SpecError
from ...fit import Fit
from ...registry import look_up
from ...terms.design import Design
from ...typing import Ddf
from ..sensitivity import Information
from .asymptotic import Asymptotic
from .base import DegreesOfFreedom
from .between_within import BetweenWithin, nested
from .containment import Containment
from .given import GivenDf
from .inner_outer import InnerOuter
from .kenward_roger import KenwardRoger
from .kenward_roger2 import KenwardRoger2
from .knapp_hartung import KnappHartung
from .residual import Residual
from .satterthwaite import Satterthwaite

DDF_METHODS: Mapping[str, Callable[[Information], DegreesOfFreedom]] = {
    "kenward-roger": lambda information: KenwardRoger(information=information),
    "kenward-roger-linear": lambda information: KenwardRoger(linear=True, information=information),
    "kenward-roger2": lambda information: KenwardRoger2(information=information),
    "satterthwaite": lambda information: Satterthwaite(information=information),
    "containment": lambda information: Containment(),
    "inner-outer": lambda information: InnerOuter(),
    "between-within": lambda information: BetweenWithin(),
    "knapp-hartung": lambda information: KnappHartung(),
    "residual": lambda information: Residual(),
    "asymptotic": lambda information: Asymptotic(),
}
ALIASES: Mapping[str, str] = {
    "kr": "kenward-roger",
    "kenwardroger": "kenward-roger",
    "kenward-roger(firstorder)": "kenward-roger-linear",
    "kr2": "kenward-roger2",
    "kenwardroger2": "kenward-roger2",
    "satterth": "satterthwaite",
    "contain": "containment",
    "betwithin": "between-within",
    "bw": "between-within",
    "nlme": "inner-outer",
    "knha": "knapp-hartung",
    "none": "asymptotic",
    "normal": "asymptotic",
}

__all__ = [
    "ALIASES",
    "DDF_METHODS",
    "DegreesOfFreedom",
    "automatic",
    "automatic_for",
    "check_given",
    "check_method",
    "choose_method",
    "method_for",
]


def method_for(
    fit: Fit, ddf: Ddf | DegreesOfFreedom | None, *, information: Information = "observed"
) -> DegreesOfFreedom:
    """Return the method asked for, the fit's own when that is None; a method itself, such as that of a
    sandwich covariance, is returned as it is.

    Degrees of freedom that are given, `[10, 10, 20]` or `{"arm": 10}`, leave the other terms those that SAS has by
    default: containment with random effects, between–within with structured errors alone, else residual.
    """
    if isinstance(ddf, DegreesOfFreedom):
        return ddf
    name = fit.spec.ddf if ddf is None else ddf
    if not isinstance(name, str):
        given = GivenDf(name, _rest(fit))
        given.by_term(fit)
        return given
    return choose_method(automatic_for(fit) if name == "auto" else name, information=information)


def _rest(fit: Fit) -> DegreesOfFreedom:
    """Return the method of terms without given degrees of freedom."""
    if fit.design.random:
        return Containment()
    return BetweenWithin() if fit.design.residual is not None else Residual()


def check_method(ddf: Ddf) -> None:
    """Raise `SpecError` unless `ddf` is a method, `"auto"`, or numbers, which `check_given` holds against the fit."""
    if isinstance(ddf, str):
        if ddf != "auto":
            choose_method(ddf)
        return
    if ddf is None or isinstance(ddf, bool) or not isinstance(ddf, (int, float, tuple, list, Mapping)):
        raise SpecError(
            f"ddf={ddf!r} is no method; give its name, a number for each term, or {{term: number}}."
        )


def check_given(fit: Fit) -> None:
    """Raise `SpecError` where degrees of freedom were given that do not go with the terms of a fit."""
    if not isinstance(fit.spec.ddf, str):
        method_for(fit, None)


def automatic_for(fit: Fit) -> str:
    """Return the method that `"auto"` stands for in a fit: that of its design, but `"asymptotic"` where V is known.

    So it is in a generalised model without random terms whose family has no dispersion. Where random effects were
    integrated out it is `"between-within"` if every grouping factor is nested in one, else `"asymptotic"`.
    """
    if fit._work.integrated:
        return "between-within" if nested(fit.design, fit._work.rows()) else "asymptotic"
    known = fit.distribution is not None and not fit.design.random and fit.design.residual is None
    return "asymptotic" if known and not fit.n_covariance_parameters else automatic(fit.design)


def automatic(design: Design) -> str:
    """Return the method that `"auto"` stands for, by what the model is and never by what it costs.

    `"residual"` where σ² is the only covariance parameter, for t and F are exact then; by REML `"kenward-roger"` where
    V is linear in its parameters on SAS's scale, otherwise `"kenward-roger-linear"`, which depends neither on units
    nor on the parametrisation and cannot fall below the unadjusted covariance; by ML `"satterthwaite"`,
    and where rows are given their neighbours: what Kenward and Roger's adjustment rests on holds for V itself.
    """
    if not design.random and (design.residual is None or design.residual.n_theta == 1):
        return "residual"
    if not design.reml or (design.residual is not None and design.residual.neighbours):
        return "satterthwaite"
    return "kenward-roger" if design.linear else "kenward-roger-linear"


def choose_method(name: str, *, information: Information = "observed") -> DegreesOfFreedom:
    """Return the method called `name`, one of `DDF_METHODS` or an alias.

    Examples
    --------
    >>> choose_method("kr").name
    'kenward-roger'
    >>> choose_method("residul")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: unknown ddf method 'residul'. Did you mean 'residual'? Available: ...
    """
    if information not in ("observed", "expected"):
        raise SpecError(f"information={information!r} is not known; use 'observed' or 'expected'.")
    return look_up("ddf method", name, DDF_METHODS, ALIASES)(information)
