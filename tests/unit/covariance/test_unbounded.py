"""Structures without bounds have the elements of Σ as parameters."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.covariance import Positions, Structure, structure_class
from mixedmodels.covariance.unbounded import Unbounded

AT = Positions(4, ("a", "b", "c", "d"))
LINEAR: list[Structure] = [
    structure_class("us")(),
    structure_class("diag")(),
    structure_class("homdiag")(),
    structure_class("cs")(),
    structure_class("toep")(),
    structure_class("hf")(),
    structure_class("banded_us")(2),  # type: ignore[call-arg]
    structure_class("lin")((np.eye(4), np.ones((4, 4)) - 0.3)),  # type: ignore[call-arg]
]


@pytest.mark.parametrize("inner", LINEAR, ids=lambda s: s.names[0])
def test_it_contains_the_structure_it_is_made_from(inner: Structure) -> None:
    theta = inner.start(np.eye(4) + 0.2 + np.diag([0.0, 0.1, 0.3, 0.2]), AT)
    free = Unbounded(inner)
    values = inner.natural(theta, AT).values
    np.testing.assert_allclose(free.matrix(values, AT), inner.matrix(theta, AT), atol=1e-13)
    assert free.natural(values, AT).names == inner.natural(theta, AT).names
    np.testing.assert_allclose(free.d_natural(values, AT), inner.d_natural(theta, AT), atol=1e-9)


@pytest.mark.parametrize("inner", LINEAR, ids=lambda s: s.names[0])
def test_it_is_linear_through_zero(inner: Structure) -> None:
    free = Unbounded(inner)
    theta = np.linspace(-2.0, 1.0, free.size(4))
    sigma = free.matrix(theta, AT)
    np.testing.assert_array_equal(sigma, sigma.T)
    np.testing.assert_allclose(np.tensordot(theta, free.d_matrix(theta, AT), 1), sigma, atol=1e-14)
    np.testing.assert_array_equal(free.matrix(0 * theta, AT), np.zeros((4, 4)))
    assert not free.d2_matrix(theta, AT).any()
    np.testing.assert_allclose(free.matrix(free.rescale(theta, 3.0, AT), AT), 3 * sigma, atol=1e-14)
    np.testing.assert_array_equal(free.from_natural(free.natural(theta, AT).values, AT), theta)


def test_basis_is_exact_where_elements_are_parameters() -> None:
    basis = Unbounded(structure_class("us")()).d_matrix(np.zeros(10), AT)
    assert set(np.unique(basis)) == {0.0, 1.0}


@pytest.mark.parametrize("name", ["ar1", "hcs", "unr", "exp"])
def test_structures_of_correlations_are_refused(name: str) -> None:
    with pytest.raises(mm.SpecError, match=rf"bounds='none'.*'{name}'.*us, diag"):
        Unbounded(structure_class(name)())
