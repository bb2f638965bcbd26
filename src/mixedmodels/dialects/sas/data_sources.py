"""SET and MERGE: rows of other data sets."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from .data_read import Action, StepReader, Stop
from .data_set import MOST_ROWS, DataSet
from .expressions import Row
from .statements import Reader

if TYPE_CHECKING:
    from .data_run import Runner


def _records(data: DataSet) -> list[dict[str, Any]]:
    keys = [name.lower() for name in data.columns]
    return [
        dict(zip(keys, row, strict=True))
        for row in zip(*(v.tolist() for v in data.columns.values()), strict=True)
    ]


def _bound(reader: Reader, before: int, data: DataSet) -> None:
    """Refuse a data set beside others where their rows together are too many: names are repeated freely."""
    if before and before + data.n > MOST_ROWS:
        reader.fail(f"the data sets have more than {MOST_ROWS:,} rows together.", reader.tokens[0])


def read_set(owner: StepReader, reader: Reader) -> Action:
    """Return SET: the next row of one data set, or of several one after the other, or in the order of BY."""
    rows: list[dict[str, Any]] = []
    flags: list[str] = []
    end = ""
    while reader:
        if reader.is_word("end") and (after := reader.peek(1)) is not None and after.is_mark("="):
            reader.at += 2
            end = reader.name().text.lower()
            owner.hidden.add(end)
            owner.names.setdefault(end, end)
            continue
        if (
            reader.is_word("point", "nobs", "key")
            and (after := reader.peek(1)) is not None
            and after.is_mark("=")
        ):
            reader.fail("point=, nobs= and key= of SET are not done.")
        data, flag = owner.source(reader)
        if flag:
            flags.append(flag)
        _bound(reader, len(rows), data)
        rows += [{**one, **({flag: 1.0} if flag else {})} for one in _records(data)]
    if not rows and not owner.sources:
        reader.fail("SET names a data set.", reader.tokens[0])
    if owner.by:
        rows.sort(key=lambda one: tuple(_order(one, key) for key, _ in owner.by)) if not any(
            d for _, d in owner.by
        ) else None
        _flag(rows, [key for key, _ in owner.by])
    owner.reads = True
    place = itertools.count()
    empty = {key: "" if key in owner.texts else math.nan for key in owner.sources}

    def run(runner: Runner, row: Row) -> None:
        k = next(place)
        if k >= len(rows):
            raise Stop
        row.update({**empty, **dict.fromkeys(flags, 0.0), **rows[k]})
        if end:
            row[end] = float(k == len(rows) - 1)

    return run


def _order(one: dict[str, Any], key: str) -> Any:
    value = one.get(key, math.nan)
    return -math.inf if isinstance(value, float) and value != value else value


def _flag(rows: list[dict[str, Any]], keys: list[str]) -> None:
    """Set `first.x` and `last.x` of every BY variable."""
    for k, one in enumerate(rows):
        for depth in range(len(keys)):
            own = [_order(one, key) for key in keys[: depth + 1]]
            before = k > 0 and [_order(rows[k - 1], key) for key in keys[: depth + 1]] == own
            after = k + 1 < len(rows) and [_order(rows[k + 1], key) for key in keys[: depth + 1]] == own
            one[f"first.{keys[depth]}"] = float(not before)
            one[f"last.{keys[depth]}"] = float(not after)


def read_merge(owner: StepReader, reader: Reader) -> Action:
    """Return MERGE: rows of several data sets side by side, matched by BY."""
    sources: list[list[dict[str, Any]]] = []
    flags = []
    while reader:
        data, flag = owner.source(reader)
        _bound(reader, sum(map(len, sources)), data)
        sources.append(_records(data))
        flags.append(flag)
    keys = [key for key, _ in owner.by]
    merged = _matched(sources, flags, keys) if keys else _by_place(sources, flags)
    if keys:
        _flag(merged, keys)
    owner.reads = True
    place = itertools.count()
    empty = {key: "" if key in owner.texts else math.nan for key in owner.sources}

    def run(runner: Runner, row: Row) -> None:
        k = next(place)
        if k >= len(merged):
            raise Stop
        row.update({**empty, **merged[k]})

    return run


def _by_place(sources: list[list[dict[str, Any]]], flags: list[str]) -> list[dict[str, Any]]:
    out = []
    for parts in itertools.zip_longest(*sources):
        one: dict[str, Any] = {}
        for part, flag in zip(parts, flags, strict=True):
            one.update(part or {})
            if flag:
                one[flag] = float(part is not None)
        out.append(one)
    return out


def _matched(sources: list[list[dict[str, Any]]], flags: list[str], keys: list[str]) -> list[dict[str, Any]]:
    """Return the rows of each key: as many as the longest has, the last of a shorter one repeated."""
    groups: list[dict[Any, list[dict[str, Any]]]] = []
    for rows in sources:
        found: dict[Any, list[dict[str, Any]]] = {}
        for one in rows:
            found.setdefault(tuple(_order(one, key) for key in keys), []).append(one)
        groups.append(found)
    every = sorted({key for found in groups for key in found})
    out = []
    for key in every:
        parts = [found.get(key, []) for found in groups]
        for k in range(max(map(len, parts))):
            made: dict[str, Any] = {}
            for part, flag in zip(parts, flags, strict=True):
                if part:
                    made.update(part[min(k, len(part) - 1)])
                if flag:
                    made[flag] = float(bool(part))
            out.append(made)
    return out
