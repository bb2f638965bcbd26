"""R's text: constructors of families."""

from __future__ import annotations

import re

from ..errors import SpecError
from ..likelihood.families import family_name

_CALL = re.compile(r"""\s*([A-Za-z_][\w.]*)\s*(?:\(\s*(?:link\s*=\s*)?(?:["']?([\w^/.]+)["']?)?\s*\))?\s*""")
LINKS = {"1/mu^2": "inverse_squared"}


def read_family(family: str, link: str | None = None) -> tuple[str, str | None]:
    """Return family and link of R's `binomial(link = "probit")`, `binomial("probit")` or `binomial`.

    Raises
    ------
    SpecError
        Where the text is no such call, the family is unknown, or two links are given.

    Examples
    --------
    >>> read_family('binomial(link = "probit")'), read_family("nbinom2"), read_family("Gamma(log)")
    (('binomial', 'probit'), ('nb2', None), ('gamma', 'log'))
    """
    found = _CALL.fullmatch(family) if isinstance(family, str) else None
    if found is None:
        raise SpecError(
            f"family={family!r} must be the name of a family with its link, for example 'binomial' or "
            "'binomial(link = \"probit\")'."
        )
    name, own = family_name(found[1].removesuffix("_family")), found[2]
    if own is not None and link is not None and own != link:
        raise SpecError(f"family={family!r} and link={link!r} name two links; leave one of them out.")
    written = own or link
    return name, LINKS.get(written or "", written)
