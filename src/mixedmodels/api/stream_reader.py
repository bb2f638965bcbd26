"""Batches of columns → rows of a model: what is learned of a stream before its rows are summed, and how they are read.

Levels of factors of the fixed part are found in a reading of their columns alone, since they are columns of X; grouping
factors are coded as their levels appear. What else a formula learns from data — knots, quantiles, means of `scale` —
would take a reading of its own and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..errors import DataError, Severity, SpecError, Status
from ..frame.column import Column
from ..frame.dictionary import Dictionary
from ..frame.ingest import build_frame, group_columns, model_columns, positive_weights
from ..frame.meter import Meter
from ..frame.missing import check_finite
from ..frame.readers import Source
from ..frame.schema import FrameSchema
from ..frame.stream import Batch, Stream
from ..spec import ModelSpec
from ..syntax.algebra import Atom, expand
from ..table import Backend
from ..terms.build import LARGEST, SMALLEST
from ..terms.design import FixedTerms, RandomTerm
from ..terms.encoding import Encoding
from ..terms.fixed import build_fixed
from ..terms.functions import OwnFunctions
from ..terms.number import NumberEncoding, learn_number
from ..terms.random import bind_term
from ..terms.rows import FixedRows, Rows, TermRows
from ..terms.size import check_levels
from ..typing import Codes


def not_streamed(spec: ModelSpec, known: Mapping[str, Any] | None, subset: Any, weights: Any) -> str:
    """Return why a model needs its rows in memory; empty where it does not."""
    by = next((term for term in spec.random if term.by), None)
    placed = next((term for term in spec.random if term.coordinates or term.structure.name == "kron"), None)
    for reason, present in (
        ("residual= needs the rows of whole clusters", spec.residual is not None),
        ("variance= moves the weights of rows with its parameters", bool(spec.variance)),
        ("a smooth takes its knots from all rows", bool(spec.smooths)),
        ("known= matrices have levels of their own", bool(known)),
        ("subset= picks rows by their place", subset is not None),
        ("weights given as an array have one value for each row; name a column", weights is not None),
        ("bounds='none' needs equations with signed pivots", spec.bounds != "psd"),
        ("na='exclude' keeps places for rows", spec.na == "exclude"),
        ("known sampling variances belong to rows", spec.sampling),
        (f"{by}: by= divides levels by what is known when all rows are", by is not None),
        (f"{placed}: its columns are the points of all rows", placed is not None),
        ("generalised models reweight rows at every step", spec.likelihood is not None),
    ):
        if present:
            return reason
    return ""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """How batches become rows.

    Parameters
    ----------
    spec
        What was asked.
    names
        Columns that are read.
    levels
        Levels of the factors among the columns of X and Z, in order.
    fixed
        The columns of X; its rank is found out later.
    random
        The random terms, whose levels are not known yet.
    encoding
        How rows of X, Z and offsets are computed.
    response
        How the response is.
    schema
        The columns of a first batch, without their rows.
    backend
        The library tables go back in.
    whole
        Whether numbers without decimals are integers, as levels.
    """

    spec: ModelSpec
    names: tuple[str, ...]
    levels: Mapping[str, NDArray[Any]]
    fixed: FixedTerms
    random: tuple[RandomTerm, ...]
    encoding: Encoding
    response: NumberEncoding
    schema: FrameSchema
    backend: Backend
    whole: bool

    def recoded(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """Return columns with factors of X and Z coded by all their levels."""
        return {
            name: column if name not in self.levels else coded(column, self.levels[name])
            for name, column in columns.items()
        }


def coded(column: Column, levels: NDArray[Any]) -> Column:
    """Return a column as a factor of some levels; `DataError` for a value that is none of them."""
    codes = column.known_codes(levels)
    return Column(column.name, codes, levels, column.missing, column.ordered)


def learn(
    stream: Stream,
    spec: ModelSpec,
    control: Control,
    context: Mapping[str, Any] | None,
    first: Batch,
    levels: Mapping[str, NDArray[Any]] | None = None,
) -> Learned:
    """Return how batches become rows, learned from the levels of factors (read from the stream unless given) and a
    first batch.

    Raises
    ------
    SpecError
        Where the formula learns something else from its data.
    """
    names = tuple(model_columns(spec, stream.as_source()))
    levels = factor_levels(stream, spec, control) if levels is None else levels
    columns = {name: coded(first[name], levels[name]) if name in levels else first[name] for name in names}
    frame = build_frame(spec, _Columns(columns, stream.backend), context=context)
    # build_frame leaves out levels that no row of the first batch has
    kept = {name: coded(c, levels[name]) if name in levels else c for name, c in frame.columns.items()}
    frame = replace(frame, columns=kept)
    functions = OwnFunctions(frame.context)
    fixed, rows, encoding = build_fixed(spec, frame, (), control.rank_tolerance, memory=control.room)
    terms: list[RandomTerm] = []
    encodings = []
    for asked in spec.random:
        term, _, own, _ = bind_term(asked, spec, frame, (fixed, rows, encoding), terms)
        terms.append(term)
        encodings.append(own)
    offsets = tuple(learn_number(text, frame.columns, frame.n, functions)[0] for text in spec.offsets)
    response = learn_number(spec.response, frame.columns, frame.n, functions)[0]
    learned = [encoding.encoder.learned, *(o.learned for o in offsets), response.learned]
    learned += [own.basis.learned for own in encodings if hasattr(own.basis, "learned")]
    for each in learned:
        for node in each.states:
            raise SpecError(
                f"the formula learns {node} from all rows, which are read in batches: write it without (x + I(x**2) "
                "for poly, x for scale(x)), compute the column beforehand, or fit the model to data in memory."
            )
    whole = Encoding(functions, encoding, offsets, tuple(encodings))
    return Learned(
        spec, names, levels, fixed, tuple(terms), whole, response, frame.schema, stream.backend, stream.whole
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Columns of a batch, as data."""

    columns: Mapping[str, Column]
    backend: Backend

    def as_source(self) -> Source:
        n = len(next(iter(self.columns.values())).values)
        return Source(tuple(self.columns), n, self.backend, self.columns.__getitem__)


