"""Which random term or grouping factor a user means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest
from ..fit import Fit
from ..terms.design import RandomTerm
from ..terms.rows import TermRows
from ..typing import Codes


def choose_term(fit: Fit, name: str | None) -> int:
    """Return the index of the random term with this label or group; the only term when `name` is None."""
    labels = [term.label for term in fit.design.random]
    known = ", ".join(map(repr, labels))
    if not labels:
        raise SpecError("the model has no random terms; add one such as `(1 | group)`.")
    if name is None:
        if len(labels) == 1:
            return 0
        raise SpecError(f"the model has several random terms; give term= one of {known}.")
    if name in labels:
        return labels.index(name)
    of_group = [k for k, term in enumerate(fit.design.random) if term.group == name]
    if len(of_group) == 1:
        return of_group[0]
    if of_group:
        raise SpecError(f"term={name!r} stands for several random terms; give one of {known}.")
    raise SpecError(f"term={name!r} is not a random term.{suggest(name, labels)} Terms: {known}.")


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor that groups rows: of random effects, or the clusters of the errors."""

    name: str
    codes: Codes
    parts: tuple[NDArray[Any], ...]

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels, `"1:a"` for crossed columns."""
        if not self.parts:
            return ("all",) * (int(self.codes.max()) + 1)
        columns = [[str(value) for value in part] for part in self.parts]
        return tuple(":".join(names) for names in zip(*columns, strict=True))


def grouping_factors(fit: Fit, *, splines: bool = True) -> list[Factor]:
    """Return the grouping factors of the random terms in order, then the clusters of the errors.

    Coefficients of `splines` are of one group, all rows.
    """
    rows = fit._work.rows()
    factors = [
        Factor(term.group, own.codes, term.level_parts)
        for term, own in zip(fit.design.random, rows.random, strict=True)
        if splines or not term.smooth
    ]
    residual = fit.design.residual
    if residual is not None and residual.structure is not None and rows.residual is not None:
        factors.append(Factor(residual.label, rows.residual.clusters, residual.cluster_parts))
    distinct: dict[str, Factor] = {}
    for factor in factors:
        distinct.setdefault(factor.name, factor)
    return list(distinct.values())


def choose_factor(fit: Fit, group: str | None, *, splines: bool = True) -> Factor:
    """Return the grouping factor of this name, by default the one all others nest in, that of `splines` among them."""
    factors = {factor.name: factor for factor in grouping_factors(fit, splines=splines)}
    known = ", ".join(map(repr, factors))
    if not factors:
        raise SpecError("the model has no grouping factor, so there are no clusters.")
    if group is not None:
        if group not in factors:
            raise SpecError(
                f"group={group!r} is not a grouping factor.{suggest(group, factors)} Factors: {known}."
            )
        return factors[group]
    codes = [factor.codes for factor in factors.values()]
    outer = min(factors.values(), key=lambda factor: int(factor.codes.max()))
    if not all(_nested(own, outer.codes) for own in codes):
        raise SpecError(f"the grouping factors cross; give group= one of {known}.")
    return outer


def outermost(terms: Sequence[RandomTerm], rows: Sequence[TermRows]) -> int | None:
    """Return the index of the term in whose levels those of all others nest, None where factors cross."""
    outer = min(range(len(terms)), key=lambda k: terms[k].n_levels)
    nested = all(_nested(own.codes, rows[outer].codes) for own in rows)
    return outer if nested else None


def _nested(inner: Codes, outer: Codes) -> bool:
    """Return whether every level of `inner` lies within one level of `outer`."""
    home = np.full(int(inner.max()) + 1, -1, dtype=outer.dtype)
    home[inner] = outer
    return bool(np.array_equal(home[inner], outer))
