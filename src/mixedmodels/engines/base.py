"""The protocol between engines and everything above them.

An engine turns a `Design` into a `System`: the mixed-model equations for given *relative* covariances Σ̃ = Σ/σ².
With V = σ²Ṽ, Ṽ = W⁻¹ + Σ_k Z_k(I⊗Σ̃_k)Z_k' and P̃ = Ṽ⁻¹ − Ṽ⁻¹X(X'Ṽ⁻¹X)⁻¹X'Ṽ⁻¹ a system answers, at the factor Λ
(Σ̃ = ΛΛ') it was last given:

==========================  =============================================================================
`factor(factors)`           log|Ṽ|, log|X'Ṽ⁻¹X| and y'P̃y
`scores(reml)`              per term and set: T = Σ_j Z_j'P̃Z_j (Ṽ⁻¹ in place of P̃ for ML) and
                            Q = Σ_j (Z_j'P̃y)(Z_j'P̃y)', both (sets, p, p)
`average_information(d)`    A_ab = (P̃y)'Z_a Z_a' P̃ Z_b Z_b'(P̃y) with Z_aZ_a' = ∂Ṽ along direction a
`solution()`                β̂ and b̂
==========================  =============================================================================

so that with σ̂² = y'P̃y/ν, ν = n − rank (REML) or n (ML), the gradient of the profiled criterion along a direction
Σ̃̇ is ⟨T − Q/σ̂², Σ̃̇⟩. Nothing is inverted where Λ is singular, except where an engine says so.

A system knows no covariance structures and holds all native memory; it is never stored on a `Fit`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..control import Control
from ..terms.design import Design
from ..typing import Array, Codes


@dataclass(frozen=True, slots=True)
class Pieces:
    """The parts of the criterion at one Λ: log|Ṽ|, log|X'Ṽ⁻¹X| (in the user's X), and y'P̃y."""

    logdet: float
    logdet_x: float
    quadratic: float


@dataclass(frozen=True, slots=True)
class Score:
    """For one random term: T and Q, each (sets, p, p) and symmetric."""

    trace: Array
    quadratic: Array


@dataclass(frozen=True, slots=True)
class Direction:
    """∂Σ̃ of one parameter set of one random term, (p, p) symmetric."""

    term: int
    set: int
    matrix: Array


@dataclass(frozen=True, slots=True)
class Solution:
    """β̂ (rank,), its unscaled covariance (X'Ṽ⁻¹X)⁻¹ (rank, rank), and b̂ per term, each (q, p)."""

    beta: Array
    unscaled_vcov: Array
    random: tuple[Array, ...]


class Posterior(ABC):
    """Estimates at the covariances last given, with their uncertainty, in units of σ²."""

    @abstractmethod
    def solution(self) -> Solution:
        """Return β̂, (X'Ṽ⁻¹X)⁻¹ and b̂."""

    @abstractmethod
    def conditional_covariance(self, term: int) -> Array:
        """Return var(b − b̂)/σ² for every level of a term, (q, p, p), uncertainty of β̂ included."""

    @abstractmethod
    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        """Return var(x'(β̂ − β) + Σ_k z_k'(b̂_k − b_k))/σ² for each of n new rows, (n,).

        `x` is (n, rank) or None for no fixed part. `codes[k]` (n,) holds the level of term k in each row, −1 for
        a level not in the fit (its z'Σ̃z is added), None to leave the term out; `values[k]` is (n, p) or None for
        ones.
        """

    @abstractmethod
    def joint_covariance(self, term: int) -> Array:
        """Return var(b − b̂)/σ² of all levels of a term together, (q·p, q·p), level-major."""

    @abstractmethod
    def new_response(self, y: Array) -> Posterior:
        """Return the same for another response, sharing everything structural."""


class System(Posterior):
    """The mixed-model equations of one design; `factor` first, then the other questions at that point."""

    signed: ClassVar[bool] = False
    """Whether `factor` takes Σ̃ itself, which may be indefinite, in place of a factor Λ."""

    @abstractmethod
    def factor(self, factors: Sequence[Array]) -> Pieces:
        """Factor the equations at Λ, one (sets, p, p) array per random term, lower triangular blocks."""

    @abstractmethod
    def scores(self, reml: bool) -> list[Score]:
        """Return T and Q of every random term."""

    @abstractmethod
    def average_information(self, directions: Sequence[Direction]) -> Array:
        """Return A_ab = f_a'P̃f_b with f_a = Z(I⊗Σ̃̇_a)Z'P̃y, (len(directions),) squared."""

    @abstractmethod
    def fixed_information(self, directions: Sequence[Direction]) -> tuple[Array, Array]:
        """Return how X'Ṽ⁻¹X changes along directions, in the user's X.

        P_a = −X'Ṽ⁻¹Ṽ_aṼ⁻¹X, (K, rank, rank), and Q_ab = X'Ṽ⁻¹Ṽ_aṼ⁻¹Ṽ_bṼ⁻¹X, (K, K, rank, rank): the matrices of
        Kenward and Roger (1997).
        """

    def trace_products(self, directions: Sequence[Direction], reml: bool) -> Array | None:
        """Return tr(P̃Ṽ_aP̃Ṽ_b) for directions Ṽ_a (Ṽ⁻¹ in place of P̃ for ML), or None where that takes too much."""
        return None

    @abstractmethod
    def start_moments(self) -> tuple[Array, Array]:
        """Return the MIVQUE0 equations S v = q at V = I for one variance per random column, residual last.

        With M = I − X(X'X)⁻¹X' and V_a = Z_aKZ_a' for the a-th column over all terms (V = I for the residual):
        S_ab = tr(MV_aMV_b), q_a = y'MV_aMy; S is (K+1, K+1), q (K+1,), K the total of columns over terms.
        """


class Engine(ABC):
    """A way of solving the mixed-model equations."""

    name: ClassVar[str]

    @abstractmethod
    def supports(self, design: Design, control: Control) -> str | None:
        """Return None if this engine can take the design, else the reason why not as a clause."""

    @abstractmethod
    def cost(self, design: Design) -> tuple[float, float]:
        """Return predicted flops of one evaluation and bytes held."""

    @abstractmethod
    def system(self, design: Design, control: Control) -> Posterior:
        """Arrange the data and return what the criterion of the design is computed with."""


def memory_refusal(what: str, size: float, control: Control) -> str | None:
    """Return why an engine whose `what` takes `size` bytes cannot be used within `control.memory`, else None."""
    if size <= control.memory:
        return None
    limit = control.memory / 1e9
    return f"{what} would take {size / 1e9:.1f} GB, more than control.memory = {limit:.1f} GB"
