"""−2l as a function of covariance parameters: one file per criterion, one line in `CRITERIA`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..engines.base import Equations
from ..registry import look_up
from ..terms.design import Design
from .base import Criterion, LinearCriterion, linear_part
from .gaussian import Gaussian
from .held import held_gaussian
from .identified import Undetermined, undetermined

Build = Callable[[Design, Equations, Mapping[str, float]], Criterion]
"""(design, its equations, natural values to hold by name) ↦ the criterion."""


def _gaussian(design: Design, equations: Equations, held: Mapping[str, float]) -> Gaussian:
    return held_gaussian(design, equations, held) if held else Gaussian(design, equations)


CRITERIA: dict[str, Build] = {"gaussian": _gaussian}


def choose_criterion(design: Design, equations: Equations, held: Mapping[str, float]) -> Criterion:
    """Return the criterion that a design names on its equations, some natural parameters held at values by name."""
    return look_up("criterion", design.criterion, CRITERIA)(design, equations, held)


__all__ = [
    "CRITERIA",
    "Criterion",
    "LinearCriterion",
    "Undetermined",
    "choose_criterion",
    "linear_part",
    "undetermined",
]
