"""`mm.lmm_many`: one linear mixed model for many responses and groups of rows, as one long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..errors import DataError, SpecError, suggest
from ..frame.column import Column
from ..frame.ingest import model_columns, read_columns
from ..frame.readers import Source, open_source, read_values
from ..inference.ddf import check_method
from ..inference.progress import counted
from ..spec import Bounds, Method, ModelSpec
from ..syntax.formula import read_formula
from ..syntax.spelling import variables
from ..table import Table
from ..typing import Array
from .block import Block, fit_block
from .estimates import COLUMNS, Estimates

PLACEHOLDER = "response"
"""What stands for the responses in a formula that names none."""
AT_ONCE = 2_000_000
"""Values of responses that are worked on together."""


def lmm_many(
    formula: str,
    data: Any,
    *,
    responses: Sequence[str] | Mapping[str, Any] | Array | None = None,
    by: str | Sequence[str] | None = None,
    ddf: str = "satterthwaite",
    residual: str | None = None,
    variance: str | None = None,
    weights: str | None = None,
    method: Method = "reml",
    known: Mapping[str, Any] | None = None,
    bounds: Bounds = "psd",
    contrasts: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
    progress: bool | None = None,
) -> Table:
    """Return the estimates of one model for each of many responses, in each group of rows, as one long table.

    Parameters
    ----------
    formula
        As for `lmm`. Its left side stands for every response in turn, also inside a function, `log(y) ~ …`; with
        `responses` it may be left out, `~ x + (1 | g)`.
    data
        A frame or a dict of arrays, n rows.
    responses
        Names of columns; or the responses themselves, by name (a mapping or a frame of n rows) or as an array (n, m),
        which are called `1` to `m`. By default the one that the formula names.
    by
        Column or columns whose every combination of values is a group of rows with models of its own.
    ddf
        Degrees of freedom: `"satterthwaite"`, `"residual"`, `"asymptotic"`, `"kenward-roger"` …
    residual, variance, weights, method, known, bounds, contrasts, context
        As for `lmm`; weights are a column.
    control
        Tolerances and resources; `threads` work on different responses.
    progress
        Whether to show how far it is; by default on a terminal, after two seconds.

    Returns
    -------
    Table
        The columns of `by`, then `response term kind estimate std_error df statistic p_value loglik nobs status`.
        `kind` is `fixed`, `variance` or `correlation` (or what else a structure has: `range`, `loading` …); `status` is
        `converged`, `singular` (a covariance of random effects of less than full rank), `not converged`, or why there
        is no fit: a failure is one row, and the others go on.

    Raises
    ------
    SpecError, DataError
        Where the formula or a column it names is wrong for every response.

    Notes
    -----
    Rows are left out where the response or anything the formula reads is missing, so that `nobs` differs between
    responses; those with the same rows share everything but their numbers. A model with independent errors and one
    variance of random effects, such as `(1 | g)`, is searched for all responses together over the sums of the levels
    (a grid of variance ratios, then Newton steps to a decrement of 1e-12); other models are fitted one by one from a
    neighbour's estimates. Standard errors of variances are asymptotic (Wald), missing at zero.
    *Same as* `lmer` in a loop over responses, SAS `BY`, limma's `lmFit` with a block, without its moderation.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleep = mm.datasets.load("sleepstudy")
    >>> both = {"raw": sleep["Reaction"], "halved": sleep["Reaction"] / 2}
    >>> table = mm.lmm_many("~ Days + (1 | Subject)", sleep, responses=both)
    >>> slopes = [term == "Days" for term in table["term"]]
    >>> table["estimate"][slopes].round(3), table["df"][slopes].round(1)
    (array([10.467,  5.234]), array([161., 161.]))
    """
    control = control or Control()
    spec = _read(formula, responses, residual, variance, weights, method, ddf, bounds, contrasts, context)
    source = open_source(data)
    hole = _hole(spec)
    found = _responses(responses, hole, source)
    names = [name for name in model_columns(spec, source) if name != hole]
    shared = read_columns(spec, source, names)
    groups, keys = _groups(by, source)
    work = [
        _Piece(key, list(found)[i:j], rows) for key, rows in groups for i, j in _split(len(found), len(rows))
    ]
    check_method(ddf)

    def solve(piece: _Piece) -> list[Estimates]:
        columns = {name: column.take(piece.rows) for name, column in shared.items()}
        own = [found[name].take(piece.rows) for name in piece.responses]
        block = Block(spec, hole, columns, source.backend, known, context, replace(control, threads=1))
        return list(fit_block(block, own))

    threads = min(control.threads_for(source.n * len(found)), len(work))
    tables: list[tuple[tuple[Any, ...], Estimates]] = []
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        results = pool.map(solve, work)
        for piece in counted(work, "responses", progress, total=len(found) * len(groups)):
            tables += [(piece.key, one) for one in next(results)]
    return _table(tables, keys, list(found), ddf, source)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some responses in the rows of one group."""

    key: tuple[Any, ...]
    responses: list[str]
    rows: NDArray[np.intp]


