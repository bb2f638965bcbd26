"""The random effects of one grouping factor, level by level: p effects of a level, and the rows that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..likelihood.responses import Responses
from ..terms.design import RandomTerm
from ..terms.stack import Stack
from ..typing import Array, Codes
from .gauss_hermite import MOST_DIMENSIONS

Effects = tuple[Array, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """All q levels of one grouping factor with p effects each, of one random term or several.

    Parameters
    ----------
    places
        Where the columns of every term stand among the p.
    sets
        The parameter set of each level by term, (q,) each.
    n_sets
        Number of sets of each term.
    codes
        Level of each row, (n,).
    order
        Rows in the order of levels, (n,).
    starts, seen, ordinals
        First row in that order of each level that has rows, these levels, and the place of each row's level among them.
    values
        Z of the C carriers of the stack in that order, (C, n, p), zero where a carrier does not read a column.
    carrier
        Carrier of each of the P predictors, −1 for none.
    """

    places: tuple[slice, ...]
    sets: tuple[Codes, ...]
    n_sets: tuple[int, ...]
    codes: Codes
    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    seen: NDArray[np.intp]
    ordinals: NDArray[np.intp]
    values: Array
    carrier: tuple[int, ...]

    @classmethod
    def of(cls, random: Sequence[RandomTerm], stack: Stack, chosen: Sequence[int] | None = None) -> Levels:
        """Return the levels of all terms or the chosen ones, which share their levels."""
        chosen = range(len(random)) if chosen is None else chosen
        first, places = 0, []
        for k in chosen:
            places.append(slice(first, first + random[k].n_columns))
            first = places[-1].stop
        codes = level_codes(stack, chosen[0])
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes, minlength=random[chosen[0]].n_levels)
        seen = np.flatnonzero(counts)
        values = np.zeros((len(stack.carriers), len(stack), first))
        for c, carrier in enumerate(stack.carriers):
            for place, k in zip(places, chosen, strict=True):
                own = carrier[k]
                if own is not None:
                    values[c, :, place] = own.dense_values()[order]
        starts = (np.cumsum(counts) - counts)[seen]
        ordinals = np.repeat(np.arange(len(seen)), counts[seen])
        sets, n_sets = tuple(random[k].sets for k in chosen), tuple(random[k].n_sets for k in chosen)
        return cls(tuple(places), sets, n_sets, codes, order, starts, seen, ordinals, values, stack.carrier)

    @property
    def dimensions(self) -> int:
        """p."""
        return int(self.places[-1].stop)

    @property
    def count(self) -> int:
        """q."""
        return len(self.sets[0])

    def joined(self, effects: Sequence[Array]) -> Array:
        """Return effects (q, p_t) by term as (q, p)."""
        return effects[0] if len(effects) == 1 else np.concatenate(effects, axis=1)

    def parted(self, effects: Array) -> Effects:
        """Return effects (q, p) by term."""
        return tuple(effects[:, place] for place in self.places)

    def roots(self, roots: Sequence[Array]) -> Array:
        """Return Λ of every level, (q, p, p), from those of the terms' sets."""
        if len(roots) == 1:
            return roots[0][self.sets[0]]
        out = np.zeros((self.count, self.dimensions, self.dimensions))
        for place, sets, own in zip(self.places, self.sets, roots, strict=True):
            out[:, place, place] = own[sets]
        return out

    def by_set(self, matrices: Array) -> tuple[Array, ...]:
        """Return sums over the levels of every set of the diagonal blocks of matrices (q, p, p), (sets, p_t, p_t)."""
        found = []
        for place, sets, number in zip(self.places, self.sets, self.n_sets, strict=True):
            own = matrices[:, place, place]
            out = np.zeros((number, *own.shape[1:]))
            np.add.at(out, sets, own)
            found.append(out)
        return tuple(found)

    def squares(self, carried: Array) -> Array:
        """Return Z'WZ of every level, (q, p, p), for W by carriers (C, C, n) in the order of the data."""
        out = np.zeros((self.count, self.dimensions, self.dimensions))
        for c, one in enumerate(self.values):
            for d, two in enumerate(self.values):
                weighted = one * carried[c, d][self.order][:, None]
                products = weighted[:, :, None] * two[:, None, :]
                out[self.seen] += np.add.reduceat(products, self.starts, axis=0)
        return out

    def covariances(self, matrices: Array) -> Array:
        """Return z_a'Vz_b of every row packed by predictors, (P(P + 1)/2, n), for V by level (q, p, p)."""
        own = matrices[self.codes[self.order]]
        turned = [np.einsum("np,npr->nr", one, own) for one in self.values]
        out = np.zeros((len(self.carrier) * (len(self.carrier) + 1) // 2, len(self.order)))
        pairs = [(a, b) for a in range(len(self.carrier)) for b in range(a + 1)]
        for k, (a, b) in enumerate(pairs):
            c, d = self.carrier[a], self.carrier[b]
            if c >= 0 and d >= 0:
                out[k][self.order] = np.einsum("np,np->n", turned[c], self.values[d])
        return out

    def batches(self, nodes: int, rows: int) -> list[Batch]:
        """Return the levels in batches of about so many rows times nodes at most."""
        found: list[Batch] = []
        first = 0
        ends = np.append(self.starts[1:], len(self.order))
        while first < len(self.seen):
            begin = int(self.starts[first])
            last = int(np.searchsorted(ends, begin + max(rows // nodes, 1), side="right"))
            last = max(last, first + 1)
            part = slice(begin, int(ends[last - 1]))
            found.append(Batch(slice(first, last), part, max(1, min(nodes, rows // (part.stop - begin)))))
            first = last
        return found


@dataclass(frozen=True, slots=True)
class Batch:
    """Levels (places in `Levels.seen`), their rows in the order of levels, and nodes to take at a time."""

    levels: slice
    rows: slice
    nodes: int


def repeated(responses: Responses, rows: NDArray[np.intp], times: int) -> Responses:
    """Return the responses of some rows, all of them so many times."""

    def of(values: Array | None) -> Array | None:
        return None if values is None else np.tile(values[rows], times)

    return Responses(
        np.tile(responses.y[rows], times),
        of(responses.trials),
        of(responses.weights),
        of(responses.frequency),
    )


def level_codes(stack: Stack, term: int) -> Codes:
    """Return the level of each row of a term, (n,)."""
    return next(own.codes for carrier in stack.carriers if (own := carrier[term]) is not None)


def by_factor(random: Sequence[RandomTerm], stack: Stack) -> list[list[int]]:
    """Return the terms by grouping factor: those of one have the same level in every row, whatever its name."""
    found: list[tuple[Codes, list[int]]] = []
    for k in range(len(random)):
        codes = level_codes(stack, k)
        own = next((terms for known, terms in found if np.array_equal(known, codes)), None)
        if own is None:
            found.append((codes, [k]))
        else:
            own.append(k)
    return [terms for _, terms in found]


def refuse_other_layouts(random: Sequence[RandomTerm], stack: Stack) -> None:
    """Raise `SpecError` unless all random effects are of independent levels of one factor, three a level at most."""
    known = [term.known.name for term in random if term.known is not None]
    if known:
        raise SpecError(
            f"method='quadrature' integrates level by level, and cov={known[0]} makes levels depend on one another; "
            "use method='laplace'."
        )
    factors = by_factor(random, stack)
    if len(factors) > 1 or any(term.smooth for term in random):
        names = dict.fromkeys(term.label if term.smooth else term.group for term in random)
        raise SpecError(
            f"method='quadrature' is for random effects of one grouping factor, and here there are {', '.join(names)}: "
            "with crossed or nested factors the integral does not fall into parts of a few dimensions; use "
            "method='laplace'."
        )
    dimensions = sum(term.n_columns for term in random)
    if dimensions > MOST_DIMENSIONS:
        raise SpecError(
            f"method='quadrature' takes {MOST_DIMENSIONS} random effects a level at most, and a level of "
            f"{random[0].group} has {dimensions}: {', '.join(c for term in random for c in term.columns)}; use "
            "method='laplace', or fewer random slopes."
        )
