"""Conjugate gradients for several right-hand sides at once, and the logarithms they give without further work.

The coefficients of conjugate gradients are those of Lanczos' tridiagonal matrix T, which has z'log(S̃)z =
|z|² e₁'log(T)e₁ to the square of the tolerance (Golub and Meurant 1994; Ubaru, Chen and Saad 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import FitError
from ...typing import Array

MOST = 2_000
"""Steps after which conjugate gradients are given up: levels hardly connected, or variances without limit."""


@dataclass(frozen=True, slots=True)
class Solved:
    """S⁻¹ of right-hand sides, (m, c); S times the first direction D⁻¹·rhs, (m, c); Lanczos' T as `alpha` and `beta`,
    (steps, c), zero where a column has ended; and rhs'D⁻¹rhs, (c,)."""

    x: Array
    first: Array
    alpha: Array
    beta: Array
    size: Array

    def log_forms(self) -> Array:
        """Return z'log(S̃)z of every right-hand side D^½z, (c,), S̃ = D^-½SD^-½."""
        steps, c = self.alpha.shape
        t = np.zeros((c, steps, steps))
        live = self.alpha > 0
        inverse = np.where(live, 1.0 / np.where(live, self.alpha, 1.0), 0.0)
        diagonal = np.where(live, inverse, 1.0)
        diagonal[1:] += np.where(live[1:], self.beta[:-1] * inverse[:-1], 0.0)
        at = np.arange(steps)
        t[:, at, at] = diagonal.T
        beside = np.where(live[1:], np.sqrt(self.beta[:-1]) * inverse[:-1], 0.0).T
        t[:, at[1:], at[:-1]] = t[:, at[:-1], at[1:]] = beside
        values, vectors = np.linalg.eigh(t)
        if not (values > 0).all():
            raise np.linalg.LinAlgError("the equations are not positive definite")
        return np.asarray(self.size * np.einsum("ck,ck->c", vectors[:, 0] ** 2, np.log(values)))


def conjugate_gradients(
    times: Callable[[Array], Array], diagonal: Array, right: Array, tolerance: float
) -> Solved:
    """Return S⁻¹ of right-hand sides (m, c), each to a residual of `tolerance` in the norm of D⁻¹.

    Parameters
    ----------
    times
        v (m, c) ↦ Sv.
    diagonal
        D, the diagonal of S, (m,): Jacobi's preconditioner.
    right, tolerance
        The right-hand sides, and the relative size of what is left of them.

    Raises
    ------
    LinAlgError
        Where S is not positive definite.
    FitError
        Where it takes more than 2,000 steps.
    """
    if not (diagonal > 0).all():
        raise np.linalg.LinAlgError("the equations are not positive definite")
    inverse = 1.0 / diagonal[:, None]
    x, r = np.zeros_like(right), right.copy()
    z = r * inverse
    p = z.copy()
    size = rz = np.einsum("mc,mc->c", r, z)
    if not np.isfinite(size).all():
        raise np.linalg.LinAlgError("the equations are not finite")
    alphas, betas, first = [], [], np.zeros_like(right)
    for step in range(MOST):
        live = rz > tolerance**2 * size
        if not live.any():
            break
        w = times(p)
        if not step:
            first = w
        curvature = np.einsum("mc,mc->c", p, w)
        if not (curvature[live] > 0).all():
            raise np.linalg.LinAlgError("the equations are not positive definite")
        alpha = np.where(live, rz / np.where(live, curvature, 1.0), 0.0)
        x += alpha * p
        r = r - alpha * w
        np.multiply(r, inverse, out=z)
        after = np.einsum("mc,mc->c", r, z)
        beta = np.where(live, after / np.where(live, rz, 1.0), 0.0)
        p *= beta
        p += z
        alphas.append(alpha)
        betas.append(beta)
        rz = np.where(live, after, rz)
    else:
        raise FitError(
            f"conjugate gradients did not converge in {MOST:,} steps: levels of the crossed factors hardly meet, or a "
            "variance grows without limit. Use control=mm.Control(engine='blocked'), or 'sparse'."
        )
    none = np.zeros((1, right.shape[1]))
    alpha, beta = (np.array(one) if one else none for one in (alphas, betas))
    return Solved(x, first, alpha, beta, np.asarray(size))
