"""Cross-products of a model's rows, summed from batches of them in any split.

A part sums the products of [1, x − c, y − m − (x − c)b] and of [1, z − c_z] by level, in the provisional frame
(c, m, b, c_z) of its own batch: means and a least-squares line, so that nothing that is squared is far from zero.
Going to another frame is linear in the columns, hence exact on the sums: `merge` takes both parts to the means and the
line of all their rows and unites their levels by label. The coordinates in which equations work, which need all rows,
are one more linear map at the end; see `blocked.from_products`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..kernels import level_products
from ..terms.rank import ColumnMoments
from ..terms.rows import Rows
from ..typing import Array, Codes
from .layout import Layout
from .standardise import dense_products

UNSEEN = 1e-10
"""Eigenvalues of correlations below which a direction of X has no part in the provisional line."""

Labels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TermForm:
    """One random term: the number of its grouping factor, its columns, and which of them is ones (None for none)."""

    factor: int
    width: int
    ones: int | None


@dataclass(frozen=True, slots=True)
class Form:
    """What every batch has in common: the rank of X, and the random terms."""

    rank: int
    terms: tuple[TermForm, ...]

    @classmethod
    def of(cls, layout: Layout, ones: Sequence[int | None]) -> Form:
        """Return the form of a layout, given which column of every term is ones.

        Terms of one grouping factor share their levels; one with a known covariance has levels of its own.
        """
        keys = [(t.group, k if t.known is not None else -1) for k, t in enumerate(layout.terms)]
        number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        terms = zip(keys, layout.terms, ones, strict=True)
        return cls(layout.rank, tuple(TermForm(number[key], t.n_columns, one) for key, t, one in terms))

    @property
    def n_factors(self) -> int:
        return len({term.factor for term in self.terms})

    def members(self, factor: int) -> list[int]:
        """Return the terms of a factor."""
        return [k for k, term in enumerate(self.terms) if term.factor == factor]

    def places(self, factor: int) -> dict[int, list[int]]:
        """Return, by term of a factor, where its columns stand among those that are summed: 0 holds ones."""
        at, out = 1, {}
        for k in self.members(factor):
            place = []
            for j in range(self.terms[k].width):
                place.append(0 if j == self.terms[k].ones else at)
                at += place[-1] > 0
            out[k] = place
        return out

    def width(self, factor: int) -> int:
        """Return the number of columns that are summed for a factor."""
        return 1 + max(max(place) for place in self.places(factor).values())


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What is taken off columns before they are squared: c (r,), m, b (r,), and c_z by factor (0 for ones)."""

    centre: Array
    level: float
    line: Array
    random: tuple[Array, ...]

    def to(self, other: Frame) -> Array:
        """Return T (r+2, r+2) with [1, x − c', y − m' − (x − c')b'] = [1, x − c, y − m − (x − c)b]T."""
        out = np.eye(len(self.centre) + 2)
        gap = self.centre - other.centre
        out[0, 1:-1] = gap
        out[1:-1, -1] = self.line - other.line
        out[0, -1] = self.level - other.level - gap @ other.line
        return out

    def random_to(self, other: Frame, factor: int) -> Array:
        """Return s (p,) with [1, z − c_z'] = [1, z − c_z] + 1s' of a factor."""
        return np.asarray(self.random[factor] - other.random[factor])


