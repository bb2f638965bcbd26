"""Links: one file per link, one line in `LINKS`."""

from __future__ import annotations

import re

from ...errors import SpecError
from ...registry import look_up
from .base import Link, ProbabilityLink
from .cauchit import Cauchit
from .cloglog import ComplementaryLogLog
from .identity import Identity
from .inverse import Inverse
from .inverse_squared import InverseSquared
from .log import Log
from .logit import Logit
from .loglog import LogLog
from .power import Power
from .probit import Probit
from .square_root import SquareRoot

LINKS: dict[str, type[Link]] = {
    "identity": Identity,
    "log": Log,
    "logit": Logit,
    "probit": Probit,
    "cloglog": ComplementaryLogLog,
    "loglog": LogLog,
    "cauchit": Cauchit,
    "inverse": Inverse,
    "sqrt": SquareRoot,
    "inverse_squared": InverseSquared,
    "power": Power,
}
"""Every link by its canonical name."""

_ALIASES = {alias: name for name, cls in LINKS.items() for alias in cls.names}
_POWER = re.compile(r"\s*power\s*\(\s*(?P<exponent>[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*\)\s*", re.IGNORECASE)


def make_link(name: str) -> Link:
    """Return the link called `name` here, in R or in SAS; `"power(λ)"` has its exponent in the name.

    Raises
    ------
    SpecError
        Where no link has the name, or the exponent of a power link is missing or 0.

    Examples
    --------
    >>> make_link("cloglog").name, make_link("power(-2)").name
    ('cloglog', 'power(-2)')
    >>> make_link("logitt")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: unknown link 'logitt'. Did you mean 'logit'? Available: ...
    """
    if isinstance(name, str) and (found := _POWER.fullmatch(name)):
        return Power(float(found["exponent"]))
    kind = look_up("link", name, LINKS, _ALIASES)
    if kind is Power:
        raise SpecError('link="power" needs its exponent: link="power(0.5)" is the square root.')
    return kind()


__all__ = ["LINKS", "Link", "ProbabilityLink", "make_link"]
