"""The terms of the fixed part as products of factors and numbers, and their indicators of every level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..fit import Fit
from ..frame.column import Column
from ..syntax.algebra import Atom, column
from ..terms.encoder import DirectEncoder
from ..terms.encoding import encoding_of
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
    data = predictors(fit) if any(term.factors for term in terms) else {}
    blocks: list[Array] = []
    places: dict[str, tuple[int, ...]] = {}
    start = 0
    for term in terms:
        block = _block(fit, term, terms, data)
        block = block[:, np.abs(block).max(axis=0, initial=0.0) > 0]
        blocks.append(block)
        places[term.name] = tuple(range(start, start + block.shape[1]))
        start += block.shape[1]
    return np.hstack(blocks) if blocks else np.zeros((fit.design.n, 0)), places


def _block(fit: Fit, term: ModelTerm, terms: list[ModelTerm], data: Mapping[str, Column]) -> Array:
    if not term.factors:
        return fit.design.fixed.matrix[:, list(term.place)]
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
    return block[:, np.argsort(first, kind="stable")]


def _number_columns(fit: Fit, atom: Atom, terms: list[ModelTerm], data: Mapping[str, Column]) -> Array:
    """Return the columns of a numeric atom: those of its own term if it has one, else computed."""
    for term in terms:
        if term.atoms == (atom,):
            return fit.design.fixed.matrix[:, list(term.place)]
    return _encoder(fit).values_of(atom, data, fit.design.n)


def _encoder(fit: Fit) -> DirectEncoder:
    encoding = encoding_of(fit.design)
    assert encoding is not None
    return encoding.fixed.encoder
