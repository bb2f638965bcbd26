"""Covariance parameters on the scale they are reported in."""

from __future__ import annotations

from dataclasses import dataclass

from .typing import Array


@dataclass(frozen=True, slots=True)
class Natural:
    """Parameters on the reporting scale.

    `names` (k,), `values` (k,), `jacobian` (k, number of θ) = ∂values/∂θ, and `kinds` (k,), each one of
    `"variance" "covariance" "correlation" "range" "loading" "other"`.
    """

    names: tuple[str, ...]
    values: Array
    jacobian: Array
    kinds: tuple[str, ...]
