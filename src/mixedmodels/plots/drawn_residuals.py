"""The residuals that figures draw, with their names and reference values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..postfit.residuals import residuals
from ..typing import Array

NAMES = {
    "response": "residual", "pearson": "Pearson residual", "student": "studentised residual",
    "scaled": "scaled residual", "deviance": "deviance residual", "working": "working residual",
    "quantile": "quantile residual", "student-external": "externally studentised residual",
}  # fmt: skip
STANDARD = ("pearson", "student", "scaled", "quantile", "student-external")
"""Kinds whose variance is one where the model is true."""
SEED = 1
"""Quantile residuals of counts are drawn; the same figure twice draws the same."""


@dataclass(frozen=True, slots=True)
class DrawnResiduals:
    """Residuals of the rows used, those that are numbers.

    Parameters
    ----------
    values, rows
        Residuals (m,), and the rows they are of, among the rows used.
    kind, level
        As `fit.residuals` takes them.
    predicted
        What they are drawn against, (m,): the fitted mean, of a generalised model the linear predictor; None where a
        row has several.
    """

    values: Array
    rows: NDArray[np.intp]
    kind: str
    level: str
    predicted: Array | None
    predicted_name: str

    @property
    def name(self) -> str:
        """What the axis is called."""
        return NAMES[self.kind]

    @property
    def text(self) -> str:
        """What they are, for captions."""
        about = (
            "given the predicted random effects"
            if self.level == "conditional"
            else "about the population mean"
        )
        drawn = f" (drawn with seed {SEED})" if self.kind == "quantile" else ""
        return f"{self.name.capitalize()}s {about}{drawn}."


def residuals_to_draw(fit: Fit, kind: str | None, level: str, figure: str) -> DrawnResiduals:
    """Return residuals to draw; by default Pearson's, of a generalised model quantile residuals."""
    generalised = fit.distribution is not None
    chosen = kind or ("quantile" if generalised and not _pseudo(fit) else "pearson")
    if chosen == "simulated":
        raise SpecError(
            f"fit.plot.{figure}: kind='simulated' residuals are uniform, and this figure compares with a normal "
            "distribution; kind='quantile' are the same on the normal scale."
        )
    values = of_rows_used(fit, residuals(fit, chosen, level=level, seed=SEED))
    conditional = level == "conditional"
    if generalised:
        predicted, name = (fit._eta if conditional else fit.linear_predictor), "linear predictor"
    else:
        predicted, name = (fit._fitted if conditional else fit.linear_predictor), "predicted"
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        raise SpecError(f"fit.plot.{figure}: no {NAMES[chosen]} of this fit is a number.")
    known = predicted[rows] if predicted.shape == values.shape else None
    return DrawnResiduals(values[rows], rows, chosen, level, known, name)


def of_rows_used(fit: Fit, values: Array) -> Array:
    """Return values of the rows used, (n,), of those that `fit.residuals` gives."""
    used = fit._work.rows().used
    return values if fit.spec.na != "exclude" or used is None else values[used]


def _pseudo(fit: Fit) -> bool:
    return fit.distribution is not None and fit.distribution.pseudo


def fit_statistics(fit: Fit) -> list[tuple[str, str]]:
    """Return the fit statistics of a panel as text: −2 log L and the criteria."""
    if _pseudo(fit):
        return [("log pseudo-L", f"{fit.pseudo_loglik:.3f}")]
    name = "−2 log L (REML)" if fit.design.reml else "−2 log L"
    values = {name: fit.criterion, "AIC": fit.aic, "AICc": fit.aicc, "BIC": fit.bic}
    return [(key, f"{value:.3f}") for key, value in values.items() if np.isfinite(value)]
