"""Spec and frame → design: the numbers an engine sees, and the same numbers for new data."""

from __future__ import annotations

from .build import build_design
from .design import Design, FixedTerms, RandomTerm
from .known import KnownCovariance
from .new_rows import NewRows, encode_new

__all__ = ["Design", "FixedTerms", "KnownCovariance", "NewRows", "RandomTerm", "build_design", "encode_new"]
