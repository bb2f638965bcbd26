"""Share of the variance that a mixed model explains."""

from __future__ import annotations

from ..fit import Fit
from ..table import Table
from .icc import share_notes, variance_parts


def r2(fit: Fit, observation: str = "auto") -> Table:
    """Return Nakagawa's marginal and conditional R², columns `kind r2`.

    Parameters
    ----------
    observation
        As for `icc`.

    Notes
    -----
    With σ_f² the sample variance of Xβ̂ and splines, σ_l² the mean of z_i'Σz_i over observations for each other
    random term and σ_e² the mean of the error variances R_ii, of whatever structure: marginal
    σ_f²/(σ_f² + Σσ_l² + σ_e²), conditional (σ_f² + Σσ_l²)/(…) (Nakagawa and Schielzeth 2013; random slopes Johnson
    2014). Without random terms the two are the same. *Same as* `MuMIn::r.squaredGLMM`, `performance::r2_nakagawa`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.r2()["r2"].round(3)
    array([0.279, 0.799])
    """
    parts = variance_parts(fit, observation)
    random = sum(parts.random)
    total = parts.fixed + random + parts.residual
    shares = [parts.fixed / total, (parts.fixed + random) / total]
    columns = {"kind": ["marginal", "conditional"], "r2": shares}
    return Table(columns, "Nakagawa's R²", share_notes(fit, parts), fit.backend, {"r2": "statistic"})
