"""What engines for independent errors compute: everything relative to σ², which `homogeneous` takes in.

With V = σ²Ṽ, Ṽ = W⁻¹ + Σ_k Z_k(I⊗Σ̃_k)Z_k', Σ̃ = Σ/σ² and P̃ = Ṽ⁻¹ − Ṽ⁻¹X(X'Ṽ⁻¹X)⁻¹X'Ṽ⁻¹ a system answers, at the factor Λ
(Σ̃ = ΛΛ') it was last given, for Ṽ what `Equations` answer for V. The errors have no direction of their own: they are
what the random terms leave of Ṽ.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..terms.rows import Rows
from ..typing import Array, Codes
from .base import Estimates, Pieces, Score
from .effects import informative
from .standardise import Standardised


@dataclass(frozen=True, slots=True)
class TermDirection:
    """∂Σ̃ of one parameter set of one random term, (p, p) symmetric."""

    term: int
    set: int
    matrix: Array


class RelativeSystem(Estimates):
    """The mixed-model equations of one model relative to σ²; `factor` first, then the other questions."""

    indefinite: ClassVar[bool] = False
    """Whether `factor` takes Σ̃ itself, which may be indefinite, in place of a factor Λ."""

    standard: Standardised

    @property
    def simulated(self) -> int:
        """The number of random probes that traces are estimated by, 0 where they are exact."""
        return 0

    @property
    def noise(self) -> float:
        """The Monte Carlo standard error of the log|Ṽ| last computed, 0 where it is exact."""
        return 0.0

    def enlarge(self, probes: int) -> None:
        """Estimate traces by so many probes from now on, those there are among them; only where `simulated`."""
        raise TypeError("traces of these equations are exact")

    def trace_draws(self, reml: bool) -> Iterator[list[Array]]:
        """Yield T of every term, (sets, p, p), by each probe alone; their mean is that of `scores`."""
        raise TypeError("traces of these equations are exact")

    @property
    def count(self) -> int:
        """The number of rows that say something of σ²."""
        weights = self.rows.weights
        return self.layout.n if weights is None else len(informative(weights))

    def response_square(self) -> float:
        """Return Σ(y − ȳ)², or of rows that are not held what X leaves of it."""
        y = self.rows.y
        return len(y) * float(np.var(y))

    @abstractmethod
    def factor(self, factors: Sequence[Array]) -> Pieces:
        """Factor the equations at Λ, one (sets, p, p) array per random term, lower triangular blocks."""

    @abstractmethod
    def scores(self, reml: bool) -> list[Score]:
        """Return T and Q of every random term."""

    @abstractmethod
    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        """Return A_ab = f_a'P̃f_b with f_a = Z(I⊗Σ̃̇_a)Z'P̃y, (len(directions),) squared."""

    @abstractmethod
    def fixed_information(self, directions: Sequence[TermDirection]) -> tuple[Array, Array]:
        """Return how X'Ṽ⁻¹X changes along directions, in own coordinates.

        P_a = −X'Ṽ⁻¹Ṽ_aṼ⁻¹X, (K, rank, rank), and Q_ab = X'Ṽ⁻¹Ṽ_aṼ⁻¹Ṽ_bṼ⁻¹X, (K, K, rank, rank): the matrices of
        Kenward and Roger (1997).
        """

    def trace_products(self, directions: Sequence[TermDirection], reml: bool) -> Array | None:
        """Return tr(P̃Ṽ_aP̃Ṽ_b) for directions Ṽ_a (Ṽ⁻¹ in place of P̃ for ML), or None where that takes too much."""
        return None

    @abstractmethod
    def fixed_columns(self) -> tuple[Array, ...]:
        """Return Z'Ṽ⁻¹X of every term, (q, p, r), in own coordinates."""

    @abstractmethod
    def effect_variance(self, codes: Sequence[Codes | None], values: Sequence[Array | None]) -> Array:
        """Return var(Σ_k z_k'(b̂_k − b_k) given β)/σ² for each of n rows of levels in the fit, (n,)."""

    @abstractmethod
    def with_rows(self, rows: Rows) -> RelativeSystem:
        """Return the system of rows that differ in y or weights alone, sharing everything structural."""
