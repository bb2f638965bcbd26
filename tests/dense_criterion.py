"""Criteria of small designs on dense algebra."""

from __future__ import annotations

from typing import Any

from dense_equations import DenseEquations
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.terms.design import Design


def dense_gaussian(design: Design, **options: Any) -> Gaussian:
    """Return the criterion of a design on dense equations."""
    return Gaussian(design, DenseEquations(design), **options)
