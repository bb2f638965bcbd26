"""Which factors of which terms lose a level, so that the columns are not redundant by construction.

The rule is the one of formulaic (and patsy): a term spans the products of (1 + reduced factor) over its
factors; what earlier terms span already is left out, and what remains is joined again into as few blocks of
columns as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import TypeAlias

from ..syntax.algebra import Atom, Term

Scoped: TypeAlias = tuple[tuple[Atom, bool], ...]
"""Atoms of one block of columns, each with whether it is coded without one level."""


def scope(terms: Iterable[Term], is_factor: Callable[[Atom], bool]) -> list[list[Scoped]]:
    """Return for each term the blocks of columns it adds to those of the terms before it.

    Examples
    --------
    >>> from mixedmodels.syntax.algebra import column
    >>> a, b = column("a"), column("b")
    >>> blocks = scope([(), (a,), (a, b)], lambda atom: True)
    >>> [[[(atom.label, reduced) for atom, reduced in block] for block in term] for term in blocks]
    [[[]], [[('a', True)]], [[('a', False), ('b', True)]]]
    """
    spanned: set[frozenset[tuple[Atom, bool]]] = set()
    blocks = []
    for term in terms:
        choices = [((atom, True), None) if is_factor(atom) else ((atom, False),) for atom in term]
        new: dict[frozenset[tuple[Atom, bool]], Scoped] = {}
        for chosen in product(*choices):
            scoped = tuple(part for part in chosen if part is not None)
            if (key := _key(scoped)) not in spanned:
                new.setdefault(key, scoped)
        spanned.update(new)
        blocks.append(_join(list(new.values())))
    return blocks


def _key(scoped: Scoped) -> frozenset[tuple[Atom, bool]]:
    return frozenset(scoped)


def _join(scoped_terms: list[Scoped]) -> list[Scoped]:
    """Apply (rest):(reduced factor) + (rest) = (rest):(full factor) until nothing more joins."""
    joined: list[Scoped] = []
    for scoped in sorted(scoped_terms, key=len):
        partner = _partner(joined, scoped)
        if partner is None:
            joined.append(scoped)
        else:
            existing, widened = partner
            joined = _join([other for other in joined if other is not existing] + [widened])
    return joined


def _partner(joined: list[Scoped], scoped: Scoped) -> tuple[Scoped, Scoped] | None:
    for existing in joined:
        extra = [part for part in scoped if part not in existing]
        if len(extra) == 1 and len(existing) == len(scoped) - 1 and extra[0][1]:
            return existing, tuple(
                (atom, False) if (atom, r) == extra[0] else (atom, r) for atom, r in scoped
            )
    return None
