"""A verdict on one thing a fit takes for granted."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from ...errors import ConvergenceWarning, MixedModelsError
from ...fit import Fit
from ...tool import load

LOOK, PROBLEM = 0.01, 0.001
"""p-values below which a test says to look, and that there is a problem: about ten tests are made of one fit."""
SIMULATIONS = 100
"""Simulated responses of the tests that need some."""
WORTH = 2.0
"""Fall of AIC from which a change is worth it."""
MOST = 5000
"""Values that a test of normality looks at; of more, as many at even distances."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: verdict `"ok"`, `"look"` or `"problem"`, in words, with its numbers, and what to try."""

    verdict: str
    evidence: str
    statistic: float = np.nan
    p_value: float = np.nan
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A fit, whether suggestions are tried by refitting, and the seed of what is random."""

    fit: Fit
    refit: bool
    seed: int

    def tried(self, **changes: str) -> str:
        """Return a change to the model as a suggestion, with what it does to AIC where refits are wanted."""
        text = ", ".join(f'{name}="{value}"' for name, value in changes.items())
        if not self.refit:
            return f"try {text}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                other = load("postfit.update:update")(self.fit, **changes)
                gain = self.fit.aic - other.aic
        except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError):
            return f"{text} was tried and cannot be fitted"
        if not other.converged:
            return f"{text} was tried and did not converge"
        if gain > WORTH:
            return (
                f"{text} improves AIC by {gain:.0f}" if gain >= 10 else f"{text} improves AIC by {gain:.1f}"
            )
        return (
            f"{text} was tried: AIC falls by {gain:.1f} only" if gain > 0 else f"{text} was tried: AIC rises"
        )


def by_test(evidence: str, statistic: float, p_value: float, suggestion: str = "") -> Finding:
    """Return the verdict of a test; a suggestion stands only where there is something to look at."""
    if not np.isfinite(p_value):
        return Finding("ok", f"{evidence}; not tested", statistic, p_value)
    verdict = "problem" if p_value < PROBLEM else "look" if p_value < LOOK else "ok"
    return Finding(verdict, evidence, statistic, p_value, suggestion if verdict != "ok" else "")


def verdict_of(p_value: float) -> bool:
    """Return whether a p-value asks to look."""
    return bool(np.isfinite(p_value) and p_value < LOOK)


def p_text(p_value: float) -> str:
    """Return a p-value in words of evidence."""
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"
