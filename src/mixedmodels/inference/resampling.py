"""The model of a fit on chosen clusters of its rows, each draw of a cluster being a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..engines import choose_engine
from ..errors import FitError, SpecError, suggest
from ..fit import Fit, build_objective
from ..optimise.newton import optimise
from ..terms.design import RandomTerm, Residual
from ..typing import Codes


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
    if any(term.kernel is not None for term in terms):
        raise SpecError(f"{purpose}: levels with a known covariance (cov=, precision=) are not independent.")
    groups = {term.group: term.codes for term in terms}
    residual = fit.design.residual
    if residual is not None and residual.structure is not None:
        groups.setdefault(residual.label, residual.clusters)
    if cluster is not None:
        if cluster not in groups:
            near = suggest(cluster, groups)
            raise SpecError(f"cluster={cluster!r} is no grouping factor.{near} Factors: {', '.join(groups)}.")
        candidates = [groups[cluster]]
    else:
        candidates = sorted(groups.values(), key=lambda codes: int(codes.max()))
    if not groups:
        return np.arange(fit.nobs)
    for outer in candidates:
        if all(_nests(codes, outer) for codes in groups.values()):
            return np.asarray(outer, dtype=np.intp)
    crossed = ", ".join(groups)
    raise SpecError(f"{purpose} needs a factor that all others nest in; {crossed} are crossed.")


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
    engine = choose_engine(drawn, control)
    objective = build_objective(fit.spec, drawn, engine.system(drawn, control))
    optimum = optimise(objective, control, None if fit.singular else fit.optimum.theta)
    return Fit.from_optimum(
        fit.spec, fit.schema, drawn, objective, optimum, engine=engine.name, control=fit.control
    )


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
