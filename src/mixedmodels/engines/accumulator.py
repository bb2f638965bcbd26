"""Cross-products of rows that come in batches, summed in one place.

`CrossProducts.merge` takes both parts to a frame of their own, which is exact and costs a pass over all levels. Here
the frame of the first batch serves all others, so that a batch costs its own levels alone. Where its means lie d
standard deviations of all rows from theirs, cancellation takes 2·log10(d) digits, and a batch that is a share s of all
rows lies at most √((1 − s)/s) away. Taking the sums to the means and the line of all rows at the end is linear, hence
exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..formats import size_text
from ..terms.rows import Rows
from ..typing import Array, Codes
from .cross_products import CrossProducts, Form, Frame, Labels, LevelSums, PairSums, add_pairs, with_line


class Accumulator:
    """The sums of a model's rows in the making; level codes are 0, 1, … in order of first appearance.

    Parameters
    ----------
    form
        What all batches have in common.
    room
        Bytes that sums may take.
    labels
        Names of the grouping factors, for messages.
    """

    def __init__(self, form: Form, room: float, labels: tuple[str, ...], threads: int = 1) -> None:
        self.form, self.room, self.names, self.threads = form, room, labels, threads
        self.n, self.log_weights = 0, 0.0
        self.frame: Frame | None = None
        self._gram: Array | None = None
        self._levels = [_Growing(form.width(f), form.rank + 2) for f in range(form.n_factors)]
        self._pairs: dict[tuple[int, int], list[PairSums]] = {}

    def add(self, rows: Rows, counts: list[int]) -> None:
        """Add a batch of at least one row, `counts` being the levels of every factor so far."""
        self._check_room(counts)
        # of rows in the order of their levels a batch has a few of these alone
        spans = [(int(codes.min()), int(codes.max())) for codes in self._codes(rows)]
        labels: list[Labels] = [np.arange(low, high + 1) for low, high in spans]
        moved = [
            replace(own, codes=own.codes - np.int32(spans[term.factor][0])) if spans[term.factor][0] else own
            for own, term in zip(rows.random, self.form.terms, strict=True)
        ]
        rows = replace(rows, random=tuple(moved))
        part = CrossProducts.accumulate(self.form, rows, labels, self.threads, frame=self.frame)
        self.frame = part.frame
        self.n += part.n
        self.log_weights += part.log_weights
        self._gram = part.gram if self._gram is None else self._gram + part.gram
        for store, sums, count in zip(self._levels, part.factors, counts, strict=True):
            store.add(sums, count)
        for (i, j), pair in part.pairs.items():
            first, second = part.factors[i].labels[pair.first], part.factors[j].labels[pair.second]
            self._add_pair((i, j), PairSums(first, second, pair.values))

    def _codes(self, rows: Rows) -> list[Codes]:
        """Return the codes of every factor, (n,)."""
        return [rows.random[self.form.members(f)[0]].codes for f in range(self.form.n_factors)]

    def _check_room(self, counts: list[int]) -> None:
        for f, count in enumerate(counts):
            width = self.form.width(f)
            size = 8.0 * count * width * (width + self.form.rank + 2) * COPIES
            if size > self.room:
                raise DataError(
                    f"grouping factor {self.names[f]!r} has {count:,} levels so far, whose sums take "
                    f"{size_text(size)}, more than the {size_text(self.room)} of control.memory. Use a factor of fewer "
                    "levels, a term of fewer columns, or control=mm.Control(memory=…)."
                )

    def _add_pair(self, key: tuple[int, int], pair: PairSums) -> None:
        """Keep sums of pairs in parts that double in size, so that each is merged a few times only."""
        parts = self._pairs.setdefault(key, [])
        parts.append(pair)
        while len(parts) > 1 and 2 * len(parts[-1].first) >= len(parts[-2].first):
            last = parts.pop()
            parts[-1] = add_pairs([parts[-1], last], PAIR_STRIDE)
        size = 8.0 * sum(part.values.size + 2 * len(part.first) for part in parts) * COPIES
        if size > self.room:
            names = " and ".join(repr(self.names[f]) for f in key)
            raise DataError(
                f"levels of {names} meet in so many pairs that their sums take {size_text(size)}, more than the "
                f"{size_text(self.room)} of control.memory. Use factors of fewer levels, or "
                "control=mm.Control(memory=…)."
            )

    def finish(self, labels: list[Labels]) -> CrossProducts:
        """Return the sums about the means and the line of all rows, `labels` naming the levels of every factor.

        The accumulator cannot be used any more.
        """
        if self.frame is None or self._gram is None:
            raise DataError("the data have no complete rows.")
        orders = [np.argsort(own, kind="stable") for own in labels]
        places = [np.argsort(order, kind="stable") for order in orders]
        factors = []
        for f, order in enumerate(orders):
            factors.append(self._levels[f].ordered(labels[f][order], order))
            self._levels[f] = _Growing(1, 1)
        pairs = {}
        for (i, j), parts in self._pairs.items():
            pair = add_pairs(parts, PAIR_STRIDE) if len(parts) > 1 else parts[0]
            moved = PairSums(places[i][pair.first], places[j][pair.second], pair.values)
            pairs[i, j] = add_pairs([moved], len(labels[j]))
        self._pairs = {}
        sums = CrossProducts(
            self.form, self.n, self.log_weights, self.frame, self._gram, tuple(factors), pairs
        )
        return about_all_rows(sums)


COPIES = 4.0
"""Copies of the sums that are held at once while a model is fitted to them."""
PAIR_STRIDE = 1 << 31
"""More than there can be levels of a factor."""


def about_all_rows(sums: CrossProducts) -> CrossProducts:
    """Return the same sums about the means and the least-squares line of their rows."""
    total = sums.gram[0, 0]
    step = sums.gram[0, 1:-1] / total
    # a column that is its centre in every row stays so
    centre = np.where(np.diagonal(sums.gram)[1:-1] == 0.0, sums.frame.centre, sums.frame.centre + step)
    random = []
    for f, own in enumerate(sums.frame.random):
        ones = sums.factors[f].block[:, 0].sum(axis=0)
        random.append(np.where(np.arange(len(own)) == 0, 0.0, own + ones / ones[0]))
    level = sums.frame.level + float((centre - sums.frame.centre) @ sums.frame.line)
    frame = Frame(centre, level, sums.frame.line, tuple(random))
    return sums.in_frame(with_line(frame, sums.gram_in(frame)))


class _Growing:
    """Sums by level in arrays that grow as levels appear."""

    def __init__(self, width: int, dense: int) -> None:
        self.count = 0
        self.block = np.zeros((0, width, width))
        self.dense = np.zeros((0, width, dense))

    def add(self, sums: LevelSums, count: int) -> None:
        if count > len(self.block):
            room = max(count, min(2 * len(self.block), len(self.block) + (1 << 20)))
            self.block, self.dense = (_larger(values, room) for values in (self.block, self.dense))
        self.count = count
        own: NDArray[np.intp] = sums.labels
        # levels of one batch are distinct
        self.block[own] += sums.block
        self.dense[own] += sums.dense

    def ordered(self, labels: Labels, order: NDArray[np.intp]) -> LevelSums:
        return LevelSums(labels, self.block[order], self.dense[order])


def _larger(values: Array, room: int) -> Array:
    out = np.zeros((room, *values.shape[1:]))
    out[: len(values)] = values
    return out


def some_columns(sums: CrossProducts, kept: tuple[int, ...]) -> CrossProducts:
    """Return the sums of some columns of X, about the line of those."""
    if len(kept) == sums.form.rank:
        return sums
    places = np.array([0, *(1 + j for j in kept), sums.form.rank + 1])
    frame = sums.frame
    # y without its line first, which had other columns
    bare = sums.in_frame(replace(frame, line=np.zeros_like(frame.line)))
    chosen = list(kept)
    less = Frame(frame.centre[chosen], frame.level, np.zeros(len(kept)), frame.random)
    found = CrossProducts(
        replace(sums.form, rank=len(kept)),
        sums.n,
        sums.log_weights,
        less,
        bare.gram[np.ix_(places, places)],
        tuple(LevelSums(f.labels, f.block, f.dense[:, :, places]) for f in bare.factors),
        bare.pairs,
    )
    return found.in_frame(with_line(less, found.gram))
