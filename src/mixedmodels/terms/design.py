"""What a model is: terms, labels, rank and aliasing, structures, levels. `Rows` beside it hold the numbers.

Results are labelled, and functions of β tested for estimability, from a design alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions, Structure
from ..errors import Status
from ..natural import Natural
from ..typing import Array, Codes, Labels
from .known import KnownCovariance

if TYPE_CHECKING:
    from ..variance.base import VarianceFunction
    from ..variance.reference import Reference
    from .rows import VarianceRows


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One random term bound to data: b_j ~ N(0, Σ_{set(j)}), j = 1..q, independent unless `known` is given.

    Parameters
    ----------
    label
        Name of the term, unique in the model (`"Subject"`, `"Subject.1"`).
    group
        Name of the grouping factor (`"Subject"`, `"school:class"`).
    columns
        Names of the p random columns (`"(Intercept)"`, `"Days"`).
    level_parts
        For each column that makes up the grouping factor, the values of the q levels in the data's own type
        (one array (q,) for a plain factor, two for `school:class`).
    structure, positions
        The covariance structure and the positions of the p columns.
    sets
        For each level the parameter set it uses, (q,); all zero without `by=`.
    set_labels
        Names of the parameter sets; `("",)` without `by=`.
    known
        Known covariance among levels.
    smooth
        Whether its effects are part of the mean of the population: coefficients of a smooth.
    penalised
        Whether its columns are those of a smooth, the population's or one of each level.
    """

    label: str
    group: str
    columns: Labels
    level_parts: tuple[NDArray[Any], ...]
    structure: Structure
    positions: Positions
    sets: Codes
    set_labels: Labels = ("",)
    known: KnownCovariance | None = None
    smooth: bool = False
    penalised: bool = False

    @property
    def n_levels(self) -> int:
        return len(self.sets)

    @property
    def levels(self) -> Labels:
        """Names of the q levels, `"1:a"` for crossed columns."""
        if not self.level_parts:
            return ("all",) * self.n_levels
        parts = [[str(value) for value in part] for part in self.level_parts]
        return tuple(":".join(names) for names in zip(*parts, strict=True))

    @property
    def level_values(self) -> NDArray[Any]:
        """The q levels in the data's own type, so that results merge with the data; of crossed columns, their names."""
        if len(self.level_parts) == 1:
            return self.level_parts[0]
        return np.array(self.levels, dtype=object)

    @property
    def n_columns(self) -> int:
        return len(self.columns)

    @property
    def n_sets(self) -> int:
        return len(self.set_labels)

    @property
    def n_theta(self) -> int:
        """Number of working parameters, all sets together."""
        return self.n_sets * self.structure.size(self.n_columns)

    @property
    def linear(self) -> bool:
        """Whether Σ is linear in its parameters on SAS's scale."""
        return self.structure.linear_at(self.n_columns)


@dataclass(frozen=True, slots=True)
class FixedTerms:
    """The columns of the fixed-effects matrix X (n, p): names, terms and aliasing.

    Parameters
    ----------
    columns
        Names of the p columns written by the formula, aliased ones included.
    terms
        Name of each model term, in order (`"1"`, `"Days"`, `"a:b"`).
    assign
        For each column the index of its term, (p,).
    estimable
        Indices of the columns kept after in-order pivoting; the others are linear combinations of earlier
        ones.
    null_basis
        Basis of the null space of X, (p, p − rank); a function L'β is estimable iff L'N = 0.
    written
        T (p, p), unit upper triangular, where powers and products of columns far from zero are computed about origins
        of their own: X = X_written T, so that β of the columns as written is Tβ, and a function l'β of those is
        (T'l)'β of these. None where X is as written. Rows of new data and grids are in the columns of X.
    components
        Which predictor each column belongs to: `"mean"`, `"dispersion"`, `"zero"`, `"hurdle"`, `"threshold"`; empty
        where all are of the mean.
    """

    columns: Labels
    terms: Labels
    assign: tuple[int, ...]
    estimable: tuple[int, ...]
    null_basis: Array
    written: Array | None = None
    components: Labels = ()

    @property
    def rank(self) -> int:
        return len(self.estimable)

    @property
    def written_kept(self) -> Array | None:
        """T among the estimable columns, (rank, rank)."""
        return (
            None if self.written is None else self.written[np.ix_(list(self.estimable), list(self.estimable))]
        )

    def functions(self, written: Array) -> Array:
        """Return functions (k, p) of β as written as functions of β of the columns of X."""
        return written if self.written is None else np.asarray(written @ self.written)

    @property
    def aliased(self) -> Labels:
        kept = set(self.estimable)
        return tuple(name for j, name in enumerate(self.columns) if j not in kept)


