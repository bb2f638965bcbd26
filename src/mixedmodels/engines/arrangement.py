"""How the random terms of a model are arranged for elimination.

Terms with the same level codes are merged into one *factor* with block-diagonal Σ. The factor with most
levels is the leaf; factors it is nested in form the *chain* above it, each level of one inside one level
of the next; what crosses the chain, and every term with a known covariance among its levels, is the
*tail*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..terms.rows import Rows
from ..typing import Array, Codes
from .layout import Layout
from .relative import TermDirection


@dataclass(frozen=True, slots=True)
class Factor:
    """Random terms that share level codes, with p columns in all.

    `terms` are indices into the layout's random terms, `starts` their first columns; `sets` (q,) numbers the
    combinations of the terms' parameter sets and `set_map` (n_sets, len(terms)) gives each term's set. `codes` are
    empty where the model holds no rows.
    """

    terms: tuple[int, ...]
    starts: tuple[int, ...]
    codes: Codes
    values: Array | None
    p: int
    q: int
    sets: Codes
    set_map: Codes

    @property
    def n_sets(self) -> int:
        return len(self.set_map)

    def new_rows(
        self, layout: Layout, n: int, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> tuple[Codes, Array]:
        """Return levels (n,), −1 for none, and Z values (n, p) of new rows, from those of every term."""
        level, z = np.full(n, -1, dtype=np.int32), np.zeros((n, self.p))
        for term, start in zip(self.terms, self.starts, strict=True):
            given = codes[term]
            if given is None:
                continue
            level = np.ascontiguousarray(given, dtype=np.int32)
            part = values[term]
            z[:, start : start + layout.terms[term].n_columns] = 1.0 if part is None else part
        return level, z


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Chain from leaf to root, then the tail factors with the first tail column of each."""

    factors: tuple[Factor, ...]
    chain: tuple[int, ...]
    tail: tuple[int, ...]
    offsets: tuple[int, ...]
    tail_width: int

    def place(self, term: int) -> tuple[int, int]:
        """Return the factor of a random term and the term's first column in it."""
        for f, factor in enumerate(self.factors):
            if term in factor.terms:
                return f, factor.starts[factor.terms.index(term)]
        raise KeyError(term)


def factor_of(layout: Layout, members: Sequence[int], codes: Codes, values: Array | None) -> Factor:
    """Return the factor of terms that share their levels, with the level codes and Z values of its rows."""
    terms = [layout.terms[k] for k in members]
    widths = [t.n_columns for t in terms]
    starts = tuple(int(s) for s in np.concatenate(([0], np.cumsum(widths)[:-1])))
    first = terms[0]
    if len(terms) == 1:
        sets = np.ascontiguousarray(first.sets, dtype=np.int32)
        set_map = np.arange(first.n_sets, dtype=np.int32)[:, None]
    else:
        stacked = np.column_stack([t.sets for t in terms])
        set_map, inverse = np.unique(stacked, axis=0, return_inverse=True)
        sets = inverse.reshape(-1).astype(np.int32)
        set_map = set_map.astype(np.int32)
    return Factor(tuple(members), starts, codes, values, sum(widths), first.n_levels, sets, set_map)


def _merge(layout: Layout, rows: Rows, members: list[int]) -> Factor:
    own = [rows.random[k] for k in members]
    values = own[0].values if len(own) == 1 else _together([one.dense_values() for one in own])
    return factor_of(layout, members, np.ascontiguousarray(own[0].codes, dtype=np.int32), values)


