"""PARMS: values of the covariance parameters to start from, to search over, or to hold."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...api.run import fit_model
from ...control import Control
from ...fit import Fit, Inputs
from ...spec import ModelSpec
from ...table import Table
from .at_values import at_values
from .covariance_parameters import Parameter, sas_parameters
from .model_statements import Parms
from .to_spec import Asked

if TYPE_CHECKING:
    from .fitting import Fitted
    from .run import Session

MOST_ROWS = 10_000
"""Combinations of values that are evaluated."""


def read_parms_data(session: Session, asked: Asked) -> None:
    """Put the values of `pdata=` in place: a column `estimate` or `est`, or a row of `covp1 covp2 …` for each set."""
    parms = asked.model.parms
    if parms is None or "pdata" not in parms.options:
        return
    option = parms.options["pdata"]
    if parms.values:
        option.fail("values stand in PARMS and in pdata=; give them once.")
    data = session.find(option.text)
    if data is None:
        option.fail(f"there is no data set {option.text!r}: {', '.join(session.names())}.")
    column = data.name_of("estimate") or data.name_of("est")
    numbered = list(itertools.takewhile(data.name_of, (f"covp{k}" for k in range(1, data_width(data) + 1))))
    if numbered:
        columns = [np.asarray(data.columns[data.name_of(name) or ""], dtype=float) for name in numbered]
        rows = tuple(tuple(float(v) for v in row) for row in zip(*columns, strict=True))
    elif column is not None:
        rows = (tuple(float(value) for value in data.columns[column].tolist()),)
    else:
        option.fail("pdata= has a column 'estimate' or 'est', or columns 'covp1', 'covp2' ….")
    if not rows or any(np.isnan(value) for row in rows for value in row):
        option.fail("pdata= has no rows, or missing values.")
    asked.model.parms = replace(parms, rows=rows)


def data_width(data: Any) -> int:
    return len(data.columns)


def rows_of(parms: Parms) -> list[tuple[float, ...]]:
    """Return the sets of values: those of `pdata=`, else all combinations of the lists."""
    if parms.rows:
        return list(parms.rows)
    count = int(np.prod([len(values) for values in parms.values], dtype=float))
    if count > MOST_ROWS:
        parms.statement.fail(
            f"PARMS makes {count:,} combinations of values, and {MOST_ROWS:,} are evaluated."
        )
    return list(itertools.product(*parms.values))


def with_parms(asked: Asked, spec: ModelSpec, inputs: Inputs, control: Control) -> ModelSpec:
    """Return the spec with the values of PARMS as start, and those held that are to be."""
    parms = asked.model.parms
    assert parms is not None
    free = fit_model(spec, inputs, control)
    parameters = sas_parameters(asked, free).parameters
    names = free._work.parameters().natural(free.optimum.theta).names
    rows = rows_of(parms)
    if any(len(row) != len(parameters) for row in rows):
        listed = ", ".join(f"{p.name} {p.group}".strip() for p in parameters)
        parms.statement.fail(f"PARMS has {len(rows[0])} values for {len(parameters)} parameters: {listed}.")
    if any(len(p.terms) > 1 for p in parameters):
        if len(rows) > 1:
            parms.statement.fail("several values beside residual variances by group are not done.")
        return _ratio_parms(parms, spec, rows[0], parameters, names)
    own = [names[p.terms[0][0]] for p in parameters]
    noiter = parms.options.has("noiter")
    kept = noiter and asked.model.options.has("noprofile") and _has_residual(parameters)
    held = list(range(len(own))) if kept else [] if noiter else [i - 1 for i in parms.hold]
    if any(not 0 <= i < len(own) for i in held):
        parms.options["hold"].fail(f"hold= counts parameters from 1 to {len(own)}.")
    named = tuple(tuple(zip(own, row, strict=True)) for row in rows)
    if len(rows) > 1 and asked.model.options.has("noprofile") and _has_residual(parameters):
        parms.statement.fail(
            "sets of values are compared with the residual variance profiled out; leave noprofile out."
        )
    if len(rows) == 1:
        best = named[0]
    else:
        searched = fit_model(replace(spec, starts=named), inputs, control)
        if not held and not noiter:
            return replace(spec, starts=named)
        best = named[int(np.nanargmin(np.asarray(searched.start_grid()["criterion"], dtype=float)))]
    hold = tuple(best[i] for i in held)
    start = tuple(pair for i, pair in enumerate(best) if i not in held)
    return replace(spec, start=start, hold=(*spec.hold, *hold))


def without_search(asked: Asked, fit: Fit) -> Fit:
    """Return the fit at the values it started from, where NOITER asks for no search; else the fit itself."""
    parms = asked.model.parms
    if parms is None or not parms.options.has("noiter") or not fit.spec.start:
        return fit
    return at_values(fit, dict(fit.spec.start))


def _has_residual(parameters: tuple[Parameter, ...]) -> bool:
    """Return whether there is a residual variance that SAS profiles out."""
    return any(p.name == "Residual" and not p.group for p in parameters)


def _ratio_parms(
    parms: Parms, spec: ModelSpec, row: tuple[float, ...], parameters: tuple[Parameter, ...], names: Any
) -> ModelSpec:
    """Return the spec where residual variances by group are ratios of standard deviations in the package."""
    if parms.hold or parms.options.has("noiter"):
        parms.statement.fail("hold= and noiter beside residual variances by group are not done.")
    start = {}
    for parameter, value in zip(parameters, row, strict=True):
        if len(parameter.terms) == 1:
            start[names[parameter.terms[0][0]]] = value
    for parameter, value in zip(parameters, row, strict=True):
        if len(parameter.terms) > 1:
            ratio = parameter.terms[1][0]
            start[names[ratio]] = float(np.sqrt(value / start[names[parameter.terms[0][0]]]))
    return replace(spec, start=tuple(start.items()))


def parameter_search(found: Fitted) -> Table | None:
    """Return `ParmSearch`: −2l at every set of values of PARMS; None where there is one set.

    Notes
    -----
    Of models with independent errors the residual variance is profiled out, as in SAS without NOPROFILE.
    """
    from .overview import criterion
    from .tables import table

    parms = found.model.parms
    if parms is None or len(rows := rows_of(parms)) < 2:
        return None
    fit = found.fit
    names = [
        fit._work.parameters().natural(fit.optimum.theta).names[p.terms[0][0]]
        for p in found.parameters.parameters
    ]
    searched = _free(fit, tuple(tuple(zip(names, row, strict=True)) for row in rows))
    shift = criterion(found) - fit.criterion
    values = np.asarray(searched.start_grid()["criterion"], dtype=float) + shift
    name = "ResLogLike" if fit.spec.method == "reml" else "LogLike"
    columns: dict[str, Any] = {
        f"CovP{j + 1}": np.array([row[j] for row in rows]) for j in range(len(rows[0]))
    }
    columns |= {name: -0.5 * values, f"M2{name}": values}
    notes = ("the residual variance is profiled out: only ratios of variances count",)
    profiled = any(p.name == "Residual" and not p.group for p in found.parameters.parameters)
    return table(found, columns, "Parameter Search", notes if profiled else ())


def _free(fit: Fit, rows: tuple[tuple[tuple[str, float], ...], ...]) -> Fit:
    """Return the fit started from every set of values: itself, unless it has one set."""
    return fit if fit.spec.starts else fit.update(hold=None, start=[dict(row) for row in rows])
