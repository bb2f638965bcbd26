"""The model of a fit on chosen clusters of its rows, each draw of a cluster being a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..api import search, start_near
from ..errors import DataError, FitError, SpecError, suggest
from ..fit import Fit
from ..frame.readers import open_source
from ..terms.design import RandomTerm, Residual
from ..typing import Codes
from .predictors import share_predictors


@dataclass(frozen=True, slots=True)
class Clusters:
    """Rows of each independent cluster."""

    rows: tuple[NDArray[np.intp], ...]

    @property
    def count(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, fit: Fit, cluster: str | None, purpose: str) -> Clusters:
        """Return the clusters of the factor named, or of the one all random terms nest in; else the rows."""
        codes = independent_codes(fit, cluster, purpose)
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order])) + 1
        return cls(tuple(np.split(order, starts)))


def independent_codes(fit: Fit, cluster: str | None, purpose: str) -> NDArray[np.intp]:
    """Return the cluster of each row, (n,), such that no random effect or error is shared by two clusters."""
    terms = fit.design.random
    if any(term.known is not None for term in terms):
        raise SpecError(f"{purpose}: levels with a known covariance (cov=, precision=) are not independent.")
    groups = {term.group: term.codes for term in terms}
    residual = fit.design.residual
    if residual is not None and residual.structure is not None:
        groups.setdefault(residual.label or "the data", residual.clusters)
    if cluster is not None:
        candidates = [groups[cluster] if cluster in groups else _column_codes(fit, cluster, list(groups))]
    else:
        candidates = sorted(groups.values(), key=lambda codes: int(codes.max()))
    if not candidates:
        return np.arange(fit.nobs)
    for outer in candidates:
        if all(_nests(codes, outer) for codes in groups.values()):
            return np.asarray(outer, dtype=np.intp)
    if cluster is not None:
        crossing = next(name for name, codes in groups.items() if not _nests(codes, candidates[0]))
        raise SpecError(
            f"{purpose}: clusters of {cluster!r} are not independent, for levels of {crossing!r} lie in several of "
            "them; give a factor that all others nest in."
        )
    crossed = ", ".join(groups)
    raise SpecError(f"{purpose} needs a factor that all others nest in; {crossed} are crossed.")


def _column_codes(fit: Fit, cluster: str, groups: list[str]) -> Codes:
    """Return the level of each row (n,) of a column of the data that is no grouping factor of the model."""
    known = f"Factors of the model: {', '.join(groups) or 'none'}."
    if fit.inputs is None:
        raise SpecError(
            f"cluster={cluster!r} is no grouping factor, and this fit no longer holds its data. {known}"
        )
    source = open_source(fit.inputs.data)
    if cluster not in source.names:
        near = suggest(cluster, [*groups, *source.names])
        raise SpecError(
            f"cluster={cluster!r} is neither a grouping factor nor a column of the data.{near} {known}"
        )
    column, rows = source.read(cluster), fit.design.rows
    missing = column.missing
    if missing is not None and (missing if rows is None else missing[rows]).any():
        raise DataError(
            f"cluster={cluster!r} is missing in rows of the fit; fill it in, or fit without those rows."
        )
    codes = (column if rows is None else column.take(rows)).factor().values
    return np.unique(codes, return_inverse=True)[1].reshape(-1).astype(np.int32)


def _nests(inner: Codes, outer: Codes) -> bool:
    pairs = np.unique(inner.astype(np.int64) * (int(outer.max()) + 1) + outer)
    return len(pairs) == len(np.unique(inner))


def fit_rows(fit: Fit, clusters: Clusters, chosen: NDArray[np.intp]) -> Fit:
    """Return the model fitted to the rows of the clusters drawn, searched from the present θ̂.

    Raises
    ------
    FitError
        When some fixed effect is not estimable from the rows drawn.
    """
    design = fit.design
    rows = np.concatenate([clusters.rows[c] for c in chosen])
    draws = np.repeat(np.arange(len(chosen)), [len(clusters.rows[c]) for c in chosen])
    x = design.x[rows]
    if np.linalg.matrix_rank(x / np.linalg.norm(design.x, axis=0)) < design.fixed.rank:
        raise FitError("some fixed effect is not estimable from the clusters drawn")
    drawn = replace(
        design,
        y=design.y[rows],
        fixed=replace(design.fixed, matrix=design.fixed.matrix[rows]),
        random=tuple(_redrawn(term, rows, draws) for term in design.random),
        weights=None if design.weights is None else design.weights[rows],
        offset=None if design.offset is None else design.offset[rows],
        rows=None,
        residual=None if design.residual is None else _redrawn_errors(design.residual, rows, draws),
    )
    control = replace(fit.control, engine="auto")
    drawn, criterion, optimum, engine = search(fit.spec, drawn, control, near=start_near(fit))
    found = Fit.from_optimum(
        fit.spec, fit.schema, drawn, criterion, optimum, engine=engine, control=fit.control
    )
    return share_predictors(found, fit, rows)


def _redrawn_errors(residual: Residual, rows: NDArray[np.intp], draws: NDArray[np.intp]) -> Residual:
    """Return the error side on the rows drawn; a cluster drawn twice becomes two."""
    old = residual.clusters[rows].astype(np.int64)
    key = draws * np.int64(residual.n_clusters) + old
    _, first, codes = np.unique(key, return_index=True, return_inverse=True)
    source = old[first]
    functions = tuple(
        replace(
            term,
            covariate=None if term.covariate is None else term.covariate[rows],
            groups=term.groups[rows],
        )
        for term in residual.variance
    )
    return replace(
        residual,
        clusters=codes.reshape(-1).astype(residual.clusters.dtype),
        cluster_parts=tuple(part[source] for part in residual.cluster_parts),
        index=residual.index[rows],
        coordinates=None if residual.coordinates is None else residual.coordinates[rows],
        sets=residual.sets[source],
        variance=functions,
    )


def _redrawn(term: RandomTerm, rows: NDArray[np.intp], draws: NDArray[np.intp]) -> RandomTerm:
    """Return the term on the rows drawn; a level drawn twice becomes two."""
    old = term.codes[rows].astype(np.int64)
    _, first, codes = np.unique(draws * np.int64(term.n_levels) + old, return_index=True, return_inverse=True)
    source = old[first]
    return replace(
        term,
        codes=codes.reshape(-1).astype(term.codes.dtype),
        values=None if term.values is None else term.values[rows],
        level_parts=tuple(part[source] for part in term.level_parts),
        sets=term.sets[source],
    )
