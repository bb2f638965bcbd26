"""The terms of the fixed part as products of factors and numbers, and their indicators of every level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..frame.column import Column
from ..syntax.algebra import Atom
from ..syntax.tokens import Kind, tokenize
from ..terms.encoder import DirectEncoder, atom_values
from ..terms.encoding import encoding_of
from ..typing import Array, Labels
from .predictors import predictors


@dataclass(frozen=True, slots=True)
class ModelTerm:
    """One term: its columns of X, and the factors and numbers it is a product of."""

    name: str
    place: tuple[int, ...]
    factors: frozenset[str]
    numbers: frozenset[str]

    @property
    def is_intercept(self) -> bool:
        return not self.factors and not self.numbers

    def contains(self, other: ModelTerm) -> bool:
        """Return whether this term has the same numbers as another, all its factors and more."""
        return self.numbers == other.numbers and self.factors > other.factors


def model_terms(fit: Fit) -> list[ModelTerm]:
    """Return the terms of the fixed part in order."""
    fixed = fit.design.fixed
    factors = _factor_names(fit)
    terms = []
    for index, name in enumerate(fixed.terms):
        place = tuple(j for j, of in enumerate(fixed.assign) if of == index)
        if place:
            atoms = () if name == "1" else split_term(name)
            own = frozenset(atom for atom in atoms if atom in factors)
            terms.append(ModelTerm(name, place, own, frozenset(atoms) - own))
    return terms


def split_term(name: str) -> Labels:
    """Return the atoms of an interaction: `"a:log(x)"` → `("a", "log(x)")`.

    Examples
    --------
    >>> split_term("a:C(b):poly(x, 2)")
    ('a', 'C(b)', 'poly(x, 2)')
    """
    parts, depth, start = [], 0, 0
    for i, character in enumerate(name):
        depth += (character in "([") - (character in ")]")
        if character == ":" and depth == 0:
            parts.append(name[start:i])
            start = i + 1
    return tuple(part.strip() for part in (*parts, name[start:]))


def _factor_names(fit: Fit) -> set[str]:
    """Return the atoms that stand for levels: `sex`, `C(week)`."""
    encoding = encoding_of(fit.design)
    if encoding is None:
        return set()
    encoder = encoding.fixed.encoder
    if isinstance(encoder, DirectEncoder):
        return {part.atom.label for block in encoder.blocks for part in block if part.levels is not None}
    names = {atom for name in encoder.terms for atom in split_term(name)}
    levels = set(getattr(encoder, "levels", ()))
    return {name for name in names if name.strip("`") in levels or _coded_variable(name)}


def _coded_variable(atom: str) -> str:
    """Return the variable of `C(x)` or `C(x, …)`, empty for anything else."""
    tokens = tokenize(atom)
    coded = (
        len(tokens) >= 4
        and (tokens[0].text, tokens[1].text) == ("C", "(")
        and tokens[2].kind in (Kind.NAME, Kind.QUOTED)
    )
    return tokens[2].text.strip("`") if coded else ""


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
    x = fit.design.fixed.matrix
    if not term.factors:
        return x[:, list(term.place)]
    block = np.ones((fit.design.n, 1))
    first = np.zeros(1, dtype=bool)
    for atom in split_term(term.name):
        if atom in term.factors:
            name = atom.strip("`")
            # a column may be called anything, `the arm` or `C(x)`, so that its own name comes first
            codes = data[name if name in data else _coded_variable(atom)].factor()
            assert codes.levels is not None
            columns = np.eye(len(codes.levels))[codes.values]
            is_first = np.arange(len(codes.levels)) == 0
        else:
            columns = _number_columns(fit, atom, terms, data)
            is_first = np.zeros(columns.shape[1], dtype=bool)
        block = (columns[:, :, None] * block[:, None, :]).reshape(len(block), -1)
        first = (is_first[:, None] | first[None, :]).ravel()
    return block[:, np.argsort(first, kind="stable")]


def _number_columns(fit: Fit, atom: str, terms: list[ModelTerm], data: Mapping[str, Column]) -> Array:
    """Return the columns of a numeric atom: those of its own term if it has one, else computed."""
    for term in terms:
        if term.name == atom:
            return fit.design.fixed.matrix[:, list(term.place)]
    encoding = encoding_of(fit.design)
    if encoding is not None and isinstance(encoding.fixed.encoder, DirectEncoder):
        parts: list[Atom] = [part.atom for block in encoding.fixed.encoder.blocks for part in block]
        found = next((each for each in parts if each.label == atom), None)
        if found is not None:
            return atom_values(found, data)[:, None]
    raise SpecError(
        f"type=3: the columns of {atom!r} cannot be told from its interactions; add {atom} as a term, "
        "or use type=2."
    )