@dataclass(frozen=True, slots=True, eq=False)
class LevelSums:
    """Of one factor: labels in order, (q,), Z'WZ by level (q, p, p) and Z'W[1 x y] (q, p, r+2)."""

    labels: Labels
    block: Array
    dense: Array


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """Levels of two factors that meet in some row, in order, (m,) each, and Z_1'WZ_2 of each pair, (m, p_1, p_2)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    values: Array


@dataclass(frozen=True, slots=True, eq=False)
class CrossProducts:
    """The cross-products of n rows.

    Parameters
    ----------
    form
        What all batches have in common.
    n, log_weights
        Number of rows, and −Σ log w.
    frame
        What was taken off the columns.
    gram
        The products of [1 x y], (r+2, r+2).
    factors, pairs
        Sums by level, and by pairs of levels of two factors i < j.
    """

    form: Form
    n: int
    log_weights: float
    frame: Frame
    gram: Array
    factors: tuple[LevelSums, ...]
    pairs: dict[tuple[int, int], PairSums]

    @classmethod
    def accumulate(
        cls,
        form: Form,
        rows: Rows,
        labels: Sequence[Labels],
        threads: int = 1,
        frame: Frame | None = None,
    ) -> CrossProducts:
        """Return the cross-products of a batch of rows.

        Parameters
        ----------
        form
            What all batches have in common.
        rows
            The batch, at least one row; columns of X and Z as written.
        labels
            For every factor what its level codes stand for: distinct numbers or distinct strings, (q,). Batches may
            code levels as they like.
        threads
            Native threads that may be used.
        frame
            What to take off the columns; means and a line of the batch by default.

        Raises
        ------
        DataError
            Where there are no rows, labels are not distinct or of mixed types, or a column of ones holds others.
        """
        if not len(rows):
            raise DataError("a batch of cross-products has no rows; leave it out.")
        _check_ones(form, rows)
        x = np.ascontiguousarray(rows.x, dtype=float)
        columns = np.empty((len(x), x.shape[1] + 1))
        columns[:, 0], columns[:, 1:] = 1.0, x
        sums = _Batch(form, rows, columns, threads)
        sums.settle(ColumnMoments.of(x, threads).mean if frame is None else None, frame)
        levels = [_levels(form, rows, f, labels[f]) for f in range(form.n_factors)]
        factors, pairs = [], {}
        for f in range(form.n_factors):
            own, met = sums.by_level(f, levels)
            factors.append(own)
            pairs.update(met)
        weights = rows.weights
        log_weights = 0.0 if weights is None else -float(np.log(weights).sum())
        return cls(form, len(rows), log_weights, sums.frame, sums.gram, tuple(factors), pairs)

    def merge(self, other: CrossProducts) -> CrossProducts:
        """Return the cross-products of the rows of both.

        Raises
        ------
        DataError
            Where forms differ, or labels of a factor are numbers in one and strings in the other.
        """
        if self.form != other.form:
            raise DataError(
                f"cross-products of different models cannot be merged: {self.form} and {other.form}. Accumulate "
                "every batch by the same form."
            )
        frame = self._common_frame(other)
        one, two = self.in_frame(frame), other.in_frame(frame)
        both = list(zip(one.factors, two.factors, strict=True))
        united = [_unite(f, a.labels, b.labels) for f, (a, b) in enumerate(both)]
        factors = tuple(_add(a, b, *to) for (a, b), to in zip(both, united, strict=True))
        pairs = {
            (i, j): add_pairs(
                [_recoded(one.pairs[i, j], united[i][1], united[j][1]),
                 _recoded(two.pairs[i, j], united[i][2], united[j][2])],
                len(united[j][0]),
            )
            for i, j in one.pairs
        }  # fmt: skip
        gram = one.gram + two.gram
        return CrossProducts(
            self.form, self.n + other.n, self.log_weights + other.log_weights, frame, gram, factors, pairs
        )

    def _common_frame(self, other: CrossProducts) -> Frame:
        """Return the means and the line of the rows of both."""
        share = other.n / (self.n + other.n)
        mine, theirs = self.frame, other.frame
        centre = mine.centre + share * (theirs.centre - mine.centre)
        random = tuple(a + share * (b - a) for a, b in zip(mine.random, theirs.random, strict=True))
        base = mine if share <= 0.5 else theirs
        level = base.level + float((centre - base.centre) @ base.line)
        common = Frame(centre, level, base.line, random)
        gram = sum(part.gram_in(common) for part in (self, other))
        return with_line(common, np.asarray(gram))

    def gram_in(self, frame: Frame) -> Array:
        """Return the products of [1 x y] in another frame."""
        turn = self.frame.to(frame)
        return np.asarray(turn.T @ self.gram @ turn)

    def in_frame(self, frame: Frame) -> CrossProducts:
        """Return the same sums in another frame."""
        turn = self.frame.to(frame)
        own = [self.frame.random_to(frame, f) for f in range(len(self.factors))]
        factors = tuple(
            LevelSums(
                f.labels, _shifted(_shifted(f.block, s, 1), s, 2), _shifted(_turned(f.dense, turn), s, 1)
            )
            for f, s in zip(self.factors, own, strict=True)
        )
        pairs = {
            (i, j): replace(pair, values=_shifted(_shifted(pair.values, own[i], 1), own[j], 2))
            for (i, j), pair in self.pairs.items()
        }
        return replace(self, frame=frame, gram=self.gram_in(frame), factors=factors, pairs=pairs)


def _shifted(values: Array, shift: Array, axis: int) -> Array:
    """Return sums with columns along an axis moved by multiples of the first, which is of ones."""
    if not shift.any():
        return values
    out = np.moveaxis(values.copy(), axis, 0)
    for j in np.flatnonzero(shift):
        out[j] += shift[j] * np.take(values, 0, axis)
    return np.moveaxis(out, 0, axis)


def _turned(dense: Array, turn: Array) -> Array:
    return np.asarray((dense.reshape(-1, len(turn)) @ turn).reshape(dense.shape))


def with_line(frame: Frame, gram: Array) -> Frame:
    """Return a frame with the least-squares line of the sums that are in it."""
    total, mean = gram[0, 0], gram[0] / gram[0, 0]
    about = gram - total * np.outer(mean, mean)
    size = np.sqrt(np.maximum(np.diagonal(about)[1:-1], 0.0))
    seen = size > 0
    size = np.where(seen, size, 1.0)
    correlation = about[1:-1, 1:-1] / np.outer(size, size)
    values, vectors = np.linalg.eigh(np.where(np.outer(seen, seen), correlation, 0.0))
    taken = values > UNSEEN
    inverse = (vectors[:, taken] / values[taken]) @ vectors[:, taken].T
    step = np.where(seen, inverse @ (about[1:-1, -1] / size) / size, 0.0)
    level = frame.level + float(mean[-1] - mean[1:-1] @ step)
    return replace(frame, level=level, line=frame.line + step)


class _Batch:
    """The sums of one batch of rows in the making."""

    def __init__(self, form: Form, rows: Rows, columns: Array, threads: int) -> None:
        self.form, self.rows, self.columns, self.threads = form, rows, columns, threads
        self.frame: Frame
        self.gram: Array
        self._values: list[Array] = []

    def settle(self, mean: Array | None, given: Frame | None = None) -> None:
        """Choose the frame of the batch, by the means of X or one that is given, and sum its dense columns."""
        centres = []
        for f in range(self.form.n_factors):
            values, centre = self._random_columns(f, None if given is None else given.random[f])
            self._values.append(values)
            centres.append(centre)
        if given is not None:
            self.frame = given
        else:
            assert mean is not None
            frame = Frame(mean, float(self.rows.y.mean()), np.zeros(len(mean)), tuple(centres))
            self.frame = with_line(frame, self._dense(frame))
        self.gram = self._dense(self.frame)

    def _random_columns(self, f: int, given: Array | None) -> tuple[Array, Array]:
        """Return [1, z − c_z] of a factor, (n, p), and c_z (p,), which are means unless given."""
        out = np.ones((len(self.rows), self.form.width(f)))
        centre = np.zeros(out.shape[1])
        for k, place in self.form.places(f).items():
            values = self.rows.random[k].values
            for j, at in enumerate(place):
                if at and values is not None:
                    own = values[:, j]
                    centre[at] = own[0] + float((own - own[0]).mean()) if given is None else given[at]
                    np.subtract(values[:, j], centre[at], out=out[:, at])
        return out, centre

    def _transform(self, frame: Frame) -> tuple[Array, Array, Array]:
        r = len(frame.centre)
        return np.r_[0.0, frame.centre], np.ones(r + 1), np.r_[frame.level, frame.line]

    def _dense(self, frame: Frame) -> Array:
        rows = self.rows
        return dense_products(self.columns, rows.y, rows.weights, self._transform(frame), self.threads)

    def by_level(
        self, f: int, levels: Sequence[tuple[Labels, Codes]]
    ) -> tuple[LevelSums, dict[tuple[int, int], PairSums]]:
        """Return the sums of a factor, and of its pairs with the factors after it."""
        native = [
            (codes, v if v.shape[1] > 1 else None, v.shape[1], len(labels))
            for (labels, codes), v in zip(levels, self._values, strict=True)
        ]
        transform, rows = self._transform(self.frame), self.rows
        block, dense, start, column, values = level_products(
            native[f], native[f + 1 :], self.columns, rows.y, *transform, rows.weights, self.threads
        )
        _, _, p, q = native[f]
        own = LevelSums(levels[f][0], block.reshape(q, p, p), dense.reshape(q, p, -1))
        others = [(width, count) for _, _, width, count in native[f + 1 :]]
        met = pairs_by_factor(start, column, values.reshape(-1, p), others)
        return own, {(f, g): pair for g, pair in enumerate(met, f + 1)}


def _check_ones(form: Form, rows: Rows) -> None:
    for k, (term, own) in enumerate(zip(form.terms, rows.random, strict=True)):
        if own.values is None:
            if (term.width, term.ones) != (1, 0):
                raise DataError(
                    f"random term {k} of a batch has no Z values, but its form has columns besides ones."
                )
        elif term.ones is not None and not (own.values[:, term.ones] == 1.0).all():
            raise DataError(
                f"column {term.ones} of random term {k} is not ones in every row, as its form says."
            )


def _levels(form: Form, rows: Rows, f: int, labels: Labels) -> tuple[Labels, Codes]:
    """Return the labels of a factor that have rows, in order, and the rows' codes among them."""
    codes = rows.random[form.members(f)[0]].codes
    for k in form.members(f)[1:]:
        if not np.array_equal(rows.random[k].codes, codes):
            raise DataError(f"random terms of factor {f} have different level codes in a batch.")
    present = np.flatnonzero(np.bincount(codes, minlength=len(labels)))
    known, place = np.unique(ordered_labels(labels)[present], return_inverse=True)
    if len(known) != len(present):
        raise DataError(f"labels of factor {f} are not distinct: {len(present)} levels, {len(known)} labels.")
    own = np.zeros(len(labels), dtype=np.int32)
    own[present] = place
    return known, own[codes]


