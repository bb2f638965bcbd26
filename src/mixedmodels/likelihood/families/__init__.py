"""Families: one file per distribution, one line in `FAMILIES`."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import SpecError
from ...registry import look_up
from ...typing import Labels
from ..base import Family, MeanFamily, choose_link
from .beta import Beta
from .beta_binomial import BetaBinomial
from .binomial import Binomial
from .conway_maxwell import ConwayMaxwellPoisson
from .exponential import Exponential
from .gamma import Gamma
from .gaussian import Gaussian
from .generalised_poisson import GeneralisedPoisson
from .inverse_gaussian import InverseGaussian
from .lognormal import LogNormal
from .multinomial import Multinomial
from .negative_binomial import Geometric, NegativeBinomial
from .negative_binomial1 import NegativeBinomial1
from .ordered_beta import OrderedBeta
from .ordinal import Ordinal
from .poisson import Poisson
from .student import StudentT
from .truncated import Truncated
from .tweedie import Tweedie
from .zero_inflated import Hurdle, ZeroInflated

MEAN_FAMILIES: dict[str, type[MeanFamily]] = {
    "gaussian": Gaussian,
    "binomial": Binomial,
    "poisson": Poisson,
    "gamma": Gamma,
    "inverse_gaussian": InverseGaussian,
    "exponential": Exponential,
    "lognormal": LogNormal,
    "nb2": NegativeBinomial,
    "nb1": NegativeBinomial1,
    "geometric": Geometric,
    "genpois": GeneralisedPoisson,
    "compois": ConwayMaxwellPoisson,
    "beta": Beta,
    "ordered_beta": OrderedBeta,
    "betabinomial": BetaBinomial,
    "tweedie": Tweedie,
    "t": StudentT,
}
"""Every family with a mean and a link, by its canonical name."""

TRUNCATED: dict[str, type[MeanFamily]] = {
    f"truncated_{name}": MEAN_FAMILIES[name]
    for name in ("poisson", "nb2", "nb1", "geometric", "genpois", "compois")
}
"""Counts of which 0 cannot be seen."""

CATEGORIES: dict[str, Callable[..., Family]] = {"ordinal": Ordinal, "multinomial": Multinomial}
"""Families of categories, which need the number of levels."""

FAMILIES: dict[str, Callable[..., Family]] = {**MEAN_FAMILIES, **TRUNCATED, **CATEGORIES}
"""Every family that can be asked for by name."""

_ALIASES = {
    **{alias: name for name, cls in MEAN_FAMILIES.items() for alias in cls.names},
    **{
        f"truncated_{alias}": f"truncated_{name}"
        for name, cls in MEAN_FAMILIES.items()
        for alias in cls.names
    },
    **dict.fromkeys(Ordinal.names, "ordinal"),
    **dict.fromkeys(Multinomial.names, "multinomial"),
}


def family_name(name: str) -> str:
    """Return the canonical name of a family by its name here, in R or in SAS; case is ignored.

    Examples
    --------
    >>> family_name("nbinom2"), family_name("Gamma"), family_name("cumulative")
    ('nb2', 'gamma', 'ordinal')
    >>> family_name("poison")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: unknown family 'poison'. Did you mean 'poisson'? Available: ...
    """
    look_up("family", name, FAMILIES, _ALIASES)
    folded = name.strip().lower()
    return _ALIASES.get(folded, folded)


def make_family(
    name: str, link: str | None = None, *, levels: int | None = None, **options: float | None
) -> Family:
    """Return the family called `name` with a link, the family's default where it is None.

    `levels` is the number of levels of an ordinal or multinomial response; `options` are what a family can be told
    (`df=` of a t, `power=` of a Tweedie).

    Raises
    ------
    SpecError
        For an unknown family, a link it does not have, an option it does not take.

    Examples
    --------
    >>> make_family("binomial", "probit").link.name
    'probit'
    >>> make_family("poisson", "logit")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: link='logit' does not go with family='poisson'. Did you mean 'log'? Allowed: ...
    """
    key = family_name(name)
    if key == "multinomial":
        if link not in (None, "logit", "glogit"):
            raise SpecError(f"link={link!r} does not go with family='multinomial'. Allowed: logit.")
        return Multinomial(_levels(key, levels))
    if key == "ordinal":
        return Ordinal(_levels(key, levels), choose_link(key, link, Ordinal.links))  # type: ignore[arg-type]
    base = TRUNCATED.get(key) or MEAN_FAMILIES[key]
    taken: Labels = tuple(getattr(base, "__dataclass_fields__", ()))
    for option in options:
        if option not in taken:
            raise SpecError(f"{option}= is not something family {key!r} can be told.")
    family = base(choose_link(key, link, base.links), **options)  # type: ignore[call-arg]
    return Truncated(family) if key in TRUNCATED else family


def _levels(name: str, levels: int | None) -> int:
    if levels is None:
        raise SpecError(f"family {name!r} needs the number of levels of its response.")
    return levels


__all__ = ["FAMILIES", "Family", "Hurdle", "MeanFamily", "ZeroInflated", "family_name", "make_family"]
