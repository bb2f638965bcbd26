"""The protocol between engines and everything above them: numbers in, numbers out.

An engine arranges the rows of a model as `Equations`: the mixed-model equations of

    y = Xβ + Zb + e,   V = Σ_k Z_k(K_k⊗Σ_k)Z_k' + R,   P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹.

They are handed *numbers*: Σ of every random term and set, R of every class of residual clusters, standard deviations of
rows; and, for second-order work, *directions* V̇ in the same form. What a structure, a parameter or a likelihood is they
never learn. At the V last factored they answer

===================================  ==========================================================================
`factor(covariances)`                log|V|, log|X'V⁻¹X| and y'Py
`scores(reml)`                       Γ = ∂(−2l)/∂Σ and ∂(−2l)/∂R, so that ∂(−2l) = Σ⟨Γ, Σ̇⟩ + Σ⟨Γ, Ṙ⟩
`traces(reml)`                       the part of Γ that does not depend on y
`information(directions)`            (Py)'V̇_aPV̇_b(Py): the average information
`trace_products(directions, reml)`   tr(PV̇_aPV̇_b): the expected information
`fixed_information(directions, w)`   −X'V⁻¹V̇_aV⁻¹X and Σ w_ab X'V⁻¹V̇_aV⁻¹V̇_bV⁻¹X (Kenward and Roger 1997)
`solution()` …                       β̂, b̂, and how well they are known
`solve(fixed, random)`               M⁻¹·rhs over [β; b], or with β held: what is linear in other right-hand sides
`cross_fixed(directions, r)`         X'V⁻¹V̇_ar
`linear_predictor(β, b)`             Xβ + Zb
`adjoint(v)`                         X'v and Z'v
`reweight(weights, scores)`          the equations of other working weights and scores
`new_response(y)`                    the equations of another response
===================================  ==========================================================================

V⁻¹ stands in place of P for maximum likelihood. Nothing is inverted where a Σ is singular, except where an engine says
so. What an engine cannot do is a flag that the choice of engine and the tools read. Equations hold all native memory
and never stand on a `Fit`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..errors import FitError
from ..formats import size_text
from ..terms.rows import Rows
from ..typing import Array, Codes
from .coordinates import FixedBasis
from .effects import adjoint, linear_predictor, working_rows
from .layout import Layout

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SizeGroup:
    """All m clusters of t rows, by class: clusters of one class have the same R (and Z) whatever the parameters.

    `rows` (m, t) ordered by class; `starts` (C,) first cluster of each class; `counts` (C,) clusters per class;
    `class_of` (m,) class of each cluster.
    """

    rows: NDArray[np.intp]
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]
    class_of: NDArray[np.intp]

    @classmethod
    def of(cls, rows: NDArray[np.intp], starts: NDArray[np.intp]) -> SizeGroup:
        """Return the clusters with the counts that `starts` implies."""
        counts = np.diff(starts, append=len(rows))
        return cls(rows, starts, counts, np.repeat(np.arange(len(starts)), counts))

    @property
    def first_rows(self) -> NDArray[np.intp]:
        """Rows of one cluster per class, (C, t)."""
        return self.rows[self.starts]

    @property
    def distinct(self) -> bool:
        """Whether every class holds a single cluster."""
        return len(self.starts) == len(self.rows)


@dataclass(frozen=True, slots=True)
class Covariances:
    """The numbers that V is made of.

    Parameters
    ----------
    random
        Σ of every random term, each (sets, p, p); None where `roots` say it.
    roots
        Λ with ΛΛ' = Σ, lower triangular, each (sets, p, p), for equations that take them (`Equations.takes_roots`).
    errors
        R of every class, one (C, t, t) for each size group of `Equations.groups`, of rows divided by their standard
        deviations; for `Equations` whose errors are independent one (1, 1, 1), σ².
    sd
        Standard deviations of rows (n,) that R is multiplied by from both sides, besides those that the weights imply;
        None for ones.
    """

    random: tuple[Array, ...] | None
    roots: tuple[Array, ...] | None
    errors: Sequence[Array]
    sd: Array | None = None

    def matrices(self) -> tuple[Array, ...]:
        """Return Σ of every random term, each (sets, p, p)."""
        if self.random is not None:
            return self.random
        assert self.roots is not None
        return tuple(root @ root.transpose(0, 2, 1) for root in self.roots)


Stack = Callable[[int], Array]
"""Size group g ↦ matrices by class (C, t, t) or by cluster (m, t, t)."""


@dataclass(frozen=True, slots=True)
class Direction:
    """V̇, about rows divided by their standard deviations.

    Parameters
    ----------
    random
        (term, set, Σ̇ (p, p)) of the random terms that move.
    errors
        Ṙ by class: size group ↦ (C, t, t); None for none.
    rows
        What differs between clusters of one class: size group ↦ (m, t, t); None for nothing. Standard deviations of
        rows that move, s_i = exp(ℓ_i), make it (ℓ̇_i + ℓ̇_j)R_ij.
    """

    random: tuple[tuple[int, int, Array], ...] = ()
    errors: Stack | None = None
    rows: Stack | None = None


@dataclass(frozen=True, slots=True)
class Pieces:
    """The parts of the criterion at one V: log|V|, log|X'V⁻¹X| (in the user's X), and y'Py.

    V of `Covariances.sd` other than ones is that of the rows divided by them, whose logarithms the criterion counts.
    """

    logdet: float
    logdet_x: float
    quadratic: float


@dataclass(frozen=True, slots=True)
class Score:
    """For one random term Γ = T − Q: T = Σ_j Z_j'PZ_j (V⁻¹ for ML) and Q = Σ_j (Z_j'Py)(Z_j'Py)', (sets, p, p)."""

    trace: Array
    quadratic: Array


@dataclass(frozen=True, slots=True)
class Scores:
    """Γ of everything V is made of.

    Parameters
    ----------
    random
        T and Q of every random term.
    errors
        Γ of R by class, one (C, t, t) for each size group.
    clusters
        Γ of R by cluster, one (m, t, t) for each size group, where rows have standard deviations that move; else None.
    """

    random: tuple[Score, ...]
    errors: Sequence[Array]
    clusters: tuple[Array, ...] | None = None


@dataclass(frozen=True, slots=True)
class Solution:
    """β̂ (rank,) and (X'V⁻¹X)⁻¹ (rank, rank) in the equations' own coordinates, b̂ per term, each (q, p), and the way to
    the user's columns."""

    own_beta: Array
    own_vcov: Array
    random: tuple[Array, ...]
    basis: FixedBasis

    @property
    def beta(self) -> Array:
        """β̂ by estimable column as written, (rank,)."""
        return self.basis.coefficients(self.own_beta)

    @property
    def vcov(self) -> Array:
        """(X'V⁻¹X)⁻¹ by estimable columns as written, (rank, rank)."""
        return self.basis.covariance(self.own_vcov)

    def estimates(self, functions: Array) -> Array:
        """Return l'β̂ of functions on the estimable columns of X, (..., rank), such as rows of X."""
        if self.basis.triangle is None:
            return np.asarray(functions @ self.basis.of_columns(self.own_beta))
        # β̂ of nearly dependent columns cancels in the sum
        return np.asarray(self.basis.rows(functions) @ self.own_beta)

    def variances(self, functions: Array) -> Array:
        """Return l'(X'V⁻¹X)⁻¹l of functions on the estimable columns of X, (k, rank) to (k,)."""
        own = self.basis.rows(functions)
        return np.asarray(np.einsum("ka,ab,kb->k", own, self.own_vcov, own))


@dataclass(frozen=True, slots=True)
class Refitted:
    """The optimum of one response: profiled θ, −2l, σ̂², g'H⁻¹g, counts, and the estimates."""

    theta: Array
    value: float
    sigma2: float
    decrement: float
    iterations: int
    evaluations: int
    solution: Solution


class Refits(Protocol):
    """Searches for other responses in native code."""

    def refit(
        self,
        responses: Array,
        entries: Sequence[tuple[int, int, int, int, int]],
        start: Array,
        control: Control,
    ) -> list[Refitted | None]:
        """Return the optimum of each row of `responses` (k, n) from θ = `start`; None where it is not interior.

        `entries` are (term, set, row, column, parameter) of Λ, whose entries the parameters are.
        """
        ...


class ErrorCovariance(ABC):
    """Covariances of new errors with those of the fit, for `Target.error`."""

    @abstractmethod
    def between(self, targets: NDArray[np.intp], rows: NDArray[np.intp]) -> Array:
        """Return the covariance of the error of each target (m,) with those of its rows (m, t), (m, t)."""

    @abstractmethod
    def variances(self) -> Array:
        """Return the variance of every target's error, (n,)."""

    def among(self, rows: NDArray[np.intp]) -> Array:
        """Return the covariance among the errors of rows of the fit (..., t), as (..., t, t)."""
        raise TypeError("only errors of fitted structures are known among rows of the fit")

    def coordinates(self) -> Array | None:
        """Return where targets stand, (n, d), None where that is no question of coordinates."""
        return None


@dataclass(frozen=True, slots=True)
class Target:
    """n quantities to predict, by their relation to the data.

    Parameters
    ----------
    x
        (n, rank), or None for quantities without a fixed part.
    codes, values
        Per random term the level (n,), −1 for one not in the fit, None to leave the term out, and Z values (n, p).
    cluster
        Row of the fit (n,) whose residual cluster the errors of the quantity are correlated with, −1 for none.
    error
        The covariances of their errors with those of the fit.
    """

    x: Array | None
    codes: Sequence[Codes | None]
    values: Sequence[Array | None]
    cluster: NDArray[np.intp] | None = None
    error: ErrorCovariance | None = None

    def __len__(self) -> int:
        if self.x is not None:
            return len(self.x)
        return next(len(codes) for codes in self.codes if codes is not None)


class Estimates(ABC):
    """What is known of β and b at the V last factored: the questions that `Equations` and `RelativeSystem` share.

    A system relative to σ² answers them for Ṽ = V/σ², so that every variance is one over σ².
    """

    layout: Layout
    """Sizes, levels and flags of the model."""
    rows: Rows
    """Its rows."""

    @abstractmethod
    def solution(self) -> Solution:
        """Return β̂, (X'V⁻¹X)⁻¹ and b̂."""

    @abstractmethod
    def conditional_covariance(self, term: int) -> Array:
        """Return var(b − b̂) for every level of a term, (q, p, p), uncertainty of β̂ included."""

    @abstractmethod
    def joint_covariance(self, term: int) -> Array:
        """Return var(b − b̂) of all levels of a term together, (q·p, q·p), level-major."""

    @abstractmethod
    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        """Return var(x'(β̂ − β) + Σ_k z_k'(b̂_k − b_k)) for each of n new rows, (n,).

        `x` is (n, rank) or None for no fixed part. `codes[k]` (n,) holds the level of term k in each row, −1 for a
        level not in the fit (its z'Σz is added), None to leave the term out; `values[k]` is (n, p) or None for ones.
        """

    @abstractmethod
    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        """Return var(b | y, β)·g of every term, (q, p, k), for g likewise."""

    def column_squares(self) -> tuple[Array, ...]:
        """Return Σ z² of every column of Z by term, (p,); from cross-products Σ wz²/w̄, w̄ the mean weight."""
        return tuple(own.column_squares() for own in self.rows.random)

    @abstractmethod
    def start_moments(self) -> tuple[Array, Array]:
        """Return the MIVQUE0 equations S v = q at V = I for one variance per random column, residual last.

        With M = I − X(X'X)⁻¹X' and V_a = Z_aKZ_a' for the a-th column over all terms (V = I for the residual):
        S_ab = tr(MV_aMV_b), q_a = y'MV_aMy; S is (K+1, K+1), q (K+1,), K the total of columns over terms. Only where
        `homogeneous`.
        """

    def refits(self) -> Refits | None:
        """Return native searches for other responses with σ² profiled out, None where there are none."""
        return None


class Equations(Estimates):
    """The mixed-model equations of one model; `factor` first, then the other questions at that V."""

    threads: int = 1
    """Threads of native code worth using on these rows."""
    exact_information: ClassVar[bool] = False
    """Whether `trace_products`, and with them the exact Hessian, always come at the cost of about one evaluation."""
    homogeneous: ClassVar[bool] = False
    """Whether R is σ²W⁻¹, so that σ² can be profiled out and `rescale` costs nothing."""
    indefinite: ClassVar[bool] = False
    """Whether Σ may be indefinite."""
    diagonal: ClassVar[bool] = False
    """Whether `reweight` takes weights of 0, and of either sign where the equations stay positive definite."""

    whole_clusters: ClassVar[bool] = False
    """Whether V of whole independent clusters is factored."""
    packed: ClassVar[bool] = False
    """Whether matrices by class are lower triangles by rows, (C, t(t+1)/2), one size group at a time: rows are in many
    groups then, each of them last in one."""
    takes_roots: bool = True
    """Whether `factor` reads Λ rather than Σ."""

    basis: FixedBasis
    """The equations' own coordinates of β."""
    groups: tuple[SizeGroup, ...]
    """Clusters whose R is handed over by class."""
    holder: object | None = None
    """Who factored last: criteria that share equations see by it whether V is still theirs."""

    @property
    def simulated(self) -> int:
        """The number of random probes that log|V| and traces are estimated by, 0 where they are exact."""
        return 0

    @property
    def noise(self) -> float:
        """The Monte Carlo standard error of the log|V| last computed, 0 where it is exact."""
        return 0.0

    def enlarge(self, probes: int) -> None:
        """Estimate by so many probes from now on, those there are among them; only where `simulated`."""
        raise TypeError("these equations are exact")

    def score_draws(self, reml: bool, *, errors: bool = True) -> Iterator[Scores]:
        """Yield Γ by each probe alone, whose mean is that of `scores`; only where `simulated`."""
        raise TypeError("these equations are exact")

    @abstractmethod
    def factor(self, covariances: Covariances) -> Pieces:
        """Factor V; FitError, ArithmeticError or LinAlgError where it is not positive definite or not finite."""

    @property
    def log_weights(self) -> float:
        """−Σ log|w| over the rows that say something: log|V| at σ² = 1 without random terms; where `homogeneous`."""
        raise TypeError("only equations with R = σ²W⁻¹ have a log|V| without random terms")

    def rescale(self, factor: float) -> None:
        """Take V times a positive factor, without factoring again."""
        raise TypeError("only equations with R = σ²W⁻¹ can be rescaled")

    @abstractmethod
    def scores(self, reml: bool, *, errors: bool = True) -> Scores:
        """Return Γ, that of the errors left out where they are not asked for."""

    @abstractmethod
    def traces(self, reml: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the part of Γ that does not depend on y, of every random term (sets, p, p) and by class (C, t, t)."""

    @abstractmethod
    def information(self, directions: Sequence[Direction]) -> Array:
        """Return A_ab = f_a'Pf_b with f_a = V̇_aPy, (len(directions),) squared."""

    @abstractmethod
    def trace_products(self, directions: Sequence[Direction], reml: bool) -> Array | None:
        """Return tr(PV̇_aPV̇_b) (V⁻¹ in place of P for ML), or None where that takes too much."""

    @abstractmethod
    def fixed_information(self, directions: Sequence[Direction], weights: Array) -> tuple[Array, Array]:
        """Return P_a (k, r, r) and Σ_ab w_ab Q_ab (r, r) in own coordinates, for symmetric weights (k, k)."""

    @abstractmethod
    def predict(self, target: Target) -> tuple[Array, Array]:
        """Return v'V⁻¹(y − Xβ̂), v the covariance of a target with the responses, and the variance of what it misses.

        Both (n,); var = τ² − v'V⁻¹v + (x − X'V⁻¹v)'Φ(x − X'V⁻¹v), Φ = (X'V⁻¹X)⁻¹ (Goldberger 1962).
        """

    @abstractmethod
    def conditional_residual_variances(self) -> Array:
        """Return the diagonal of RPR, the variances of y − Xβ̂ − Zb̂, (n,)."""

    @abstractmethod
    def leverages(self, *, fixed: bool = False) -> Array:
        """Return z_i'var(b | y, β)z_i for every row, or with `fixed` the variance of x_i'β̂ + z_i'b̂ − z_i'b, (n,)."""

    @abstractmethod
    def response_squares(self) -> tuple[Array, ...]:
        """Return Σ_i y_iy_i' of least-squares residuals by class, one (C, t, t) for each size group."""

    @abstractmethod
    def explained_squares(self, covariances: Covariances) -> tuple[Array, ...]:
        """Return the sums over clusters of what random effects add to V_i, by class, (C, t, t) for each size group."""

    @abstractmethod
    def direction_gram(self, covariances: Covariances, directions: Sequence[Direction]) -> Array:
        """Return ⟨V̇_a, V̇_b⟩, (k, k): singular exactly where directions are dependent. Nothing is factored."""

    def thinned(self, count: int) -> Equations:
        """Return the equations of `count` of the rows, or all of them; only where `packed`."""
        return self

    def each(self, f: Callable[[int], T]) -> list[T]:
        """Return f of every size group in order."""
        return [f(g) for g in range(len(self.groups))]

    # -- other right-hand sides, other rows --------------------------------------------------------------------

    @abstractmethod
    def taken_by_fixed(self) -> tuple[Array, ...]:
        """Return GZ'V⁻¹X of every term, (q, p, r), in own coordinates."""

    def solve(self, fixed: Array | None, random: Sequence[Array]) -> tuple[Array | None, tuple[Array, ...]]:
        """Return M⁻¹·rhs, M the matrix of the mixed-model equations over [β; b].

        Parameters
        ----------
        fixed
            The part of the right-hand sides for β in own coordinates, (r, k); None to hold β.
        random
            Their parts for b by term, each (q, p, k).

        Returns
        -------
        tuple
            The solutions in the same form.

        Notes
        -----
        With G = var(b), C = var(b | y, β) and Φ = (X'V⁻¹X)⁻¹ the solutions are β = Φ(f − X'V⁻¹ZGg) and
        b = Cg − GZ'V⁻¹Xβ. M⁻¹ is the covariance of (β̂ − β, b̂ − b), which exists where Σ is singular.
        """
        effects = self.solve_random(random)
        if fixed is None:
            return None, effects
        taken, left = self.taken_by_fixed(), fixed
        for own, side in zip(taken, random, strict=True):
            left = left - np.einsum("qpr,qpk->rk", own, side)
        beta = self.solution().own_vcov @ left
        return beta, tuple(b - own @ beta for b, own in zip(effects, taken, strict=True))

    @abstractmethod
    def cross_fixed(self, directions: Sequence[Direction], r: Array) -> Array:
        """Return X'V⁻¹V̇_ar in own coordinates, (len(directions), rank), for one vector r by row (n,).

        Those of ∂Σ are X'V⁻¹Z(K⊗Σ̇)Z'r; with r the scores of a likelihood these are half the Hessian of its
        Laplace approximation between β and Σ.
        """

    def linear_predictor(self, beta: Array, b: Sequence[Array]) -> Array:
        """Return Xβ + Zb, (n,), for β (r,) in own coordinates and b (q, p) by term; with a last axis of k, (n, k)."""
        return linear_predictor(self.rows, self.basis, beta, b)

    def adjoint(self, v: Array) -> tuple[Array, tuple[Array, ...]]:
        """Return X'v (r,) in own coordinates and Z'v (q, p) by term, for v (n,); with a last axis of k likewise."""
        return adjoint(self.layout, self.rows, self.basis, v)

    @abstractmethod
    def with_rows(self, rows: Rows) -> Equations:
        """Return the equations of rows that differ in y, weights or covariates of variance functions alone."""

    def response_square(self) -> float:
        """Return Σ(y − ȳ)², whose rounding error everything computed relative to σ² has."""
        y = self.rows.y
        return len(y) * float(np.var(y))

    def new_response(self, y: Array) -> Equations:
        """Return the equations of another response (n,)."""
        return self.with_rows(self.rows.with_response(y))

    def reweight(self, weights: Array, scores: Array) -> Equations:
        """Return the equations of working weights W and scores s, both (n,): those whose right-hand sides are X's, Z's.

        The working response is W⁻¹s; with scores given a weight may be exactly 0, and its row then leaves M and
        log|V|. `Pieces.quadratic` is infinite in effect where such a row has a score.

        Raises
        ------
        FitError
            Where a weight is 0 or negative and errors are not independent (`diagonal`).
        """
        if not self.diagonal and not (weights > 0.0).all():
            raise FitError(
                f"working weights must be positive where errors are correlated or of unequal variance; row "
                f"{int(np.argmin(weights > 0.0))} has {weights.min():.3g}."
            )
        working, response = working_rows(weights, scores)
        return self.with_rows(replace(self.rows, y=response, weights=working))

    def whitened_residuals(self) -> Array:
        """Return L⁻¹(y − Xβ̂), (n,), V = LL' with rows in the order of their clusters; only where `whole_clusters`."""
        raise TypeError("only equations that hold V of whole clusters give its factor")

    def whitened(self, values: Array) -> Array:
        """Return L⁻¹ values (n,), V = LL'; only where `packed`."""
        raise TypeError("only equations of rows given their neighbours whiten any values")

    def draw(self, rng: np.random.Generator) -> Array:
        """Return one draw from N(0, V), (n,); only where `whole_clusters`."""
        raise TypeError("only equations that hold V of whole clusters give its factor")

    def edge(self) -> str | None:
        """Return why a search cannot go on past the V factored last, as a clause, None where it can."""
        return None


class Engine(ABC):
    """A way of solving the mixed-model equations."""

    name: ClassVar[str]
    whole_clusters: ClassVar[bool] = False
    """Whether its equations form V of whole independent clusters."""
    simulates: ClassVar[bool] = False
    """Whether its equations estimate log|V| and traces by random probes, with a Monte Carlo error."""
    given_neighbours: ClassVar[bool] = False
    """Whether it gives rows fewer neighbours than all rows of their cluster."""

    @abstractmethod
    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        """Return None if this engine can take the model, else the reason why not as a clause."""

    @abstractmethod
    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        """Return predicted flops of one evaluation and bytes held."""

    @abstractmethod
    def equations(self, layout: Layout, rows: Rows, control: Control) -> Equations:
        """Return the rows of a model arranged for evaluation."""


def memory_refusal(what: str, size: float, control: Control) -> str | None:
    """Return why an engine whose `what` takes `size` bytes cannot be used within `control.room`, else None."""
    if size <= control.room:
        return None
    return f"{what} would take {size_text(size)}, more than control.memory, {size_text(control.room)}"
