"""Checks of smooths: large enough bases, and curves that others can say, against mgcv."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

# Printed by tests/reference/smooths/checks.R, in rows s(x) and s(z).
CONCURVITY = ((0.943639280, 0.577626199, 0.660126575), (0.943697478, 0.923493491, 0.305970911))
INDEX = (0.183920705, 1.059211293)
"""k-index of k.check for the same fit."""


def rows(n: int = 150) -> dict[str, np.ndarray]:
    """Return data that R makes alike: no random numbers."""
    i = np.arange(1, n + 1)
    x, w = (i * 0.6180339887498949) % 1, (i * 0.7548776662466927) % 1
    z = x**2 + 0.3 * ((i * 0.5698402909980532) % 1)
    return {"x": x, "w": w, "z": z, "y": np.sin(9 * x) + z + 0.4 * np.sin(1.7 * i)}


def fitted() -> mm.Fit:
    return mm.lmm("y ~ w + s(x, bs='cr', k=5) + s(z, bs='cr')", rows())


def test_concurvity_is_that_of_mgcv() -> None:
    table = fitted().concurvity()
    found = np.column_stack([table[name] for name in ("worst", "observed", "estimate")])
    np.testing.assert_allclose(found, CONCURVITY, atol=1e-5)


def test_the_index_is_that_of_mgcv_and_the_p_value_that_of_the_seed() -> None:
    fit = fitted()
    table = fit.check_k(seed=3)
    np.testing.assert_allclose(table["k_index"], INDEX, atol=1e-5)
    assert np.array_equal(table["p_value"], fit.check_k(seed=3)["p_value"])
    with pytest.raises(SpecError, match="n_sim=0"):
        fit.check_k(n_sim=0)


def test_a_basis_that_is_too_small_is_named() -> None:
    rng = np.random.default_rng(2)
    data = {name: rng.uniform(size=200) for name in ("x", "w")}
    data["y"] = np.sin(40 * data["x"]) + rng.normal(0, 0.3, 200)
    few = mm.lmm("y ~ s(x, bs='cr', k=5) + s(w, bs='cr')", data).check_k()
    assert few["p_value"][0] < 0.01
    assert "A pattern is left along s(x)" in few.notes[-1]
    enough = mm.lmm("y ~ s(x, bs='cr', k=30) + s(w, bs='cr')", data).check_k()
    assert enough["p_value"][0] > 0.05


def test_columns_that_are_functions_of_each_other_are_named() -> None:
    data = rows()
    data["z"] = np.sqrt(data["x"])
    table = mm.lmm("y ~ s(x, bs='cr') + s(z, bs='cr')", data).concurvity()
    assert table["worst"].min() > 0.99
    assert "s(x), s(z)" in table.notes[-1]
    apart = mm.lmm("y ~ s(x, bs='cr') + s(w, bs='cr')", rows()).concurvity()
    assert len(apart.notes) == 1
