"""Data sets of predicted values: OUTP=, OUTPM= and OUTPUT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...table import Table
from .data_set import DataSet
from .fitting import Fitted
from .model_statements import Model


def output_data(found: Fitted, model: Model) -> Iterator[tuple[str, DataSet]]:
    """Yield the data sets that a step makes, with their names."""
    options = model.model_options
    for name, level in (("outp", "conditional"), ("outpm", "population")):
        if name in options:
            yield (
                options[name].text,
                _predicted(found, level, options.number("alphap", options.number("alpha", 0.05))),
            )
    for name, columns, statement in model.outputs:
        yield name, _asked(found, columns, statement)


def _predictable(found: Fitted) -> Any:
    """Return which rows have all predictors, so that they can be predicted."""
    asked, model = found.asked, found.model
    names = {n for e in model.effects for n in e.variables} | {
        n for spec, _, _ in asked.random for n in spec.group
    }
    if asked.residual is not None:
        names |= {n for n in (*asked.residual.position, *asked.residual.cluster, asked.residual.by) if n}
    known = np.ones(asked.data.n, dtype=bool)
    for name in names:
        if name in asked.data.columns:
            known &= ~asked.data.missing(name)
    return known


def _predicted(found: Fitted, level: str, alpha: float) -> DataSet:
    """Return the data with `Pred StdErrPred Alpha Lower Upper Resid`.

    Notes
    -----
    Without RANDOM the predictions of rows with a response are those of the mean; a row without a response has the
    conditional one, given its subject's other rows.
    """
    data = found.asked.data
    known = _predictable(found)
    n = data.n
    columns = {name: np.full(n, np.nan) for name in ("Pred", "StdErrPred", "Lower", "Upper")}
    inner = level
    if level == "conditional" and not found.asked.random and found.asked.residual is None:
        inner = "population"
    made = _table(found, np.flatnonzero(known), inner, alpha)
    for ours, theirs in (("Pred", "fit"), ("StdErrPred", "se"), ("Lower", "lower"), ("Upper", "upper")):
        columns[ours][known] = made[theirs]
    response = data.columns[found.model.response]
    added: dict[str, Any] = {**columns, "Alpha": np.full(n, alpha), "Resid": response - columns["Pred"]}
    return data.with_columns({key: np.asarray(value) for key, value in added.items()})


def _table(found: Fitted, rows: Any, level: str, alpha: float) -> Table:
    from dataclasses import replace

    source = replace(found.asked.model_data, data=found.asked.data.take(rows))
    # SAS does not adjust the standard errors of OUTP= and OUTPM= under Kenward–Roger
    ddf = "satterthwaite" if found.ddf.startswith("kenward-roger") else None
    made: Table = found.fit.predict(
        source, level=level, se=True, interval="confidence", confidence=1 - alpha, ddf=ddf
    )
    return made


def _asked(found: Fitted, columns: Any, statement: Any) -> DataSet:
    """Return the data with the statistics of an OUTPUT statement."""
    data, fit = found.asked.data, found.fit
    rows = fit._work.rows().used
    used = np.arange(data.n) if rows is None else np.asarray(rows)
    added = {}
    for name, what in columns.items():
        kind, *keys = what.split()
        level = "population" if "noblup" in keys else "conditional"
        scale = "response" if "ilink" in keys else "link"
        values = np.full(data.n, np.nan)
        if kind == "pred":
            values[used] = (
                fit.predict(level=level, type=scale)
                if fit.distribution is not None
                else fit.predict(level=level)
            )
        elif kind == "resid":
            values[used] = np.asarray(fit.response) - np.asarray(
                fit.predict(level=level, type="response")
                if fit.distribution is not None
                else fit.predict(level=level)
            )
        elif kind in ("pearson", "student") and fit.distribution is None:
            values[used] = fit.residuals(kind, level="marginal" if level == "population" else "conditional")
        elif kind == "pearson":
            values[used] = fit.residuals("pearson")
        else:
            statement.fail(f"{kind} in OUTPUT is not done for this model.")
        added[name] = values
    return data.with_columns(added)
