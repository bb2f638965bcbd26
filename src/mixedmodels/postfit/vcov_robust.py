"""Covariances of β̂ that hold whatever the covariance within clusters: sandwich estimators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..inference.ddf import DegreesOfFreedom, method_for
from ..inference.resampling import Clusters
from ..inference.sensitivity import Information
from ..inference.vcov import model_vcov
from ..labelled import LabelledMatrix
from ..registry import check_choice
from ..table import Table
from ..typing import Array, Ddf
from .sandwich import ADJUSTMENTS, RobustMethod, stack_clusters
from .sandwich_generalised import Pieces, pieces_of

KINDS = tuple(ADJUSTMENTS)


MODEL_BASED = ("kenward-roger", "kenward-roger-linear", "kenward-roger2")
"""Methods whose degrees of freedom belong to their own covariance of β̂."""
NO_VARIANCE = (
    "no variance where cells are empty: residuals of zero, or errors of an all but singular covariance, leave the "
    "sandwich none that is positive and finite; see fit.status"
)
"""What the table says of coefficients whose sandwich is zero or infinite."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RobustCovariance:
    """A sandwich covariance of β̂ with its tests: NumPy reads it as the matrix, (p, p).

    Parameters
    ----------
    fit, kind
        The fit, and which estimator.
    n_clusters
        Number of independent clusters m.
    matrix
        The covariance with names, (p, p), NaN for aliased columns and coefficients of one cluster alone.
    method
        The same on the estimable columns, with the degrees of freedom of every function.

    Notes
    -----
    `wald`, `test`, `anova`, `emmeans`, `emtrends` and `joint_tests` are those of the fit, with the same
    arguments but `ddf=`, and this covariance in place of the model's.
    """

    fit: Fit
    kind: str
    n_clusters: int
    matrix: LabelledMatrix
    method: RobustMethod

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.matrix.array, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        return str(self.table())

    @property
    def df(self) -> Array:
        """Degrees of freedom of each coefficient, (p,), NaN for aliased columns."""
        fixed = self.fit.design.fixed
        out = np.full(len(fixed.columns), np.nan)
        out[list(fixed.estimable)] = self.method.single(self.fit, np.eye(fixed.rank))
        return out

    def table(self, level: float = 0.95) -> Table:
        """Return the coefficients with robust inference, columns as those of `fit.fixed_effects()`."""
        plain = self.fit.fixed_effects(ddf=self.method, level=level)
        columns = {name: plain[name] for name in plain.names}
        variance = np.diag(self.matrix.array)
        lost = ~np.isnan(variance) & ~((variance > 0.0) & np.isfinite(variance))
        columns["std_error"] = np.sqrt(np.where(lost, np.nan, variance))
        without = np.isnan(columns["std_error"])
        for name in ("statistic", "p_value", "conf_low", "conf_high"):
            columns[name] = np.where(without, np.nan, columns[name])
        notes = (*plain.notes, NO_VARIANCE) if lost.any() else plain.notes
        return Table(columns, "Fixed effects, robust", notes, self.fit.backend)

    def wald(self, L: Any, rhs: Any = 0.0, **options: Any) -> Table:
        """Return `fit.wald` with this covariance."""
        return self.fit.wald(L, rhs, ddf=self.method, **options)

    def test(self, L: Any, rhs: Any = 0.0, **options: Any) -> Table:
        """Return `fit.test` with this covariance."""
        return self.fit.test(L, rhs, ddf=self.method, **options)

    def anova(self, type: Any = 3) -> Table:
        """Return `fit.anova` with this covariance."""
        return self.fit.anova(type, ddf=self.method)

    def emmeans(self, specs: Any, **options: Any) -> Any:
        """Return `fit.emmeans` with this covariance."""
        return self.fit.emmeans(specs, ddf=self.method, **options)

    def emtrends(self, var: str, specs: Any = "1", **options: Any) -> Any:
        """Return `fit.emtrends` with this covariance."""
        return self.fit.emtrends(var, specs, ddf=self.method, **options)

    def joint_tests(self, **options: Any) -> Table:
        """Return `fit.joint_tests` with this covariance."""
        return self.fit.joint_tests(ddf=self.method, **options)


