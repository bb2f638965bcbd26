"""Starting values: moments, natural values by name, and their errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dense_algebra import make_design, random_codes, random_term
from dense_criterion import dense_gaussian
from dense_equations import DenseEquations
from mixedmodels.covariance import structure_class
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.errors import SpecError
from mixedmodels.optimise.moments import moment_start
from mixedmodels.optimise.newton import optimise
from mixedmodels.optimise.start import given_points
from mixedmodels.typing import Array
from models import Model

US, DIAG, HOMDIAG = (structure_class(name)() for name in ("us", "diag", "homdiag"))


def parameter_names(design: Model) -> tuple[str, ...]:
    criterion = dense_gaussian(design, profiled=False)
    return criterion.natural(moment_start(criterion)).names


def natural_start(criterion: Gaussian, values: dict[str, float]) -> Array:
    (found,) = given_points(criterion, values)
    assert found is not None
    return found


def crossed(seed: int = 0, n: int = 400) -> Model:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal(n)])
    terms = [
        random_term("g", random_codes(rng, n, 40), x, US),
        random_term("h", random_codes(rng, n, 30), None, US),
    ]
    return make_design(rng, terms, fixed=2)


def test_moments_are_unbiased() -> None:
    rng = np.random.default_rng(1)
    design = crossed()
    b = rng.standard_normal((200, 40, 2)) * np.array([1.5, 0.5])
    c = rng.standard_normal((200, 30)) * 0.8
    g, h = design.random[0], design.random[1]
    estimates = []
    equations = DenseEquations.of(design)
    inverse = np.linalg.inv(equations.start_moments()[0])
    for i in range(200):
        y = np.einsum("ia,ia->i", g.values, b[i][g.codes]) + c[i][h.codes] + 2 * rng.standard_normal(design.n)
        residual = y - design.x @ np.linalg.lstsq(design.x, y)[0]
        forms = [np.sum((equations.z[0][:, a::2].T @ residual) ** 2) for a in range(2)]
        forms += [np.sum((equations.z[1].T @ residual) ** 2), residual @ residual]
        estimates.append(inverse @ np.array(forms))
    mean, error = np.mean(estimates, axis=0), np.std(estimates, axis=0) / np.sqrt(200)
    assert np.all(np.abs(mean - [2.25, 0.25, 0.64, 4.0]) < 4 * error)


def test_the_start_is_close_and_positive() -> None:
    for seed in range(5):
        design = crossed(seed)
        objective = dense_gaussian(design)
        start = objective.natural(moment_start(objective))
        assert np.all(start.values[[0, 2, 3, 4]] > 0)
        assert start.values[1] == 0


def test_a_term_with_few_levels_starts_from_one_variance() -> None:
    rng = np.random.default_rng(2)
    values = rng.standard_normal((60, 15))
    term = random_term("all", np.zeros(60, dtype=int), values, HOMDIAG)
    design = make_design(rng, [term], fixed=2)
    design = replace(design, y=design.x[:, 1] + values @ rng.standard_normal(15) + rng.standard_normal(60))
    objective = dense_gaussian(design)
    start = moment_start(objective)
    assert start.shape == (1,)
    assert 0.3 < start[0] < 3  # the ratio of standard deviations is one
    assert optimise(objective).iterations <= 5


def test_columns_that_cannot_be_told_apart_have_a_start() -> None:
    rng = np.random.default_rng(3)
    codes = random_codes(rng, 50, 8)
    design = make_design(rng, [random_term("g", codes, None, US), random_term("g2", codes, None, US)])
    objective = dense_gaussian(design)
    theta = moment_start(objective)
    assert np.isfinite(objective.value(theta))
    assert theta[0] == pytest.approx(theta[1])


def test_names_are_those_of_terms_sets_and_columns() -> None:
    rng = np.random.default_rng(4)
    codes = random_codes(rng, 40, 6)
    x = np.column_stack([np.ones(40), rng.standard_normal(40)])
    design = make_design(
        rng,
        [
            random_term("g", codes, x, US),
            random_term("h", codes, None, US, sets=np.arange(6) % 2),
            random_term("k", codes, x, HOMDIAG),
        ],
    )
    assert parameter_names(design) == (
        "var(g: (Intercept))", "cov(g: (Intercept), z1)", "var(g: z1)",
        "var(h [set=0]: (Intercept))", "var(h [set=1]: (Intercept))", "var(k)", "var(Residual)",
    )  # fmt: skip


@pytest.mark.parametrize("joint", [False, True])
def test_natural_values_are_started_from(joint: bool) -> None:
    design = crossed()
    objective = dense_gaussian(design, profiled=not joint)
    given = {
        "var(g: (Intercept))": 3.0, "cov(g: Intercept, z1)": 0.7, "VAR(g:z1)": 0.9,
        "var(h: (Intercept))": 0.2, "var(Residual)": 5.0,
    }  # fmt: skip
    theta = natural_start(objective, given)
    ratios = np.array([3.0, 0.7, 0.9, 0.2, 5.0])
    found = objective.natural(theta).values
    np.testing.assert_allclose(found / found[-1], ratios / 5.0, rtol=1e-10)
    if joint:
        np.testing.assert_allclose(found, ratios, rtol=1e-10)


def test_other_values_make_room_for_a_given_covariance() -> None:
    design = crossed()
    objective = dense_gaussian(design, profiled=False)
    found = objective.natural(natural_start(objective, {"cov(g: (Intercept), z1)": 100.0})).values
    assert found[1] == pytest.approx(100.0, rel=1e-12)
    assert found[0] * found[2] >= 1e4 * (1 - 1e-12)


def test_bad_starts_are_explained() -> None:
    design = crossed()
    objective = dense_gaussian(design)
    with pytest.raises(SpecError, match=r"Did you mean 'var\(g: z1\)'"):
        natural_start(objective, {"var(g: z2)": 1.0})
    with pytest.raises(SpecError, match="must be a finite number"):
        natural_start(objective, {"var(g: z1)": np.nan})
    with pytest.raises(SpecError, match="must be positive"):
        natural_start(objective, {"var(Residual)": 0.0})
    with pytest.raises(SpecError, match="no valid covariance has"):
        natural_start(
            objective, {"var(g: z1)": 1.0, "var(g: (Intercept))": 1.0, "cov(g: (Intercept), z1)": 2.0}
        )
    with pytest.raises(SpecError, match="no valid covariance has"):
        natural_start(objective, {"var(h: (Intercept))": -1.0})


def test_an_optimum_is_reached_from_natural_values() -> None:
    design = crossed(n=120)
    objective = dense_gaussian(design)
    assert optimise(objective, start={"var(g: z1)": 9.0, "var(h: (Intercept))": 0.0}).value == pytest.approx(
        optimise(objective).value, abs=1e-6
    )
