"""−2l as a function of covariance parameters: one file per criterion, one line in `CRITERIA`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..engines.base import Equations
from ..registry import look_up
from ..terms.design import Design
from .base import Criterion, LikelihoodCriterion, LinearCriterion, linear_part
from .gaussian import Gaussian
from .generalised import Arranged
from .held import held_gaussian, hold_random
from .identified import Undetermined, undetermined
from .laplace import Laplace
from .quadrature import Quadrature

Build = Callable[[Design, Equations, Mapping[str, float]], Criterion]
"""(design, its equations, natural values to hold by name) ↦ the criterion."""


def _gaussian(design: Design, equations: Equations, held: Mapping[str, float]) -> Gaussian:
    return held_gaussian(design, equations, held) if held else Gaussian(design, equations)


CRITERIA: dict[str, Build] = {"gaussian": _gaussian}


def choose_criterion(design: Design, equations: Equations, held: Mapping[str, float]) -> Criterion:
    """Return the criterion that a design names on its equations, some natural parameters held at values by name."""
    return look_up("criterion", design.criterion, CRITERIA)(design, equations, held)


Approximate = Callable[[Arranged, Mapping[str, float], "int | None"], LikelihoodCriterion]
"""(a generalised model, natural values to hold by name, points of quadrature) ↦ the criterion."""


def _laplace(model: Arranged, held: Mapping[str, float], points: int | None = None) -> Laplace:
    criterion = Laplace(model.design, model.equations, model.observed, expected=model.expected)
    return hold_random(criterion, held) if held else criterion


def _quadrature(model: Arranged, held: Mapping[str, float], points: int | None) -> LikelihoodCriterion:
    if not model.design.random:
        # nothing is integrated out: both are the likelihood itself
        return _laplace(model, held)
    # the curvature of rows only places the nodes
    return Quadrature(_laplace(replace(model, expected=False), held), points)


APPROXIMATIONS: dict[str, Approximate] = {"laplace": _laplace, "quadrature": _quadrature}


def choose_approximation(
    approximation: str, model: Arranged, held: Mapping[str, float], points: int | None = None
) -> LikelihoodCriterion:
    """Return the criterion of a generalised model by how random effects are integrated out."""
    return look_up("method", approximation, APPROXIMATIONS)(model, held, points)


__all__ = [
    "APPROXIMATIONS",
    "CRITERIA",
    "Criterion",
    "LikelihoodCriterion",
    "LinearCriterion",
    "Undetermined",
    "choose_approximation",
    "choose_criterion",
    "linear_part",
    "undetermined",
]
