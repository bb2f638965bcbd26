"""Denominator degrees of freedom: one file per method, one line in `DDF_METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import SpecError
from ...fit import Fit
from ...registry import look_up
from ..sensitivity import Information
from .asymptotic import Asymptotic
from .base import DegreesOfFreedom
from .between_within import BetweenWithin
from .containment import Containment
from .inner_outer import InnerOuter
from .kenward_roger import KenwardRoger
from .kenward_roger2 import KenwardRoger2
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
    "none": "asymptotic",
    "normal": "asymptotic",
}

__all__ = ["ALIASES", "DDF_METHODS", "DegreesOfFreedom", "choose_method", "method_for"]


def method_for(
    fit: Fit, ddf: str | DegreesOfFreedom | None, *, information: Information = "observed"
) -> DegreesOfFreedom:
    """Return the method asked for, the fit's own when that is None; a method itself, such as that of a
    sandwich covariance, is returned as it is.

    `"auto"` is residual for models whose only covariance parameter is σ², for which t and F are exact.
    """
    if isinstance(ddf, DegreesOfFreedom):
        return ddf
    name = fit.spec.ddf if ddf is None else ddf
    if name == "auto" and not fit.design.random and fit.design.residual is None:
        name = "residual"
    return choose_method(name, reml=fit.design.reml, information=information)


def choose_method(name: str, *, reml: bool = True, information: Information = "observed") -> DegreesOfFreedom:
    """Return the method called `name`; `"auto"` is Kenward–Roger for REML fits and Satterthwaite for ML
    fits.

    Examples
    --------
    >>> choose_method("auto").name, choose_method("auto", reml=False).name
    ('kenward-roger', 'satterthwaite')
    >>> choose_method("residul")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: unknown ddf method 'residul'. Did you mean 'residual'? Available: ...
    """
    if information not in ("observed", "expected"):
        raise SpecError(f"information={information!r} is not known; use 'observed' or 'expected'.")
    if name == "auto":
        name = "kenward-roger" if reml else "satterthwaite"
    return look_up("ddf method", name, DDF_METHODS, ALIASES)(information)