def ordered_labels(labels: Labels) -> Labels:
    """Return labels as an array of one type that has an order."""
    found = np.asarray(labels)
    if found.dtype == object:
        kinds = {type(v) for v in found}
        if len(kinds) > 1:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise DataError(f"labels of levels are of several types ({names}); make them numbers or strings.")
        found = np.array(found.tolist())
    if found.ndim != 1 or found.dtype.kind not in "biufUSMm":
        raise DataError(f"labels of levels must be numbers, strings or times, not {found.dtype}.")
    return found


def _unite(f: int, one: Labels, two: Labels) -> tuple[Labels, NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels of two dictionaries in order, and where those of each stand among them."""
    if one.dtype.kind != two.dtype.kind:
        raise DataError(
            f"labels of factor {f} are {one.dtype} in one part and {two.dtype} in another; read the column as one type."
        )
    labels = np.union1d(one, two)
    return labels, np.searchsorted(labels, one), np.searchsorted(labels, two)


def _add(
    one: LevelSums, two: LevelSums, labels: Labels, first: NDArray[np.int64], second: NDArray[np.int64]
) -> LevelSums:
    block = np.zeros((len(labels), *one.block.shape[1:]))
    dense = np.zeros((len(labels), *one.dense.shape[1:]))
    for part, place in ((one, first), (two, second)):
        block[place] += part.block
        dense[place] += part.dense
    return LevelSums(labels, block, dense)


def pairs_by_factor(
    start: NDArray[Any], column: NDArray[Any], values: Array, others: Sequence[tuple[int, int]]
) -> list[PairSums]:
    """Return the pairs of the levels of a factor with those of others, from rows of `level_products`.

    Parameters
    ----------
    start, column
        Where the columns of each level begin, (q + 1,), and the columns themselves, those of the others side by side.
    values
        Z_1'WZ_2 of every column, (m, p).
    others
        Columns of a level, and number of levels, of every other factor.
    """
    level = np.repeat(np.arange(len(start) - 1, dtype=np.int64), np.diff(start).astype(np.intp))
    at: NDArray[np.int64] = np.asarray(column, dtype=np.int64)
    out, first = [], 0
    for width, count in others:
        last = first + width * count
        inside = slice(None) if len(others) == 1 else (at >= first) & (at < last)
        met = values[inside].reshape(-1, width, values.shape[1]).transpose(0, 2, 1)
        second = (at[inside][::width] - first) // width
        out.append(PairSums(level[inside][::width], second, np.ascontiguousarray(met)))
        first = last
    return out


def _recoded(pair: PairSums, first: NDArray[np.int64], second: NDArray[np.int64]) -> PairSums:
    return PairSums(first[pair.first], second[pair.second], pair.values)


def add_pairs(parts: list[PairSums], count: int) -> PairSums:
    keys = np.concatenate([part.first * count + part.second for part in parts])
    found, place = np.unique(keys, return_inverse=True)
    values, at = np.zeros((len(found), *parts[0].values.shape[1:])), 0
    for part in parts:
        # keys of one part are distinct
        values[place[at : at + len(part.first)]] += part.values
        at += len(part.first)
    return PairSums(found // count, found % count, values)