def factor_names(stream: Stream, spec: ModelSpec) -> list[str]:
    """Return the columns that are factors among those of X and Z, in order.

    Raises
    ------
    SpecError
        Where an expression of columns is a factor, or a column of numbers is a number in one term and a factor in
        another.
    """
    found: dict[str, None] = {}
    numbers: set[str] = set()
    for text in (spec.fixed, *(term.effects for term in spec.random)):
        for atom in (atom for term in expand(text) for atom in term):
            if atom.categorical and not _is_plain(atom):
                raise SpecError(
                    f"{atom.label}: levels of an expression are not found in batches; compute the column beforehand."
                )
            for name in atom.variables:
                if stream.kinds.get(name) == "text" or (atom.categorical and name == atom.variable):
                    found[name] = None
                elif not atom.categorical:
                    numbers.add(name)
    both = next((name for name in found if name in numbers), None)
    if both is not None:
        raise SpecError(
            f"column {both!r} is a factor in one term and a number in another; add a copy of it to the data."
        )
    return list(found)


def _is_plain(atom: Atom) -> bool:
    return bool(atom.variable)


def factor_levels(stream: Stream, spec: ModelSpec, control: Control) -> dict[str, NDArray[Any]]:
    """Return the levels of factors of X and Z, sorted; one reading of their columns."""
    names = factor_names(stream, spec)
    if not names:
        return {}
    if not stream.again:
        raise DataError(
            f"{stream.label} can be read once only, and the levels of {', '.join(map(repr, names))} have to be known "
            "before rows are summed: write it to a Parquet file first, or give the file it comes from."
        )
    found: dict[str, Dictionary] = {name: Dictionary(name, whole=stream.whole) for name in names}
    ordered: dict[str, NDArray[Any] | None] = {}
    meter = Meter("levels read", stream.count or 0, control.progress)
    for batch in stream.batches(names):
        for name, column in batch.items():
            present = column if column.missing is None else column.take(np.flatnonzero(~column.missing))
            if len(present.values):
                found[name].codes(present)
                check_levels(name, len(found[name]))
            own = column.levels if column.levels is not None and not column.text else None
            before = ordered.setdefault(name, own)
            if before is not None and (own is None or not np.array_equal(own, before)):
                ordered[name] = None
        meter.add(len(next(iter(batch.values())).values))
    meter.close()
    return {name: _in_order(dictionary.levels(), ordered.get(name)) for name, dictionary in found.items()}


def _in_order(levels: NDArray[Any], given: NDArray[Any] | None) -> NDArray[Any]:
    """Return levels sorted, or in the order that the categories of every batch have."""
    if given is not None:
        seen = set(levels.tolist())
        kept = np.array([level in seen for level in given.tolist()], dtype=bool)
        return np.asarray(given[kept])
    return np.asarray(
        levels[np.argsort(levels.astype(str) if levels.dtype == object else levels, kind="stable")]
    )


