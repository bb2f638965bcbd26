"""The model of a fit on chosen clusters of its rows, each draw of a cluster being a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..api.run import search, start_near
from ..errors import DataError, FitError, SpecError, suggest
from ..fit import Fit
from ..frame.readers import open_source
from ..terms.design import Design, Residual
from ..terms.predictors import parts_of
from ..terms.rows import ErrorRows, Rows, TermRows, VarianceRows
from ..tool import load
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
    def of(cls, fit: Fit, cluster: str | None, purpose: str, *, known: bool = False) -> Clusters:
        """Return the clusters of the factor named, or of the one all random terms nest in; else the rows.

        With `known` levels may have a known covariance inside clusters.
        """
        codes = independent_codes(fit, cluster, purpose, known=known)
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order])) + 1
        return cls(tuple(np.split(order, starts)))


def independent_codes(
    fit: Fit, cluster: str | None, purpose: str, *, known: bool = False
) -> NDArray[np.intp]:
    """Return the cluster of each row, (n,), such that no random effect or error is shared by two clusters."""
    terms = fit.design.random
    if not known and any(term.known is not None for term in terms):
        raise SpecError(f"{purpose}: levels with a known covariance (cov=, precision=) are not independent.")
    rows = fit._work.rows()
    groups = {
        term.group: own.codes if term.known is None else term.known.parts()[own.codes]
        for term, own in zip(terms, rows.random, strict=True)
    }
    residual = fit.design.residual
    if residual is not None and residual.structure is not None and rows.residual is not None:
        groups.setdefault(residual.label or "the data", rows.residual.clusters)
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
            f"cluster={cluster!r} is neither a grouping factor nor a column of the data the fit holds.{near} {known}"
        )
    column, rows = source.read(cluster), fit._work.rows().used
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
    rows = np.concatenate([clusters.rows[c] for c in chosen])
    draws = np.repeat(np.arange(len(chosen)), [len(clusters.rows[c]) for c in chosen])
    given = fit._work.rows()
    for part in parts_of(fit.design, given):
        x, size = part.x[rows], np.linalg.norm(part.x, axis=0)
        if x.shape[1] and np.linalg.matrix_rank(x / size) < x.shape[1]:
            raise FitError("some fixed effect is not estimable from the clusters drawn")
    known = fit.distribution
    if known is not None and not known.pseudo:
        redraw = partial(_redrawn, rows=rows, draws=draws)
        integrated: Fit = load("api.integrated:fit_redrawn")(fit, redraw, known.responses.take(rows))
        return share_predictors(integrated, fit, rows)
    design, drawn = _redrawn(fit.design, given, rows, draws)
    if known is not None:
        again: Fit = load("api.pseudo:fit_near")(
            fit, design, drawn, known.responses.take(rows), fit._eta[rows]
        )
        return share_predictors(again, fit, rows)
    control = replace(fit.control, engine="auto")
    found = search(fit.spec, design, drawn, control, near=start_near(fit))
    refitted = Fit.from_optimum(
        fit.spec, fit.schema, found.design, found.rows, found.criterion, found.optimum, engine=found.engine,
        control=fit.control,
    )  # fmt: skip
    return share_predictors(refitted, fit, rows)


def _redrawn(
    design: Design, given: Rows, rows: NDArray[np.intp], draws: NDArray[np.intp]
) -> tuple[Design, Rows]:
    """Return the model on the rows drawn; a level or cluster drawn twice becomes two."""
    terms, random = [], []
    for term, own in zip(design.random, given.random, strict=True):
        values = None if own.values is None else own.values[rows]
        if term.known is not None:
            # levels without rows stay related to the others
            terms.append(term)
            random.append(TermRows(own.codes[rows], values))
            continue
        codes, source = _renumbered(own.codes[rows], term.n_levels, draws)
        parts = tuple(part[source] for part in term.level_parts)
        terms.append(replace(term, level_parts=parts, sets=term.sets[source]))
        random.append(TermRows(codes, values))
    residual, errors = design.residual, given.residual
    if residual is not None and errors is not None:
        residual, errors = _redrawn_errors(residual, errors, rows, draws)
    found = Rows(
        y=given.y[rows],
        fixed=replace(given.fixed, matrix=given.fixed.matrix[rows], moments=None),
        random=tuple(random),
        residual=errors,
        weights=None if given.weights is None else given.weights[rows],
        offset=None if given.offset is None else given.offset[rows],
    )
    return replace(design, n=len(rows), random=tuple(terms), residual=residual), found


def _redrawn_errors(
    residual: Residual, errors: ErrorRows, rows: NDArray[np.intp], draws: NDArray[np.intp]
) -> tuple[Residual, ErrorRows]:
    codes, source = _renumbered(errors.clusters[rows], residual.n_clusters, draws)
    functions = tuple(
        VarianceRows(own.groups[rows], None if own.covariate is None else own.covariate[rows])
        for own in errors.variance
    )
    coordinates = None if errors.coordinates is None else errors.coordinates[rows]
    parts = tuple(part[source] for part in residual.cluster_parts)
    residual = replace(residual, cluster_parts=parts, sets=residual.sets[source])
    return residual, ErrorRows(codes, errors.index[rows], coordinates, functions)


def _renumbered(old: Codes, count: int, draws: NDArray[np.intp]) -> tuple[Codes, NDArray[np.int64]]:
    """Return new codes (n,) of levels by draw, and the old level of each new one."""
    key = draws * np.int64(count) + old
    _, first, codes = np.unique(key, return_index=True, return_inverse=True)
    return codes.reshape(-1).astype(old.dtype), old[first].astype(np.int64)
