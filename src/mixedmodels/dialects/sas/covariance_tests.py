"""COVTEST of PROC GLIMMIX: hypotheses about the covariance parameters, each by a fit under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import MixedModelsError, suggest
from ...postfit.covtest import covtest
from ...table import Table
from .fitting import Fitted
from .lex import Kind
from .model_statements import CovTest, Model
from .options import read_options, spellings
from .overview import criterion
from .statements import Statement
from .tables import table

WORDS = {
    "zerog": "zerog", "diagg": "diagg", "diagr": "diagr", "indep": "indep", "glm": "indep",
    "homogeneity": "homogeneity",
}  # fmt: skip
"""Hypotheses by SAS's words, and the package's."""
NOT_DONE = {
    "general": "combinations of parameters are not tested; give values, one for each parameter, '.' for those free",
    "cglm": "write glm or zerog", "start": "starting values are no hypothesis here; give the values",
    "testdata": "give the values, one for each parameter", "tdata": "give the values, one for each parameter",
}  # fmt: skip
OPTIONS = spellings(wald="", estimates="est", parms="", restart="", tolerance="tol", maxiter="")
REFUSED = {
    "cl": "limits by profiles are those of the fit: fit.confint(method='profile')",
    "classical": "the reference is a mixture where it is known; the table says which",
    "df": "degrees of freedom are the parameters given up", "wghtfactor": "no factor of weights is read",
}  # fmt: skip
NOTE = "MI: p-value of a mixture of χ²; DF: of χ² on the parameters given up, conservative where they are on a boundary"


def read_covtest(model: Model, statement: Statement) -> None:
    """Put what a COVTEST statement asks for among the requests of a model."""
    reader = statement.reader()
    token, label = reader.peek(), ""
    if token is not None and token.kind is Kind.TEXT:
        label = reader.next().text
    word = ""
    values: list[float | None] = []
    if (token := reader.peek()) is not None and token.kind is Kind.NAME:
        word = reader.next().word
        if word in NOT_DONE:
            reader.fail(f"covtest {token.text} is not done: {NOT_DONE[word]}.", token)
        if word not in WORDS:
            reader.fail(
                f"{token.text!r} is no hypothesis of COVTEST.{suggest(word, WORDS)} It takes {', '.join(WORDS)}, or "
                "values of the parameters.",
                token,
            )
    while not word and reader and not reader.is_mark("/"):
        if reader.take_mark("."):
            values.append(None)
        else:
            values.append(reader.signed("a value of a covariance parameter, or '.',"))
        reader.take_mark(",")
    reader.take_mark("/")
    options = read_options(reader, OPTIONS, REFUSED, "COVTEST")
    if options.has("wald"):
        model.options["covtest"] = options["wald"]
    noted = [name for name in ("estimates", "parms", "restart", "tolerance", "maxiter") if name in options]
    if noted:
        model.notes.append(f"options {', '.join(noted)} of COVTEST are noted: the fits are the package's own")
    if word or values:
        model.covtests.append(CovTest(statement, label or word.upper(), word, tuple(values)))
    elif not options.has("wald"):
        statement.fail("COVTEST names a hypothesis or values of the parameters: covtest 'no variance' 0 .;")


def covariance_tests(found: Fitted) -> Table:
    """Return `CovTests`."""
    rows: list[dict[str, Any]] = []
    known = found.fit.distribution
    if known is not None and known.pseudo:
        found.model.covtests[0].statement.fail(
            "COVTEST compares likelihoods, and pseudo-likelihood has none: write method=laplace or method=quad in PROC."
        )
    shift = criterion(found) - found.fit.criterion
    for one in found.model.covtests:
        try:
            row = covtest(found.fit, WORDS[one.word] if one.word else _values(found, one)).row(0)
        except MixedModelsError as error:
            one.statement.fail(str(error))
        rows.append(row)
    restricted = "Res" if found.fit.spec.method == "reml" else ""
    columns = {
        "Label": [one.label for one in found.model.covtests],
        "DF": np.array([row["df"] for row in rows]),
        f"M2{restricted}LogLike": np.array([row["criterion"] + shift for row in rows]),
        "ChiSq": np.array([row["statistic"] for row in rows]),
        "ProbChiSq": np.array([row["p_value"] for row in rows]),
        "Note": ["MI" if row["reference"] == "mixture" else "DF" for row in rows],
    }
    what = "Restricted Likelihood" if restricted else "Likelihood"
    return table(found, columns, f"Tests of Covariance Parameters Based on the {what}", (NOTE,))


def _values(found: Fitted, one: CovTest) -> Mapping[str, float]:
    """Return natural name → value of the parameters that a list of values holds."""
    parameters = found.parameters.parameters
    if len(one.values) > len(parameters):
        listed = ", ".join(f"{p.name} {p.group}".strip() for p in parameters)
        one.statement.fail(
            f"COVTEST has {len(one.values)} values for {len(parameters)} parameters: {listed}."
        )
    names = found.fit._work.parameters().natural(found.fit.optimum.theta).names
    held = {}
    for value, parameter in zip(one.values, parameters, strict=False):
        if value is None:
            continue
        if len(parameter.terms) > 1:
            one.statement.fail(
                f"{parameter.name} {parameter.group} is a ratio of standard deviations in the package and not held "
                "at a value here; covtest homogeneity compares the groups."
            )
        held[names[parameter.terms[0][0]]] = value
    if not held:
        one.statement.fail("COVTEST holds no parameter: give a value, '.' leaves one free.")
    return held
