"""Covariances of β̂ that hold whatever the covariance within clusters: sandwich estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..inference.distributions import t_quantile, t_two_sided
from ..inference.resampling import Clusters
from ..inference.wald import check_level
from ..labelled import LabelledMatrix
from ..registry import check_choice
from ..table import Table
from ..typing import Array
from .error_side import error_covariance

KINDS = ("CR0", "CR1", "CR2", "CR3", "mbn")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RobustCovariance:
    """A sandwich covariance of β̂ with degrees of freedom.

    Parameters
    ----------
    fit, kind
        The fit, and which estimator.
    n_clusters
        Number of independent clusters m.
    matrix
        The covariance with names, (p, p), NaN for aliased columns.
    df
        Degrees of freedom of each coefficient, (p,).
    df_note
        How they were got.
    """

    fit: Fit
    kind: str
    n_clusters: int
    matrix: LabelledMatrix
    df: Array
    df_note: str

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.matrix.array, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        return str(self.table())

    def table(self, level: float = 0.95) -> Table:
        """Return the coefficients with robust inference, columns as those of `fit.fixed_effects()`."""
        check_level(level)
        estimate, std_error = self.fit.beta, np.sqrt(np.diag(self.matrix.array))
        half = t_quantile(level, self.df) * std_error
        statistic = estimate / std_error
        columns = {
            "term": list(self.matrix.rows),
            "estimate": estimate,
            "std_error": std_error,
            "df": self.df,
            "statistic": statistic,
            "p_value": t_two_sided(statistic, self.df),
            "conf_low": estimate - half,
            "conf_high": estimate + half,
        }
        notes = (f"{self.kind} sandwich, {self.n_clusters} clusters; df: {self.df_note}",)
        return Table(columns, "Fixed effects, robust", notes, self.fit.backend)


def vcov_robust(fit: Fit, kind: str = "CR2", *, cluster: str | None = None) -> RobustCovariance:
    """Return a sandwich estimate of the covariance of β̂ from independent clusters.

    Parameters
    ----------
    kind
        `"CR0"` (SAS EMPIRICAL), `"CR1"` (times m/(m − 1)), `"CR2"` (unbiased under the model), `"CR3"`
        (near the jackknife) or `"mbn"` (Morel, Bokossa and Neerchal).
    cluster
        Grouping factor whose levels are independent; by default the one all others nest in. Rows are the
        clusters of a model without random effects.

    Notes
    -----
    With Ω = (X'V⁻¹X)⁻¹, r = y − Xβ̂ and H_ii = X_iΩX_i'V_i⁻¹: Ω[ΣX_i'V_i⁻¹A_ir_ir_i'A_i'V_i⁻¹X_i]Ω, A_i = I
    (CR0, CR1), (I − H_ii)⁻¹ (CR3), or D_i'B_i^{−1/2}D_i with V_i = D_i'D_i and B_i = D_i(V_i −
    X_iΩX_i')D_i' (CR2; Pustejovsky and Tipton 2018). mbn, f rows and k coefficients, M the CR0 sum: c₀ΩMΩ +
    δφΩ with c₀ = (f − 1)/(f − k)·m/(m − 1), δ = min(½, k/(m − k)), φ = max(1, tr(ΩM)/k) (Morel, Bokossa and
    Neerchal 2003). Degrees of freedom for CR0 to CR3 are Bell and McCaffrey's (2002), 2E²/var of the
    variance estimate under the model; m − 1 for mbn.
    *Same as* `clubSandwich::vcovCR`, SAS `EMPIRICAL`, GLIMMIX `EMPIRICAL=MBN`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> robust = fit.vcov_robust("CR2")
    >>> round(float(robust.matrix.array[0, 0]), 4), robust.df.round(6)
    (103.45, array([5.]))
    """
    check_choice("kind", kind, KINDS)
    clusters = Clusters.of(fit, cluster, "vcov_robust")
    m, k = clusters.count, fit.design.fixed.rank
    if m < 2 or (kind == "mbn" and m <= k):
        raise SpecError(f"vcov_robust: {m} clusters are too few for kind={kind!r} with {k} fixed effects.")
    omega = fit.sigma2 * fit.solution.unscaled_vcov
    weights = [_Weighted.of(fit, rows, omega, kind) for rows in clusters.rows]
    scores = np.array([w.rows.T @ w.residual for w in weights])
    meat = scores.T @ scores
    if kind == "mbn":
        sandwich = _morel(omega, meat, fit.nobs, m)
        df, note = np.full(k, m - 1.0), "clusters − 1"
    else:
        sandwich = omega @ meat @ omega * (m / (m - 1) if kind == "CR1" else 1.0)
        df, note = _bell_mccaffrey(weights, omega), "Bell–McCaffrey"
    names = fit.design.fixed.columns
    kept = list(fit.design.fixed.estimable)
    full, full_df = np.full((len(names), len(names)), np.nan), np.full(len(names), np.nan)
    full[np.ix_(kept, kept)], full_df[kept] = sandwich, df
    title = f"Robust covariance of the fixed effects ({kind})"
    return RobustCovariance(
        fit, kind, m, LabelledMatrix(names, names, full, title, fit.backend), full_df, note
    )


@dataclass(frozen=True, slots=True)
class _Weighted:
    """One cluster: A_i'V_i⁻¹X_i, residuals, V_i and X_i."""

    rows: Array
    residual: Array
    total: Array
    x: Array

    @classmethod
    def of(cls, fit: Fit, rows: NDArray[np.intp], omega: Array, kind: str) -> _Weighted:
        x = fit.design.x[rows]
        total = cluster_covariance(fit, rows)
        residual = fit.design.y[rows] - x @ fit.solution.beta
        return cls(_adjustment(total, x, omega, kind).T @ np.linalg.solve(total, x), residual, total, x)


def cluster_covariance(fit: Fit, rows: NDArray[np.intp]) -> Array:
    """Return V of some rows, (len(rows),) squared, for levels that are independent of each other."""
    total = error_covariance(fit, rows)
    for term, sigmas in zip(fit.design.random, fit.covariances, strict=True):
        codes, values = term.codes[rows], term.dense_values()[rows]
        scaled = np.einsum("ia,iab->ib", values, sigmas[term.sets[codes]])
        total += (scaled @ values.T) * (codes[:, None] == codes)
    return total


def _adjustment(total: Array, x: Array, omega: Array, kind: str) -> Array:
    """Return A_i, (n_i, n_i)."""
    if kind == "CR3":
        hat = np.linalg.solve(total, x @ omega @ x.T).T
        return np.asarray(np.linalg.inv(np.eye(len(x)) - hat))
    if kind != "CR2":
        return np.eye(len(x))
    root = np.linalg.cholesky(total).T
    values, vectors = np.linalg.eigh(root @ (total - x @ omega @ x.T) @ root.T)
    # an effect of this cluster alone takes all of a direction; the pseudo-inverse leaves it out
    kept = values > 1e-10 * max(float(values[-1]), 0.0)
    inverse_root = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    return np.asarray(root.T @ inverse_root @ root)


def _morel(omega: Array, meat: Array, n: int, m: int) -> Array:
    k = len(omega)
    factor = (n - 1) / (n - k) * m / (m - 1)
    design_effect = max(1.0, float(np.trace(omega @ meat)) / k)
    return np.asarray(factor * omega @ meat @ omega + min(0.5, k / (m - k)) * design_effect * omega)


def _bell_mccaffrey(weights: list[_Weighted], omega: Array) -> Array:
    """Return (tr P)²/tr P² of each coefficient, P the covariance of the clusters' contributions, (k,)."""
    out = np.empty(len(omega))
    for j, column in enumerate(omega):
        contrasts = [w.rows @ column for w in weights]
        own = np.array([a @ w.total @ a for a, w in zip(contrasts, weights, strict=True)])
        inner = np.array([w.x.T @ a for a, w in zip(contrasts, weights, strict=True)])
        shared = np.einsum("ma,ab,mb->m", inner, omega, inner)
        cross = omega @ inner.T @ inner
        square = np.sum(own**2) - 2 * np.sum(own * shared) + np.trace(cross @ cross)
        out[j] = np.sum(own - shared) ** 2 / square
    return out