class RowReader:
    """Rows of batches, with the levels of grouping factors and what is to be checked when all are read."""

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        groups = group_columns(learned.spec)
        self.columns = {name: Dictionary(name, whole=learned.whole) for name in groups}
        self.crossed: dict[tuple[str, ...], Dictionary] = {}
        self.given, self.used = 0, 0
        self.low, self.high = np.inf, -np.inf
        self.missing: dict[str, int] = {}

    def read(self, batch: Batch) -> Rows | None:
        """Return the complete rows of a batch, None where there are none."""
        learned = self.learned
        spec, encoding = learned.spec, learned.encoding
        columns = learned.recoded(self._complete(batch))
        n = len(next(iter(columns.values())).values)
        self.used += n
        if not n:
            return None
        check_finite(columns.values())
        y = learned.response.values(columns, n)
        self.low, self.high = min(self.low, float(y.min())), max(self.high, float(y.max()))
        for offset in encoding.offsets:
            y = y - offset.values(columns, n)
        x = encoding.fixed.matrix(columns, n)
        random = []
        for own in encoding.random:
            z = own.values(columns, n)
            random.append(TermRows(self._codes(own.group, columns, n), z))
        weights = positive_weights(columns[spec.weights]) if spec.weights else None
        return Rows(
            np.ascontiguousarray(y), FixedRows(x, tuple(range(x.shape[1]))), tuple(random), weights=weights
        )

    def _complete(self, batch: Batch) -> dict[str, Column]:
        columns = dict(batch)
        n = len(next(iter(columns.values())).values)
        self.given += n
        gaps = {name: column.missing for name, column in columns.items() if column.missing is not None}
        if not gaps:
            return columns
        for name, mask in gaps.items():
            self.missing[name] = self.missing.get(name, 0) + int(mask.sum())
        if self.learned.spec.na == "raise":
            listed = ", ".join(f"{name} ({count} so far)" for name, count in self.missing.items())
            raise DataError(
                f"missing values in {listed} and na='raise'; drop or impute them, or use na='drop'."
            )
        rows = np.flatnonzero(~np.logical_or.reduce(list(gaps.values())))
        return {name: column.take(rows) for name, column in columns.items()}

    def _codes(self, group: tuple[str, ...], columns: Mapping[str, Column], n: int) -> Codes:
        """Return the level of each row among those of a factor so far, (n,)."""
        if not group:
            return np.zeros(n, dtype=np.int32)
        codes = self.columns[group[0]].codes(columns[group[0]])
        if len(group) == 1:
            return codes
        key, stride = codes.astype(np.int64), _stride(group)
        for name in group[1:]:
            key = key * stride + self.columns[name].codes(columns[name])
        if any(len(self.columns[name]) >= stride for name in group):
            raise DataError(
                f"{':'.join(group)} crosses more levels than codes of 64 bits count; combine levels."
            )
        own = self.crossed.setdefault(group, Dictionary(":".join(group)))
        return own.codes(Column(own.name, key))

    def count(self, group: tuple[str, ...]) -> int:
        """Return the number of levels of a factor so far."""
        if not group:
            return 1
        return len(self.columns[group[0]]) if len(group) == 1 else len(self.crossed[group])

    def level_parts(self, group: tuple[str, ...]) -> tuple[NDArray[Any], ...]:
        """Return the levels of a factor in order of their codes, for every column that makes it up, (q,) each."""
        if not group:
            return ()
        if len(group) == 1:
            return (self.columns[group[0]].levels(),)
        key, stride = self.crossed[group].levels().astype(np.int64), _stride(group)
        parts = []
        for name in reversed(group[1:]):
            key, own = np.divmod(key, stride)
            parts.append(self.columns[name].levels()[own])
        parts.append(self.columns[group[0]].levels()[key])
        return tuple(reversed(parts))

    def check(self) -> tuple[Status, ...]:
        """Return a note of rows that were dropped; `DataError` where no row is complete."""
        for name, count in self.missing.items():
            if count == self.given:
                raise DataError(f"column {name!r} is missing in every row; leave it out of the model.")
        if not self.used:
            raise DataError(
                f"no row is complete: missing values in {', '.join(self.missing) or 'no column'}."
            )
        if self.used == self.given:
            return ()
        text = f"{self.given - self.used} of {self.given} rows dropped: missing values in {', '.join(self.missing)}"
        return (Status(Severity.NOTE, text),)


def check_response(response: str, low: float, high: float) -> None:
    """Raise `DataError` where responses between two values are constant, or have no squares."""
    size = max(abs(low), abs(high))
    if not SMALLEST < size < LARGEST and size > 0:
        raise DataError(
            f"the response {response!r} has values of size {size:.3g}, whose squares floating-point numbers cannot "
            "hold; change its unit."
        )
    if low == high:
        raise DataError(
            f"the response {response!r} is {low:.6g} in every row; there is no variation to explain."
        )


def _stride(group: tuple[str, ...]) -> int:
    """Return more than the levels that every column of a crossed factor may have."""
    return 1 << min(31, 62 // len(group))
