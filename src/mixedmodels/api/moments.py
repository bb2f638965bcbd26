"""Variance components by the method of moments, in place of a search."""

from __future__ import annotations

import numpy as np

from ..control import Control
from ..criterion import linear_part
from ..engines import Layout, choose_engine
from ..errors import FitError, Severity, SpecError, Status, carried_through
from ..fit import Fit, Inputs
from ..optimise.convergence import ranks
from ..optimise.optimum import Optimum
from ..optimise.start import given_points
from ..spec import ModelSpec
from ..tool import load
from ..typing import Array
from ..workings import build_criterion, own_columns
from .run import owned, read_model

HOW = {
    "type1": "by equating type 1 mean squares and their expectations",
    "type2": "by equating type 2 mean squares and their expectations",
    "type3": "by equating type 3 mean squares and their expectations",
    "mivque0": "by MIVQUE0, one step from independent errors",
}


def fit_moments(spec: ModelSpec, inputs: Inputs, control: Control) -> Fit:
    """Return the fit at the variance components that the method of moments gives.

    Notes
    -----
    Negative estimates are kept, as SAS keeps them, where V stays positive definite. −2l, its information and with them
    Satterthwaite's and Kenward–Roger's degrees of freedom are those of the restricted likelihood at these values.
    *Same as* SAS PROC MIXED `METHOD=TYPE1 | TYPE2 | TYPE3 | MIVQUE0` (Searle, Casella and McCulloch 1992, chapters 4, 5
    and 11).
    """
    load("inference.mean_squares:check_components")(spec, f"method={spec.moments!r}")
    values = _variances(spec, inputs, control)
    if (values < 0).any():
        spec = spec.with_changes(bounds="none")
    frame, design, rows = read_model(spec, inputs, control)
    with carried_through("the fit"):
        own, own_rows = own_columns(spec, design, rows, control)
        layout = Layout.of(own)
        engine = choose_engine(layout, own_rows, control)
        criterion = build_criterion(spec, own, engine.equations(layout, own_rows, control))
        names = linear_part(criterion).natural(np.ones(linear_part(criterion).n_theta)).names
        theta = given_points(criterion, dict(zip(names, values.tolist(), strict=True)))[0]
        assert theta is not None
        value = criterion.value(theta)
    if not np.isfinite(value):
        shown = ", ".join(f"{name} = {one:.6g}" for name, one in zip(names, values, strict=True))
        raise FitError(
            f"method={spec.moments!r} estimates {shown}, at which the covariance of the data is not positive definite; "
            "use method='reml'."
        )
    said = Status(
        Severity.NOTE,
        f"variance components {HOW[str(spec.moments)]}, not by likelihood: −2l is that at these values",
    )
    optimum = Optimum(
        theta, value, 0.0, True, 0, criterion.evaluations, (), ranks(criterion, theta, criterion.unit(theta)), (said,)
    )  # fmt: skip
    fit = Fit.from_optimum(
        spec, frame.schema, design, rows, criterion, optimum, engine=engine.name, control=control,
        notes=frame.notes + design.notes + control.notes,
        inputs=owned(spec, inputs, frame, design) if control.keep_data else None,
    )  # fmt: skip
    load("inference.ddf:check_given")(fit)
    return fit


def _variances(spec: ModelSpec, inputs: Inputs, control: Control) -> Array:
    """Return the estimates, by random term, the residual variance last."""
    if spec.moments != "mivque0":
        kind = int(str(spec.moments)[-1])
        found: Array = load("inference.mean_squares:analyse")(spec, inputs, control, kind).variances()
    else:
        _, design, rows = read_model(spec, inputs, control)
        if any(term.n_columns != 1 for term in design.random):
            raise SpecError("method='mivque0' is for random terms of one column, (1 | g) + (0 + x | g).")
        layout = Layout.of(design)
        s, q = choose_engine(layout, rows, control).equations(layout, rows, control).start_moments()
        found = np.asarray(np.linalg.solve(s, q), dtype=float)
    if not found[-1] > 0:
        raise FitError(
            f"method={spec.moments!r} estimates a residual variance of {found[-1]:.6g}; use method='reml'."
        )
    return found
