"""Tables about the model and the fit: what was read, how it was fitted, covariance parameters, criteria."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from scipy import stats

from ...errors import Severity
from ...labelled import LabelledMatrix
from ...postfit.component_intervals import INTERVALS
from ...table import Table
from ...typing import Array
from .coding import level_cells
from .covariance_types import TITLES
from .data_set import level_text
from .fitting import Fitted, subject_of
from .option_tables import DDFM_TITLES
from .tables import table

SHOWN_LEVELS = 40
"""Levels of a CLASS variable that are written out."""
METHODS = {"reml": "REML", "ml": "ML"}
TECHNIQUES = {
    "": "Maximum Likelihood", "rspl": "Residual PL", "mspl": "PL", "rmpl": "Residual MPL", "mmpl": "MPL",
    "laplace": "Maximum Likelihood (Laplace)", "quadrature": "Maximum Likelihood (adaptive quadrature)",
}  # fmt: skip


def model_information(found: Fitted, name: str) -> Table:
    """Return `ModelInfo`."""
    model, spec = found.model, found.fit.spec
    rows = {"Data Set": name, "Dependent Variable": model.response}
    if model.weight:
        rows["Weight Variable"] = model.weight
    sides = [*model.random, *([model.repeated] if model.repeated else [])]
    titles = dict.fromkeys(TITLES[one.covariance.name] for one in sides)
    rows["Covariance Structure"] = ", ".join(titles) or "Diagonal"
    subjects = dict.fromkeys(subject_of(one.subject) for one in sides if one.subject)
    if subjects:
        rows["Subject Effect"] = ", ".join(subjects)
    groups = dict.fromkeys(str(one.group) for one in sides if one.group)
    if groups:
        rows["Group Effect"] = ", ".join(groups)
    if spec.likelihood is not None:
        ordered = bool(found.cuts)
        rows["Response Distribution"] = "Multinomial (ordered)" if ordered else found.fit.family.capitalize()
        rows["Link Function"] = "Cumulative " * ordered + found.fit.link.capitalize()
        rows["Estimation Technique"] = TECHNIQUES[
            spec.likelihood.approximation if spec.random or spec.residual else ""
        ]
        rows["Degrees of Freedom Method"] = DDFM_TITLES[found.ddf]
        return table(found, {"Descr": list(rows), "Value": list(rows.values())}, "Model Information")
    rows["Estimation Method"] = spec.moments.capitalize() if spec.moments else METHODS[spec.method]
    profiled = any(p.name == "Residual" and not p.group for p in found.parameters.parameters)
    rows["Residual Variance Method"] = "Profile" if profiled and not spec.hold else "None"
    kenward = found.ddf.startswith("kenward-roger")
    rows["Fixed Effects SE Method"] = (
        "Empirical" if found.robust else DDFM_TITLES[found.ddf] if kenward else "Model-Based"
    )
    rows["Degrees of Freedom Method"] = (
        "Kenward-Roger" if kenward and found.ddf != "kenward-roger2" else DDFM_TITLES[found.ddf]
    )
    return table(found, {"Descr": list(rows), "Value": list(rows.values())}, "Model Information")


def class_levels(found: Fitted) -> Table:
    """Return `ClassLevels`."""
    levels = found.asked.levels
    shown = []
    for name in levels:
        texts = [level_text(level) for level in levels[name]]
        more = f" … {len(texts) - SHOWN_LEVELS} more" if len(texts) > SHOWN_LEVELS else ""
        shown.append(" ".join(texts[:SHOWN_LEVELS]) + more)
    columns = {"Class": list(levels), "Levels": [len(own) for own in levels.values()], "Values": shown}
    return table(found, columns, "Class Level Information")


def dimensions(found: Fitted) -> Table:
    """Return `Dimensions`."""
    design = found.fit.design
    subjects, largest = _subjects(found)
    columns_z = sum(term.n_levels * term.n_columns for term in design.random)
    own = {
        "Covariance Parameters": len(found.parameters.parameters),
        "Columns in X": len(found.coding.columns) + max(len(found.coding.thresholds) - 1, 0),
        "Columns in Z": columns_z,
        "Subjects": subjects,
        "Max Obs per Subject": largest,
    }
    if subjects > 1 and columns_z:
        own["Columns in Z per Subject"] = own.pop("Columns in Z") // max(subjects, 1)
        order = [
            "Covariance Parameters",
            "Columns in X",
            "Columns in Z per Subject",
            "Subjects",
            "Max Obs per Subject",
        ]
        own = {name: own[name] for name in order}
    return table(found, {"Descr": list(own), "Value": list(own.values())}, "Dimensions")


def _subjects(found: Fitted) -> tuple[int, int]:
    """Return the subjects that all statements share, and the rows of the largest."""
    from .factors import crossed

    model, data = found.model, found.asked.data
    sides = [one.subject for one in (*model.random, *([model.repeated] if model.repeated else []))]
    given = [one for one in sides if one is not None]
    if not given or (len(given) < len(sides) and model.random):
        return 1, data.n
    outer = min(given, key=lambda one: len(one.variables))
    if any(not set(outer.variables) <= set(one.variables) for one in given):
        return 1, data.n
    labels = crossed(data, (*outer.nested, *outer.crossed))
    counts = Counter(labels.tolist())
    counts.pop("", None)
    return len(counts), max(counts.values(), default=0)


def observations(found: Fitted, read: int) -> Table:
    """Return `NObs`."""
    used = found.fit.nobs
    names = ["Number of Observations Read", "Number of Observations Used", "Number of Observations Not Used"]
    return table(found, {"Label": names, "N": [read, used, read - used]}, "Number of Observations")


def null_criterion(found: Fitted) -> float:
    """Return −2l of the model with the same X and R = σ²I, in SAS's columns of X."""
    fit, rows = found.fit, found.fit._work.rows()
    weight = np.ones(fit.nobs) if rows.weights is None else rows.weights
    root = np.sqrt(weight)[:, None]
    x = rows.x * root
    y = rows.y * root[:, 0]
    q, r = np.linalg.qr(x / np.maximum(np.linalg.norm(x, axis=0), 1e-300))
    rest = float(np.sum((y - q @ (q.T @ y)) ** 2))
    scale = float(np.log(np.maximum(np.linalg.norm(x, axis=0), 1e-300)).sum() * 2)
    volume = 2 * float(np.log(np.abs(np.diag(r))).sum()) + scale + found.coding.log_volume
    n, p = x.shape
    m = n - p if fit.spec.method == "reml" else n
    value = m * np.log(2 * np.pi * rest / m) + m - float(np.log(weight).sum())
    return float(value + volume) if fit.spec.method == "reml" else float(value)


