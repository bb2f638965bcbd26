"""A fit at given values of the covariance parameters: PARMS / NOITER, and listings of SAS where its search ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...criterion.fixed_information import fixed_information
from ...errors import Severity, Status
from ...fit import Fit
from ...inference.sensitivity import Sensitivity
from ...inference.vcov import model_vcov
from ...optimise.start import given_points
from ...typing import Array

STEP = 1e-5
"""Relative step of the differences of the slopes of natural parameters."""


def at_values(fit: Fit, values: Mapping[str, float]) -> Fit:
    """Return the model of a fit at other values of its covariance parameters, by natural name.

    Notes
    -----
    A residual variance that is profiled is the one that goes best with the values, as in SAS without NOPROFILE. The
    uncertainty W of the covariance parameters is 2H⁻¹ with H the observed information in the natural parameters φ: away
    from a minimum H_φ = J'⁻¹(H_θ − Σ_k λ_k ∂²φ_k/∂θ²)J⁻¹ with λ = ∂(−2l)/∂φ, of which the second part is zero at one.
    """
    criterion = fit._work.criterion()
    theta = given_points(criterion, dict(values))[0]
    assert theta is not None
    note = Status(Severity.NOTE, "covariance parameters are the values given, not searched for")
    optimum = replace(
        fit.optimum, theta=theta, value=criterion.value(theta), iterations=0, statuses=(note,), starts=(),
    )  # fmt: skip
    found = Fit.from_optimum(
        fit.spec, fit.schema, fit.design, fit.rows, criterion, optimum, engine=fit.engine, control=fit.control,
        notes=fit.notes, inputs=fit.inputs,
    )  # fmt: skip
    w = _working_covariance(found)
    slopes = criterion.natural(theta).jacobian
    found._work.keep("natural_covariance", lambda: slopes @ w @ slopes.T)
    p, squared = fixed_information(criterion, theta, w)
    found._work.keep("sensitivity observed", lambda: Sensitivity(model_vcov(found), p, w, squared))
    return found


def _working_covariance(fit: Fit) -> Array:
    """Return W of the joint working parameters (k, k) by the information in the natural ones."""
    criterion, theta = fit._work.criterion(), fit.optimum.theta
    assert criterion.linear is not None
    joint, at = criterion.linear.jointly(), criterion.linear.absolute(theta)
    jacobian = joint.natural(at).jacobian
    free = np.flatnonzero(joint.free)
    plain = criterion.working_covariance(theta)
    if len(free) != len(at) or jacobian.shape[0] != len(at):
        return plain
    multipliers = np.linalg.lstsq(jacobian.T, joint.gradient(at), rcond=None)[0]
    bend = np.zeros((len(at), len(at)))
    for a in range(len(at)):
        step = STEP * max(abs(float(at[a])), 1e-3)
        ends = []
        for sign in (1.0, -1.0):
            moved = at.copy()
            moved[a] += sign * step
            ends.append(joint.natural(moved).jacobian)
        bend[a] = multipliers @ (ends[0] - ends[1]) / (2.0 * step)
    hessian = joint.observed_information(at) - 0.5 * (bend + bend.T)
    values, vectors = np.linalg.eigh(hessian)
    if values[0] <= 1e-7 * values[-1]:
        return plain
    return np.asarray(2.0 * (vectors / values) @ vectors.T)
