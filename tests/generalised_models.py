"""Generalised models of tests, from a formula to their criterion without a fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.api.generalised import generalised_inputs, read_generalised, read_rows
from mixedmodels.control import Control
from mixedmodels.criterion.generalised import arrange, random_equations
from mixedmodels.criterion.laplace import EXACT, Laplace
from mixedmodels.criterion.quadrature import Quadrature
from mixedmodels.frame.ingest import build_frame
from mixedmodels.likelihood.base import Family
from mixedmodels.likelihood.families import make_family
from mixedmodels.likelihood.responses import Responses
from mixedmodels.spec import LikelihoodSpec, ModelSpec
from mixedmodels.syntax.formula import read_formula
from mixedmodels.terms.build import build_design
from mixedmodels.terms.observed import Observed
from mixedmodels.terms.predictors import assemble, build_parts
from mixedmodels.terms.stack import PredictorRows, Stack
from mixedmodels.typing import Array

ONE = Control(threads=1)


def one_predictor(
    formula: str,
    data: Any,
    family: str,
    link: str | None = None,
    *,
    trials: Array | None = None,
    control: Control = ONE,
    known: Any = None,
) -> tuple[Laplace, Any]:
    """Return the Laplace criterion of a model of a mean alone, and the way to its coefficients as written."""
    spec = read_formula(formula, method="ml").with_changes(likelihood=LikelihoodSpec(family, link))
    frame = build_frame(spec, data, known=known)
    y = np.asarray(data[spec.response], dtype=float)
    design, rows = build_design(spec, frame, response=y)
    found = arrange(design, rows, make_family(family, link), Responses(y, trials), control)
    return Laplace(found.design, found.equations, found.observed), found.basis


def several_predictors(
    formula: str, data: Any, family: str, link: str | None = None, **options: Any
) -> Laplace:
    """Return the Laplace criterion of a model as `glmm` would fit it."""
    spec = read_generalised(formula, family, link, **options)
    frame, observed = read_rows(spec, generalised_inputs(data))
    assert spec.likelihood is not None
    levels = () if observed.levels is None else tuple(str(level) for level in observed.levels)
    given = (observed.family, observed.responses)
    whole = assemble(build_parts(spec, frame, observed, ONE), *given, levels, spec.likelihood.thresholds)
    found = arrange(whole.design, whole.rows, *given, ONE, levels=levels, spacing=spec.likelihood.thresholds)
    return Laplace(found.design, found.equations, found.observed)


def criterion_of(
    family: Family, responses: Responses, predictors: tuple[PredictorRows, ...], design: Any
) -> Laplace:
    """Return the Laplace criterion of a likelihood with these predictors, which share the random terms of a design."""
    shapes = tuple((term.n_levels, term.n_columns) for term in design.random)
    rank = 1 + max((int(one.columns.max()) for one in predictors if len(one.columns)), default=-1)
    observed = Observed(family, responses, Stack(predictors, rank, shapes))
    return Laplace(design, random_equations(design, observed.stack, ONE)[0], observed)


def terms_of(formula: str, data: Any, response: Array) -> tuple[ModelSpec, Any, Any]:
    """Return spec, design and rows of a formula whose response says nothing of errors."""
    spec = read_formula(formula, method="ml").with_changes(likelihood=LikelihoodSpec("poisson"))
    design, rows = build_design(spec, build_frame(spec, data), response=response)
    return spec, design, rows


def gradient_error(criterion: Laplace | Quadrature, theta: Array, step: float = 1e-4) -> float:
    """Return the largest error of the gradient against differences of the fourth order, over its largest element."""
    criterion.tolerance = EXACT
    exact = criterion.gradient(theta).copy()
    criterion.evaluate(theta)
    found = np.empty(len(theta))
    for j in range(len(theta)):
        shift = np.zeros(len(theta))
        shift[j] = step
        far, near = (criterion.value(theta + k * shift) - criterion.value(theta - k * shift) for k in (2, 1))
        found[j] = (8.0 * near - far) / (12.0 * step)
    return float(np.abs(exact - found).max() / max(1.0, np.abs(found).max()))
