"""Denominator degrees of freedom: one file per method, one line in `DDF_METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import SpecError
from ...fit import Fit
from ...registry import look_up
from ...terms.design import Design
from ..sensitivity import Information
from .asymptotic import Asymptotic
from .base import DegreesOfFreedom
from .between_within import BetweenWithin, nested
from .containment import Containment
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
    "check_method",
    "choose_method",
    "method_for",
]


def method_for(
    fit: Fit, ddf: str | DegreesOfFreedom | None, *, information: Information = "observed"
) -> DegreesOfFreedom:
    """Return the method asked for, the fit's own when that is None; a method itself, such as that of a
    sandwich covariance, is returned as it is.
    """
    if isinstance(ddf, DegreesOfFreedom):
        return ddf
    name = fit.spec.ddf if ddf is None else ddf
    return choose_method(automatic_for(fit) if name == "auto" else name, information=information)


def check_method(name: str) -> None:
    """Raise `SpecError` unless `name` is a method or `"auto"`."""
    if name != "auto":
        choose_method(name)


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
    nor on the parametrisation and cannot fall below the unadjusted covariance; by ML `"satterthwaite"`.
    """
    if not design.random and (design.residual is None or design.residual.n_theta == 1):
        return "residual"
    if not design.reml:
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
