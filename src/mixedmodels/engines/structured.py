"""What the criterion of structured errors asks of the equations, whichever way they are solved.

With θ as in `MarginalModel` and rows divided by their standard deviations (V* = S⁻¹VS⁻¹), a system answers at
the θ it was last factored at: log|V*|, Γ = ∂(−2l)/∂V*, the average information along every parameter, and how
X'V⁻¹X changes. Estimates beyond those are predictions of a *target*, a quantity with covariance v with the
responses and variance τ²:

    v'V⁻¹(y − Xβ̂),   var(error) = τ² − v'V⁻¹v + (x − X'V⁻¹v)'Φ(x − X'V⁻¹v)    (Goldberger 1962).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..terms.design import Design
from ..typing import Array, Codes
from .base import Pieces, Posterior
from .marginal import At, Gammas, MarginalModel


@dataclass(frozen=True, slots=True)
class Target:
    """n quantities to predict, by their relation to the data.

    Parameters
    ----------
    x
        (n, rank), or None for quantities without a fixed part.
    codes, values
        Per random term the level (n,), −1 for one not in the fit, None to leave the term out, and Z values
        (n, p).
    cluster
        Row of the fit (n,) whose residual cluster the errors of the quantity are correlated with, −1 for
        none.
    error
        Given positions of the n quantities and rows of the fit, both (m,) and (m, t), the covariances of
        their errors.
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


class ErrorCovariance(ABC):
    """Covariances of new errors with those of the fit, for `Target.error`."""

    @abstractmethod
    def between(self, targets: NDArray[np.intp], rows: NDArray[np.intp]) -> Array:
        """Return the covariance of the error of each target (m,) with those of its rows (m, t), (m, t)."""

    @abstractmethod
    def variances(self) -> Array:
        """Return the variance of every target's error, (n,)."""


class StructuredSystem(Posterior):
    """The equations of a design with structured errors, and their state at the last θ."""

    exact_information: ClassVar[bool]
    """Whether the expected information, and with it the exact Hessian, costs about one evaluation."""

    design: Design
    control: Control
    model: MarginalModel
    holder: object | None

    @abstractmethod
    def factor(self, at: At) -> Pieces:
        """Factor V* and return log|V*|, log|X'V⁻¹X| and y'Py; LinAlgError or ArithmeticError where V is not
        positive definite."""

    @abstractmethod
    def at(self) -> At:
        """Return where V was factored last."""

    @abstractmethod
    def gammas(self, reml: bool) -> Gammas:
        """Return Γ by class of every size group, by cluster where there are variance functions, and of Σ."""

    @abstractmethod
    def random_traces(self, reml: bool) -> list[Array]:
        """Return the part of Γ that does not depend on y for Σ of every random block, (p, p)."""

    @abstractmethod
    def average_information(self) -> Array:
        """Return the average information of all parameters, (n_theta, n_theta)."""

    @abstractmethod
    def expected_information(self, reml: bool) -> Array:
        """Return tr(PV̇_aPV̇_b), V⁻¹ in place of P for ML; only where `exact_information` holds."""

    @abstractmethod
    def fixed_information(self, weights: Array) -> tuple[Array, Array]:
        """Return P (k, r, r) and Σ_ab w_ab Q_ab (r, r) of Kenward and Roger in the user's X, weights w (k, k)."""

    @abstractmethod
    def bent_slope(self, weights: Array, slopes: Array) -> Array:
        """Return X'V⁻¹BV⁻¹X (r, r) in the user's X, B = Σ_ij w_ij V_ij − Σ_i v_iV_i for weights w (k, k) and
        slopes v (k,)."""

    @abstractmethod
    def bend_traces(self, weights: Array, slopes: Array) -> Array:
        """Return tr(PBPV_i) for every parameter, (k,), B as in `bent_slope`."""

    @abstractmethod
    def direction_gram(self, at: At) -> Array:
        """Return ⟨V*_a, V*_b⟩ for all parameters at `at`, (k, k): singular exactly where V*_a are dependent."""

    @abstractmethod
    def response_squares(self) -> list[Array]:
        """Return Σ_i y_iy_i' of least-squares residuals by class, one (C, t, t) per size group."""

    @abstractmethod
    def explained_squares(self, at: At) -> list[Array]:
        """Return Σ_i of the part of V*_i that random effects make by class, one (C, t, t) per size group."""

    @abstractmethod
    def predict(self, target: Target) -> tuple[Array, Array]:
        """Return v'V⁻¹(y − Xβ̂), (n,), and the variance of the prediction error, (n,), of each target."""

    @abstractmethod
    def conditional_residual_variances(self) -> Array:
        """Return the diagonal of RPR, the variances of y − Xβ̂ − Zb̂, (n,)."""

    def edge(self) -> str | None:
        """Return why the search cannot go on past the θ factored last, as a clause, None where it can."""
        return None

    @abstractmethod
    def with_design(self, design: Design) -> StructuredSystem:
        """Return the system of a design that differs in y or in the covariates of variance functions only."""

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        return self.predict(Target(x, codes, values))[1] / self.sigma2()

    def matrices(self) -> tuple[Array, ...]:
        """Return Σ of every random term at the present θ, each (sets, p, p)."""
        theta, out = self.at().theta, []
        for k in range(len(self.design.random)):
            own = [b for b in self.model.random_blocks if b.term == k]
            out.append(np.stack([b.structure.matrix(theta[b.place], b.positions) for b in own]))
        return tuple(out)

    def sigma2(self) -> float:
        """Return the variance that posterior covariances are relative to."""
        block, theta = self.model.residual_blocks[0], self.at().theta
        if block.structure is None:
            return float(np.exp(theta[block.place][0]))
        return float(block.structure.matrix(theta[block.place], block.positions)[0, 0])

    def own_variance(self, target: Target) -> Array:
        """Return τ², the variance of each target itself."""
        n = len(target)
        out = np.zeros(n) if target.error is None else target.error.variances().copy()
        parts = zip(self.design.random, self.matrices(), target.codes, target.values, strict=True)
        for term, sigma, codes, values in parts:
            if codes is not None:
                z = np.ones((n, 1)) if values is None else values
                own = sigma[np.where(codes >= 0, term.sets[np.maximum(codes, 0)], 0)]
                out += np.einsum("na,nab,nb->n", z, own, z)
        return out

    def unscale(self, rows: NDArray[np.intp]) -> Array:
        """Return 1/s of some rows."""
        weights, sd = self.design.weights, self.at().relative_sd
        out = np.ones(rows.shape) if weights is None else np.sqrt(weights[rows])
        return out / sd[rows] if len(sd) else out
