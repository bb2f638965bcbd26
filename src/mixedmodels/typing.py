"""Array aliases used in annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int32]
Labels: TypeAlias = tuple[str, ...]
Given: TypeAlias = "float | Sequence[float | None] | Mapping[str, float] | Sequence[tuple[str, float]]"
"""Degrees of freedom by term: one number, numbers in the order of the terms, or by name (a mapping, or pairs)."""
Ddf: TypeAlias = "str | Given"
"""A df method by name, or degrees of freedom as given."""