def vcov_robust(
    fit: Fit,
    kind: str = "CR2",
    *,
    cluster: str | None = None,
    ddf: Ddf | None = None,
    information: Information = "observed",
) -> RobustCovariance:
    """Return a sandwich estimate of the covariance of β̂ from independent clusters.

    Parameters
    ----------
    kind
        `"CR0"` (SAS EMPIRICAL), `"CR1"` (times m/(m − 1)), `"CR2"` (unbiased under the model), `"CR3"`
        (near the jackknife) or `"mbn"` (Morel, Bokossa and Neerchal).
    cluster
        Grouping factor whose levels are independent, or another column of the data in whose levels all
        random effects and correlated errors nest; by default the coarsest factor of the model. Rows are the
        clusters of a model with independent errors and no random effects.
    ddf
        Degrees of freedom by one of the methods of the fit, as SAS does, in place of those of the sandwich:
        Bell and McCaffrey's for CR0 to CR3, m − 1 for mbn.
    information
        The `"observed"` or `"expected"` information that `ddf="satterthwaite"` is computed from.

    Notes
    -----
    With Ω = (X'V⁻¹X)⁻¹, r = y − Xβ̂ and H_ii = X_iΩX_i'V_i⁻¹: Ω[ΣX_i'V_i⁻¹A_ir_ir_i'A_i'V_i⁻¹X_i]Ω, A_i = I
    (CR0, CR1), (I − H_ii)⁻¹ (CR3), or D_i'B_i^{−1/2}D_i with V_i = D_i'D_i and B_i = D_i(V_i −
    X_iΩX_i')D_i' (CR2; Pustejovsky and Tipton 2018). A direction in which one cluster alone determines a
    fixed effect is left out of the inverses, and coefficients it enters, such as fixed effects of the clusters
    themselves, have no robust standard error. mbn, f rows and k coefficients, M the CR0 sum: c₀ΩMΩ +
    δφΩ with c₀ = (f − 1)/(f − k)·m/(m − 1), δ = k/(m − k) if m > 3k and ½ otherwise, φ = max(1, tr(ΩM)/k*), k* = k
    or, with m < k, the rank of ΩM (Morel, Bokossa and Neerchal 2003; SAS/STAT User's Guide, PROC GLIMMIX,
    Design-Adjusted MBN Estimator). V is that of the fit, with random effects and structured errors alike. F tests of
    several functions are approximate Hotelling T² tests (Pustejovsky and Tipton 2018), see `RobustMethod`; they
    are missing where too few clusters leave them no denominator df.

    Of a generalised model by Laplace's approximation or quadrature the sandwich is H⁻¹(Σs_js_j')H⁻¹ over all
    parameters, s_j the score of cluster j and H the observed information of (θ, β, ψ); CR2 and CR3 adjust scores by
    what a cluster adds to the information of the working linear mixed model (Kauermann and Carroll 2001; Mancl and
    DeRouen 2001), and degrees of freedom are those of the fit. Without random effects, where the family has a mean
    alone, it is that of the model linear about its fitted means, with everything said above.
    *Same as* `clubSandwich::vcovCR`, `coef_test`, `Wald_test`; SAS `EMPIRICAL` with `ddf="between-within"`,
    its default for REPEATED; GLIMMIX `EMPIRICAL=MBN`, and `EMPIRICAL` with
    METHOD=LAPLACE.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> robust = fit.vcov_robust("CR2")
    >>> round(float(robust.matrix.array[0, 0]), 4), robust.df.round(6)
    (103.45, array([5.]))
    """
    check_choice("kind", kind, KINDS)
    fit._refuse_restricted("sandwich covariances")
    integrated = fit._work.integrated
    clusters = Clusters.of(fit, cluster, "vcov_robust", known=not integrated)
    m, k = clusters.count, fit.design.fixed.rank
    if m < 2:
        raise SpecError("vcov_robust: all rows are of one cluster; a sandwich needs two or more.")
    found = pieces_of(fit, clusters, kind) if integrated else _linear_pieces(fit, clusters, kind)
    omega, stacks, sandwich = found.omega, found.stacks, found.sandwich
    if kind == "mbn":
        sandwich = _morel(omega, np.linalg.solve(omega, np.linalg.solve(omega, sandwich).T), fit.nobs, m)
    elif kind == "CR1":
        sandwich = sandwich * (m / (m - 1))
    other = _other_df(fit, kind, fit.spec.ddf if ddf is None and not stacks else ddf, information, m)
    name = "Bell–McCaffrey, F as Hotelling's T²" if other is None else other.note
    note = f"{name}; standard errors: {kind} sandwich, {m} clusters"
    method = RobustMethod(sandwich, omega, stacks, note, other)
    basis = fit.solution.basis
    known = method.known(basis.rows(np.eye(k)))
    names, kept = fit.design.fixed.columns, np.array(fit.design.fixed.estimable, dtype=np.intp)
    if not known.all():
        unknown = ", ".join(names[j] for j in kept[~known])
        method = replace(method, note=f"{note}; estimated from one cluster alone, so without: {unknown}")
    full = np.full((len(names), len(names)), np.nan)
    full[np.ix_(kept[known], kept[known])] = basis.covariance(sandwich)[np.ix_(known, known)]
    title = f"Robust covariance of the fixed effects ({kind})"
    return RobustCovariance(fit, kind, m, LabelledMatrix(names, names, full, title, fit.backend), method)


