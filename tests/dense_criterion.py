"""Criteria of small designs on dense algebra."""

from __future__ import annotations

from typing import Any

from dense_algebra import DenseSystem
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.engines.homogeneous import HomogeneousEquations
from mixedmodels.terms.design import Design


def dense_equations(design: Design) -> HomogeneousEquations:
    """Return the equations of a design by dense algebra."""
    return HomogeneousEquations(DenseSystem(design))


def dense_gaussian(design: Design, **options: Any) -> Gaussian:
    """Return the criterion of a design on dense equations."""
    return Gaussian(design, dense_equations(design), **options)
