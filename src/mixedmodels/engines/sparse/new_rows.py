"""Rows of Z that are not those of the fit, over the columns of the sparse equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...lazy import LazyModule
from ...typing import Array, Codes
from ..layout import Layout
from ..targets import refuse_new_levels
from .pattern import Analysis

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")


def new_rows(
    layout: Layout,
    analysis: Analysis,
    lam: Sequence[Array],
    n: int,
    codes: Sequence[Codes | None],
    values: Sequence[Array | None],
    extra: Array,
) -> sparse.csr_array:
    """Return ZD of new rows (n, order), D of Λ by factor; for levels not in the fit z'Σ̃z is added to `extra` (n,)."""
    at_row, at_column, entries = [], [], []
    for k, (code, value) in enumerate(zip(codes, values, strict=True)):
        if code is None:
            continue
        term, (f, start) = layout.terms[k], analysis.place(k)
        factor, p = analysis.factors[f], term.n_columns
        dense = np.ones((n, p)) if value is None else np.broadcast_to(value, (n, p))
        level = np.asarray(code)
        unseen = level < 0
        root = lam[f][:, start : start + p, start : start + p]
        if unseen.any():
            refuse_new_levels(term.n_sets, unseen)
            extra[unseen] += np.square(dense[unseen] @ root[0]).sum(axis=1)
        seen = np.flatnonzero(~unseen)
        first = analysis.offsets[f] + level[seen].astype(np.int64) * factor.p + start
        at_row.append(np.repeat(seen, p))
        at_column.append((first[:, None] + np.arange(p)).ravel())
        scaled = np.einsum("ia,iab->ib", dense[seen], root[factor.sets[level[seen]]])
        entries.append(scaled.ravel())
    shape = (n, analysis.order)
    if not entries:
        return sparse.csr_array(shape)
    placed = (np.concatenate(at_row), np.concatenate(at_column))
    return sparse.csr_array(sparse.coo_array((np.concatenate(entries), placed), shape=shape))


def padded_rows(z: sparse.csr_array) -> tuple[NDArray[np.int64], Array]:
    """Return columns and entries of each row, (n, k), k the most that a row has; short rows repeat one, times 0."""
    counts = np.diff(z.indptr)
    place = np.arange(int(counts.max(initial=0)))
    inside = place < counts[:, None]
    at = z.indptr[:-1, None] + np.where(inside, place, 0)
    at = np.minimum(at, max(len(z.indices) - 1, 0))
    if not len(z.indices):
        return np.zeros((len(counts), 0), dtype=np.int64), np.zeros((len(counts), 0))
    return z.indices[at].astype(np.int64), np.where(inside, z.data[at], 0.0)
