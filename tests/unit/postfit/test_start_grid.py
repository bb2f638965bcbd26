"""A grid of starting values: every combination is evaluated and the best starts the search."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

RAIL = "travel ~ 1 + (1 | Rail)"


def rail(**arguments: Any) -> Any:
    return mm.lmm(RAIL, mm.datasets.load("rail"), **arguments)


def test_every_combination_in_order_with_its_criterion() -> None:
    fit = rail(start={"var(Rail)": [100, 600], "var(Residual)": np.array([10.0, 20.0])})
    table = fit.start_grid()
    np.testing.assert_array_equal(table["var(Rail)"], [100, 100, 600, 600])
    np.testing.assert_array_equal(table["var(Residual)"], [10, 20, 10, 20])
    # σ² is profiled out: −2l of V = c(615·11' + σ²I) at the best c, from its definition
    y = np.asarray(mm.datasets.load("rail")["travel"], dtype=float)
    z = np.kron(np.eye(6), np.ones((3, 3)))
    for b, e, found in zip(table["var(Rail)"], table["var(Residual)"], table["criterion"], strict=True):
        v = b * z + e * np.eye(18)
        inverse = np.linalg.inv(v)
        total = inverse.sum()
        py = inverse @ y - inverse.sum(0) * (inverse.sum(0) @ y) / total
        scale = y @ py / 17
        value = np.linalg.slogdet(scale * v)[1] + np.log(total / scale) + 17 * (1 + np.log(2 * np.pi))
        assert found == pytest.approx(value, abs=1e-9)


def test_the_search_starts_from_the_best_row() -> None:
    fit = rail(start={"var(Rail)": [1, 600, 90000]})
    first = fit.optimum.trace[0].value
    assert first == pytest.approx(np.min(fit.start_grid()["criterion"]), abs=1e-9)
    assert fit.criterion == pytest.approx(rail().criterion, abs=1e-8)


def test_rows_may_name_different_parameters_and_hold_grids_themselves() -> None:
    data = mm.datasets.load("orthodont")
    names = mm.gls("Y ~ age", data, residual="ar1(age | id)")._work.criterion()
    natural = names.natural(np.zeros(2)).names
    rows = [{natural[1]: [0.2, 0.6]}, {natural[0]: 4.0}]
    fit = mm.gls("Y ~ age", data, residual="ar1(age | id)", start=rows)
    table = fit.start_grid()
    assert len(table) == 3
    np.testing.assert_array_equal(np.isnan(table[natural[1]]), [False, False, True])
    np.testing.assert_array_equal(np.isnan(table[natural[0]]), [True, True, False])


def test_rows_without_a_covariance_are_missing() -> None:
    data = mm.datasets.load("sleepstudy")
    grid = {"var(Subject: Days)": 40, "cov(Subject: (Intercept), Days)": [-1000, 0], "var(Subject)": 600}
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", data, start=grid)
    np.testing.assert_array_equal(np.isnan(fit.start_grid()["criterion"]), [True, False])
    with pytest.raises(mm.SpecError, match=r"none of 2 combinations .* can be used"):
        rail(start={"var(Rail)": [-1, -2]})


def test_the_grid_survives_an_update_and_a_change_of_method() -> None:
    fit = rail(start={"var(Rail)": [1, 600]})
    assert fit.update(method="ml").spec.starts == fit.spec.starts
    assert mm.compare(fit).names


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"var(Rail)": []}, "has no value"),
        ({"var(Rale)": [1, 2]}, "no covariance parameter"),
        ({"var(Rail)": ["a", "b"]}, "must map parameter names to numbers"),
        ({"var(Rail)": range(20000)}, "20,000 combinations"),
        ([{"var(Rail)": range(9000)}] * 2, "18,000 combinations"),
    ],
)
def test_bad_grids(start: Any, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        rail(start=start)


def test_without_start_there_are_the_places_searched_from() -> None:
    table = rail().start_grid()
    assert tuple(table) == ("var(Rail: (Intercept))", "var(Residual)", "criterion", "reached", "outcome")
    assert list(table["outcome"]) == ["optimum"]
    assert table["reached"][0] == pytest.approx(rail().criterion, abs=1e-9)
    assert len(rail(start={"var(Rail)": 5}).start_grid()) == 1
