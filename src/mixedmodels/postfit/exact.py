"""Fits that reproduce their response, whose likelihood has no maximum."""

from __future__ import annotations

import numpy as np

from ..errors import Severity, Status
from ..fit import Fit
from ..terms.design import Design
from ..terms.rows import Rows

EXACT, NEARLY_EXACT = 1e-10, 1e-3
"""Residuals over the response, in norm, below which a fit is exact: after convergence, and without it."""
SMALL, ROUNDED = 1e-3, 1e-5
"""σ̂ over the standard deviation of the response below which errors may have vanished, and below which ZGZ' + σ²I is
singular in floating point where ZGZ' is."""
LARGEST_RANK = 10_000_000
"""Entries of Z whose rank is found."""


PERFECT = Status(
    Severity.WARNING,
    "perfect fit: the model fits the response exactly, up to rounding, and the residual variance tends to 0",
    "Standard errors, tests and criteria mean nothing here; look for a predictor computed from the response",
    untested=True,
)


def exact_statuses(fit: Fit) -> tuple[Status, ...]:
    """Return a warning where the fitted values reproduce the response, whose likelihood has no maximum.

    Random effects as many as the rows reproduce it too where their own covariance leaves errors nothing; their
    likelihood has a maximum there.
    """
    if fit.distribution is not None or fit.spec.sampling:
        # rows of a generalised model, and estimates, have variances of their own
        return ()
    if fit.products is not None:
        rounding = fit.sigma <= ROUNDED * fit.products.response_sd
        return (PERFECT,) if rounding else ()
    spread = max(float(np.linalg.norm(fit.response - fit.response.mean())), 1e-300)
    share = float(np.linalg.norm(fit._resid)) / spread
    sigma = fit.sigma / max(float(np.std(fit.response)), 1e-300)
    exact = share <= (EXACT if fit.converged else NEARLY_EXACT)
    if fit.design.random and fit.design.residual is None and sigma <= SMALL:
        explained = float(np.linalg.norm(fit.response - fit.linear_predictor)) <= EXACT * spread
        if fit.converged and not explained and _rank_of_random(fit.design, fit._work.rows()) == fit.nobs:
            message = (
                "the residual variance is all but zero: random effects take up what the fixed part leaves"
            )
            hint = "This is a legitimate result: the likelihood is highest at that boundary"
            return (Status(Severity.NOTE, message, hint),)
        exact = exact or sigma <= ROUNDED
    if not exact:
        return ()
    return (PERFECT,)


def _rank_of_random(design: Design, rows: Rows) -> int:
    """Return the rank of Z, with X where the likelihood is restricted: n where V has an inverse without errors.

    Asked for where errors have all but vanished; Z of very many entries counts as short of that.
    """
    width = sum(term.n_levels * term.n_columns for term in design.random)
    if width * design.n > LARGEST_RANK:
        return 0
    blocks = [rows.x] if design.reml else []
    for term, own in zip(design.random, rows.random, strict=True):
        block = np.zeros((design.n, term.n_levels, term.n_columns))
        block[np.arange(design.n), own.codes] = own.dense_values()
        blocks.append(block.reshape(design.n, -1))
    z = np.hstack(blocks)
    size = np.sqrt(np.einsum("ij,ij->j", z, z))
    return int(np.linalg.matrix_rank(z[:, size > 0] / size[size > 0]))
