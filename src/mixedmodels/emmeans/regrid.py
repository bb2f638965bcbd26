"""Means of a transformed response on its own scale."""

from __future__ import annotations

from dataclasses import replace

from ..errors import SpecError
from ..inference.population import population_estimates
from ..inference.response import response_of
from .emm import EMM, kept_columns


def regrid(emm: EMM, *, bias_sigma: float | None = None) -> EMM:
    """Return the means of a transformed response on its own scale, whose contrasts are differences there.

    Parameters
    ----------
    bias_sigma
        As for `emmeans`; that of the means by default.

    Notes
    -----
    h(l'β̂) with h the inverse of the transformation, linearised: coefficients h'(l'β̂)l, so that tests and symmetric
    intervals are on the response's scale. *Same as* `regrid(emm)` of R's emmeans.
    """
    given = emm.settings.response
    if emm.kind != "mean":
        raise SpecError("regrid is for means: regrid first, contrast afterwards.")
    own = emm.settings.own
    if own is not None and bias_sigma is not None:
        raise SpecError(
            "bias_sigma is for means by the link of the model, and these are of another component."
        )
    given = given or own
    response = given if given is not None and bias_sigma is None else response_of(emm.fit, bias_sigma)
    fixed = population_estimates(emm.fit, kept_columns(emm))
    eta = fixed + emm.offset
    slope = response.mean_slope(eta)
    note = f"means on the response's scale{response.bias_note}, standard errors by the delta method"
    return replace(
        emm,
        L=slope[:, None] * emm.L,
        root=None if emm.root is None else slope[:, None] * emm.root,
        offset=response.mean(eta) - slope * fixed,
        settings=replace(emm.settings, response=None),
        notes=(*emm.notes, note),
    )