def criterion(found: Fitted) -> float:
    """Return −2l as SAS prints it, by REML in SAS's columns of X."""
    fit = found.fit
    return fit.criterion + (found.coding.log_volume if fit.spec.method == "reml" else 0.0)


def iterations(found: Fitted) -> Table:
    """Return `IterHistory`: the model without covariance parameters, and the optimum."""
    name = "M2ResLogLike" if found.fit.spec.method == "reml" else "M2LogLike"
    columns = {
        "Iteration": [0, max(found.fit.optimum.iterations, 1)],
        name: [f"{null_criterion(found):.8f}", f"{criterion(found):.8f}"],
    }
    notes = ("iteration 0 is the model of independent errors; the search is the package's own",)
    made = table(found, columns, "Iteration History", notes)
    return Table(made.columns, made.title, made.notes, made.backend, {**made.formats, name: "aligned"})


def convergence(found: Fitted) -> Table:
    """Return `ConvergenceStatus`, with what the fit says of itself."""
    fit = found.fit
    reasons = [str(s) for s in fit.status if s.severity is not Severity.OK]
    texts = ["Convergence criteria met." if fit.converged else "Did not converge.", *reasons]
    status = [0 if fit.converged else 1, *(0 for _ in reasons)]
    return table(found, {"Reason": texts, "Status": status}, "Convergence Status")


def fit_statistics(found: Fitted) -> Table:
    """Return `FitStatistics`: SAS's counts of parameters, observations and subjects."""
    fit = found.fit
    criteria = fit.information_criteria()
    value = dict(zip(criteria["criterion"].tolist(), criteria["sas"].tolist(), strict=True))
    shift = criterion(found) - fit.criterion
    restricted = "Res " if fit.spec.method == "reml" else ""
    names = [
        f"-2 {restricted}Log Likelihood",
        *(f"{one} (Smaller is Better)" for one in ("AIC", "AICC", "BIC")),
    ]
    values = [value[one] + shift for one in ("-2 log L", "AIC", "AICC", "BIC")]
    if found.model.options.has("ic"):
        names += ["HQIC (Smaller is Better)", "CAIC (Smaller is Better)"]
        values += [value[one] + shift for one in ("HQIC", "CAIC")]
    return table(found, {"Descr": names, "Value": np.array(values)}, "Fit Statistics")


def null_test(found: Fitted) -> Table | None:
    """Return `LRT`: the fit against independent errors; None where they are one model."""
    model = found.model
    parameters = found.parameters
    effective = sum(
        not (p.kind == "variance" and value == 0.0)
        for p, value in zip(parameters.parameters, parameters.values, strict=True)
    )
    given = sum("gdata" in statement.options for _, statement, _ in found.asked.random)
    held = len(found.fit.spec.hold) - given
    df = effective - 1 - held
    if (
        found.fit.spec.moments
        or model.options.has("nobound")
        or (model.parms and model.parms.options.has("noiter"))
        or held
        or df < 1
    ):
        return None
    chi = null_criterion(found) - criterion(found)
    columns = {"DF": [df], "ChiSq": np.array([chi]), "PVal": np.array([stats.chi2.sf(chi, df)])}
    made = table(found, columns, "Null Model Likelihood Ratio Test")
    return Table(made.columns, made.title, made.notes, made.backend, {**made.formats, "DF": "integer"})


