"""Parts of what a call gave: `summary(m)$tTable`, `ranef(m)$id`, `emmeans(m, pairwise ~ a)$contrasts`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...emmeans.emm import EMM
from ...errors import suggest
from ...table import Table
from .after import Answer, summary_ddf
from .tree import Call, Node, Part
from .values import Model, Room

FIXED = ("tTable", "coefficients", "coef", "cond")
"""Names under which R keeps the table of fixed effects of a summary."""
OF_MODEL = ("coefficients", "sigma", "fitted", "fitted.values", "residuals", "logLik", "call", "data")


def part_of(room: Room, node: Part, found: Answer) -> Answer:
    """Return one part of what an expression gave."""
    name, made = node.name, _function(node.value)
    if made == "intervals" and name == "fixed":
        name = "intervals"
    if name in found.tables:
        return Answer({name: found.tables[name]}, found.tables[name])
    value = found.value
    if made in ("summary", "print") and name in FIXED and isinstance(value, Model):
        return _one(name, value.fit.fixed_effects(ddf=summary_ddf(room, value)))
    if made in ("summary", "print") and isinstance(value, Model):
        return _of_model(room, node, value, (*FIXED, "varcor", "sigma", "logLik", "AIC", "BIC"))
    if isinstance(value, EMM) and name == "emmeans":
        return Answer({name: value}, value)
    if isinstance(value, Table) and "group" in value:
        groups = [str(group) for group in dict.fromkeys(np.asarray(value["group"]).tolist())]
        if name not in groups:
            raise room.program.error(f"${name}: there is no such group.{suggest(name, groups)}", node)
        return _one(name, _rows(value, np.asarray([str(g) == name for g in value["group"]])))
    if isinstance(value, Model):
        return _of_model(room, node, value, OF_MODEL)
    if isinstance(value, Table) and name in value:
        return _one(name, Table({name: value[name]}))
    if isinstance(value, Table) and made == "coef":
        # one grouping factor: coef(m)$id is its table
        return _one(name, value)
    if not isinstance(node.value, Call) and not isinstance(value, Table):
        raise room.program.error(f"${name}: columns of data are not taken out; prepare data in Python.", node)
    known = [*found.tables, *(value.names if isinstance(value, Table) else ())]
    raise room.program.error(
        f"${name}: {made or 'this'} has no such part here.{suggest(name, known)} Parts: {', '.join(known) or 'none'}.",
        node,
    )


def _function(node: Node) -> str:
    return node.function if isinstance(node, Call) else ""


def _one(name: str, value: Any) -> Answer:
    return Answer({name: value}, value)


def _rows(table: Table, kept: Any) -> Table:
    columns = {name: np.asarray(values)[kept] for name, values in table.columns.items() if name != "group"}
    formats = {name: how for name, how in table.formats.items() if name in columns}
    return Table(columns, table.title, table.notes, table.backend, formats)


def _of_model(room: Room, node: Part, model: Model, known: tuple[str, ...]) -> Answer:
    """Return a part of a fitted model under R's name of it."""
    fit, name = model.fit, node.name
    if name in ("coefficients", "coef"):
        return _one(name, fit.params)
    if name == "varcor":
        return _one(name, fit.variance_components())
    if name == "sigma":
        return _one(name, Table({"sigma": [fit.sigma]}))
    if name in ("fitted", "fitted.values"):
        return _one(name, Table({"fitted": np.asarray(fit.fitted)}, "Fitted values"))
    if name == "residuals":
        return _one(name, Table({"residual": fit.residuals()}, "Residuals (response)"))
    if name in ("logLik", "AIC", "BIC"):
        values = {"logLik": fit.loglik, "AIC": fit.aic, "BIC": fit.bic}
        return _one(name, Table({name: [values[name]]}))
    raise room.program.error(
        f"${name} of a fitted model is not read.{suggest(name, known)} Parts: {', '.join(known)}; the fit itself is "
        "in listing.fits.",
        node,
    )
