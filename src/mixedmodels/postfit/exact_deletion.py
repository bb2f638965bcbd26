"""Estimates without sets of rows, by fitting the model to the rows that are left."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ConvergenceWarning, MixedModelsError
from ..fit import Fit
from ..inference.progress import counted
from ..inference.resampling import Clusters, fit_rows
from ..optimise.start import place_values
from ..typing import Array
from .deleted import Deleted, theta_root
from .deletion_sets import DeletionSets

WAVE = 4
"""Refits per thread between two renewals of the progress line."""


def refit_without(fit: Fit, sets: DeletionSets, *, threads: int = 1, progress: bool | None = None) -> Deleted:
    """Return the changes of the estimates when each set is deleted and the model fitted again from θ̂.

    A set without which the model cannot be fitted has NaN and its reason.
    """
    r = fit.design.fixed.rank
    criterion, theta = fit._work.parameters(), fit.optimum.theta
    joint = criterion if criterion.linear is None else criterion.linear.jointly()
    at = theta if criterion.linear is None else criterion.linear.absolute(theta)
    natural = criterion.natural(theta)
    inverse = _to_unit(fit, natural.jacobian)
    m, q = sets.count, len(inverse)
    out = Deleted(
        np.full((m, r), np.nan), np.full((m, r, r), np.nan), np.full((m, r, r), np.nan),
        np.full((m, q), np.nan), np.full((m, q, q), np.nan), np.full(m, np.nan),
    )  # fmt: skip
    reasons: dict[str, list[str]] = {}
    into = np.linalg.inv(fit.solution.basis.coefficients(np.eye(r))) if r else np.empty((0, 0))
    for i, other in _refits(fit, sets, threads, progress):
        if isinstance(other, str):
            reasons.setdefault(other, []).append(str(sets.levels[i]))
            continue
        beta = other.solution.beta
        out.delta[i] = fit.solution.own_beta - into @ beta
        out.vcov[i] = into @ other.solution.vcov @ into.T
        found = other._work.parameters().natural(other.optimum.theta)
        if q:
            out.theta[i] = inverse @ (natural.values - found.values)
            out.theta_vcov[i] = inverse @ other._work.natural_covariance() @ inverse.T
        try:
            without = place_values(joint, at, dict(enumerate(found.values.tolist())), "influence")
            out.outer[i], out.displacement[i] = _on_all_rows(fit, without, into @ beta, other)
        except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError):
            reasons.setdefault("the covariance without it is none of all rows", []).append(
                str(sets.levels[i])
            )
    listed = tuple(f"{_shown(sets.by, names)}: {reason}" for reason, names in reasons.items())
    return replace(out, reasons=listed)


def _shown(by: str, names: list[str]) -> str:
    return f"{by} {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"


def _to_unit(fit: Fit, jacobian: Array) -> Array:
    """Return the map (q, k) from natural parameters to directions in which the fit's estimate has unit covariance."""
    if fit._work.integrated:
        covariance = fit._work.natural_covariance()
        root = theta_root(np.eye(len(covariance)), covariance, False)
        moved = root
    else:
        criterion = fit._work.criterion()
        root = theta_root(jacobian, criterion.working_covariance(fit.optimum.theta), fit.singular)
        moved = jacobian @ root
    size = np.linalg.norm(moved, axis=1)
    scale = 1.0 / np.where(size > 0, size, 1.0)
    return np.asarray(np.linalg.pinv(moved * scale[:, None]) * scale)


def _on_all_rows(fit: Fit, theta: Array, own_beta: Array, other: Fit) -> tuple[Array, float]:
    """Return (X'V⁻¹X)⁻¹ of all rows at joint θ, and what twice their log-likelihood loses at the other estimates."""
    if fit._work.integrated:
        likelihood, own = fit._work.likelihood(), other._work.likelihood()
        theta = theta.copy()
        theta[likelihood.of_beta] = own_beta
        theta[likelihood.of_psi] = other.optimum.theta[own.of_psi]
        return other.solution.own_vcov * np.nan, likelihood.value(theta) - fit.optimum.value
    joint = fit._work.criterion().jointly()
    lost = joint.value(theta) - fit.optimum.value
    solution, _ = joint.solve(theta)
    if not fit.design.reml:
        gap = solution.own_beta - own_beta
        lost += float(gap @ np.linalg.solve(solution.own_vcov, gap)) if len(gap) else 0.0
    if fit.distribution is not None:
        # pseudo-data differ from fit to fit
        lost = float("nan")
    return solution.own_vcov, lost


def _refits(
    fit: Fit, sets: DeletionSets, threads: int, progress: bool | None
) -> Iterator[tuple[int, Fit | str]]:
    """Yield each set with the fit of the rows that are left, or why there is none."""
    order = np.argsort(sets.codes, kind="stable")
    groups = np.split(order, np.cumsum(sets.sizes())[:-1])

    def one(i: int) -> tuple[int, Fit | str]:
        kept = np.ones(fit.nobs, dtype=bool)
        kept[groups[i]] = False
        return i, _refit(fit, np.flatnonzero(kept))

    if threads <= 1:
        for i in counted(range(sets.count), "influence", progress):
            yield one(i)
        return
    with ThreadPoolExecutor(threads) as pool:
        waves = range(0, sets.count, WAVE * threads)
        for first in counted(waves, "influence", progress, total=sets.count):
            yield from pool.map(one, range(first, min(first + WAVE * threads, sets.count)))


def _refit(fit: Fit, kept: NDArray[np.intp]) -> Fit | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            other = fit_rows(fit, Clusters((kept,)), np.zeros(1, dtype=np.intp))
    except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError) as error:
        return str(error).rstrip(".")
    if not other.converged:
        return "the fit to the other rows did not converge"
    if other.design.fixed.estimable != fit.design.fixed.estimable:
        return "some fixed effect is not estimable from the other rows"
    return other
