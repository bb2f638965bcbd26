"""Likelihood-ratio tests of hypotheses about the covariance parameters, each by a fit under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from ..covariance import STRUCTURES
from ..errors import SpecError, suggest
from ..fit import Fit
from ..inference.compare import compare
from ..spec import ModelSpec, RandomSpec, StructureSpec
from ..table import Table
from .drop_terms import refitted

HYPOTHESES = {
    "zerog": "no random effects",
    "diagg": "random effects without covariances",
    "diagr": "errors without correlations",
    "indep": "independent errors of one variance, no random effects",
    "homogeneity": "parameters shared by groups (by=, ident)",
}
NAMES = {"glm": "indep", "no random effects": "zerog", "zero g": "zerog"}


def covtest(fit: Fit, *hypotheses: str | Mapping[str, float]) -> Table:
    """Return likelihood-ratio tests of hypotheses about G and R.

    Parameters
    ----------
    fit
        A linear mixed model, or a generalised one whose random effects were integrated out.
    hypotheses
        `"zerog"` (no random effects), `"diagg"` (random effects without covariances), `"diagr"` (errors without
        correlations), `"indep"` (independent errors of one variance, no random effects), `"homogeneity"` (parameters
        shared by groups); or values of covariance parameters by natural name, `{"cov(id: (Intercept), t)": 0}`. All
        that apply by default.

    Returns
    -------
    Table
        `hypothesis n_parameters criterion statistic df p_value reference`: of the fit under the hypothesis its number
        of parameters and −2l, the rise of −2l, the parameters given up, and what the statistic was referred to.

    Raises
    ------
    SpecError
        For a hypothesis that is not known, that the model already fulfils, or names of parameters it does not have.

    Notes
    -----
    Every hypothesis is fitted, with the same fixed part, by the fit's own likelihood. Where it puts one variance at
    zero (r + 1 random columns for r) the reference is ½χ²_r + ½χ²_{r+1} (Self and Liang 1987), `"mixture"`; elsewhere
    χ² on the parameters given up, `"chi2"`, which is conservative where variances are on their boundary. *Same as* SAS
    `COVTEST` of PROC GLIMMIX.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> table = fit.covtest("diagg", "zerog")
    >>> table["df"].tolist(), table["statistic"].round(2).tolist()
    ([1.0, 3.0], [0.04, 150.04])
    """
    asked = list(hypotheses) or [name for name in HYPOTHESES if _reduced(fit, name) is not None]
    if not asked:
        raise SpecError(
            "covtest: the model has independent errors of one variance: there is nothing to test."
        )
    found: list[tuple[str, int, float, float, float, float, str]] = []
    for one in asked:
        label, smaller = _fitted(fit, one)
        statistic = max(smaller.criterion - fit.criterion, 0.0)
        df = fit.n_parameters - smaller.n_parameters
        if df < 1:
            raise SpecError(f"covtest: {label} gives up no parameter; the model fulfils it already.")
        p, reference = _p_value(fit, smaller, one, statistic, df)
        found.append((label, smaller.n_parameters, smaller.criterion, statistic, float(df), p, reference))
    names = ("hypothesis", "n_parameters", "criterion", "statistic", "df", "p_value", "reference")
    columns = {name: [row[j] for row in found] for j, name in enumerate(names)}
    how = "restricted likelihood" if fit.design.reml else "likelihood"
    notes = [f"by {how}, the fixed part being the same"]
    if any(row[-1] == "chi2" for row in found):
        notes.append("χ² is conservative where a hypothesis puts variances on their boundary")
    return Table(columns, "Tests of covariance parameters", tuple(notes), fit.backend)


def _fitted(fit: Fit, asked: str | Mapping[str, float]) -> tuple[str, Fit]:
    """Return the label of a hypothesis and the fit under it."""
    if isinstance(asked, Mapping):
        hold = tuple((str(name), float(value)) for name, value in asked.items())
        label = ", ".join(f"{name} = {value:g}" for name, value in hold)
        if not hold:
            raise SpecError("covtest: a mapping of no parameters is no hypothesis; give {name: value}.")
        return label, refitted(
            fit, fit.spec.with_changes(hold=(*_held_pairs(fit.spec), *hold), start=(), starts=())
        )
    if not isinstance(asked, str):
        raise SpecError(f"covtest: {asked!r} must be a name or {{parameter: value}}.")
    name = NAMES.get(asked.strip().lower(), asked.strip().lower())
    if name not in HYPOTHESES:
        raise SpecError(
            f"covtest: hypothesis {asked!r} is not known.{suggest(name, HYPOTHESES)} Use one of "
            f"{', '.join(map(repr, HYPOTHESES))}, or {{parameter: value}}."
        )
    spec = _reduced(fit, name)
    if spec is None:
        raise SpecError(f"covtest: the model fulfils {name!r} ({HYPOTHESES[name]}) already.")
    return f"{name}: {HYPOTHESES[name]}", refitted(fit, spec)


def _held_pairs(spec: ModelSpec) -> tuple[tuple[str, float], ...]:
    if any(isinstance(one, str) for one in spec.hold):
        raise SpecError(
            "covtest: a fit that holds parameters at starting values cannot hold others; give their values."
        )
    return spec.hold  # type: ignore[return-value]


def _reduced(fit: Fit, name: str) -> ModelSpec | None:
    """Return the spec under a hypothesis, None where it holds already."""
    spec = fit.spec
    plain: dict[str, Any] = {"start": (), "starts": ()}
    changes: dict[str, Any] = {}
    if name == "zerog":
        changes = {"random": ()} if spec.random else {}
    elif name == "diagg":
        columns = [term.n_columns for term in fit.design.random if not term.smooth]
        random = tuple(
            _uncorrelated(term) if width > 1 else term
            for term, width in zip(spec.random, columns, strict=True)
        )
        changes = {"random": random} if random != spec.random else {}
    elif name == "diagr" and spec.residual is not None:
        structure = _without_correlation(spec.residual.structure)
        if structure != spec.residual.structure:
            kept = structure.name == "diag" or spec.residual.by is not None
            changes = {"residual": replace(spec.residual, structure=structure) if kept else None}
    elif name == "indep" and (spec.random or spec.residual is not None or spec.variance):
        changes = {"random": (), "residual": None, "variance": ()}
    elif name == "homogeneity":
        changes = _shared(spec)
    return spec.with_changes(**plain, **changes) if changes else None


def _shared(spec: ModelSpec) -> dict[str, Any]:
    """Return the parts of a spec that differ by group, without that."""
    changes: dict[str, Any] = {}
    if any(term.by for term in spec.random):
        changes["random"] = tuple(replace(term, by=None) for term in spec.random)
    if spec.residual is not None and spec.residual.by:
        changes["residual"] = replace(spec.residual, by=None)
    if any(one.name == "ident" or one.by for one in spec.variance):
        changes["variance"] = tuple(replace(one, by=None) for one in spec.variance if one.name != "ident")
    return changes


def _uncorrelated(term: RandomSpec) -> RandomSpec:
    if term.coordinates:
        return term
    return replace(term, structure=_without_correlation(term.structure))


def _without_correlation(structure: StructureSpec) -> StructureSpec:
    """Return the structure with the variances of another and no covariance; itself where it has none."""
    if structure.name in ("diag", "homdiag"):
        return structure
    own = STRUCTURES[structure.name].own_variances or structure.name in ("fa1", "hf")
    return StructureSpec("diag" if own else "homdiag")


def _p_value(
    fit: Fit, smaller: Fit, asked: str | Mapping[str, float], statistic: float, df: int
) -> tuple[float, str]:
    """Return the p-value of a statistic and what it was referred to."""
    if isinstance(asked, Mapping):
        (name, value), *more = asked.items()
        if not more and value == 0 and name.replace(" ", "").lower().startswith("var("):
            return float(0.5 * special.chdtrc(1, statistic)) if statistic > 0.0 else 1.0, "mixture"
        return float(special.chdtrc(df, statistic)), "chi2"
    try:
        table = compare(smaller, fit, boundary="mixture")
    except SpecError:
        # more than one random column at a time
        return float(special.chdtrc(df, statistic)), "chi2"
    p = float(np.asarray(table["p_value"])[-1])
    plain = float(special.chdtrc(df, statistic))
    if not np.isfinite(p):
        return plain, "chi2"
    return p, "chi2" if abs(p - plain) <= 1e-12 * max(plain, 1e-300) else "mixture"
