"""`mm.cross_products`: what a linear mixed model needs of its data, without the data."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..engines.accumulator import Accumulator, some_columns
from ..engines.cross_products import CrossProducts as Sums
from ..engines.cross_products import Form, Labels, TermForm, ordered_labels
from ..errors import DataError, SpecError, Status, carried_through
from ..fit import Fit
from ..frame.ingest import model_columns
from ..frame.levels import object_array
from ..frame.meter import Meter
from ..frame.schema import ColumnSchema, FrameSchema
from ..frame.stream import AT_ONCE, Batch, Stream
from ..spec import Method, ModelSpec
from ..summed import Summed
from ..terms.design import Design, RandomTerm
from ..terms.encoder import INTERCEPT
from ..terms.rank import ColumnMoments, null_space_of_sums
from .run import fit_equations, warn_unconverged
from .stream_reader import Learned, RowReader, check_response, learn

JOIN = "\x1f"
"""Between the parts of a level of crossed columns."""
MAGIC = b"mixedmodels cross-products 1\n"
"""What a file of them begins with."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CrossProducts:
    """The cross-products of the rows of one linear mixed model: all that a fit needs of its data.

    Parameters
    ----------
    learned
        How rows become numbers: the formula, the columns of X and Z, levels of factors.
    sums
        The sums over rows of all columns of X.
    kinds
        For every grouping factor the types of the levels of its columns.
    n_given
        Rows that were read, those with missing values included.
    low, high
        The smallest and the largest response.
    notes
        What was noticed on the way.

    Notes
    -----
    `save` and `load` keep them in a file, `+` adds those of further rows, `fit` fits the model. Sums hold no rows: a
    level of one row is that row, so that they are anonymous only where levels have several.
    """

    learned: Learned
    sums: Sums
    kinds: tuple[tuple[str, ...], ...]
    n_given: int
    low: float
    high: float
    notes: tuple[Status, ...] = ()

    @property
    def nobs(self) -> int:
        """Number of rows that were summed."""
        return self.sums.n

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.learned.spec.formula

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{len(f.labels):,} levels of {term.group}"
            for f, term in zip(self.sums.factors, _firsts(self.learned.random, self.sums.form), strict=True)
        )
        return f"CrossProducts of {self.formula}: {self.nobs:,} rows, {sizes or 'no random terms'}"

    def __add__(self, other: CrossProducts) -> CrossProducts:
        """Return the cross-products of the rows of both.

        Raises
        ------
        SpecError, DataError
            Where they are of different formulas, or factors of the fixed part have different levels.
        """
        if not isinstance(other, CrossProducts):
            return NotImplemented
        mine, theirs = self.learned, other.learned
        if mine.spec.formula != theirs.spec.formula or mine.spec.weights != theirs.spec.weights:
            raise SpecError(
                "cross-products of different models cannot be added: "
                f"{mine.spec.formula!r} and {theirs.spec.formula!r}."
            )
        if mine.fixed.columns != theirs.fixed.columns:
            odd = set(mine.fixed.columns) ^ set(theirs.fixed.columns)
            raise DataError(
                f"the fixed part has the column {sorted(odd)[0]!r} in one of the parts alone: their factors have "
                "different levels. Give every part the same categories."
            )
        same = [(t.columns, u.columns) for t, u in zip(mine.random, theirs.random, strict=True)]
        if any(one != two for one, two in same) or not _same_origins(mine, theirs):
            raise DataError(
                "random terms of the parts have different columns, or powers are taken about different origins. Give "
                "every part the same categories, and centre what is squared."
            )
        kinds = tuple(a or b for a, b in zip(self.kinds, other.kinds, strict=True))
        notes = tuple(dict.fromkeys((*self.notes, *other.notes)))
        low, high = min(self.low, other.low), max(self.high, other.high)
        return CrossProducts(
            mine, self.sums.merge(other.sums), kinds, self.n_given + other.n_given, low, high, notes
        )

    def save(self, path: str | Path) -> None:
        """Write them to a file, which `load` reads.

        The file holds Python objects: read only files whose writer you trust.
        """
        target = Path(path)
        part = target.with_name(target.name + ".part")
        try:
            with part.open("wb") as file:
                file.write(MAGIC)
                pickle.dump(self, file, protocol=5)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> CrossProducts:
        """Return the cross-products that `save` wrote; `DataError` for a file that is something else or cut short."""
        target = Path(path)
        if not target.is_file():
            raise DataError(f"file {str(path)!r} does not exist; check the path.")
        with target.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DataError(
                    f"file {target.name!r} holds no cross-products of this version; save them again."
                )
            try:
                found = pickle.load(file)
            except (EOFError, pickle.UnpicklingError, AttributeError, ValueError) as error:
                raise DataError(f"file {target.name!r} is damaged or cut short ({error}).") from error
        assert isinstance(found, cls)
        return found

    def fit(
        self, method: Method | None = None, *, ddf: str | None = None, control: Control | None = None
    ) -> Fit:
        """Return the model fitted to the rows that were summed.

        Parameters
        ----------
        method
            `"reml"` or `"ml"`; as asked for when they were summed by default.
        ddf
            Degrees-of-freedom method of the fit's tables.
        control
            Tolerances and resources.
        """
        spec = self.learned.spec
        changes = {name: value for name, value in (("method", method), ("ddf", ddf)) if value is not None}
        spec = spec.with_changes(**changes)
        control = control or Control()
        design, summed = self._bind(spec, control)
        with carried_through("the fit"):
            own = summed.own_design(spec, design)
            equations = summed.equations(own, control)
            criterion, optimum = fit_equations(spec, own, equations, control, spec.start_values)
            warn_unconverged(optimum)
            return Fit.from_optimum(
                spec,
                self._schema(),
                design,
                None,
                criterion,
                optimum,
                engine="blocked",
                control=control,
                notes=self.notes + control.notes,
                products=summed,
            )

    def _schema(self) -> FrameSchema:
        frame = self.learned.schema
        columns = tuple(
            ColumnSchema(c.name, "factor" if c.name in self.learned.levels else c.kind) for c in frame.columns
        )
        return FrameSchema(columns, self.learned.backend, self.n_given, self.nobs)

    def _bind(self, spec: ModelSpec, control: Control) -> tuple[Design, Summed]:
        """Return the design of all rows, and the sums of the columns of X that are kept."""
        learned, sums = self.learned, self.sums
        check_response(spec.response, self.low, self.high)
        frame, inner = sums.frame, sums.gram[1:-1, 1:-1]
        moments = ColumnMoments(frame.centre, inner, np.diagonal(inner) == 0.0)
        estimable, null_basis = null_space_of_sums(
            moments, sums.n, learned.fixed.columns, control.rank_tolerance
        )
        if sums.n < len(estimable) + 1:
            raise DataError(
                f"{sums.n} rows cannot estimate {len(estimable)} fixed effects and a residual variance; use fewer "
                "terms."
            )
        fixed = replace(learned.fixed, estimable=estimable, null_basis=null_basis)
        parts, labels = [], []
        for f, own in enumerate(sums.factors):
            values = _parts(own.labels, self.kinds[f])
            order = (
                np.lexsort([_sortable(part) for part in reversed(values)])
                if values
                else np.zeros(1, dtype=int)
            )
            parts.append(tuple(part[order] for part in values))
            labels.append(own.labels[order])
        terms = []
        for k, term in enumerate(learned.random):
            f = sums.form.terms[k].factor
            q = len(labels[f])
            terms.append(replace(term, level_parts=parts[f], sets=np.zeros(q, np.int32)))
        _check_terms(spec, terms, sums.n, learned.spec.weights is not None)
        design = Design(
            n=sums.n,
            fixed=fixed,
            random=tuple(terms),
            weighted=spec.weights is not None,
            shifted=bool(spec.offsets),
            reml=spec.method == "reml",
            encoding=learned.encoding,
        )
        return design, Summed(some_columns(sums, estimable), tuple(labels))


