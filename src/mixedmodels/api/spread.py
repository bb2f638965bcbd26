"""Data on the workers of a Dask cluster → a fit: partitions become cross-products there, which are added in pairs.

Every task is a function of one partition (or of two sums) and nothing else, so that what a lost worker had is computed
again. Partitions are added in a tree whose shape is that of their number, (0 + 1) + (2 + 3) …, so that the result does
not depend on which worker is done first. What crosses the network is sums: for q levels of p columns and r columns of X
8q·p(p + r + 2) bytes for each part, and 8·p₁p₂ for each pair of levels that meets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..errors import DataError, Severity, SpecError, Status
from ..fit import Fit, Inputs
from ..frame.column import Column
from ..frame.ingest import model_columns
from ..frame.readers import open_source
from ..frame.stream import Batch, Stream, is_dask, matching_files, open_stream
from ..spec import ModelSpec
from ..syntax.everything import with_everything
from .cross_products import in_one_batch
from .products import CrossProducts, Summing
from .stream_reader import Learned, factor_levels, factor_names, learn, not_streamed

HEAD = 10_000
"""Rows of a partition from which the columns of a model are learned."""


def fit_spread(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a model to a Dask frame, or to files that the workers of a client read."""
    parts, outline = _parts(inputs)
    spec = with_everything(spec, lambda: outline.names)
    reason = not_streamed(spec, inputs.known, inputs.subset, inputs.weights)
    if reason:
        raise SpecError(
            f"this model cannot be spread over workers: {reason}. Fit it to data in memory, frame.compute() where they "
            "fit there."
        )
    _refuse_unknown(spec, outline)
    products = _sum_parts(parts, outline, spec, inputs, control)
    fit = products.fit(control=control)
    dropped = products.n_given - products.nobs
    text = f"{dropped} of {products.n_given} rows dropped: missing values" if dropped else ""
    notes = [Status(Severity.NOTE, text)] if text else []
    notes.append(
        Status(
            Severity.NOTE,
            f"{products.n_given:,} rows in {len(parts)} partitions were summed by Dask and are not held: residuals, "
            "fitted values and whatever needs rows is not there, predict(newdata=) is",
        )
    )
    return replace(fit, notes=(*fit.notes, *notes))


def _parts(inputs: Inputs) -> tuple[list[Any], Stream]:
    """Return the partitions, each a delayed frame or the path of a file, and a stream that knows the columns."""
    data = inputs.data
    if is_dask(data):
        return list(data.to_delayed()), in_one_batch(open_source(data._meta_nonempty))
    stream = open_stream(data) if isinstance(data, (str,)) or hasattr(data, "__fspath__") else None
    if stream is None:
        raise SpecError(
            f"client= goes with a Dask DataFrame or a path or pattern of files, not with a {type(data).__name__}."
        )
    return [str(file) for file in matching_files(data)], stream


def _refuse_unknown(spec: ModelSpec, outline: Stream) -> None:
    names = model_columns(spec, outline.as_source())
    unknown = [name for name in names if name not in outline.kinds]
    if unknown:
        # the message is that of any reading
        next(outline.batches(unknown), None)


def _sum_parts(
    parts: Sequence[Any], outline: Stream, spec: ModelSpec, inputs: Inputs, control: Control
) -> CrossProducts:
    """Return the cross-products of all partitions."""
    dask = _dask()
    run = uuid4().hex[:8]
    names = tuple(model_columns(spec, outline.as_source()))
    own = replace(control, threads=1, progress=False)

    def task(function: Any, what: str, j: int, *given: Any) -> Any:
        return dask.delayed(function, pure=True)(*given, dask_key_name=f"mixedmodels-{what}-{run}-{j}")

    levels = None
    if factor_names(outline, spec):
        found = [
            task(partial(_levels, spec=spec, control=own), "levels", j, part) for j, part in enumerate(parts)
        ]
        levels = _united(_computed(dask, inputs.client, found))
    first = _first_batch(dask, inputs.client, parts, names, task)
    learned = learn(outline, spec, control, inputs.context, first, levels)
    sums = [task(partial(_sum, learned=learned, control=own), "sum", j, part) for j, part in enumerate(parts)]
    level = 0
    while len(sums) > 1:
        level += 1
        pairs = [sums[i : i + 2] for i in range(0, len(sums), 2)]
        sums = [task(_added, f"add-{level}", j, *pair) for j, pair in enumerate(pairs)]
    total: CrossProducts | None = _computed(dask, inputs.client, sums)[0]
    if total is None:
        raise DataError("no row is complete in any partition.")
    return total


def _dask() -> Any:
    try:
        import dask
    except ImportError:
        raise SpecError("client= and Dask frames need Dask: pip install 'mixedmodels[dask]'.") from None
    return dask


def _computed(dask: Any, client: Any, tasks: list[Any]) -> list[Any]:
    """Return the results of tasks, by a client or by Dask's own choice of a scheduler."""
    if client is None:
        return list(dask.compute(*tasks))
    return list(client.gather(client.compute(tasks)))


def _first_batch(dask: Any, client: Any, parts: Sequence[Any], names: tuple[str, ...], task: Any) -> Batch:
    """Return the first rows of the first partition that has a complete one."""
    for j, part in enumerate(parts):
        batch = _computed(dask, client, [task(partial(_head, names=names), "head", j, part)])[0]
        if batch is not None:
            found: Batch = batch
            return found
    raise DataError("no row is complete in any partition.")


# -- what workers do -----------------------------------------------------------------------------------------
def _open(part: Any) -> Stream:
    """Return a partition as a stream."""
    stream = open_stream(part)
    return in_one_batch(open_source(part)) if stream is None else stream


def _levels(part: Any, *, spec: ModelSpec, control: Control) -> dict[str, NDArray[Any]]:
    """Return the levels of factors of X and Z in a partition."""
    return factor_levels(_open(part), spec, control)


def _united(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the levels of all partitions, sorted; in the order of the first where all have the same."""
    out = {}
    for name in parts[0]:
        each = [part[name] for part in parts if len(part[name])]
        if all(np.array_equal(one, each[0]) for one in each):
            out[name] = each[0]
        else:
            every = sorted({value for one in each for value in one.tolist()})
            out[name] = np.array(every, dtype=each[0].dtype)
    return out


def _head(part: Any, *, names: tuple[str, ...]) -> Batch | None:
    """Return some complete rows of a partition, None where it has none."""
    for batch in _open(part).batches(names):
        n = len(next(iter(batch.values())).values)
        there = np.ones(n, dtype=bool)
        for column in batch.values():
            if column.missing is not None:
                there &= ~column.missing
        rows = np.flatnonzero(there)[:HEAD]
        if len(rows):
            return {name: _alone(column.take(rows)) for name, column in batch.items()}
    return None


def _alone(column: Column) -> Column:
    """Return a column in memory of its own: what travels is the rows that were taken."""
    return column.owned()


def _sum(part: Any, *, learned: Learned, control: Control) -> CrossProducts | None:
    """Return the cross-products of a partition, None where it has no complete row."""
    summing = Summing(learned, control)
    for batch in _open(part).batches(learned.names):
        summing.add(batch)
    return summing.finish(whole=False) if summing.sums.n else None


def _added(one: CrossProducts | None, two: CrossProducts | None = None) -> CrossProducts | None:
    if one is None or two is None:
        return two if one is None else one
    return one + two
