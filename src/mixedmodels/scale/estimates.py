"""Estimates of many fits as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..typing import Array

COLUMNS = (
    "response", "term", "kind", "estimate", "std_error", "df", "statistic", "p_value", "loglik", "nobs", "status",
)  # fmt: skip
"""Columns of the table, those of `by=` before them."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Rows of the table, each column an array (k,)."""

    response: NDArray[Any]
    term: NDArray[Any]
    kind: NDArray[Any]
    estimate: Array
    std_error: Array
    df: Array
    statistic: Array
    p_value: Array
    loglik: Array
    nobs: NDArray[np.int64]
    status: NDArray[Any]

    def __len__(self) -> int:
        return len(self.estimate)

    @classmethod
    def of_terms(
        cls,
        responses: Sequence[str],
        terms: Sequence[tuple[str, str]],
        numbers: Array,
        loglik: Array,
        nobs: int,
        status: Sequence[str],
    ) -> Estimates:
        """Return the rows of m fits of the same (term, kind); `numbers` (5, m, k): estimate, SE, df, statistic, p."""
        m, k = numbers.shape[1:]
        flat = numbers.reshape(5, m * k)
        names, kinds = (np.array([pair[j] for pair in terms], dtype=object) for j in (0, 1))
        return cls(
            np.repeat(np.array(responses, dtype=object), k),
            np.tile(names, m),
            np.tile(kinds, m),
            flat[0],
            flat[1],
            flat[2],
            flat[3],
            flat[4],
            np.repeat(loglik, k),
            np.full(m * k, nobs, dtype=np.int64),
            np.repeat(np.array(status, dtype=object), k),
        )

    @classmethod
    def failed(cls, response: str, nobs: int, reason: str) -> Estimates:
        """Return the one row of a response without a fit."""
        missing = np.full((5, 1, 1), np.nan)
        return cls.of_terms([response], [("", "")], missing, np.full(1, np.nan), nobs, [reason])