def covariance_parameters(found: Fitted) -> Table:
    """Return `CovParms`, with standard errors (COVTEST) and limits (CL) where PROC asks for them."""
    own, options = found.parameters, found.model.options
    columns: dict[str, Any] = {"CovParm": [p.name for p in own.parameters]}
    if any(p.subject for p in own.parameters):
        columns["Subject"] = [p.subject for p in own.parameters]
    if any(p.group for p in own.parameters):
        columns["Group"] = [p.group for p in own.parameters]
    columns["Estimate"] = own.values
    error = own.std_error
    if (scale := _scale(found)) is not None:
        for name, values in columns.items():
            columns[name] = (
                [*values, "Scale" if name == "CovParm" else ""]
                if name != "Estimate"
                else np.append(values, scale)
            )
        error = np.append(error, np.nan)
    if options.has("covtest") or found.model.procedure == "glimmix":
        columns["StdErr"] = error
    if options.has("covtest"):
        z = own.values / error
        one_sided = np.array([p.kind in ("variance", "range") for p in own.parameters])
        if options.has("nobound"):
            one_sided[:] = False
        columns["ZValue"] = z
        columns["ProbZ"] = np.where(one_sided, stats.norm.sf(z), 2 * stats.norm.sf(np.abs(z)))
    if options.has("cl"):
        columns.update(_limits(found, error))
    return table(found, columns, "Covariance Parameter Estimates")


def _scale(found: Fitted) -> float | None:
    """Return SAS's `Scale` of a family with a dispersion; None for others.

    It is φ in μ + φμ² for the negative binomial, the reciprocal of the shape for the gamma, φ for the beta family.
    """
    known = found.fit.distribution
    if (
        known is None
        or known.pseudo
        or not known.symbol
        or any(p.name == "Scale" for p in found.parameters.parameters)
    ):
        return None
    value = found.fit.dispersion
    return 1.0 / value if found.fit.family in ("nb2", "gamma") else value


def _limits(found: Fitted, error: Array) -> dict[str, Any]:
    own, options = found.parameters, found.model.options
    alpha = options.number("alpha", 0.05)
    kinds = tuple(
        "plain" if p.kind not in ("variance", "range") or options.has("nobound") else p.kind
        for p in own.parameters
    )
    wald = options.text("cl") == "wald"
    low, high = INTERVALS["symmetric" if wald else "satterthwaite"](own.values, error, kinds, 1 - alpha)
    return {"Alpha": np.full(len(low), alpha), "Lower": low, "Upper": high}


def matrix_table(found: Fitted, matrix: LabelledMatrix, title: str) -> Table:
    """Return a matrix as a table with columns `Row Col1 Col2 …`."""
    values = np.asarray(matrix)
    names = [str(name) for name in matrix.rows]
    columns: dict[str, Any] = {"Row": np.arange(1, len(values) + 1), "Effect": names}
    columns.update({f"Col{j + 1}": values[:, j] for j in range(values.shape[1])})
    return table(found, columns, title)


def asymptotic(found: Fitted) -> list[tuple[str, Table]]:
    """Return `AsyCov` and `AsyCorr`: the covariance of the covariance parameters."""
    own, options = found.parameters, found.model.options
    names = tuple(f"{p.name} {p.group}".strip() for p in own.parameters)
    out = []
    for name, title in (("asycov", "AsyCov"), ("asycorr", "AsyCorr")):
        if options.has(name):
            matrix = own.covariance
            if name == "asycorr":
                scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
                matrix = matrix / np.outer(scale, scale)
            what = "Asymptotic Correlation" if name == "asycorr" else "Asymptotic Covariance"
            shown = LabelledMatrix(names, names, matrix)
            out.append((title, matrix_table(found, shown, f"{what} Matrix of Estimates")))
    return out


def fixed_covariance(found: Fitted, correlation: bool = False) -> Table:
    """Return `CovB` or `CorrB`: the covariance of SAS's coefficients, zero for aliased ones."""
    coding = found.coding
    k, kept = len(coding.columns), list(coding.kept)
    own = found.fit.solution.basis.rows(coding.spread(coding.inverse))
    matrix = np.zeros((k, k))
    matrix[np.ix_(kept, kept)] = own @ found.base.vcov(found.fit) @ own.T
    if correlation:
        scale = np.sqrt(np.where(np.diag(matrix) > 0, np.diag(matrix), 1.0))
        matrix = matrix / np.outer(scale, scale)
    effects = [str(coding.effects[column.effect]) for column in coding.columns]
    columns: dict[str, Any] = {"Row": np.arange(1, k + 1), "Effect": effects}
    columns.update(level_cells(coding, range(len(coding.effects)), range(k)))
    columns.update({f"Col{j + 1}": matrix[:, j] for j in range(k)})
    return table(found, columns, f"{'Correlation' if correlation else 'Covariance'} Matrix for Fixed Effects")


def has_scale(found: Fitted) -> bool:
    """Return whether the table of covariance parameters has a line `Scale`."""
    return _scale(found) is not None
