"""Whether responses vary, and are zero, as the distribution of a generalised model says: parametric bootstrap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import MixedModelsError, SpecError
from ..fit import Fit
from ..inference.bootstrap import check_draws, simulated
from ..inference.progress import counted
from ..table import Table

Statistic = Callable[[Fit], float]


def check_dispersion(
    fit: Fit, n: int = 250, seed: int | None = None, *, progress: bool | None = None
) -> Table:
    """Return Pearson's statistic over its degrees of freedom beside its values in responses simulated from the model.

    Parameters
    ----------
    n, seed
        Responses simulated, to each of which the model is fitted; their seed, drawn at random, and reported, when None.
    progress
        Whether a line on standard error says how far it is; by default where that is a terminal.

    Returns
    -------
    Table
        One row `statistic observed expected p_value n_sim`: X²/(n − rank X), X² = Σ(y − μ̂)²/v(μ̂) given the predicted
        random effects, its mean over the simulations, and the two-sided p-value.

    Notes
    -----
    A value above the expected one is overdispersion. Given b̂ X² has no χ² distribution, whence the simulations; p is
    (1 + the number of simulations at least as far out)/(n + 1), doubled.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.glmm("y ~ trt + base + (1 | subject)", mm.datasets.load("epil"), "poisson", method="rspl")
    >>> found = fit.test_dispersion(40, seed=1)
    >>> found["observed"].round(3), bool(found["p_value"] < 0.06)
    (array([1.599]), True)
    """
    return _compared(fit, "Pearson / df", _pearson, n, seed, progress)


def check_zeros(fit: Fit, n: int = 250, seed: int | None = None, *, progress: bool | None = None) -> Table:
    """Return the number of zeros among the responses beside that in responses simulated from the model.

    Parameters
    ----------
    n, seed, progress
        As for `test_dispersion`; the model is not fitted again.

    Returns
    -------
    Table
        One row `statistic observed expected p_value n_sim`.

    Notes
    -----
    Random effects are drawn anew. More zeros than expected ask for `zero_inflation=` or another family.
    """
    known = fit.distribution
    if known is None or not getattr(known.family, "discrete", False):
        raise SpecError(f"test_zeros counts zeros of counts, which family {fit.family!r} has none of.")
    return _compared(fit, "zeros", None, n, seed, progress)


def _compared(
    fit: Fit, name: str, statistic: Statistic | None, n: int, seed: int | None, progress: bool | None
) -> Table:
    known = fit.distribution
    if known is None:
        raise SpecError(
            "this test is for generalised models; a linear one estimates the variance of its errors."
        )
    count, start = check_draws(n, seed)
    observed = float(np.sum(known.responses.y == 0.0)) if statistic is None else statistic(fit)
    values, failed = [], 0
    for i in counted(range(count), name, progress):
        y = simulated(fit, start, i)
        try:
            values.append(float(np.sum(y == 0.0)) if statistic is None else statistic(fit.refit(y)))
        except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError):
            failed += 1
    drawn = np.array(values)
    if len(drawn) < max(1, count // 2):
        raise SpecError(f"{failed} of {count} simulated responses could not be fitted: too many for a test.")
    above, below = (1 + np.sum(drawn >= observed)), (1 + np.sum(drawn <= observed))
    p_value = min(1.0, 2.0 * float(min(above, below)) / (len(drawn) + 1))
    columns = {
        "statistic": [name],
        "observed": [observed],
        "expected": [float(drawn.mean())],
        "p_value": [p_value],
        "n_sim": [len(drawn)],
    }
    notes = [f"simulated responses, seed {start}"]
    if failed:
        notes.append(f"{failed} of {count} could not be fitted and are left out")
    formats = {"statistic": "text", "p_value": "p", "n_sim": "integer"}
    return Table(columns, "", tuple(notes), fit.backend, formats)


def _pearson(fit: Fit) -> float:
    residuals = fit.residuals("pearson")
    return float(np.nansum(residuals**2)) / fit.df_resid