def _firsts(terms: Iterable[RandomTerm], form: Form) -> list[RandomTerm]:
    """Return the first term of every factor."""
    found: dict[int, RandomTerm] = {}
    for term, own in zip(terms, form.terms, strict=True):
        found.setdefault(own.factor, term)
    return [found[f] for f in sorted(found)]


def _same_origins(one: Learned, two: Learned) -> bool:
    a, b = one.fixed.written, two.fixed.written
    return (a is None) == (b is None) and (a is None or b is None or np.array_equal(a, b))


def _sortable(part: NDArray[Any]) -> NDArray[Any]:
    return part.astype(str) if part.dtype == object else part


def _check_terms(spec: ModelSpec, terms: list[RandomTerm], n: int, weighted: bool) -> None:
    """Raise `DataError` where no data of this layout can estimate the variances of a random term."""
    for asked, term in zip(spec.random, terms, strict=True):
        if term.n_levels == 1 and term.n_columns <= term.structure.size(term.n_columns):
            raise DataError(
                f"{asked}: grouping factor {term.group!r} has one level: one draw says nothing about a variance. Use a "
                "factor with more levels, or make the term fixed."
            )
        if term.n_columns == 1 and term.n_levels >= n and not weighted and not spec.hold:
            raise DataError(
                f"{asked}: grouping factor {term.group!r} has as many levels ({term.n_levels}) as rows, so its "
                "variance cannot be told from the residual variance. Leave the term out, or group by something "
                "observed repeatedly."
            )


