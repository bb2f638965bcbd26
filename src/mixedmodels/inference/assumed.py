"""A fit that is assumed rather than estimated: a model on data, with given coefficients and covariance parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..api.run import owned, read_model
from ..control import Control
from ..criterion import linear_part
from ..criterion.coordinates import written_solution
from ..engines import Layout, choose_engine
from ..errors import SpecError, suggest
from ..fit import Fit, Inputs
from ..optimise.optimum import Optimum
from ..optimise.start import place_values, starting_points
from ..spec import ModelSpec
from ..typing import Array, Labels
from ..workings import build_criterion, own_columns

Values = Callable[[Labels], Mapping[int, float]]
"""Names of all covariance parameters ↦ the assumed value of each by its place."""


def assumed_fit(
    spec: ModelSpec, inputs: Inputs, control: Control, coefficients: Mapping[str, float], values: Values
) -> Fit:
    """Return the model on data with β and covariance parameters as given, b at 0; its response means nothing.

    Raises
    ------
    SpecError
        Where a coefficient is missing, unknown or not estimable from these data, or parameters define no covariance.
    """
    frame, design, rows = read_model(spec, inputs, control)
    own, own_rows = own_columns(spec, design, rows, control)
    layout = Layout.of(own)
    engine = choose_engine(layout, own_rows, control)
    equations = engine.equations(layout, own_rows, control)
    criterion = build_criterion(spec, own, equations)
    linear = linear_part(criterion)
    joint, base = linear.jointly(), linear.absolute(starting_points(criterion, None, control)[0])
    theta = place_values(joint, base, values(joint.natural(base).names), "parameters")
    if not linear.joint:
        theta = joint.relative(theta)
    solution, _ = linear.solve(theta)
    beta = _coefficients(design.fixed.columns, design.fixed.estimable, coefficients)
    into = solution.basis.coefficients(np.eye(len(beta)))
    solution = replace(
        written_solution(own, solution),
        own_beta=np.asarray(np.linalg.solve(into, beta), dtype=float),
        random=tuple(np.zeros_like(b) for b in solution.random),
    )
    # σ² as assumed, not as the response would have it
    natural = place_values(joint, base, values(joint.natural(base).names), "parameters")
    sigma2 = joint.sigma2(natural)
    full = tuple(tuple(term.n_columns for _ in range(term.n_sets)) for term in own.random)
    optimum = Optimum(theta, linear.value(theta), 0.0, True, 0, 0, (), full, ())
    return Fit(
        spec, frame.schema, design, rows, optimum, solution, linear.relative(theta), sigma2, engine.name, control,
        inputs=owned(spec, inputs, frame, design),
    )  # fmt: skip


def _coefficients(columns: Labels, estimable: tuple[int, ...], given: Mapping[str, float]) -> Array:
    unknown = next((name for name in given if name not in columns), None)
    if unknown is not None:
        raise SpecError(
            f"fixed={{{unknown!r}: …}} is no coefficient of this model.{suggest(unknown, columns)} Its coefficients: "
            f"{', '.join(columns)}."
        )
    missing = [columns[j] for j in estimable if columns[j] not in given]
    if missing:
        raise SpecError(
            f"fixed= has no value for {', '.join(missing)}; give one for every coefficient: {', '.join(columns)}."
        )
    aliased = [
        columns[j] for j in range(len(columns)) if j not in estimable and given.get(columns[j], 0.0) != 0
    ]
    if aliased:
        raise SpecError(f"fixed=: {', '.join(aliased)} cannot be estimated from these data.")
    return np.array([float(given[columns[j]]) for j in estimable])
