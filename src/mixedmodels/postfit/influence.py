"""How much the estimates depend on single rows or on single clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.wald import untested
from ..table import Table
from ..typing import Array
from .deleted import Deleted
from .deletion_sets import DeletionSets, deletion_sets
from .exact_deletion import refit_without
from .one_step import has_one_scale, one_step


def influence(
    fit: Fit,
    by: str = "obs",
    refit: bool = False,
    *,
    threads: int | None = None,
    progress: bool | None = None,
) -> Table:
    """Return what deleting each row, or all rows of each level of a factor, does to the estimates.

    Parameters
    ----------
    by
        `"obs"`, a grouping factor, or a column of the data.
    refit
        False: β̂ is updated with V known (its scale estimated anew where all of V has one), and the covariance
        parameters take one Newton step; no refits. True: the model is fitted to the other rows, from θ̂.
    threads, progress
        Threads of refits, by default those of the fit's `Control`; whether a line on standard error says how far they
        are.

    Returns
    -------
    Table
        A row per level: `level`, its rows `n`, `cooks_d mdffits dffits covratio covtrace press
        likelihood_displacement`, `dfbetas[term]` of every coefficient, and `cooks_d_theta mdffits_theta covratio_theta
        covtrace_theta` of the covariance parameters.

    Raises
    ------
    SpecError
        For a generalised model without `refit=True`, or clusters of correlated errors too large to form V of.

    Notes
    -----
    With δ = β̂ − β̂_(U), C = (X'V⁻¹X)⁻¹ (r by r) and C_(U) that without the rows U:

    =========================  =================================================================================
    `cooks_d`                  δ'C⁻¹δ/r
    `mdffits`                  δ'C_(U)⁻¹δ/r
    `dffits`                   x'δ over the standard error of x'β̂, of the row of U where it is largest
    `covratio`, `covtrace`     det C_(U)/det C; |tr(C⁻¹C_(U)) − r|
    `press`                    Σ(y − x'β̂_(U))² over the rows of U
    `dfbetas[term]`            δ_j over the standard error of β̂_j
    `likelihood_displacement`  2(l(ψ̂) − l(ψ̂_(U))) of all rows: of REML in θ alone, of ML in β and θ; without refits
                               its quadratic form
    =========================  =================================================================================

    Generalised models have no `dffits` and `press`, for the means of their rows are no functions of β alone; their
    `dfbetas` are over the standard errors without U.

    Standard errors of `dffits` and `dfbetas` are of all rows at the V estimated without U, as R's `influence.measures`
    has them. Measures of θ are the first, second, fifth and sixth with W, the covariance of the parameters as SAS
    counts them, for C, and are not divided. *Same as* SAS `MODEL … / INFLUENCE(EFFECT= ITER=)`, with `refit=True` at
    convergence; `influence.ME`, `HLMdiag::case_delete`; of `mm.lm` R's `cooks.distance`, `dffits`, `dfbetas`,
    `covratio`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.gls("Y ~ sex * age", mm.datasets.load("orthodont"), residual="us(age | id)", method="ml")
    >>> table = fit.influence(by="id")
    >>> str(table["level"][np.argmax(table["cooks_d"])]), round(float(table["cooks_d"].max()), 5)
    ('24', 0.15094)
    """
    if not isinstance(refit, bool):
        raise SpecError(f"refit={refit!r} must be True (fit the other rows) or False (one step).")
    if fit.distribution is not None and not refit:
        raise SpecError(
            "influence without refits is for linear models; of a generalised model ask for refit=True, which fits the "
            "model anew without each set of rows."
        )
    sets = deletion_sets(fit, by)
    if sets.count < 2:
        raise SpecError(f"by={by!r} has one level alone: without it no rows are left.")
    if refit:
        workers = fit.control.threads_for(fit.nobs) if threads is None else _checked(threads)
        found = refit_without(fit, sets, threads=workers, progress=progress)
    else:
        found = one_step(fit, sets)
    columns = {**_of_rows(fit, sets, found), **_of_theta(found)}
    why = untested(fit)
    if why:
        # no error to measure changes by
        kept = ("level", "n", "press")
        columns = {k: v if k in kept else np.full(sets.count, np.nan) for k, v in columns.items()}
    notes = (*_notes(fit, refit), *found.reasons)
    how = "refits without" if refit else "one step without"
    title = f"Influence: {how} each {'row' if by == 'obs' else f'level of {by}'}"
    return Table(columns, title, (f"no measures: {why}",) if why else notes, fit.backend)


def _checked(threads: int) -> int:
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise SpecError(f"threads={threads!r} must be a whole number, at least 1.")
    return threads


def _notes(fit: Fit, refit: bool) -> tuple[str, ...]:
    if fit._work.integrated:
        return ("no dffits and press: means of the response depend on the random effects too",)
    if refit:
        return ()
    if has_one_scale(fit):
        return ("covariances of β without a level: V kept, its scale estimated anew",)
    return ("covariances of β without a level: V kept",)


def _of_rows(fit: Fit, sets: DeletionSets, found: Deleted) -> dict[str, Any]:
    basis, r = fit.solution.basis, max(fit.design.fixed.rank, 1)
    whole = fit.solution.own_vcov
    delta, inverse = found.delta, np.linalg.inv(whole)
    dffits, press = _predictions(fit, sets, found)
    share = inverse @ found.vcov
    columns: dict[str, Any] = {
        "level": sets.levels,
        "n": sets.sizes(),
        "cooks_d": np.einsum("mi,ij,mj->m", delta, inverse, delta) / r,
        "mdffits": _form(delta, found.vcov) / r,
        "dffits": dffits,
        "covratio": np.linalg.det(share),
        "covtrace": np.abs(np.trace(share, axis1=1, axis2=2) - fit.design.fixed.rank),
        "press": press,
        "likelihood_displacement": found.displacement,
    }
    if fit._work.integrated:
        for name in ("dffits", "press"):
            del columns[name]
    written = basis.coefficients(np.eye(len(whole)))
    moved = delta @ written.T
    # sums that cancel, as those of coefficients that a level says nothing of
    moved = np.where(np.abs(moved) > 1e-12 * (np.abs(delta) @ np.abs(written).T), moved, 0.0 * moved)
    spread = found.outer if not fit._work.integrated else found.vcov
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.einsum("ja,mab,jb->mj", written, spread, written))
    names = [fit.design.fixed.columns[j] for j in fit.design.fixed.estimable]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = moved / errors
    # what a level says nothing of is zero but for rounding
    shares = np.where(np.abs(shares) < 1e-13, 0.0 * shares, shares)
    return columns | {f"dfbetas[{name}]": shares[:, j] for j, name in enumerate(names)}


def _form(delta: Array, matrices: Array) -> Array:
    """Return δ'M⁻¹δ, (m,), NaN where M is not known, its null directions left out."""
    known = np.isfinite(matrices).all(axis=(1, 2)) & np.isfinite(delta).all(axis=1)
    out = np.full(len(delta), np.nan)
    inverse = np.linalg.pinv(matrices[known], rcond=1e-12, hermitian=True)
    out[known] = np.einsum("mi,mij,mj->m", delta[known], inverse, delta[known])
    return out


def _predictions(fit: Fit, sets: DeletionSets, found: Deleted) -> tuple[Array, Array]:
    """Return DFFITS, of each set the one largest in size, and PRESS, (m,)."""
    given, codes = fit._work.rows(), sets.codes
    x = fit.solution.basis.rows(given.x)
    moved = np.einsum("na,na->n", x, found.delta[codes])
    press = np.bincount(
        codes, weights=(given.y - fit.solution.estimates(given.x) + moved) ** 2, minlength=sets.count
    )
    with np.errstate(invalid="ignore"):
        own = moved / np.sqrt(np.einsum("na,nab,nb->n", x, found.outer[codes], x))
    order = np.lexsort((np.abs(own), codes))
    last = np.cumsum(sets.sizes()) - 1
    return np.asarray(own[order][last]), np.asarray(press, dtype=float)


def _of_theta(found: Deleted) -> dict[str, Array]:
    q = found.theta.shape[1]
    if not q:
        return {}
    known = np.asarray(np.isfinite(found.theta_vcov).all(axis=(1, 2)))
    values = np.full((len(known), q), np.nan)
    values[known] = np.linalg.eigvalsh(found.theta_vcov[known])
    # directions that are determined, as of a variance that is not zero
    positive = np.where(values > 1e-10, values, 1.0)
    return {
        "cooks_d_theta": np.einsum("mi,mi->m", found.theta, found.theta),
        "mdffits_theta": _form(found.theta, found.theta_vcov),
        "covratio_theta": np.where(known, np.prod(positive, axis=1), np.nan),
        "covtrace_theta": np.abs(np.where(known, values.sum(axis=1) - q, np.nan)),
    }
