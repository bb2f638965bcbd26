"""Standard errors of predictions and averaged means of generalised models by Laplace's approximation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss

import mixedmodels as mm

CBPP = mm.datasets.load("cbpp")
FORMULA = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
FIT = mm.glmm(FORMULA, CBPP, "binomial")
SALAMANDERS = mm.datasets.load("salamanders")


def test_averaged_means_have_the_errors_of_the_joint_delta_method() -> None:
    criterion, theta = FIT._work.likelihood(), FIT.optimum.theta
    nodes, weights = hermegauss(61)
    weights = weights / weights.sum()

    def means(at):
        beta = FIT.solution.basis.coefficients(at[criterion.of_beta])
        sd = np.sqrt(criterion.model.matrices(at)[0][0, 0, 0])
        eta = beta[0] + np.append(0.0, beta[1:])
        return (1 / (1 + np.exp(-(eta[:, None] + sd * nodes)))) @ weights

    slopes = np.empty((4, len(theta)))
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-5
        slopes[:, j] = (means(theta + step) - means(theta - step)) / 2e-5
    errors = np.sqrt(np.diag(slopes @ criterion.covariance(theta) @ slopes.T))
    table = FIT.emmeans("period", type="response", means="averaged").table
    np.testing.assert_allclose(table["estimate"], means(theta), rtol=1e-9)
    np.testing.assert_allclose(table["std_error"], errors, rtol=1e-6)
    predicted = FIT.predict({"period": ["1", "2", "3", "4"]}, level="averaged", type="response", se=True)
    np.testing.assert_allclose(predicted["se"], errors, rtol=1e-6)


@pytest.mark.parametrize(
    ("formula", "data", "family"),
    [
        (FORMULA, CBPP, "binomial"),
        ("count ~ mined + DOY + (1 + DOY | site) + (1 | spp)", SALAMANDERS, "poisson"),
        ("count ~ mined + (1 | site)", SALAMANDERS, "nb2"),
    ],
)
def test_errors_of_the_mode_are_those_of_dense_algebra(formula: str, data, family: str) -> None:
    fit = mm.glmm(formula, data, family)
    work = fit._work
    stack, mode = work.likelihood().observed.stack, work.mode()
    shapes = [(q, p) for q, p in stack.shapes]
    size = sum(q * p for q, p in shapes)
    z = np.empty((len(stack), size))
    for j in range(size):
        unit = np.zeros(size)
        unit[j] = 1.0
        parts, first = [], 0
        for q, p in shapes:
            parts.append(unit[first : first + q * p].reshape(q, p))
            first += q * p
        z[:, j] = stack.random(parts)[0]
    weights = mode.densities.curvature[0]
    blocks = [np.kron(np.eye(q), s[0]) for (q, _), s in zip(shapes, work.own_covariances(), strict=True)]
    g = np.zeros((size, size))
    first = 0
    for block in blocks:
        g[first : first + len(block), first : first + len(block)] = block
        first += len(block)
    c = np.linalg.inv(np.linalg.inv(g) + z.T * weights @ z)
    theta, criterion = fit.optimum.theta, work.likelihood()
    d = np.empty((len(stack), len(theta)))
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-4
        d[:, j] = (criterion.mode(theta + step).eta[0] - criterion.mode(theta - step).eta[0]) / 2e-4
    v = work.covariance()
    variance = np.einsum("ia,ab,ib->i", z, c, z) + np.einsum("ia,ab,ib->i", d, v, d)
    ours = fit.predict(se=True, ddf="asymptotic")
    np.testing.assert_allclose(ours["se"], np.sqrt(variance), rtol=1e-6)


def test_population_and_new_levels() -> None:
    at = {"period": ["1", "3"]}
    population = FIT.predict(at, level="population", se=True)
    means = FIT.emmeans("period").table
    np.testing.assert_allclose(population["se"], means["std_error"][[0, 2]], rtol=1e-9)
    # glmmTMB 1.1.5: predict(fit, data.frame(period = "1", herd = "99"), se.fit = TRUE, allow.new.levels = TRUE)
    unseen = FIT.predict({"period": ["1"], "herd": ["99"]}, new_levels="population", se=True)
    np.testing.assert_allclose([unseen["fit"][0], unseen["se"][0]], [-1.398532, 0.6830398], rtol=1e-5)
    alone = mm.glm("count ~ mined", SALAMANDERS, "poisson")
    assert np.isfinite(alone.predict({"mined": ["yes"]}, se=True)["se"]).all()
