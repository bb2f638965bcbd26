"""Small random-slope problems, many of them singular, with a vectorised system for y ~ x + (x | g)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dense_algebra import random_term
from mixedmodels.covariance.unstructured import Unstructured
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.engines.base import Pieces, Score, Solution
from mixedmodels.engines.homogeneous import HomogeneousEquations
from mixedmodels.engines.relative import RelativeSystem, TermDirection
from mixedmodels.terms.rows import Rows
from mixedmodels.typing import Array
from models import Model, fixed_terms


class SlopeSystem(RelativeSystem):
    """y ~ x + (x | g) from cross-products per group, all at once: the criterion and its derivatives only."""

    def __init__(self, design: Model) -> None:
        self.layout, self.rows = design.layout, design.rows
        codes, columns = design.random[0].codes, np.column_stack([design.x, design.y])
        self.groups = np.zeros((design.random[0].n_levels, 2, 3))
        np.add.at(self.groups, codes, columns[:, :2, None] * columns[:, None, :])
        self.total = columns.T @ columns

    def factor(self, factors: Sequence[Array]) -> Pieces:
        lam = factors[0][0]
        inner = np.eye(2) + lam.T @ self.groups[:, :, :2] @ lam
        chol = np.linalg.cholesky(inner)
        half = np.linalg.solve(chol, lam.T @ self.groups)
        total = self.total - np.einsum("jka,jkb->ab", half, half)
        self.phi = np.linalg.inv(total[:2, :2])
        beta = self.phi @ total[:2, 2]
        weighted = self.groups - half[:, :, :2].transpose(0, 2, 1) @ half
        self.zvz, self.zpy = weighted[:, :, :2], weighted[:, :, 2] - weighted[:, :, :2] @ beta
        logdet = 2 * float(np.log(np.diagonal(chol, axis1=1, axis2=2)).sum())
        logdet_x = float(np.linalg.slogdet(total[:2, :2])[1])
        return Pieces(logdet, logdet_x, float(total[2, 2] - total[:2, 2] @ beta))

    def scores(self, reml: bool) -> list[Score]:
        trace = self.zvz.sum(axis=0)
        if reml:
            trace = trace - np.einsum("jab,bc,jdc->ad", self.zvz, self.phi, self.zvz)
        return [Score(trace[None], (self.zpy.T @ self.zpy)[None])]

    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        f = np.array([self.zpy @ d.matrix for d in directions])
        zvf = np.einsum("jab,kjb->kja", self.zvz, f)
        zpf = zvf - np.einsum("jab,kb->kja", self.zvz, zvf.sum(axis=1) @ self.phi)
        return np.einsum("kja,lja->kl", f, zpf)

    def start_moments(self) -> tuple[Array, Array]:
        zx, zy, xx = self.groups[:, :, :2], self.groups[:, :, 2], self.total[:2, :2]
        inverse = np.linalg.inv(xx)
        beta = inverse @ self.total[:2, 2]
        residual = zy - zx @ beta
        forms = np.append((residual**2).sum(axis=0), self.total[2, 2] - self.total[:2, 2] @ beta)
        moments = np.empty((3, 3))
        moments[2, 2] = self.layout.n - 2
        for a in range(2):
            hat = np.einsum("ja,ab,jb->", zx[:, a], inverse, zx[:, a])
            moments[a, 2] = moments[2, a] = zx[:, a, a].sum() - hat
            for b in range(2):
                moments[a, b] = ((np.diag(zx[:, a, b]) - zx[:, a] @ inverse @ zx[:, b].T) ** 2).sum()
        return moments, forms

    def solution(self) -> Solution:
        raise NotImplementedError

    def with_rows(self, rows: Rows) -> RelativeSystem:
        raise NotImplementedError

    conditional_covariance = joint_covariance = prediction_variance = fixed_information = solution
    effect_variance = solve_random = fixed_columns = solution


def slope_problem(seed: int) -> Model:
    """Return the seed-th problem: 12 to 100 groups of 3 to 6, correlations −1 to 1, slopes none to large."""
    rng = np.random.default_rng(seed)
    groups, size = [12, 25, 40, 100][seed % 4], [3, 4, 6][seed % 3]
    rho, slope = [1.0, 0.3, -1.0, -0.5, 0.0][seed % 5], [0.5, 0.0, 0.2, 1.5][(seed // 4) % 4]
    g, x = np.repeat(np.arange(groups), size), np.tile(np.linspace(-1, 1, size), groups)
    z = rng.standard_normal((groups, 2))
    b = z[:, 0], slope * (rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1])
    y = 1 + 0.5 * x + 0.6 * b[0][g] + 0.6 * b[1][g] * x + rng.standard_normal(len(x))
    columns = np.column_stack([np.ones_like(x), x])
    return Model(y, fixed_terms(columns), (random_term("g", g, columns, Unstructured()),))


def slope_objective(seed: int) -> Gaussian:
    """Return the criterion of the seed-th problem on the vectorised system."""
    design = slope_problem(seed)
    return Gaussian(design.design, HomogeneousEquations(SlopeSystem(design)))
