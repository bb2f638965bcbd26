"""A fitted mixed model: frozen numbers, and a table of the tools that read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .control import Control
from .covariance.base import semidefinite_cholesky
from .criterion import Criterion, linear_part
from .criterion.coordinates import written_solution
from .engines.base import Solution
from .errors import Severity, SpecError, Status, suggest
from .frame.kept import KeptData
from .frame.schema import FrameSchema
from .labelled import LabelledVector
from .likelihood.distribution import Distribution
from .optimise.optimum import Optimum
from .spec import ModelSpec
from .summed import Summed
from .table import Backend
from .terms.design import Design, RandomTerm
from .terms.rows import Rows
from .tool import guarded, load
from .tools import FitTools, Plots
from .typing import Array
from .workings import Workings

T = TypeVar("T")
OTHER_NAMES = {
    "fixef": "params", "ranef": "random_effects", "coef": "coefficients", "VarCorr": "variance_components",
    "cov_re": "random_cov", "scale": "sigma2", "fittedvalues": "fitted", "resids": "resid", "logLik": "loglik",
    "deviance": "criterion", "lsmeans": "emmeans", "ls_means": "emmeans", "getVarCov": "marginal_cov",
    "isSingular": "singular", "df_residual": "df_resid", "n_obs": "nobs",
}  # fmt: skip
"""Names that users of R and statsmodels try first, and ours."""
HELD = frozenset(
    {"schema", "solution", "relative", "inputs", "from_optimum", "optimum", "_cache", "_once", "_spread", "_labelled",
     "_population_mean", "_conditional_mean"}
)  # fmt: skip
"""Fields and makers of a fit that `dir` leaves out."""
SHARED_PREDICTORS = "predictors are those of"
"""Key under which a refit keeps the fit whose predictors are its own."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a fit was given beside its spec: data, weights as an array, known matrices, subset, own functions.

    `client` is a Dask client whose workers read the data. `beside` has further arrays by the name of their argument
    (`"trials"`, `"frequency"`, `"offset"`).
    """

    data: Any
    weights: Any = None
    known: Mapping[str, Any] | None = None
    subset: Any = None
    context: Mapping[str, Any] | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    client: Any = None

    def without_given(self) -> Inputs:
        """Return what a pickle holds: the model's own columns, and nothing of the caller's."""
        data = self.data.without_given() if isinstance(self.data, KeptData) else self.data
        return replace(self, data=data, context=None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fit(FitTools):
    """A fitted linear mixed model y = Xβ + Zb + e, b ~ N(0, G), e ~ N(0, σ²W⁻¹).

    Parameters
    ----------
    spec
        What was asked.
    schema
        The columns that were read, and the library they came in.
    design
        Terms, labels, structures, levels.
    rows
        y, X and Z; None for a fit from cross-products.
    optimum
        θ̂ and how it was reached.
    solution
        β̂, its covariance (X'V⁻¹X)⁻¹ and b̂.
    relative
        Working parameters of the relative covariances Σ/σ², all terms and sets.
    sigma2
        σ̂², the residual variance (of an observation of weight one).
    engine
        Name of the engine that computed it.
    control
        Tolerances and resources it was computed with.
    notes
        Rows and levels dropped on the way in, and what was noticed about the terms.
    inputs
        The model's columns as copied at the fit, for `update`, `augment`, means and plots; None with `keep_data=False`.
    distribution
        Family, responses and dispersion of a generalised model; None for a linear one.
    products
        Cross-products of the rows, where there are no rows.

    Notes
    -----
    Tools are functions in other modules, imported at first use; everything expensive is computed when asked
    for and kept. A fit holds no native memory of its own, and pickles with the columns of its model.
    """

    spec: ModelSpec
    schema: FrameSchema
    design: Design
    rows: Rows | None
    optimum: Optimum
    solution: Solution
    relative: Array
    sigma2: float
    engine: str
    control: Control
    notes: tuple[Status, ...] = ()
    inputs: Inputs | None = None
    distribution: Distribution | None = None
    products: Summed | None = None
    _cache: dict[str, Any] = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.spec.formula

    @property
    def family(self) -> str:
        """Name of the distribution of a response given its predictors: `"gaussian"` for a linear model."""
        return "gaussian" if self.distribution is None else self.distribution.family.name

    @property
    def link(self) -> str:
        """Name of the link g of the mean, g(μ) = Xβ + Zb: `"identity"` for a linear model."""
        link = None if self.distribution is None else self.distribution.link
        return "identity" if link is None else link.name

    @property
    def dispersion(self) -> float:
        """The dispersion on the family's natural scale, by its usual symbol (φ, k, the shape): σ² of a linear model.

        1 for a family that has none; `SpecError` where it differs by row.
        """
        known = self.distribution
        if known is None:
            return self.sigma2
        if known.dispersion is None and known.symbol:
            raise SpecError(
                f"the dispersion {known.symbol} differs by row: predict(type='dispersion') gives it for each."
            )
        return 1.0 if known.dispersion is None else known.dispersion

    # -- estimates -------------------------------------------------------------------------------------------
    @property
    def params(self) -> LabelledVector:
        """β̂ by column of X, (p,); NaN for aliased columns."""
        return self._labelled(self.beta)

    @property
    def beta(self) -> Array:
        """β̂, (p,), NaN for aliased columns."""
        return self._spread(self.solution.beta)

    @property
    def vcov(self) -> Array:
        """Covariance of β̂ of the fit's df method, the one of all its tables, (p, p); NaN for aliased columns.

        Kenward–Roger's is adjusted for the estimation of the covariance parameters, `cov_params(ddf="asymptotic")` not.
        """
        covariance: Array = guarded("inference.vcov:vcov")(self)
        return covariance

    @property
    def sigma(self) -> float:
        """σ̂, the residual standard deviation."""
        return float(np.sqrt(self.sigma2))

    @property
    def theta(self) -> Array:
        """Lower triangles by column of the relative Cholesky factors Λ (ΛΛ' = Σ/σ²), term by term, as in
        lme4.

        Diagonal structures contribute their diagonal only, `homdiag` its one entry. `SpecError` for a Σ that is not
        positive semidefinite (`bounds="none"`).
        """
        pairs = zip(self.design.random, self.covariances, strict=True)
        entries = [_factor_entries(term, sigma / self.sigma2) for term, sigma in pairs]
        return np.concatenate(entries) if entries else np.empty(0)

    @property
    def covariances(self) -> tuple[Array, ...]:
        """Σ̂ of each random term, one (sets, p, p) array per term."""
        return self._work.covariances()

    # -- criterion -------------------------------------------------------------------------------------------
    @property
    def criterion(self) -> float:
        """−2l at the optimum: twice the negative (restricted) log-likelihood, all constants included."""
        if self.distribution is not None and self.distribution.pseudo:
            raise SpecError(no_likelihood(self.distribution.approximation))
        return self.optimum.value

    @property
    def pseudo_loglik(self) -> float:
        """(Residual) log pseudo-likelihood: that of the linear mixed model of the pseudo-data, as SAS prints it.

        Pseudo-data differ from model to model, so that it compares nothing.
        """
        if self.distribution is None or not self.distribution.pseudo:
            raise SpecError("this fit has a likelihood, fit.loglik, and no pseudo-likelihood.")
        return -self.optimum.value / 2

    @property
    def loglik(self) -> float:
        """(Restricted) log-likelihood at the optimum."""
        return -self.criterion / 2

    @property
    def n_parameters(self) -> int:
        """Estimated parameters: rank X, covariance parameters that are not held, and σ²."""
        return self.design.fixed.rank + self.n_covariance_parameters

    @property
    def n_covariance_parameters(self) -> int:
        """Estimated covariance parameters, σ² included, held ones not."""
        known = self.distribution
        if known is not None and not known.pseudo:
            count = sum(term.n_theta for term in self.design.random) + len(known.psi)
        elif self.design.residual is None:
            count = sum(term.n_theta for term in self.design.random) + 1
        else:
            # the parameters of structured errors include their scale
            count = len(self.optimum.theta)
        return count - len(self.spec.hold) - len(self.design.held)

    @property
    def aic(self) -> float:
        """Akaike's criterion −2l + 2k, k all estimated parameters (as lme4 and nlme count)."""
        return self.criterion + 2 * self.n_parameters

    @property
    def aicc(self) -> float:
        """AIC with the small-sample term 2k(k + 1)/(n − k − 1), NaN where n ≤ k + 1."""
        k, n = self.n_parameters, self.nobs
        return self.aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else float("nan")

    @property
    def bic(self) -> float:
        """Schwarz's criterion −2l + k log n, n all observations, as in lme4."""
        return float(self.criterion + self.n_parameters * np.log(self.nobs))

    # -- data ------------------------------------------------------------------------------------------------
    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return self.design.n

    @property
    def ngroups(self) -> dict[str, int]:
        """Number of levels by grouping factor."""
        return {term.group: term.n_levels for term in self.design.random}

    @property
    def df_resid(self) -> int:
        """n − rank X."""
        return self.design.n - self.design.fixed.rank

    @property
    def linear_predictor(self) -> Array:
        """Offset + Xβ̂, with the curves of splines, (n,), on the link's scale: the fitted mean where b = 0."""
        return self._once("linear_predictor", self._population_mean)

    @property
    def fitted(self) -> Array:
        """Offset + Xβ̂ + Zb̂, (n,), of a generalised model the mean there, g⁻¹; with `na="exclude"` as long as the data,
        NaN in rows left out."""
        return self.in_place(self._fitted)

    @property
    def resid(self) -> Array:
        """y − fitted, (n,); with `na="exclude"` as long as the data, NaN in rows left out."""
        return self.in_place(self._resid)

    def in_place(self, values: Array) -> Array:
        """Return values of the rows used, (n, …): with `na="exclude"` at their places among all rows, NaN elsewhere."""
        rows = self._work.rows().used
        if self.spec.na != "exclude" or rows is None:
            return values
        kind = object if values.dtype == object else float
        out = np.full((self.schema.n_given, *values.shape[1:]), np.nan, dtype=kind)
        out[rows] = values
        return out

    @property
    def _fitted(self) -> Array:
        if self.distribution is None:
            return self._eta
        return self._once("fitted", lambda: self._distribution.mean(self._eta))

    @property
    def _eta(self) -> Array:
        """Offset + Xβ̂ + Zb̂, (n,): the fitted linear predictor."""
        return self._once("eta", self._conditional_mean)

    @property
    def _distribution(self) -> Distribution:
        assert self.distribution is not None
        return self.distribution

    @property
    def _resid(self) -> Array:
        return self.response - self._fitted

    @property
    def response(self) -> Array:
        """y as modelled, offsets included, (n,); of a generalised model y as observed, proportions where trials are."""
        if self.distribution is not None:
            return self.distribution.observed
        return self._work.rows().response

    @property
    def backend(self) -> Backend:
        """The data-frame library the data came in, and tables go back to."""
        return self.schema.backend

    # -- outcome ---------------------------------------------------------------------------------------------
    @property
    def converged(self) -> bool:
        """Whether the optimiser met its tolerance at a point that satisfies the conditions of a minimum."""
        return self.optimum.converged

    @property
    def singular(self) -> bool:
        """Whether some Σ̂ is of less than full rank."""
        ranks = zip(self.design.random, self.optimum.singular, strict=True)
        return any(rank < term.n_columns for term, by_set in ranks for rank in by_set)

    @property
    def status(self) -> tuple[Status, ...]:
        """What a reader should know: not converged, singular terms, aliased columns, rows dropped."""
        exact = self._once("exact", lambda: load("postfit.exact:exact_statuses")(self))
        checked = self._once("checked", lambda: load("postfit.integration_check:integration_statuses")(self))
        return (*self.optimum.statuses, *exact, *checked, *self.notes, *_alias_statuses(self.design))

    # -- statsmodels' names ----------------------------------------------------------------------------------
    @property
    def llf(self) -> float:
        """`loglik` by statsmodels' name."""
        return self.loglik

    @property
    def bse(self) -> LabelledVector:
        """Standard errors of β̂ by the fit's df method, (p,)."""
        return self._labelled(self.fixed_effects()["std_error"])

    @property
    def tvalues(self) -> LabelledVector:
        """β̂ over its standard errors, (p,)."""
        return self._labelled(self.fixed_effects()["statistic"])

    @property
    def pvalues(self) -> LabelledVector:
        """Two-sided p-values of β = 0 by the fit's df method, (p,)."""
        return self._labelled(self.fixed_effects()["p_value"])

    # -- figures ---------------------------------------------------------------------------------------------
    @property
    def plot(self) -> Plots:
        """Figures of the fit: `fit.plot.trajectories(...)`, `fit.plot.random_effects()`."""
        return Plots(self)

    # -- mechanics -------------------------------------------------------------------------------------------
    @classmethod
    def from_optimum(
        cls,
        spec: ModelSpec,
        schema: FrameSchema,
        design: Design,
        rows: Rows | None,
        criterion: Criterion,
        optimum: Optimum,
        *,
        engine: str,
        control: Control,
        notes: tuple[Status, ...] = (),
        inputs: Inputs | None = None,
        distribution: Distribution | None = None,
        products: Summed | None = None,
    ) -> Fit:
        """Return the fit at an optimum of a criterion."""
        linear = linear_part(criterion)
        solution, sigma2 = linear.solve(optimum.theta)
        solution = written_solution(criterion.design, solution)
        relative = linear.relative(optimum.theta)
        return cls(
            spec, schema, design, rows, optimum, solution, relative, sigma2, engine, control, notes, inputs,
            distribution, products,
        )  # fmt: skip

    @property
    def _work(self) -> Workings:
        """What tools compute with: equations, criterion, and what they keep."""
        return Workings(self)

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        inputs = None if self.inputs is None else self.inputs.without_given()
        shared = {key: value for key, value in self._cache.items() if key == SHARED_PREDICTORS}
        return restore, ({**kept, "inputs": inputs, "_cache": shared},)

    def __dir__(self) -> list[str]:
        # what a fit says and does; how it is held is nobody's question
        return [name for name in object.__dir__(self) if name not in HELD and not name.startswith("_abc")]

    def __copy__(self) -> Fit:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Fit:
        return self

    if not TYPE_CHECKING:  # type checkers know the attributes there are

        def __getattr__(self, name: str) -> Any:
            # reached only where there is no such attribute
            own = OTHER_NAMES.get(name) or suggest(
                name, [n for n in dir(type(self)) if not n.startswith("_")]
            )
            hint = f" Did you mean {own!r}?" if name in OTHER_NAMES else own
            raise AttributeError(f"a fit has no attribute {name!r}.{hint}")

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return str(self.summary().to_html())

    def _once(self, key: str, compute: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = compute()
        value: T = self._cache[key]
        return value

    def _refuse_generalised(self, tool: str) -> None:
        """Raise `SpecError` for a tool of linear mixed models that a generalised one has no answer for.

        A fit by pseudo-likelihood is one of a linear mixed model, but its errors are those of a working response.
        """
        known = self.distribution
        if known is None or (known.pseudo and tool not in ("conditional_aic", "small_area", "start_grid")):
            return
        raise SpecError(
            f"fit.{tool} is for linear mixed models; this fit is of family {self.family!r} by "
            f"method={known.approximation!r}."
        )

    def _refuse_moments(self, tool: str) -> None:
        """Raise `SpecError` for a tool that searches or follows a likelihood, in a fit by the method of moments."""
        if self.spec.moments:
            raise SpecError(
                f"{tool} goes by the maximum of a likelihood, and this fit is by method={self.spec.moments!r}; use "
                "fit.update(method='reml')."
            )

    def _refuse_restricted(self, what: str) -> None:
        """Raise `SpecError` for what is not computed of a generalised model by restricted likelihood."""
        if self.spec.method == "reml" and self._work.integrated:
            raise SpecError(
                f"{what} of a generalised model are computed by maximum likelihood; fit it without reml=True."
            )

    def _population_mean(self) -> Array:
        smooth = [term.smooth for term in self.design.random]
        return mean_with(self._work.rows(), self.solution, smooth)

    def _conditional_mean(self) -> Array:
        return conditional_mean(self._work.rows(), self.solution)

    def _spread(self, kept: Array) -> Array:
        full = np.full(len(self.design.fixed.columns), np.nan)
        full[list(self.design.fixed.estimable)] = kept
        return full

    def _labelled(self, values: Array) -> LabelledVector:
        return LabelledVector(self.design.fixed.columns, values, self.backend)


def no_likelihood(method: str) -> str:
    """Return why a fit by pseudo-likelihood has no log-likelihood, and what to do."""
    return (
        f"a fit by method={method!r} has no log-likelihood, AIC or BIC: its pseudo-data differ from model to model. "
        "Test terms with fit.anova() or fit.test(), or fit the models by method='laplace' and compare those. "
        "fit.pseudo_loglik is what SAS prints."
    )


def conditional_mean(rows: Rows, solution: Solution) -> Array:
    """Return offset + Xβ̂ + Zb̂, (n,)."""
    return mean_with(rows, solution, [True] * len(rows.random))


def fixed_mean(fit: Fit) -> Array:
    """Return offset + Xβ̂ alone, without the curves of splines, (n,)."""
    return mean_with(fit._work.rows(), fit.solution, [False] * len(fit.design.random))


def mean_with(rows: Rows, solution: Solution, included: Sequence[bool]) -> Array:
    """Return offset + Xβ̂ + Σ_k Z_kb̂_k over the random terms included, (n,)."""
    mean = solution.estimates(rows.x)
    if rows.offset is not None:
        mean = mean + rows.offset
    for term, effects, inside in zip(rows.random, solution.random, included, strict=True):
        if inside:
            mean += term.products(effects)
    return mean


def _factor_entries(term: RandomTerm, relative: Array) -> Array:
    try:
        factors = np.array([semidefinite_cholesky(sigma) for sigma in relative])
    except ValueError:
        raise SpecError(
            f"theta: the covariance of {term.label!r} is not positive semidefinite and has no Cholesky factor; "
            "see fit.covariances."
        ) from None
    name = term.structure.names[0]
    if name in ("diag", "homdiag"):
        diagonals = np.einsum("sii->si", factors)
        return np.asarray(diagonals[:, :1] if name == "homdiag" else diagonals).ravel()
    rows, columns = np.tril_indices(term.n_columns)
    order = np.lexsort((rows, columns))
    return np.asarray(factors[:, rows[order], columns[order]].ravel())


def _alias_statuses(design: Design) -> tuple[Status, ...]:
    aliased = design.fixed.aliased
    if not aliased:
        return ()
    names = ", ".join(aliased)
    return (Status(Severity.NOTE, f"aliased with earlier columns and not estimated: {names}"),)


def restore(state: dict[str, Any]) -> Fit:
    """Return the fit with these fields; what pickle calls."""
    return Fit(**state)