@dataclass(frozen=True, slots=True)
class VarianceTerm:
    """One factor g(δ; v) of the residual standard deviation, v being the covariate of a row.

    `function` gives log g and its derivatives; `group_labels` name the strata. Where `fitted` is true the
    covariate is the fitted mean and is renewed between fits. `reference` is the origin and unit of the
    working parameters δ, kept where the covariate is renewed so that δ means the same before and after.
    """

    label: str
    function: VarianceFunction
    group_labels: Labels
    reference: Reference
    fitted: bool = False

    @property
    def n_theta(self) -> int:
        """Number of working parameters δ."""
        return self.function.size(len(self.group_labels))

    def uncentred(self, rows: VarianceRows) -> VarianceTerm:
        """Return the term with the unit of its covariate taken out, and not its origin."""
        count = len(self.group_labels)
        own = self.function.reference(rows.covariate, rows.groups, count, centred=False)
        return replace(self, reference=own)

    def log_sd(self, delta: Array, rows: VarianceRows) -> Array:
        """Return log s of rows, (n,)."""
        own = self.function.log_sd(delta, self.reference.values(rows.covariate), rows.groups)
        return np.asarray(own + self.reference.offsets(rows.groups) @ delta) if len(delta) else own

    def d_log_sd(self, delta: Array, rows: VarianceRows) -> Array:
        """Return ∂log s/∂δ of rows, (k, n)."""
        own = self.function.d_log_sd(delta, self.reference.values(rows.covariate), rows.groups)
        return np.asarray(own + self.reference.offsets(rows.groups).T)

    def d2_log_sd(self, delta: Array, rows: VarianceRows) -> Array | None:
        """Return ∂²log s/∂δ∂δ' of rows, (k, k, n), or None where log s is linear in δ."""
        return self.function.d2_log_sd(delta, self.reference.values(rows.covariate), rows.groups)

    def ridges(self) -> tuple[tuple[int, int], ...]:
        """Return places of log c and δ in the parameters where rows tell little but δ/(1 + c)."""
        return self.function.ridges(len(self.group_labels))

    def starts(self) -> list[Array]:
        """Return working parameters to start from."""
        return self.function.starts(len(self.group_labels))

    def natural(self, delta: Array) -> Natural:
        """Return the parameters of the function of the user's covariate, as nlme reports them."""
        plain = self.reference.plain
        found = self.function.natural(plain @ delta, self.group_labels)
        return replace(found, jacobian=found.jacobian @ plain)

    def from_natural(self, values: Array) -> Array:
        """Return working parameters from reported ones; ValueError when they are not admissible."""
        own = self.function.from_natural(values, self.group_labels)
        return np.asarray(np.linalg.solve(self.reference.plain, own))


@dataclass(frozen=True, slots=True)
class Residual:
    """The covariance of the errors: R_i = S_i Σ_R[positions of i] S_i in cluster i, S_i = diag(g_i/√w_i).

    Parameters
    ----------
    label
        Name of the cluster factor; empty when errors are independent.
    structure
        Σ_R with its own variance(s); None for independent errors of variance σ² (times g²).
    positions
        The grid of positions, for structures that live on one; its coordinates are None or those of the grid.
    placed
        Whether rows stand at coordinates, in continuous time or space, rather than on the grid.
    cluster_parts
        Values of the columns that make up the cluster factor, one array (m,) each.
    sets, set_labels
        Parameter set of each cluster, (m,), and the names of the sets.
    variance
        Factors of the residual standard deviation.
    n_clusters_given
        Clusters in the data before rows with missing values were dropped, those without any complete row
        included.
    neighbours
        How many nearest rows of its cluster each row is given, 0 for all.
    """

    label: str
    structure: Structure | None
    positions: Positions
    placed: bool
    cluster_parts: tuple[NDArray[Any], ...]
    sets: Codes
    set_labels: Labels = ("",)
    variance: tuple[VarianceTerm, ...] = ()
    n_clusters_given: int = 0
    neighbours: int = 0

    @property
    def n_clusters(self) -> int:
        return len(self.sets)

    @property
    def n_sets(self) -> int:
        return len(self.set_labels)

    @property
    def n_theta(self) -> int:
        """Number of working parameters: Σ_R of every set (or log σ²), then the variance functions."""
        own = 1 if self.structure is None else self.n_sets * self.structure.size(self.positions.size)
        return own + sum(term.n_theta for term in self.variance)

    @property
    def linear(self) -> bool:
        """Whether R is linear in its parameters on SAS's scale.

        A variance function is so alone and without a structure: R is then diagonal with a variance per stratum.
        A product of two, or SΣ_RS with a correlation in Σ_R, is not linear in the variances of both.
        """
        estimated = [term.function for term in self.variance if term.n_theta]
        if self.structure is None:
            return not estimated or (len(estimated) == 1 and estimated[0].linear)
        return not estimated and self.structure.linear_at(self.positions.size)


@dataclass(frozen=True, slots=True)
class Design:
    """What a model is before fitting, without its rows.

    `n` counts the rows; `encoding` holds what was learned from the data (levels, knots, transforms) for use on new
    data, see `encoding_of`; `weighted` and `shifted` say whether rows have known weights and an offset; `notes` are
    what the user should know about the terms; `criterion` names the likelihood in `CRITERIA`; `held` are natural
    parameters that such data do not determine, with the values they keep.
    """

    n: int
    fixed: FixedTerms
    random: tuple[RandomTerm, ...]
    weighted: bool = False
    shifted: bool = False
    reml: bool = True
    residual: Residual | None = None
    encoding: object | None = None
    notes: tuple[Status, ...] = ()
    criterion: str = "gaussian"
    held: tuple[tuple[str, float], ...] = ()

    def of_likelihood(self, criterion: str) -> Design:
        """Return the design of a generalised model, by the name of its criterion."""
        return replace(self, criterion=criterion)

    @property
    def bounded(self) -> bool:
        """Whether every covariance of random effects is kept positive semidefinite."""
        return all(term.structure.bounded for term in self.random)

    @property
    def linear(self) -> bool:
        """Whether V is linear in the covariance parameters on SAS's scale: variances, covariances."""
        errors = self.residual is None or self.residual.linear
        return errors and all(term.linear for term in self.random)
