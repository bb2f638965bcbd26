"""The typed columns of one model: complete rows, levels in order, nothing evaluated yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Status
from ..table import Backend
from ..typing import Array
from .column import Column
from .kept import KeptData
from .schema import FrameSchema


@dataclass(frozen=True, slots=True)
class ModelFrame:
    """The rows and columns a model uses.

    Parameters
    ----------
    n
        Number of rows used.
    columns
        Every column the model names, (n,) each; numbers in their own type, text and categories as codes and
        levels.
    factors
        The columns that the model uses as grouping factors, all as codes and levels.
    weights
        Known precision weights (n,), positive, or None.
    rows
        Positions of the used rows in the data given, (n,), or None when all are used.
    schema
        What a fit keeps of all this.
    known
        Covariance and precision matrices by the name the formula gives them, as the caller gave them.
    kept
        The columns over all rows given, for tools that ask for the data.
    notes
        Rows dropped, levels dropped.
    clusters_given
        Clusters of the residual structure among all rows given, 0 without such a structure.
    context
        The caller's own functions that the formula calls, by name.
    beside
        Numbers given as arrays beside the data, (n,) each, by the name of their argument.
    """

    n: int
    columns: Mapping[str, Column]
    factors: Mapping[str, Column]
    schema: FrameSchema
    weights: Array | None = None
    rows: NDArray[np.intp] | None = None
    known: Mapping[str, Any] = field(default_factory=dict)
    kept: KeptData | None = None
    notes: tuple[Status, ...] = ()
    clusters_given: int = 0
    context: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Array] = field(default_factory=dict)

    @property
    def backend(self) -> Backend:
        """The library the data came in, in which tables go back."""
        return self.schema.backend

    def take(self, rows: NDArray[np.intp]) -> ModelFrame:
        """Return some of the rows used."""
        return replace(
            self,
            n=len(rows),
            columns={name: column.take(rows) for name, column in self.columns.items()},
            factors={name: column.take(rows) for name, column in self.factors.items()},
            schema=replace(self.schema, n_used=len(rows)),
            weights=None if self.weights is None else self.weights[rows],
            rows=rows if self.rows is None else self.rows[rows],
            beside={name: values[rows] for name, values in self.beside.items()},
        )
