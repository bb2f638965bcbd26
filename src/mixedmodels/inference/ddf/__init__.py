"""Denominator degrees of freedom: one file per method, one line in `DDF_METHODS`."""

from __future__ import annotations

from collections.abc import Mapping

from ...registry import look_up
from .asymptotic import Asymptotic
from .base import DegreesOfFreedom
from .residual import Residual

DDF_METHODS: Mapping[str, DegreesOfFreedom] = {
    "residual": Residual(),
    "asymptotic": Asymptotic(),
}
ALIASES: Mapping[str, str] = {"auto": "residual", "none": "asymptotic", "normal": "asymptotic"}

__all__ = ["ALIASES", "DDF_METHODS", "DegreesOfFreedom", "choose_method"]


def choose_method(name: str) -> DegreesOfFreedom:
    """Return the method called `name`; `"auto"` stands for the residual degrees of freedom.

    Examples
    --------
    >>> choose_method("auto").name
    'residual'
    >>> choose_method("residul")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: unknown ddf method 'residul'. Did you mean 'residual'? Available: ...
    """
    return look_up("ddf method", name, DDF_METHODS, ALIASES)
