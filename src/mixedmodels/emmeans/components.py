"""Means of a generalised model by component: shares of zeros, dispersions, and means that all components make up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SpecError, suggest
from ..fit import Fit
from ..inference.response import Response, response_by_link
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..likelihood.families.truncated import Truncated
from ..likelihood.families.zero_inflated import Hurdle, ZeroInflated
from ..likelihood.links import make_link
from ..terms.new_rows import encode_new
from ..tool import load
from ..typing import Array, Labels
from .grid import ReferenceGrid

WHOLE = "response"
SCALES = {"zero": "logit", "hurdle": "logit", "dispersion": "log"}


@dataclass(frozen=True, slots=True)
class OfComponent:
    """k functions of one component: coefficients (k, p), constants (k,), the way to their own scale, and a note."""

    functions: Array
    constants: Array
    response: Response
    note: str


def check_component(fit: Fit, component: str) -> None:
    """Raise `SpecError` for a component that a model does not have."""
    allowed = components_of(fit)
    if component not in allowed:
        raise SpecError(
            f"component={component!r} is none of this model.{suggest(str(component), allowed)} It has "
            f"{', '.join(map(repr, allowed))}."
        )


def components_of(fit: Fit) -> Labels:
    """Return what means can be asked of: the mean, the other predictors, and the whole response."""
    known = fit.distribution
    if known is None or known.pseudo or isinstance(known.family, Ordinal | Multinomial):
        return ("mean",)
    return (*known.family.predictors, WHOLE)


def mean_note(fit: Fit) -> tuple[str, ...]:
    """Return what is said of means on the response's scale where they are not those of all responses."""
    known = fit.distribution
    if known is None:
        return ()
    if isinstance(known.family, ZeroInflated):
        return ("means of responses that are no structural zeros; component='response' counts these",)
    if isinstance(known.family, Hurdle) and not isinstance(known.family.base, Truncated):
        return ("means of responses that pass the hurdle; component='response' counts the zeros",)
    if isinstance(known.family, Hurdle) or known.family.name.startswith("truncated"):
        return ("means of the distribution before truncation; component='response' gives those of responses",)
    return ()


def of_component(fit: Fit, grid: ReferenceGrid, rows: Array, component: str) -> OfComponent:
    """Return averages `rows` (k, m) over the cells of a grid of one component.

    Notes
    -----
    Those of the response are averaged on its own scale, E y = (1 − π)μ and the like, and are linear in coefficients of
    every component to first order.
    """
    known = fit.distribution
    assert known is not None
    if any(term.smooth for term in fit.design.random):
        raise SpecError(
            f"component={component!r} is not computed of a model with spline(); predict(type='response') is."
        )
    if known.link is None or (component == WHOLE and known.family.name == "ordered_beta"):
        raise SpecError(f"component={component!r} is not computed of family {fit.family!r}.")
    data = grid.cells
    mean = encode_new(fit.spec, fit.schema, fit.design, data, random=False)
    at = load("postfit.predictors_at:predictors_at")(fit, mean, data, level="population")
    if component != WHOLE:
        own = at.rows[known.family.predictors.index(component)]
        constants = np.zeros(len(rows)) if own.offset is None else rows @ own.offset
        link = make_link(SCALES[component])
        note = f"component {component}, on the scale of the {link.name}"
        return OfComponent(rows @ own.matrix, constants, response_by_link(link), note)
    eta = at.eta + 0.0
    if mean.offset is not None:
        eta[0] += grid.offset - mean.offset

    def expected(predictors: Array) -> Array:
        return np.asarray(known.family.mean(predictors, known.psi))

    slopes = load("postfit.predictors_at:slopes_at")(eta, expected)
    value = rows @ expected(eta)
    centre = known.link.forward(value)
    scale = 1.0 / known.link.inverse(centre)[1]
    cells = sum(w[:, None] * one.matrix for w, one in zip(slopes, at.rows, strict=True))
    functions = scale[:, None] * (rows @ cells)
    kept = list(fit.design.fixed.estimable)
    constants = centre - fit.solution.estimates(functions[:, kept])
    note = f"means of all responses, zeros counted, on the scale of the {known.link.name}"
    return OfComponent(functions, constants, response_by_link(known.link), note)