def _read(
    formula: str,
    responses: Any,
    residual: str | None,
    variance: str | None,
    weights: str | None,
    method: Method,
    ddf: str,
    bounds: Bounds,
    contrasts: Mapping[str, Any] | None,
    context: Mapping[str, Any] | None,
) -> ModelSpec:
    if isinstance(formula, str) and formula.lstrip().startswith("~"):
        if responses is None:
            raise SpecError(
                f"formula {formula!r} names no response, and responses= gives none; give one of them."
            )
        formula = f"{PLACEHOLDER} {formula}"
    if weights is not None and not isinstance(weights, str):
        raise SpecError("weights: lmm_many takes the name of a column of weights; add the array to the data.")
    return read_formula(
        formula,
        residual=residual,
        variance=variance,
        weights=weights,
        method=method,
        ddf=ddf,
        bounds=bounds,
        contrasts=contrasts,
        context=context,
    )


def _hole(spec: ModelSpec) -> str:
    """Return the name that stands for the responses."""
    names = variables(spec.response)
    if len(names) != 1:
        raise SpecError(
            f"the left side {spec.response!r} reads {len(names)} columns; lmm_many puts each response in the place of "
            "one."
        )
    return names[0]


def _responses(given: Any, hole: str, source: Source) -> dict[str, Column]:
    """Return the responses by name."""
    if given is None:
        given = [hole]
    if isinstance(given, str):
        given = [given]
    if isinstance(given, np.ndarray) and given.ndim == 2:
        given = {str(j + 1): given[:, j] for j in range(given.shape[1])}
    if isinstance(given, Mapping) or hasattr(given, "columns") or hasattr(given, "column_names"):
        own = open_source(given)
        found = {name: own.read(name) for name in own.names}
    else:
        if isinstance(given, np.ndarray) and given.dtype.kind not in "OUST":
            found = {"1": read_values("1", given)}
        else:
            names = [str(name) for name in given]
            have = set(source.names)
            unknown = next((name for name in names if name not in have), None)
            if unknown is not None:
                raise DataError(
                    f"responses: column {unknown!r} is not in the data.{suggest(unknown, source.names)}"
                )
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise SpecError(f"responses: {twice!r} stands twice; name every response once.")
            found = {name: source.read(name) for name in names}
    if not found:
        raise SpecError("responses= is empty; name at least one column.")
    for name, column in found.items():
        if len(column.values) != source.n:
            raise DataError(
                f"responses: {name!r} has {len(column.values)} values for {source.n} rows of the data; give one for "
                "each row."
            )
    return found


def _groups(
    by: str | Sequence[str] | None, source: Source
) -> tuple[list[tuple[tuple[Any, ...], NDArray[np.intp]]], list[str]]:
    """Return the rows of every combination of values that occurs, in order, and the names of the columns."""
    if by is None:
        return [((), np.arange(source.n))], []
    names = [by] if isinstance(by, str) else [str(name) for name in by]
    have = set(source.names)
    for name in names:
        if name not in have:
            raise DataError(f"by: column {name!r} is not in the data.{suggest(name, source.names)}")
    if not names or source.n == 0:
        return [((), np.arange(source.n))], []
    factors = [source.read(name).factor() for name in names]
    place = np.zeros(source.n, dtype=np.int64)
    present = np.ones(source.n, dtype=bool)
    for factor in factors:
        assert factor.levels is not None
        present &= factor.values >= 0
        place = place * len(factor.levels) + factor.values
    kept = np.flatnonzero(present)
    order = kept[np.argsort(place[kept], kind="stable")]
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    rows = np.split(order, starts[1:])
    keys = [tuple(factor.levels[factor.values[own[0]]] for factor in factors) for own in rows]  # type: ignore[index]
    return list(zip(keys, rows, strict=True)), names


def _split(count: int, n: int) -> list[tuple[int, int]]:
    step = max(1, AT_ONCE // max(n, 1))
    return [(i, min(i + step, count)) for i in range(0, count, step)]


def _table(
    found: Sequence[tuple[tuple[Any, ...], Estimates]],
    keys: list[str],
    order: list[str],
    ddf: str,
    source: Source,
) -> Table:
    """Return the blocks as one table: by group, then by response in the order given."""
    taken = [name for name in keys if name in COLUMNS]
    if taken:
        raise SpecError(
            f"by: column {taken[0]!r} has the name of a column of the table; rename it in the data."
        )
    lengths = [len(one) for _, one in found]
    changes = [i > 0 and found[i][0] != found[i - 1][0] for i in range(len(found))]
    group = np.repeat(np.cumsum(changes, dtype=np.int64), lengths)
    columns = {
        name: np.repeat(np.array([key[j] for key, _ in found]), lengths) for j, name in enumerate(keys)
    }
    columns |= {name: np.concatenate([getattr(one, name) for _, one in found]) for name in COLUMNS}
    number = {name: i for i, name in enumerate(order)}
    place = np.array([number[name] for name in columns["response"]])
    ordered = np.lexsort((np.arange(len(place)), place, group))
    columns = {name: values[ordered] for name, values in columns.items()}
    fits = (group * len(order) + place)[ordered]
    notes = [f"df: {ddf}; standard errors of variances and correlations are asymptotic, missing at zero"]
    for word, chosen in (
        ("are singular", columns["status"] == "singular"),
        ("did not converge", columns["status"] == "not converged"),
        ("failed: see status", columns["kind"] == ""),
    ):
        count = len(np.unique(fits[chosen]))
        notes += [f"{count} of {len(np.unique(fits))} fits {word}"] if count else []
    return Table(columns, "One model, many responses", tuple(notes), source.backend)