def _parts(labels: Labels, kinds: tuple[str, ...]) -> tuple[NDArray[Any], ...]:
    """Return the levels of every column of a factor from their labels, (q,) each, in the data's own type."""
    if not kinds:
        return ()
    if len(kinds) == 1:
        return (object_array(labels.tolist()) if labels.dtype.kind == "U" else labels,)
    split = [label.split(JOIN) for label in labels.tolist()]
    out = []
    for j, kind in enumerate(kinds):
        texts = [each[j] for each in split]
        out.append(object_array(texts) if kind == "U" else np.array(texts).astype(np.dtype(kind)))
    return tuple(out)


def labels_of(parts: tuple[NDArray[Any], ...]) -> tuple[Labels, tuple[str, ...]]:
    """Return one label for each level of a factor, (q,), and the types of the levels of its columns."""
    if not parts:
        return np.zeros(1, dtype=np.int64), ()
    typed = [ordered_labels(part) for part in parts]
    kinds = tuple("U" if part.dtype.kind == "U" else part.dtype.str for part in typed)
    if len(typed) == 1:
        return typed[0], kinds
    texts = [part.astype(str).tolist() for part in typed]
    return np.array([JOIN.join(each) for each in zip(*texts, strict=True)]), kinds


def form_of(learned: Learned) -> tuple[Form, tuple[tuple[str, ...], ...]]:
    """Return the form of the sums, and the columns that make up every factor."""
    groups = [encoding.group for encoding in learned.encoding.random]
    number = {group: f for f, group in enumerate(dict.fromkeys(groups))}
    terms = []
    for term, group in zip(learned.random, groups, strict=True):
        ones = term.columns.index(INTERCEPT) if INTERCEPT in term.columns else None
        terms.append(TermForm(number[group], term.n_columns, ones))
    return Form(len(learned.fixed.columns), tuple(terms)), tuple(number)


class Summing:
    """The cross-products of a stream in the making."""

    def __init__(self, learned: Learned, control: Control) -> None:
        self.learned, self.reader = learned, RowReader(learned)
        form, self.groups = form_of(learned)
        names = tuple(":".join(group) or "all" for group in self.groups)
        self.sums = Accumulator(form, control.room, names, control.threads_for(AT_ONCE))

    def add(self, batch: Batch) -> None:
        """Add the rows of a batch."""
        rows = self.reader.read(batch)
        if rows is not None:
            self.sums.add(rows, [self.reader.count(group) for group in self.groups])

    def finish(self, whole: bool = True) -> CrossProducts:
        """Return the cross-products; with `whole` what all rows show is checked."""
        notes = self.reader.check() if whole else ()
        found = [labels_of(self.reader.level_parts(group)) for group in self.groups]
        sums = self.sums.finish([labels for labels, _ in found])
        return CrossProducts(
            self.learned,
            sums,
            tuple(kinds for _, kinds in found),
            self.reader.given,
            self.reader.low,
            self.reader.high,
            notes,
        )


def sum_stream(
    stream: Stream, spec: ModelSpec, context: Mapping[str, Any] | None, control: Control
) -> CrossProducts:
    """Return the cross-products of a stream, which is read once, and its columns of factors of X once before."""
    summing: Summing | None = None
    names = tuple(model_columns(spec, stream.as_source()))
    meter = Meter("rows read", stream.count or 0, control.progress)
    waiting: list[Batch] = []
    for batch in stream.batches(names):
        rows = len(next(iter(batch.values())).values)
        if summing is None:
            waiting.append(batch)
            if _complete(batch):
                summing = Summing(learn(stream, spec, control, context, batch), control)
                for each in waiting:
                    summing.add(each)
                waiting = []
        else:
            summing.add(batch)
        meter.add(rows)
    meter.close()
    if summing is None:
        raise DataError(
            f"{stream.label} has no complete row; check the columns {', '.join(map(repr, names))}."
        )
    return summing.finish()


def _complete(batch: Batch) -> bool:
    """Return whether some row of a batch has all values."""
    gaps: list[NDArray[np.bool_]] = [c.missing for c in batch.values() if c.missing is not None]
    return not gaps or not bool(np.logical_or.reduce(gaps).all())
