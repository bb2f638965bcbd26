"""`mm.cross_products`: the sums of a linear mixed model, which are fitted, saved and added without the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..control import Control
from ..errors import SpecError
from ..frame.column import Column
from ..frame.readers import Source, open_source
from ..frame.stream import Batch, Stream, open_stream
from ..spec import Method, NaAction
from ..syntax.everything import with_everything
from ..syntax.formula import read_formula
from .products import CrossProducts, sum_stream
from .stream_reader import not_streamed


def cross_products(
    formula: str,
    data: Any,
    *,
    weights: str | None = None,
    method: Method = "reml",
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> CrossProducts:
    """Return the cross-products of the rows of a linear mixed model: all that a fit needs of its data.

    Parameters
    ----------
    formula, weights, method, contrasts, na, context, control
        As for `lmm`; weights are a column. Errors are independent.
    data
        What `lmm` takes: a frame, a dict of arrays, a path or pattern of Parquet or CSV files, a stream.

    Returns
    -------
    CrossProducts
        `.fit(method=)` fits the model, `.save(path)` and `CrossProducts.load(path)` keep them in a file, and the sum
        `a + b` of two is that of the rows of both.

    Raises
    ------
    SpecError
        For a model whose rows are needed: residual structures, variance functions, splines, bases learned from data.

    Notes
    -----
    Sums are taken about means and a least-squares line, in any split of the rows, and moved to those of all rows
    exactly; a fit from them agrees with one from the rows to 1e-8. They hold Σzz', Σz[1 x y] of every level and Σz₁z₂'
    of every pair of levels that meet: of a level with one row, that row.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleep = mm.datasets.load("sleepstudy")
    >>> early, late = sleep["Days"] < 5, sleep["Days"] >= 5
    >>> parts = [mm.cross_products("Reaction ~ Days + (Days | Subject)", sleep[rows]) for rows in (early, late)]
    >>> fit = (parts[0] + parts[1]).fit()
    >>> round(fit.criterion, 4), fit.beta.round(3)
    (1743.6283, array([251.405,  10.467]))
    """
    if weights is not None and not isinstance(weights, str):
        raise SpecError(
            "weights: cross_products takes the name of a column of weights; add the array to the data."
        )
    control = control or Control()
    spec = read_formula(formula, weights=weights, method=method, contrasts=contrasts, na=na, context=context)
    stream = open_stream(data)
    if stream is None:
        stream = in_one_batch(open_source(data))
    spec = with_everything(spec, lambda: stream.names)
    reason = not_streamed(spec, None, None, None)
    if reason:
        raise SpecError(
            f"cross-products hold no rows, and this model needs them: {reason}. Use mm.lmm(formula, data)."
        )
    return sum_stream(stream, spec, context, control)


def in_one_batch(source: Source) -> Stream:
    """Return columns in memory as a stream of one batch."""
    found: dict[str, Column] = {}

    def column(name: str) -> Column:
        if name not in found:
            found[name] = source.read(name)
        return found[name]

    def read(names: Sequence[str], rows: int) -> Iterator[Batch]:
        return iter([{name: column(name) for name in names}] if source.n else [])

    return Stream("the data", _Kinds(source.names, column), source.n, source.backend, read)


class _Kinds(Mapping[str, str]):
    """What columns hold, looked at when it is asked."""

    def __init__(self, names: Sequence[str], column: Callable[[str], Column]) -> None:
        self.names, self.column = names, column

    def __getitem__(self, name: str) -> str:
        if name not in self.names:
            raise KeyError(name)
        column = self.column(name)
        return "text" if column.is_factor else "number" if column.is_number else "date"

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
