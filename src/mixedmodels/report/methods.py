"""A methods paragraph ready to paste, with the references it needs."""

from __future__ import annotations

import platform

from ..errors import MixedModelsError
from ..fit import Fit
from ..inference.ddf import method_for
from ..typing import Ddf
from .about import version
from .words import estimation, fixed_terms, kind_of_model, listed

REFERENCES = {
    "mixed": "Laird NM, Ware JH (1982). Random-effects models for longitudinal data. Biometrics 38, 963–974.",
    "reml": "Patterson HD, Thompson R (1971). Recovery of inter-block information when block sizes are unequal. "
    "Biometrika 58, 545–554.",
    "kenward-roger": "Kenward MG, Roger JH (1997). Small sample inference for fixed effects from restricted maximum "
    "likelihood. Biometrics 53, 983–997.",
    "kenward-roger2": "Kenward MG, Roger JH (2009). An improved approximation to the precision of fixed effects from "
    "restricted maximum likelihood. Computational Statistics & Data Analysis 53, 2583–2595.",
    "satterthwaite": "Fai AH-T, Cornelius PL (1996). Approximate F-tests of multiple degree of freedom hypotheses in "
    "generalized least squares analyses of unbalanced split-plot experiments. Journal of Statistical Computation and "
    "Simulation 54, 363–378.",
    "knapp-hartung": "Knapp G, Hartung J (2003). Improved tests for a random effects meta-regression with a single "
    "covariate. Statistics in Medicine 22, 2693–2710.",
    "gls": "Pinheiro JC, Bates DM (2000). Mixed-Effects Models in S and S-PLUS. Springer, New York.",
    "glmm": "Breslow NE, Clayton DG (1993). Approximate inference in generalized linear mixed models. Journal of the "
    "American Statistical Association 88, 9–25.",
    "quadrature": "Pinheiro JC, Chao EC (2006). Efficient Laplacian and adaptive Gaussian quadrature algorithms for "
    "multilevel generalized linear mixed models. Journal of Computational and Graphical Statistics 15, 58–81.",
    "pseudo": "Wolfinger R, O'Connell M (1993). Generalized linear mixed models: a pseudo-likelihood approach. "
    "Journal of Statistical Computation and Simulation 48, 233–243.",
}
SOFTWARE = (
    "The mixedmodels developers. mixedmodels {version}: mixed models on a native engine. Python package."
)


def methods_paragraph(fit: Fit, ddf: Ddf | None = None) -> tuple[str, list[str]]:
    """Return a paragraph for the methods section, with author–year citations, and its references in full.

    `ddf` is the degrees-of-freedom method of the tables beside it, the fit's own by default.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> paragraph, references = methods_paragraph(fit)
    >>> paragraph.partition(" (Laird")[0]
    'We analysed travel (18 observations) by a linear mixed model'
    """
    keys: list[str] = []
    sentences = [
        _model(fit, keys),
        *_random(fit),
        *_errors(fit, keys),
        _estimates(fit, keys),
        *_inference(fit, ddf, keys),
    ]
    sentences.append(
        f"All computations were done with mixedmodels {version()} in Python {platform.python_version()}."
    )
    references = [REFERENCES[key] for key in dict.fromkeys(keys)]
    return " ".join(sentences), [*sorted(references), SOFTWARE.format(version=version())]


def _cite(key: str, keys: list[str]) -> str:
    """Return a citation by authors and year, and note its key."""
    keys.append(key)
    entry = REFERENCES[key]
    authors, _, rest = entry.partition(" (")
    names = [author.strip().rsplit(" ", 1)[0] for author in authors.split(",")]
    shown = (
        names[0]
        if len(names) == 1
        else f"{names[0]} and {names[1]}"
        if len(names) == 2
        else f"{names[0]} et al."
    )
    return f"({shown} {rest[:4]})"


def _model(fit: Fit, keys: list[str]) -> str:
    source = (
        "glmm" if fit.distribution is not None and fit.design.random else "mixed" if fit.design.random else ""
    )
    citation = f" {_cite(source, keys)}" if source else ""
    if not source and fit.design.residual is not None:
        citation = f" {_cite('gls', keys)}"
    terms = fixed_terms(fit)
    shown = [*terms[:12], f"{len(terms) - 12} further terms"] if len(terms) > 12 else terms
    fixed = f"with fixed effects of {listed(shown)}" if terms else "with an intercept as its fixed part"
    about = ""
    if fit.distribution is not None:
        link = fit.distribution.link
        about = f", {fit.family.replace('_', ' ')} responses" + (
            "" if link is None else f" and {link.name} link"
        )
    data = f"{fit.spec.response.strip('`')} ({fit.nobs:,} observations)"
    return f"We analysed {data} by {kind_of_model(fit)}{citation} {fixed}{about}."


def _random(fit: Fit) -> list[str]:
    parts = []
    for term in fit.design.random:
        if term.smooth or term.penalised:
            parts.append(f"a penalised spline of {term.label}")
            continue
        names = ["intercepts" if c == "(Intercept)" else f"slopes of {c}" for c in term.columns[:4]]
        more = " and further coefficients" if len(term.columns) > 4 else ""
        parts.append(f"random {listed(names)}{more} for {term.n_levels:,} levels of {term.group}")
    return [f"The model had {listed(parts)}."] if parts else []


def _errors(fit: Fit, keys: list[str]) -> list[str]:
    asked = [*([str(fit.spec.residual)] if fit.spec.residual else []), *map(str, fit.spec.variance)]
    if not asked:
        return []
    citation = "" if "gls" in keys else f" {_cite('gls', keys)}"
    return [f"The covariance of the errors was {listed(asked)}{citation}."]


def _estimates(fit: Fit, keys: list[str]) -> str:
    known = fit.distribution
    citation = ""
    if known is None and fit.design.reml and (fit.design.random or fit.design.residual is not None):
        citation = f" {_cite('reml', keys)}"
    elif known is not None and known.pseudo:
        citation = f" {_cite('pseudo', keys)}"
    elif known is not None and known.points is not None:
        citation = f" {_cite('quadrature', keys)}"
    singular = " The estimated covariance of the random effects was singular." if fit.singular else ""
    failed = (
        "" if fit.converged else " The search did not converge, and the estimates are not to be relied on."
    )
    return f"Parameters were estimated by {estimation(fit)}{citation}.{singular}{failed}"


def _inference(fit: Fit, ddf: Ddf | None, keys: list[str]) -> list[str]:
    if not fit.design.fixed.columns:
        return []
    try:
        method = method_for(fit, ddf)
    except MixedModelsError:
        return []
    source = {"kenward-roger-linear": "kenward-roger"}.get(method.name, method.name)
    citation = f" {_cite(source, keys)}" if source in REFERENCES else ""
    if method.name == "asymptotic":
        return [
            "Fixed effects were tested by Wald tests with the normal and χ² distributions; intervals are 95%."
        ]
    how = method.describe(fit)
    return [
        f"Fixed effects were tested by t and F tests; degrees of freedom: {how}{citation}. Intervals are 95%."
    ]
