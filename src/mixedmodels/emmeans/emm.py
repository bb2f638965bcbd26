"""Estimated marginal means, trends or contrasts: linear functions of β with their inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..fit import Fit
from ..inference import population
from ..inference.ddf import DegreesOfFreedom
from ..inference.multiplicity import FamilyKind
from ..inference.population import population_columns
from ..inference.response import Response
from ..inference.wald import is_estimable
from ..table import Backend, Table, free_name, read_only
from ..tool import Tool, guarded
from ..typing import Array, Labels
from .display import grouped_text

Kind = Literal["mean", "contrast", "trend"]
TESTED = ("num_df", "den_df", "statistic", "p_value")
OWN_COLUMNS = ("contrast", "estimate", "ratio", "std_error", "df", "conf_low", "conf_high", *TESTED)
"""What the tables of means, trends, contrasts and their tests call columns of their own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How functions are inferred: method for degrees of freedom, level, adjustment, scale reported."""

    method: DegreesOfFreedom
    level: float = 0.95
    adjust: str = "none"
    response: Response | None = None
    """The response's transformation where results are on the response's own scale."""
    own: Response | None = None
    """How functions transform back where that is not as the mean does: those of another component."""


@read_only
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EMM(dict[str, Any]):
    """k linear functions l'β + c of a fit, labelled by levels of factors.

    Parameters
    ----------
    fit
        The fitted model.
    L, offset
        The functions: coefficients on every column of X, then on every spline coefficient, (k, p + splines);
        constants (k,).
    levels
        Label columns, each (k,): the factors of the functions, or the names of contrasts.
    primary, by
        Which label columns tell rows of a group apart, and which tell groups apart. Multiplicity is judged
        by group.
    settings
        How they are inferred.
    kind, family
        What the functions are, and for contrasts what family they make.
    notes
        What the reader should know beside the method.
    root
        Columns (k, q) whose products add up to what the estimation of covariance parameters adds to the covariance of
        functions that depend on them; None for nothing.

    Notes
    -----
    As those of `Fit`, tools are functions in other modules, imported at first use. A mapping of the columns of its
    table, as a `Table` is, which `pandas.DataFrame` reads.
    """

    fit: Fit
    L: Array
    offset: Array
    levels: Mapping[str, NDArray[np.object_]]
    primary: Labels
    by: Labels
    settings: Settings
    kind: Kind = "mean"
    family: FamilyKind = "other"
    notes: tuple[str, ...] = ()
    root: Array | None = None
    _cache: dict[str, Table] = field(init=False, default_factory=dict)

    test = Tool[Table]("emmeans.t_tests:t_test")
    joint_test = Tool[Table]("emmeans.group_tests:joint_test")
    slices = Tool[Table]("emmeans.group_tests:slices")
    contrast = Tool["EMM"]("emmeans.comparisons:contrast")
    pairs = Tool["EMM"]("emmeans.comparisons:pairs")
    regrid = Tool["EMM"]("emmeans.regrid:regrid")
    regrouped = Tool["EMM"]("emmeans.regrouped:regrouped")
    cld = Tool[Table]("emmeans.letters:cld")
    plot = Tool[Any]("plots.emmeans:plot")

    @property
    def table(self) -> Table:
        """The estimates as a `Table`: labels, `estimate std_error df`, tests, `conf_low conf_high`."""
        if "table" not in self._cache:
            self._cache["table"] = guarded("emmeans.estimates:estimates")(self)
        return self._cache["table"]

    @property
    def estimable(self) -> NDArray[np.bool_]:
        """Whether each function is estimable, (k,)."""
        return is_estimable(self.fit, self.L[:, : len(self.fit.design.fixed.columns)])

    @property
    def groups(self) -> list[NDArray[np.intp]]:
        """Rows of each by-group, in order of appearance."""
        keys = (
            list(zip(*(self.levels[name] for name in self.by), strict=True)) if self.by else [()] * len(self)
        )
        rows: dict[tuple[Any, ...], list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        return [np.array(group, dtype=np.intp) for group in rows.values()]

    @property
    def vcov(self) -> Array:
        """Covariance of the estimates, (k, k); NaN where one is not estimable."""
        covariance = population.covariance(self.fit, kept_columns(self), self.settings.method)
        if self.root is not None:
            covariance = covariance + self.root @ self.root.T
        bad = ~self.estimable
        covariance[bad, :] = np.nan
        covariance[:, bad] = np.nan
        return np.asarray(covariance)

    def adjusted(self, adjust: str) -> EMM:
        """Return the same functions with another multiplicity adjustment."""
        return replace(self, settings=replace(self.settings, adjust=adjust))

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return EMM, tuple(getattr(self, each.name) for each in fields(self) if each.init)

    def keys(self) -> Any:
        return self.table.keys()

    def items(self) -> Any:
        return self.table.items()

    def values(self) -> Any:
        return self.table.values()

    def __len__(self) -> int:
        return len(self.L)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return self.table[name]

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __repr__(self) -> str:
        return grouped_text(self.table, self.by, self.groups)

    def _repr_html_(self) -> str:
        return self.table.to_html()

    @property
    def names(self) -> Sequence[str]:
        """Column names in order."""
        return self.table.names

    def row(self, index: int) -> dict[str, Any]:
        """Return one row as column → value."""
        return self.table.row(index)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return the table as a data frame."""
        return self.table.to_frame(backend)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return column → list of plain values."""
        return self.table.to_dict()

    def head(self, n: int = 5) -> Table:
        """Return the first n rows of the table."""
        return self.table.head(n)

    def to_text(self) -> str:
        """Return the estimates as text, a block per group."""
        return repr(self)

    def to_html(self) -> str:
        """Return the table as HTML."""
        return self.table.to_html()

    def to_latex(self) -> str:
        """Return the table as a LaTeX tabular."""
        return self.table.to_latex()

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        return self.table.to_markdown()

    # -- mechanics -------------------------------------------------------------------------------------------


def label_columns(
    levels: Mapping[str, NDArray[np.object_]], shown: Labels, by: Labels
) -> tuple[dict[str, NDArray[np.object_]], Labels, Labels]:
    """Return label columns, and the names of those shown and grouped by, free of the names of `OWN_COLUMNS`."""

    def free(name: str) -> str:
        return free_name(name, OWN_COLUMNS)

    named = {free(name): values for name, values in levels.items()}
    return named, tuple(map(free, shown or ("1",))), tuple(map(free, by))


def kept_columns(emm: EMM) -> Array:
    """Return the coefficients on the columns of X that were kept, then those on splines, (k, r + splines)."""
    return population_columns(emm.fit, emm.L)
