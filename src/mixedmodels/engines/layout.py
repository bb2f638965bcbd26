"""How the random terms of a design are arranged for elimination.

Terms with the same level codes are merged into one *factor* with block-diagonal Σ. The factor with most
levels is the leaf; factors it is nested in form the *chain* above it, each level of one inside one level
of the next; what crosses the chain, and every term with a known covariance among its levels, is the
*tail*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..terms.design import Design, RandomTerm
from ..typing import Array, Codes
from .relative import TermDirection


@dataclass(frozen=True, slots=True)
class Factor:
    """Random terms that share level codes, with p columns in all.

    `terms` are indices into the design's random terms, `starts` their first columns; `sets` (q,) numbers the
    combinations of the terms' parameter sets and `set_map` (n_sets, len(terms)) gives each term's set.
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


@dataclass(frozen=True, slots=True)
class Layout:
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


def _merge(design: Design, members: list[int]) -> Factor:
    terms = [design.random[k] for k in members]
    widths = [t.n_columns for t in terms]
    starts = tuple(int(s) for s in np.concatenate(([0], np.cumsum(widths)[:-1])))
    first = terms[0]
    if len(terms) == 1:
        sets = np.ascontiguousarray(first.sets, dtype=np.int32)
        set_map = np.arange(first.n_sets, dtype=np.int32)[:, None]
        values = first.values
    else:
        stacked = np.column_stack([t.sets for t in terms])
        set_map, inverse = np.unique(stacked, axis=0, return_inverse=True)
        sets = inverse.reshape(-1).astype(np.int32)
        set_map = set_map.astype(np.int32)
        values = np.column_stack([t.dense_values() for t in terms])
    codes = np.ascontiguousarray(first.codes, dtype=np.int32)
    return Factor(tuple(members), starts, codes, values, sum(widths), first.n_levels, sets, set_map)


def _same_levels(a: RandomTerm, b: RandomTerm) -> bool:
    if a.known is not None or b.known is not None or a.n_levels != b.n_levels:
        return False
    return a.codes is b.codes or (a.group == b.group and bool(np.array_equal(a.codes, b.codes)))


def merge_terms(design: Design) -> tuple[Factor, ...]:
    """Return the factors of a design, in order of first appearance."""
    groups: list[list[int]] = []
    for k, term in enumerate(design.random):
        for members in groups:
            if _same_levels(design.random[members[0]], term):
                members.append(k)
                break
        else:
            groups.append([k])
    return tuple(_merge(design, members) for members in groups)


def parents(child: Codes, q: int, parent: Codes) -> Codes | None:
    """Return for each of q child levels the parent level it lies in, None if one meets two parents."""
    of = np.full(q, -1, dtype=np.int32)
    of[child] = parent
    if np.array_equal(of[child], parent) and np.all(of >= 0):
        return of
    return None


def arrange(design: Design) -> Layout:
    """Choose chain and tail.

    The chain starts at the factor with most random columns that has no known covariance, and is extended by every
    factor, from large to small, that the last one is nested in.
    """
    factors = merge_terms(design)
    known = [any(design.random[k].known is not None for k in f.terms) for f in factors]
    order = sorted(range(len(factors)), key=lambda f: (-factors[f].q, f))
    chain: list[int] = []
    for f in order:
        factor = factors[f]
        if known[f]:
            continue
        if not chain:
            chain.append(f)
            continue
        last = factors[chain[-1]]
        if factor.q <= last.q and parents(last.codes, last.q, factor.codes) is not None:
            chain.append(f)
    return _layout(factors, chain, [f for f in order if f not in chain])


def _layout(factors: tuple[Factor, ...], chain: list[int], tail: list[int]) -> Layout:
    offsets, width = [], 0
    for f in tail:
        offsets.append(width)
        width += factors[f].q * factors[f].p
    return Layout(factors, tuple(chain), tuple(tail), tuple(offsets), width)


def with_in_tail(layout: Layout, factor: int) -> Layout:
    """Return the layout with one chain factor moved to the tail."""
    chain = [f for f in layout.chain if f != factor]
    return _layout(layout.factors, chain, [*layout.tail, factor])


def merge_factors(design: Design, factor: Factor, factors: Sequence[Array]) -> Array:
    """Return the block-diagonal Λ of a factor, (sets, p, p), from Λ of every random term."""
    if len(factor.terms) == 1:
        return np.asarray(factors[factor.terms[0]], dtype=float)
    out = np.zeros((factor.n_sets, factor.p, factor.p))
    for k, (term, start) in enumerate(zip(factor.terms, factor.starts, strict=True)):
        part = slice(start, start + design.random[term].n_columns)
        out[:, part, part] = factors[term][factor.set_map[:, k]]
    return out


def split_sets(design: Design, factor: Factor, matrices: Array) -> list[Array]:
    """Return, per term of a factor, its blocks of (sets, p, p) summed over sets that share the term's set."""
    if len(factor.terms) == 1:
        return [matrices]
    out = []
    for k, (term, start) in enumerate(zip(factor.terms, factor.starts, strict=True)):
        part = slice(start, start + design.random[term].n_columns)
        own = np.zeros((design.random[term].n_sets, part.stop - start, part.stop - start))
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
