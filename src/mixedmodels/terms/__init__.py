"""Spec and frame → design and rows: what a model is, its numbers, and the same numbers for new data."""

from __future__ import annotations

from .build import build_design
from .design import Design, FixedTerms, RandomTerm
from .known import KnownCovariance
from .new_rows import NewRows, encode_new
from .rows import Rows

__all__ = [
    "Design",
    "FixedTerms",
    "KnownCovariance",
    "NewRows",
    "RandomTerm",
    "Rows",
    "build_design",
    "encode_new",
]
