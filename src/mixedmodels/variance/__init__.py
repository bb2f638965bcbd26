"""Residual variance functions: one file per function, one line in `VARIANCES`."""

from __future__ import annotations

from ..registry import look_up
from ..typing import Labels
from .base import VarianceFunction
from .const_power import ConstantPlusPower
from .exponential import Exponential
from .fixed import Fixed
from .ident import Identity
from .log_linear import LogLinear
from .power import Power

VARIANCES: dict[str, type[VarianceFunction]] = {
    "ident": Identity,
    "power": Power,
    "exp": Exponential,
    "const_power": ConstantPlusPower,
    "fixed": Fixed,
    "log_linear": LogLinear,
}
"""Every residual variance function by its canonical name."""

_ALIASES = {alias: name for name, cls in VARIANCES.items() for alias in cls.names}


def variance_class(name: str) -> type[VarianceFunction]:
    """Return the class of a variance function by its name here, in nlme or in SAS; case is ignored.

    Examples
    --------
    >>> variance_class("varPower").names[0]
    'power'
    >>> variance_class("powr")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: unknown variance function 'powr'. Did you mean 'power'? Available: ...
    """
    return look_up("variance function", name, VARIANCES, _ALIASES)


def make_function(name: str, columns: Labels = ()) -> VarianceFunction:
    """Return the variance function called `name`; `columns` are those of a `log_linear` formula."""
    kind = variance_class(name)
    return LogLinear(columns) if kind is LogLinear else kind()


__all__ = ["VARIANCES", "VarianceFunction", "make_function", "variance_class"]
