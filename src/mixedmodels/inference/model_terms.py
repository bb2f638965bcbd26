"""The terms of the fixed part as products of factors and numbers, and their indicators of every level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..fit import Fit
from ..frame.column import Column
from ..syntax.algebra import Atom, column
from ..terms.centred import written_map
from ..terms.coding import INDICATORS, code_levels
from ..terms.encoder import DirectEncoder
from ..terms.encoding import encoding_of
from ..terms.parts import Block, Part
from ..typing import Array
from .predictors import predictors


@dataclass(frozen=True, slots=True)
class ModelTerm:
    """One term: its columns of X, and the factors and numbers it is a product of, `atoms` in the order written."""

    name: str
    place: tuple[int, ...]
    atoms: tuple[Atom, ...]
    factors: frozenset[Atom]

    @property
    def numbers(self) -> frozenset[Atom]:
        return frozenset(self.atoms) - self.factors

    @property
    def is_intercept(self) -> bool:
        return not self.atoms

    def contains(self, other: ModelTerm) -> bool:
        """Return whether this term has the same numbers as another, all its factors and more."""
        return self.numbers == other.numbers and self.factors > other.factors


def model_terms(fit: Fit) -> list[ModelTerm]:
    """Return the terms of the fixed part in order."""
    fixed = fit.design.fixed
    encoding = encoding_of(fit.design)
    encoder = None if encoding is None else encoding.fixed.encoder
    factors = frozenset() if encoder is None else encoder.factors
    terms = []
    for index, name in enumerate(fixed.terms):
        place = tuple(j for j, of in enumerate(fixed.assign) if of == index)
        if place:
            atoms = _atoms(name, index, encoder)
            terms.append(ModelTerm(name, place, atoms, factors & frozenset(atoms)))
    return terms


def _atoms(name: str, index: int, encoder: DirectEncoder | None) -> tuple[Atom, ...]:
    """Return what a term is a product of; the polynomial of a spline is a thing of its own."""
    if encoder is not None and index < len(encoder.products):
        return encoder.products[index]
    return () if name == "1" else (column(name),)


def indicator_matrix(fit: Fit, terms: list[ModelTerm]) -> tuple[Array, dict[str, tuple[int, ...]]]:
    """Return the fixed part with an indicator for every level, (n, q), and each term's columns.

    Columns of a term that involve the first level of some factor come last.
    """
    blocks, orders = _blocks(fit, terms)
    places: dict[str, tuple[int, ...]] = {}
    start = 0
    for term, order in zip(terms, orders, strict=True):
        places[term.name] = tuple(range(start, start + len(order)))
        start += len(order)
    return np.hstack(blocks) if blocks else np.zeros((fit.design.n, 0)), places


def indicator_map(fit: Fit, terms: list[ModelTerm], *, back: bool = False) -> Array:
    """Return A (q, q) with written = computed·A for the columns of `indicator_matrix`, or with `back` its inverse.

    Powers of columns far from zero are computed about origins of their own, see `FixedTerms.written`.
    """
    encoder = _encoder(fit)
    blocks = [_indicator_parts(encoder, term) for term in terms]
    whole = written_map(blocks, encoder.origins, back=not back)
    kept, start = [], 0
    for block, order in zip(blocks, _blocks(fit, terms)[1], strict=True):
        kept += [start + j for j in order]
        start += math.prod(len(part.names()) for part in block)
    return whole[np.ix_(kept, kept)]


def _indicator_parts(encoder: DirectEncoder, term: ModelTerm) -> Block:
    """Return the parts of a term with an indicator for every level."""
    parts = []
    for atom in term.atoms:
        if atom in term.factors:
            levels = encoder.levels_of(atom)
            parts.append(Part(atom, code_levels(INDICATORS, list(levels), atom.label), levels))
        else:
            parts.append(next(part for block in encoder.blocks for part in block if part.atom == atom))
    return tuple(parts)


def _blocks(fit: Fit, terms: list[ModelTerm]) -> tuple[list[Array], list[list[int]]]:
    """Return the columns of each term that are not zero throughout, and their places in the product of its parts."""
    data = predictors(fit) if any(term.factors for term in terms) else {}
    blocks, orders = [], []
    for term in terms:
        block, order = _block(fit, term, terms, data)
        kept = np.flatnonzero(np.abs(block).max(axis=0, initial=0.0) > 0)
        blocks.append(block[:, kept])
        orders.append(order[kept].tolist())
    return blocks, orders


def _block(
    fit: Fit, term: ModelTerm, terms: list[ModelTerm], data: Mapping[str, Column]
) -> tuple[Array, NDArray[np.intp]]:
    if not term.factors:
        return fit._work.rows().fixed.matrix[:, list(term.place)], np.arange(len(term.place))
    encoder = _encoder(fit)
    n = fit.design.n
    block = np.ones((n, 1))
    first = np.zeros(1, dtype=bool)
    for atom in term.atoms:
        if atom in term.factors:
            columns = np.eye(len(encoder.levels_of(atom)))[encoder.codes_of(atom, data, n)]
            is_first = np.arange(columns.shape[1]) == 0
        else:
            columns = _number_columns(fit, atom, terms, data)
            is_first = np.zeros(columns.shape[1], dtype=bool)
        block = (columns[:, :, None] * block[:, None, :]).reshape(len(block), -1)
        first = (is_first[:, None] | first[None, :]).ravel()
    order = np.argsort(first, kind="stable")
    return block[:, order], order


def _number_columns(fit: Fit, atom: Atom, terms: list[ModelTerm], data: Mapping[str, Column]) -> Array:
    """Return the columns of a numeric atom: those of its own term if it has one, else computed."""
    for term in terms:
        if term.atoms == (atom,):
            return fit._work.rows().fixed.matrix[:, list(term.place)]
    return _encoder(fit).values_of(atom, data, fit.design.n)


def _encoder(fit: Fit) -> DirectEncoder:
    encoding = encoding_of(fit.design)
    assert encoding is not None
    return encoding.fixed.encoder
