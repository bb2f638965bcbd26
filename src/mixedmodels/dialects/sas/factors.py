"""CLASS variables: their levels in SAS's order, the reference last."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data_set import DataSet, distinct, level_text
from .model_statements import Model
from .options import Options

ORDERS = ("internal", "formatted", "data", "freq")


def levels_of(data: DataSet, name: str) -> tuple[Any, ...]:
    """Return the distinct values of a column that are not missing: numbers by size, texts by the alphabet."""
    values = data.columns[name][~data.missing(name)]
    return tuple(sorted(set(values.tolist())))


def class_levels(model: Model, data: DataSet) -> dict[str, tuple[Any, ...]]:
    """Return the levels of every CLASS variable in the order of `order=`, whatever the reference."""
    out = {}
    for name, own in model.classes.items():
        order = _order(model, own)
        levels = list(levels_of(data, name))
        values = data.columns[name][~data.missing(name)].tolist()
        if order == "data":
            levels = list(dict.fromkeys(values))
        elif order == "freq":
            counts = Counter(values)
            levels.sort(key=lambda level: -counts[level])
        if own.has("descending") or model.class_options.has("descending"):
            levels.reverse()
        out[name] = tuple(levels)
    return out


def _order(model: Model, own: Options) -> str:
    for options in (own, model.class_options, model.options):
        if "order" in options:
            if options.text("order") not in ORDERS:
                options["order"].fail(f"order= is one of {', '.join(ORDERS)}.")
            return options.text("order")
    return "formatted"


def coded_levels(model: Model, levels: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return the levels as columns of X have them: that of `ref=` last."""
    out = {}
    for name, own in levels.items():
        options = model.classes[name] if "ref" in model.classes[name] else model.class_options
        out[name] = own if "ref" not in options else _with_last(own, options, name)
    return out


def _with_last(levels: tuple[Any, ...], options: Options, name: str) -> tuple[Any, ...]:
    option = options["ref"]
    wanted = (option.value or ())[0].text.strip()
    texts = [level_text(level) for level in levels]
    if wanted.lower() == "first" and wanted not in texts:
        place = 0
    elif wanted.lower() == "last" and wanted not in texts:
        place = len(levels) - 1
    elif wanted in texts:
        place = texts.index(wanted)
    else:
        option.fail(f"{wanted!r} is no level of {name}: {', '.join(texts[:12])}.")
    return (*levels[:place], *levels[place + 1 :], levels[place])


def crossed(data: DataSet, names: tuple[str, ...]) -> NDArray[Any]:
    """Return the combination of several columns as text, (n,), empty where one of them is missing."""
    gone = np.zeros(data.n, dtype=bool)
    for name in names:
        gone |= data.missing(name)
    coded = [distinct(data.columns[name]) for name in names]
    cells = np.ravel_multi_index([codes for _, codes in coded], [max(len(own), 1) for own, _ in coded])
    found, place = np.unique(cells, return_inverse=True)
    parts = np.unravel_index(found, [max(len(own), 1) for own, _ in coded])
    texts = [[level_text(value) for value in own] for own, _ in coded]
    labels = np.empty(len(found) + 1, dtype=object)
    labels[:] = [
        *(" ".join(own[k] for own, k in zip(texts, row, strict=True)) for row in zip(*parts, strict=True)), "",
    ]  # fmt: skip
    return labels[np.where(gone, len(found), place)]
