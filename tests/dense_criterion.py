"""Criteria of small designs on dense algebra."""

from __future__ import annotations

from typing import Any

from dense_equations import DenseEquations
from mixedmodels.criterion.gaussian import Gaussian
from models import Model


def dense_gaussian(model: Model, **options: Any) -> Gaussian:
    """Return the criterion of a model on dense equations."""
    return Gaussian(model.design, DenseEquations.of(model), **options)