def _together(parts: list[Array]) -> Array:
    """Return columns beside each other: the matrix that they are of, where they stand in one in this order."""
    whole = parts[0].base
    if isinstance(whole, np.ndarray) and whole.ndim == 2 and all(part.base is whole for part in parts):
        at = [
            (part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // 8
            for part in parts
        ]
        ends = np.cumsum([at[0], *(part.shape[1] for part in parts)])
        if list(ends[:-1]) == at and all(part.strides == whole.strides for part in parts):
            return np.asarray(whole[:, at[0] : ends[-1]])
    return np.column_stack(parts)


def _same_levels(layout: Layout, rows: Rows, i: int, j: int) -> bool:
    a, b = layout.terms[i], layout.terms[j]
    if a.known is not None or b.known is not None or a.n_levels != b.n_levels:
        return False
    first, second = rows.random[i].codes, rows.random[j].codes
    return first is second or (a.group == b.group and bool(np.array_equal(first, second)))


def merge_terms(layout: Layout, rows: Rows) -> tuple[Factor, ...]:
    """Return the factors of a model, in order of first appearance."""
    groups: list[list[int]] = []
    for k in range(len(layout.terms)):
        for members in groups:
            if _same_levels(layout, rows, members[0], k):
                members.append(k)
                break
        else:
            groups.append([k])
    return tuple(_merge(layout, rows, members) for members in groups)


def parents(child: Codes, q: int, parent: Codes) -> Codes | None:
    """Return for each of q child levels the parent level it lies in, None if one meets two parents."""
    of = np.full(q, -1, dtype=np.int32)
    of[child] = parent
    if np.array_equal(of[child], parent) and np.all(of >= 0):
        return of
    return None


def arrange(layout: Layout, rows: Rows) -> Arrangement:
    """Choose chain and tail.

    The chain starts at the factor with most random columns that has no known covariance, and is extended by every
    factor, from large to small, that the last one is nested in.
    """
    factors = merge_terms(layout, rows)

    def nested(child: int, parent: int) -> bool:
        return parents(factors[child].codes, factors[child].q, factors[parent].codes) is not None

    return arrange_factors(layout, factors, nested)


def arrange_factors(
    layout: Layout, factors: tuple[Factor, ...], nested: Callable[[int, int], bool]
) -> Arrangement:
    """Choose chain and tail of factors, given whether every level of one lies in one level of another."""
    known = [any(layout.terms[k].known is not None for k in f.terms) for f in factors]
    order = sorted(range(len(factors)), key=lambda f: (-factors[f].q, f))
    chain: list[int] = []
    for f in order:
        factor = factors[f]
        if known[f]:
            continue
        if not chain:
            chain.append(f)
            continue
        if factor.q <= factors[chain[-1]].q and nested(chain[-1], f):
            chain.append(f)
    return _arranged(factors, chain, [f for f in order if f not in chain])


def _arranged(factors: tuple[Factor, ...], chain: list[int], tail: list[int]) -> Arrangement:
    offsets, width = [], 0
    for f in tail:
        offsets.append(width)
        width += factors[f].q * factors[f].p
    return Arrangement(factors, tuple(chain), tuple(tail), tuple(offsets), width)


def with_in_tail(arranged: Arrangement, factor: int) -> Arrangement:
    """Return the arrangement with one chain factor moved to the tail."""
    chain = [f for f in arranged.chain if f != factor]
    return _arranged(arranged.factors, chain, [*arranged.tail, factor])


def merge_factors(layout: Layout, factor: Factor, factors: Sequence[Array]) -> Array:
    """Return the block-diagonal Λ of a factor, (sets, p, p), from Λ of every random term."""
    if len(factor.terms) == 1:
        return np.asarray(factors[factor.terms[0]], dtype=float)
    out = np.zeros((factor.n_sets, factor.p, factor.p))
    for k, (term, start) in enumerate(zip(factor.terms, factor.starts, strict=True)):
        part = slice(start, start + layout.terms[term].n_columns)
        out[:, part, part] = factors[term][factor.set_map[:, k]]
    return out


def split_sets(layout: Layout, factor: Factor, matrices: Array) -> list[Array]:
    """Return, per term of a factor, its blocks of (sets, p, p) summed over sets that share the term's set."""
    if len(factor.terms) == 1:
        return [matrices]
    out = []
    for k, (term, start) in enumerate(zip(factor.terms, factor.starts, strict=True)):
        part = slice(start, start + layout.terms[term].n_columns)
        own = np.zeros((layout.terms[term].n_sets, part.stop - start, part.stop - start))
        np.add.at(own, factor.set_map[:, k], matrices[:, part, part])
        out.append(own)
    return out


def pad_direction(factor: Factor, direction: TermDirection) -> list[tuple[int, Array]]:
    """Return a direction in its factor: a (p, p) matrix for each of its sets that uses the term's set."""
    if len(factor.terms) == 1:
        return [(direction.set, direction.matrix)]
    k = factor.terms.index(direction.term)
    start = factor.starts[k]
    full = np.zeros((factor.p, factor.p))
    stop = start + len(direction.matrix)
    full[start:stop, start:stop] = direction.matrix
    return [(int(s), full) for s in np.flatnonzero(factor.set_map[:, k] == direction.set)]