def _linear_pieces(fit: Fit, clusters: Clusters, kind: str) -> Pieces:
    """Return the sandwich of a linear mixed model, that of pseudo-data too."""
    omega, stacks = model_vcov(fit), tuple(stack_clusters(fit, clusters, kind))
    scores = np.concatenate([np.einsum("mtr,mt->mr", s.weighted, s.residual) for s in stacks])
    return Pieces(omega @ (scores.T @ scores) @ omega, omega, stacks)


def _other_df(
    fit: Fit, kind: str, ddf: Ddf | None, information: Information, m: int
) -> DegreesOfFreedom | None:
    """Return the method that degrees of freedom come from, None for the sandwich's own."""
    if ddf is None:
        return Constant(m - 1.0, "clusters − 1") if kind == "mbn" else None
    method = method_for(fit, ddf, information=information)
    if method.name in MODEL_BASED:
        raise SpecError(
            f"ddf={ddf!r} belongs to the covariance of the model; leave ddf= out for the degrees of freedom of "
            "the sandwich, or use 'satterthwaite', 'between-within', 'residual' or 'asymptotic'."
        )
    return method


@dataclass(frozen=True, slots=True)
class Constant(DegreesOfFreedom):
    """The same degrees of freedom for every function."""

    name: ClassVar[str] = "constant"
    df: float
    note: str

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        return np.full(len(functions), self.df)

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        return 1.0, self.df


def _morel(omega: Array, meat: Array, n: int, m: int) -> Array:
    """Return the estimate of Morel, Bokossa and Neerchal, with the constants d = 2 and r = 1 of GLIMMIX."""
    k, product = len(omega), omega @ meat
    factor = (n - 1) / (n - k) * m / (m - 1)
    sizes = np.linalg.svd(product, compute_uv=False)
    rank = k if m >= k else int((sizes > 1e-10 * sizes[0]).sum())
    design_effect = max(1.0, float(np.trace(product)) / rank)
    share = k / (m - k) if m > 3 * k else 0.5
    return np.asarray(factor * product @ omega + share * design_effect * omega)
