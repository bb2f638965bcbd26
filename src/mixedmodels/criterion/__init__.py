"""−2l as a function of covariance parameters: one file per likelihood, one line in `CRITERIA`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..engines.base import Equations
from ..terms.design import Design
from .gaussian import Gaussian
from .held import held_gaussian
from .identified import check_identified

Build = Callable[[Design, Equations, Mapping[str, float]], Gaussian]


def _gaussian(design: Design, equations: Equations, held: Mapping[str, float]) -> Gaussian:
    return held_gaussian(design, equations, held) if held else Gaussian(design, equations)


CRITERIA: dict[str, Build] = {"gaussian": _gaussian}


def choose_criterion(design: Design, equations: Equations, held: Mapping[str, float]) -> Gaussian:
    """Return the criterion of a design on its equations, some natural parameters held at values by name."""
    return CRITERIA["gaussian"](design, equations, held)


__all__ = ["CRITERIA", "Gaussian", "check_identified", "choose_criterion"]
