"""The error side of a model bound to data: clusters, positions, parameter sets, variance functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions
from ..errors import DataError, Severity, SpecError, Status
from ..frame.column import Column
from ..frame.model_frame import ModelFrame
from ..spec import ModelSpec, ResidualSpec, VarianceSpec
from ..typing import Array, Codes, Labels
from ..variance import make_function
from .design import Residual, VarianceTerm
from .encoder import Encoder
from .fixed import learn_encoder
from .groups import Group, bind_group, find_levels
from .positions import Placed, PositionEncoding, place_rows
from .rows import ErrorRows, VarianceRows

FITTED = "fitted"


@dataclass(frozen=True, slots=True, eq=False)
class VarianceEncoding:
    """How one variance function reads new data: its strata, and its covariate."""

    groups: Labels
    parts: tuple[NDArray[Any], ...]
    covariate: str | Encoder | None

    def codes(self, data: Mapping[str, Column], n: int) -> Codes:
        """Return the stratum of each row (n,), −1 for one that was not in the fit."""
        if not self.groups:
            return np.zeros(n, np.int32)
        return find_levels(self.parts, [data[name] for name in self.groups])

    def values(self, data: Mapping[str, Column], n: int) -> Array | None:
        """Return the covariate of each row, None for functions of strata alone or of the fitted mean."""
        if self.covariate is None or self.covariate == FITTED:
            return None
        if isinstance(self.covariate, str):
            return data[self.covariate].number()
        return self.covariate.matrix(data, n)[:, 1:]

    @property
    def columns(self) -> Labels:
        """Columns that the covariate is computed from."""
        if self.covariate is None or self.covariate == FITTED:
            return ()
        return (self.covariate,) if isinstance(self.covariate, str) else self.covariate.variables


@dataclass(frozen=True, slots=True, eq=False)
class NewErrors:
    """The error side of m new rows.

    Parameters
    ----------
    clusters
        Cluster of the fit (m,), −1 for another one.
    index, coordinates
        Position on the grid (m,), −1 where it is not on it, and coordinates (m, d) where the structure has
        any.
    sets
        Parameter set (m,), −1 where it is not known.
    groups, covariates
        Per variance function the stratum (m,), −1 where it is not known, and the covariate, None for none.
    placed
        Whether positions are given by columns rather than by the order of rows.
    """

    clusters: Codes
    index: Codes
    coordinates: Array | None
    sets: Codes
    groups: tuple[Codes, ...]
    covariates: tuple[Array | None, ...]
    placed: bool

    def __len__(self) -> int:
        return len(self.clusters)

    def take(self, rows: NDArray[Any]) -> NewErrors:
        """Return the error side of some rows."""
        return NewErrors(
            self.clusters[rows],
            self.index[rows],
            None if self.coordinates is None else self.coordinates[rows],
            self.sets[rows],
            tuple(groups[rows] for groups in self.groups),
            tuple(None if values is None else values[rows] for values in self.covariates),
            self.placed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ResidualEncoding:
    """How the error side reads new data."""

    cluster: Labels
    by: str | None
    by_levels: NDArray[Any] | None
    positions: PositionEncoding
    variance: tuple[VarianceEncoding, ...]

    @property
    def columns(self) -> Labels:
        """Columns of data that are read."""
        names = [*self.cluster, *((self.by,) if self.by else ()), *self.positions.names]
        for function in self.variance:
            names += [*function.groups, *function.columns]
        return tuple(dict.fromkeys(names))

    def encode(self, residual: Residual, data: Mapping[str, Column], n: int) -> NewErrors:
        """Return the error side of n new rows."""
        none = np.full(n, -1, np.int32)
        clusters = np.zeros(n, np.int32) if residual.cluster_parts == () else none
        if self.cluster:
            clusters = find_levels(residual.cluster_parts, [data[name] for name in self.cluster])
        sets = np.where(clusters >= 0, residual.sets[np.maximum(clusters, 0)], -1).astype(np.int32)
        if self.by is None:
            sets = np.zeros(n, np.int32)
        elif self.by_levels is not None:
            sets = np.where(clusters >= 0, sets, data[self.by].codes_in(self.by_levels)).astype(np.int32)
        index, coordinates = self.positions.place(data, n)
        return NewErrors(
            clusters,
            index,
            coordinates,
            sets,
            tuple(function.codes(data, n) for function in self.variance),
            tuple(function.values(data, n) for function in self.variance),
            bool(self.positions.names),
        )


def build_residual(
    spec: ModelSpec, frame: ModelFrame, mean: Array
) -> tuple[Residual | None, ErrorRows | None, ResidualEncoding | None, tuple[Status, ...]]:
    """Return the error side of a model, its rows, how it reads new data, and notes; None for independent equal errors.

    Parameters
    ----------
    spec, frame
        What was asked, and its columns over n complete rows.
    mean
        A first fitted mean (n,), for variance functions of it.

    Raises
    ------
    DataError
        When a position occurs twice in a cluster, a parameter set changes inside one, or times are not
        numbers.
    """
    if spec.residual is None and not spec.variance:
        return None, None, None, ()
    bound = [_bind_variance(asked, spec, frame, mean) for asked in spec.variance]
    variance, readers = tuple(term for term, _, _ in bound), tuple(reader for _, _, reader in bound)
    of_rows = tuple(rows for _, rows, _ in bound)
    if spec.residual is None:
        each = np.arange(frame.n, dtype=np.int32)
        residual = Residual("", None, Positions(1, ("",)), False, (), np.zeros_like(each), variance=variance)
        encoding = ResidualEncoding((), None, None, PositionEncoding((), ()), readers)
        return residual, ErrorRows(each, np.zeros_like(each), None, of_rows), encoding, ()
    asked = spec.residual
    _refuse_beside_neighbours(spec, asked)
    group = bind_group(asked.cluster, None, frame.factors, frame.n)
    matrices = {name: matrix for name, matrix in frame.known.items() if name not in spec.known_of_terms}
    placed = place_rows(asked, frame, group.codes, matrices)
    _refuse_duplicates(asked, group, placed)
    placed.structure.check(placed.positions)
    sets, labels = _parameter_sets(asked, frame, group)
    _refuse_too_many(asked, placed, len(labels), frame.n)
    residual = Residual(
        label=group.label,
        structure=placed.structure,
        positions=placed.positions,
        placed=placed.coordinates is not None,
        cluster_parts=group.parts,
        sets=sets,
        set_labels=labels,
        variance=variance,
        n_clusters_given=frame.clusters_given,
        neighbours=asked.neighbours or 0,
    )
    by_levels = frame.factors[asked.by].levels if asked.by else None
    encoding = ResidualEncoding(asked.cluster, asked.by, by_levels, placed.encoding, readers)
    rows = ErrorRows(group.codes, placed.index, placed.coordinates, of_rows)
    return residual, rows, encoding, (*placed.notes, *_approximation(residual, rows))


def _approximation(residual: Residual, rows: ErrorRows) -> tuple[Status, ...]:
    """Return what is said where rows are given fewer neighbours than there are."""
    largest = int(np.bincount(rows.clusters).max())
    if not residual.neighbours or largest <= residual.neighbours + 1:
        return ()
    message = (
        f"the likelihood is approximate (Vecchia): each row is given its {residual.neighbours} nearest neighbours of "
        f"up to {largest:,} rows that are correlated with it"
    )
    return (Status(Severity.NOTE, message, "More neighbours= bring it nearer to the exact one"),)


def _refuse_beside_neighbours(spec: ModelSpec, asked: ResidualSpec) -> None:
    """Raise `SpecError` for what errors given their neighbours cannot stand beside."""
    if asked.neighbours is None:
        return
    others = [
        ("random terms and smooths", ", ".join(map(str, (*spec.random, *spec.smooths)))),
        ("variance functions", ", ".join(map(str, spec.variance))),
        ("other families than the Gaussian", "" if spec.likelihood is None else spec.likelihood.family),
    ]
    for kind, named in others:
        if named:
            raise SpecError(
                f"{asked}: neighbours= is not there beside {kind} ({named}). Leave neighbours= out for the exact "
                "covariance, where memory allows, or describe the rest by fixed effects."
            )


def _refuse_too_many(asked: ResidualSpec, placed: Placed, n_sets: int, n: int) -> None:
    """Raise `DataError` before a structure of more parameters than rows is built."""
    count = n_sets * placed.structure.size(placed.positions.size)
    if count > n:
        raise DataError(
            f"{asked}: {asked.structure} over {placed.positions.size} positions has {count} parameters and "
            f"there are {n} rows; name the cluster right of the bar, use visits rather than times, or a "
            "structure with fewer parameters."
        )


def _parameter_sets(asked: ResidualSpec, frame: ModelFrame, group: Group) -> tuple[Codes, Labels]:
    """Return the parameter set of each cluster and the names of the sets."""
    if asked.by is None:
        return np.zeros(group.n_levels, np.int32), ("",)
    column = frame.factors[asked.by]
    assert column.levels is not None
    owner = np.zeros(group.n_levels, np.int32)
    owner[group.codes] = column.values
    wrong = np.flatnonzero(owner[group.codes] != column.values)
    if len(wrong):
        name = cluster_name(group.parts, int(group.codes[wrong[0]]))
        raise DataError(
            f"{asked}: {asked.by!r} changes inside cluster {group.label}={name!r}; each cluster has the "
            f"covariance of one level of by=. Use a variance function such as ident({asked.by}) for "
            "variances that change inside."
        )
    return owner, tuple(f"{asked.by}={level}" for level in column.levels)


def _refuse_duplicates(asked: ResidualSpec, group: Group, placed: Placed) -> None:
    """Raise `DataError` when two rows of a cluster stand at one position and Σ could then not be inverted."""
    if placed.coordinates is None:
        key = placed.index[:, None].astype(float)
    elif asked.structure.nugget:
        return
    else:
        key = placed.coordinates
    order = np.lexsort((*key.T, group.codes))
    same = (np.diff(group.codes[order]) == 0) & (np.diff(key[order], axis=0) == 0).all(axis=1)
    if not same.any():
        return
    row = int(order[np.flatnonzero(same)[0]])
    if placed.coordinates is None:
        at = placed.positions.labels[int(placed.index[row])]
        cure = "Give every row of a cluster its own position, or write 1 for the row order within the cluster"
    else:
        at = ", ".join(f"{value:.6g}" for value in placed.coordinates[row])
        cure = "Give every row of a cluster its own place, or add nugget=True for measurement error"
    name = cluster_name(group.parts, int(group.codes[row]))
    where = f"cluster {group.label}={name!r}" if group.parts else "the data"
    raise DataError(f"{asked}: position {', '.join(asked.position)}={at} occurs twice in {where}. {cure}.")


def cluster_name(parts: tuple[NDArray[Any], ...], level: int) -> str:
    """Return the name of one cluster, `"1:a"` for crossed columns."""
    return ":".join(str(part[level]) for part in parts)


def _bind_variance(
    asked: VarianceSpec, spec: ModelSpec, frame: ModelFrame, mean: Array
) -> tuple[VarianceTerm, VarianceRows, VarianceEncoding]:
    """Return one variance function, its rows, and how it reads new ones."""
    ident = asked.name == "ident"
    names = (*(asked.arguments if ident else ()), *((asked.by,) if asked.by else ()))
    strata = bind_group(names, None, frame.factors, frame.n)
    labels = tuple(cluster_name(strata.parts, j) for j in range(strata.n_levels)) if names else ("",)
    if ident and len(labels) < 2:
        raise SpecError(
            f"{asked}: {asked.arguments[0]!r} has one level, so there is no ratio of variances; leave it out."
        )
    if ident and 2 * len(labels) > frame.n:
        raise DataError(
            f"{asked}: {asked.arguments[0]!r} has {len(labels)} levels in {frame.n} rows, and a variance for each "
            f"level needs several rows of it; combine levels, or use a function of numbers such as power(x)."
        )
    covariate: Array | None = None
    reader: str | Encoder | None = None
    columns: Labels = ()
    if asked.name == "log_linear":
        text = f"1 + {asked.arguments[0]}"
        encoder, matrix = learn_encoder(text, frame, dict(spec.contrasts))
        reader, covariate, columns = encoder, np.ascontiguousarray(matrix[:, 1:]), encoder.columns[1:]
    elif not ident:
        reader = asked.arguments[0]
        covariate = mean if reader == FITTED else _covariate(asked, frame.columns[reader])
    function = make_function(asked.name, columns)
    function.check(covariate, str(asked))
    reference = function.reference(covariate, strata.codes, len(labels))
    fitted = reader == FITTED
    term = VarianceTerm(str(asked), function, labels, reference, fitted=fitted)
    return term, VarianceRows(strata.codes, covariate), VarianceEncoding(names, strata.parts, reader)


def _covariate(asked: VarianceSpec, column: Column) -> Array:
    if not column.is_number:
        what = f"categories such as {column.examples()}" if column.is_factor else "dates"
        raise DataError(
            f"{asked}: {asked.name} is a function of numbers and column {column.name!r} holds {what}; use "
            f"ident({column.name}) for a variance per level."
        )
    return column.number()
