"""The model of a fit by the other likelihood, or without its covariance parameters, on the same arrays."""

from __future__ import annotations

from dataclasses import replace

from ..api.run import search
from ..errors import SpecError
from ..fit import Fit, no_likelihood
from ..spec import Method, ModelSpec
from ..terms.design import Design
from ..terms.rows import Rows


def by_method(fit: Fit, method: Method) -> Fit:
    """Return the same model fitted by `"ml"` or `"reml"`; the fit itself where that is how it was fitted."""
    _check_linear(fit)
    if fit.spec.method == method:
        return fit
    fit._refuse_restricted("likelihoods of other fixed parts")
    design = replace(fit.design, reml=method == "reml")
    return _fit_design(fit, fit.spec.with_changes(method=method, moments=None), design, fit._work.rows())


def null_model(fit: Fit) -> Fit:
    """Return the model with the same fixed part and independent errors of one variance (times 1/w)."""
    _check_linear(fit)
    spec = fit.spec.with_changes(
        random=(), smooths=(), residual=None, variance=(), start=(), starts=(), hold=(), moments=None,
        formula=f"{fit.spec.response} ~ {fit.spec.fixed}",
    )  # fmt: skip
    rows = replace(fit._work.rows(), random=(), residual=None)
    return _fit_design(fit, spec, replace(fit.design, random=(), residual=None, held=()), rows)


def _check_linear(fit: Fit) -> None:
    """Raise `SpecError` for a fit by pseudo-likelihood: its arrays are pseudo-data of its own estimates."""
    if fit.distribution is not None and fit.distribution.pseudo:
        raise SpecError(no_likelihood(fit.distribution.approximation))


def _fit_design(fit: Fit, spec: ModelSpec, design: Design, rows: Rows) -> Fit:
    control = replace(fit.control, engine="auto")
    found = search(spec, design, rows, control, spec.start_values)
    return Fit.from_optimum(
        spec, fit.schema, found.design, found.rows, found.criterion, found.optimum, engine=found.engine,
        control=fit.control, notes=fit.notes, inputs=fit.inputs,
    )  # fmt: skip
