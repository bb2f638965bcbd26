"""The map between the equations' own coordinates and the user's columns of X."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.engines.coordinates import FixedBasis
from mixedmodels.engines.standardise import standardise

CONTROL = mm.Control()


def bases() -> list[FixedBasis]:
    rng = np.random.default_rng(0)
    triangle = np.triu(rng.standard_normal((3, 3))) + 3 * np.eye(3)
    centre, scale = np.array([0.0, 4.0, -7.0]), np.array([1.0, 0.3, 20.0])
    return [
        FixedBasis.identity(3),
        FixedBasis(np.zeros(3), scale),
        FixedBasis(centre, scale, 0, 2.0),
        FixedBasis(np.array([5.0, 0.0, -1.0]), scale, 1, 1.0, triangle),
        FixedBasis(np.zeros(3), scale, None, 1.0, triangle),
    ]


@pytest.mark.parametrize("basis", bases())
def test_functions_and_coefficients_are_maps_of_each_other(basis: FixedBasis) -> None:
    rng = np.random.default_rng(1)
    functions, beta = rng.standard_normal((5, 3)), rng.standard_normal(3)
    np.testing.assert_allclose(basis.rows(functions) @ beta, functions @ basis.coefficients(beta), rtol=1e-12)
    np.testing.assert_allclose(basis.rows(functions[0]), basis.rows(functions)[0])
    phi = np.cov(rng.standard_normal((3, 9)))
    a = basis.rows(np.eye(3))
    np.testing.assert_allclose(basis.covariance(phi), a @ phi @ a.T, rtol=1e-12)
    assert basis.logdet_shift == pytest.approx(-2 * np.log(abs(np.linalg.det(a))), rel=1e-12)


def rows(x: np.ndarray, weights: np.ndarray | None = None) -> mm.Fit:
    groups = [str(i) for i in np.arange(len(x)) % 6]
    # a column of squares as given: powers that the formula takes are about their own origin
    data = {"y": np.sin(np.arange(len(x))), "x": x, "square": x**2, "g": groups}
    if weights is not None:
        data["w"] = weights
    return mm.lmm("y ~ x + square + (1 | g)", data, weights=None if weights is None else "w")


def test_well_conditioned_columns_are_not_copied() -> None:
    fit = rows(np.linspace(-1, 1, 30))
    standard = standardise(fit.rows, CONTROL)
    assert standard.x is fit.rows.x
    assert standard.basis.triangle is None


@pytest.mark.parametrize("weighted", [False, True])
def test_nearly_dependent_columns_become_orthonormal(weighted: bool) -> None:
    w = np.random.default_rng(0).uniform(0.1, 9, 30) if weighted else None
    fit = rows(2016 + np.linspace(0, 4, 30), w)
    standard = standardise(fit.rows, CONTROL)
    assert standard.basis.triangle is not None
    np.testing.assert_allclose(standard.gram[:3, :3], 30 * np.eye(3), atol=1e-8)
    np.testing.assert_array_equal(standard.basis.rows(fit.rows.x), standard.x)
    np.testing.assert_allclose(np.tril(standard.basis.triangle, -1), 0.0)


def test_a_fit_carries_its_basis_through_pickle() -> None:
    fit = rows(2016 + np.linspace(0, 4, 30))
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.solution.basis.triangle, fit.solution.basis.triangle)
    np.testing.assert_allclose(again.vcov, fit.vcov, rtol=1e-10)
