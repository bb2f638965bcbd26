"""Each term taken out of the model: of the fixed part (`drop1`), of the random part (`ranova`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from ..api.run import fit_model
from ..errors import SpecError
from ..fit import Fit
from ..inference.anova import anova
from ..inference.model_terms import ModelTerm, model_terms
from ..inference.other_method import by_method
from ..inference.sensitivity import Information
from ..spec import RandomSpec
from ..syntax.formula import read_formula
from ..syntax.rendering import render
from ..syntax.spelling import split_sum
from ..syntax.tokens import tokenize
from ..table import Table
from ..terms.encoding import own_functions
from ..typing import Ddf
from .formula_changes import change_formula, with_own_contrasts

NONE = "<none>"
"""Label of the row of the whole model, as in R."""


def drop1(fit: Fit, *, ddf: Ddf | None = None, information: Information = "observed") -> Table:
    """Return F tests of the terms that can be dropped, with the AIC of the model without each.

    Parameters
    ----------
    ddf, information
        Degrees-of-freedom method, the fit's own by default, and the information it is computed from.

    Returns
    -------
    Table
        `term num_df den_df statistic p_value aic`, the whole model first. A term that another contains stays.

    Notes
    -----
    The tests are those of `anova`. AIC is that of maximum likelihood, for restricted likelihoods of models with
    different fixed parts are not comparable; smaller models are fitted to the rows of this one.
    *Same as* `drop1(fit)` of lme4 (AIC) and lmerTest (F).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    >>> print(fit.drop1(ddf="satterthwaite"))
    Single term deletions
    term    num_df  den_df  statistic  p_value      aic
    <none>       –       –          –        –  1802.08
    Days         1     161    169.401  <0.0001  1916.54
    df: Satterthwaite
    AIC by maximum likelihood
    """
    tests = anova(fit, 3, ddf=ddf, information=information)
    place = {name: i for i, name in enumerate(tests["term"].tolist())}
    terms = [term for term in _droppable(model_terms(fit)) if term.name in place]
    rows = [tests.row(place[term.name]) for term in terms]
    columns: dict[str, Any] = {"term": [NONE, *(term.name for term in terms)]}
    for name in ("num_df", "den_df", "statistic", "p_value"):
        columns[name] = np.array([np.nan, *(row[name] for row in rows)])
    columns["aic"] = np.array([by_method(fit, "ml").aic, *(_without(fit, term).aic for term in terms)])
    notes = (*tests.notes, "AIC by maximum likelihood")
    return Table(columns, "Single term deletions", notes, fit.backend)


def ranova(fit: Fit) -> Table:
    """Return likelihood-ratio tests of the random terms, each without one of its effects or left out.

    Returns
    -------
    Table
        `term n_parameters loglik aic statistic df p_value`, the whole model first. A term with several effects, `us` or
        `diag`, loses one at a time, `"Days in (1 + Days | Subject)"`; others are left out.

    Notes
    -----
    By the fit's own likelihood, the fixed part being the same; smaller models are fitted to the rows of this one.
    P-values are of χ²: too large, for a variance of zero is on the boundary; `mm.compare(…, boundary="mixture")`
    has the others. *Same as* `lmerTest::ranova`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> print(fit.ranova())
    Tests of random terms
    term                          n_parameters    loglik      aic  statistic  df  p_value
    <none>                                   6  -871.814  1755.63          –   –        –
    Days in (1 + Days | Subject)             4  -893.233  1794.47     42.837   2  <0.0001
    by restricted maximum likelihood; χ² p-values are too large, a variance of zero being on the boundary
    """
    if not fit.spec.random:
        raise SpecError("ranova: the model has no random terms; add one such as `(1 | group)`.")
    smaller = [(label, refitted(fit, fit.spec.with_changes(**change))) for label, change in _smaller(fit)]
    models = [fit, *(model for _, model in smaller)]
    statistic = np.array([np.nan, *(max(model.criterion - fit.criterion, 0.0) for _, model in smaller)])
    df = np.array([np.nan, *(fit.n_parameters - model.n_parameters for _, model in smaller)])
    columns = {
        "term": [NONE, *(label for label, _ in smaller)],
        "n_parameters": [model.n_parameters for model in models],
        "loglik": np.array([model.loglik for model in models]),
        "aic": np.array([model.aic for model in models]),
        "statistic": statistic,
        "df": df,
        "p_value": np.where(df > 0, special.chdtrc(np.maximum(df, 1), statistic), np.nan),
    }
    how = "restricted maximum likelihood" if fit.design.reml else "maximum likelihood"
    note = f"by {how}; χ² p-values are too large, a variance of zero being on the boundary"
    return Table(columns, "Tests of random terms", (note,), fit.backend)


def _droppable(terms: list[ModelTerm]) -> list[ModelTerm]:
    plain = [term for term in terms if not term.is_intercept]
    atoms = {term.name: term.factors | term.numbers for term in plain}
    return [term for term in plain if not any(atoms[term.name] < atoms[other.name] for other in plain)]


def _without(fit: Fit, term: ModelTerm) -> Fit:
    """Return the model without a term of the fixed part, by maximum likelihood."""
    text = ":".join(atom.text for atom in term.atoms)
    spec = fit.spec
    formula = change_formula(spec.formula, f". ~ . - {text}")
    # events among trials are no expression of one column
    plain = formula if spec.likelihood is None else f"{spec.response} ~ {formula.partition('~')[2]}"
    changed = read_formula(
        plain, residual=spec.residual, variance=spec.variance, context=own_functions(fit.design)
    )
    smaller = spec.with_changes(fixed=changed.fixed, formula=formula, method="ml")
    return refitted(fit, with_own_contrasts(smaller))


def _smaller(fit: Fit) -> list[tuple[str, dict[str, Any]]]:
    """Return for each random term, or effect of one, its label and the random part without it."""
    out: list[tuple[str, dict[str, Any]]] = []
    for k, term in enumerate(fit.spec.random):
        before, after = fit.spec.random[:k], fit.spec.random[k + 1 :]
        effects = _effects(term)
        for effect in effects:
            left = [text for text in _written(term) if text != effect]
            kept = replace(term, effects=" + ".join(left if "1" in left else ["0", *left]))
            out.append((f"{effect} in {term}", {"random": (*before, kept, *after)}))
        if not effects:
            out.append((str(term), {"random": (*before, *after)}))
    return out


def _effects(term: RandomSpec) -> list[str]:
    """Return the effects that a term can lose one by one; correlated ones keep their intercept."""
    if term.structure.name not in ("us", "diag") or term.structure.nugget or term.coordinates:
        return []
    written = _written(term)
    if term.structure.name == "us":
        return [text for text in written if text != "1"] if "1" in written else []
    return written if len(written) > 1 else []


def _written(term: RandomSpec) -> list[str]:
    """Return the summands of the effects of a term, `"1"` for its intercept."""
    pieces = split_sum(term.effects, tokenize(term.effects))
    return [text for piece in pieces if piece.positive and (text := render(piece.tokens)) != "0"]


def refitted(fit: Fit, spec: Any) -> Fit:
    """Return another model of the rows of a fit."""
    fit._refuse_moments("a likelihood-ratio test")
    fit._refuse_restricted("likelihood-ratio tests")
    if fit.inputs is None:
        raise fit._work.no_data("leaving out terms")
    used = fit._work.rows().used
    rows = np.arange(fit.schema.n_given) if used is None else used
    return fit_model(spec, replace(fit.inputs, subset=rows), fit.control)
