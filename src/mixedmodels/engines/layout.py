"""What engines read of a design: sizes, levels by parameter set, flags, known matrices. No structure, no parameter.

Level codes and everything else that is one number per row stand in `Rows`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..terms.design import Design, RandomTerm, Residual
from ..terms.known import KnownCovariance
from ..typing import Codes


@dataclass(frozen=True, slots=True, eq=False)
class TermLayout:
    """One random term: q levels of p columns, the parameter set of each level (q,), a known covariance among levels.

    `group` numbers the grouping factors; `label` is for messages.
    """

    label: str
    group: int
    n_levels: int
    n_columns: int
    n_sets: int
    sets: Codes
    known: KnownCovariance | None = None

    @classmethod
    def of(cls, term: RandomTerm, group: int) -> TermLayout:
        """Return what engines read of a random term."""
        return cls(term.label, group, term.n_levels, term.n_columns, term.n_sets, term.sets, term.known)


@dataclass(frozen=True, slots=True, eq=False)
class ErrorLayout:
    """Errors that are not independent and equal.

    Parameters
    ----------
    label
        What messages call their clusters.
    correlated
        Whether errors of one cluster are correlated.
    placed
        Whether rows of a cluster stand at coordinates rather than on a grid of positions.
    n_sets, sets
        Number of parameter sets, and the set of each cluster, (m,).
    scaled, renewed
        Whether rows have standard deviations that move with parameters, and whether those follow the fitted mean.
    neighbours
        How many nearest rows of its cluster each row is given, 0 for all.
    by_axis
        Whether coordinates have units of their own, so that the nearest are those by coordinates of equal spread.
    """

    label: str
    correlated: bool
    placed: bool
    n_sets: int
    sets: Codes
    scaled: bool
    renewed: bool
    neighbours: int = 0
    by_axis: bool = False

    @classmethod
    def of(cls, residual: Residual) -> ErrorLayout:
        """Return what engines read of the error side of a design."""
        renewed = any(term.fitted for term in residual.variance)
        return cls(
            residual.label,
            residual.structure is not None,
            residual.placed,
            residual.n_sets,
            residual.sets,
            bool(residual.variance),
            renewed,
            residual.neighbours,
            residual.structure is not None and residual.structure.by_axis,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The sizes of a model: n rows, rank of X, random terms, errors (None where independent and equal).

    `reml` says which likelihood searches for other responses are of; `bounded` whether every Σ stays positive
    semidefinite.
    """

    n: int
    rank: int
    terms: tuple[TermLayout, ...]
    errors: ErrorLayout | None = None
    reml: bool = True
    bounded: bool = True

    @classmethod
    def of(cls, design: Design) -> Layout:
        """Return the layout of a design."""
        errors = None if design.residual is None else ErrorLayout.of(design.residual)
        groups = list(dict.fromkeys(term.group for term in design.random))
        terms = tuple(TermLayout.of(term, groups.index(term.group)) for term in design.random)
        return cls(design.n, design.fixed.rank, terms, errors, design.reml, design.bounded)

    @property
    def correlated(self) -> bool:
        """Whether errors of one cluster are correlated."""
        return self.errors is not None and self.errors.correlated

    def errors_alone(self) -> Layout:
        """Return the layout without random terms."""
        return replace(self, terms=())
