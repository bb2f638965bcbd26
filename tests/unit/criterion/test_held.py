"""Parameters held at natural values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

from dense_algebra import make_design, random_codes, random_term
from dense_criterion import dense_gaussian
from dense_equations import DenseEquations
from mixedmodels.covariance import structure_class
from mixedmodels.criterion.held import NaturalCoordinates, held_gaussian
from mixedmodels.errors import SpecError
from mixedmodels.optimise.moments import moment_start
from mixedmodels.optimise.newton import optimise
from models import Model


def parameter_names(design: Model) -> tuple[str, ...]:
    criterion = dense_gaussian(design, profiled=False)
    return criterion.natural(moment_start(criterion)).names


def slopes(seed: int = 0, structure: str = "us") -> Model:
    rng = np.random.default_rng(seed)
    n = 80
    x = np.column_stack([np.ones(n), rng.standard_normal(n)])
    kind = structure_class(structure)()
    terms = [
        random_term("g", random_codes(rng, n, 20), x, kind),
        random_term("h", random_codes(rng, n, 6), None, structure_class("us")()),
    ]
    design = make_design(rng, terms, fixed=2)
    b = rng.standard_normal((20, 2)) @ np.array([[1.2, 0.3], [0.0, 0.9]])
    y = x @ [1.0, 2.0] + np.sum(x * b[terms[0].codes], axis=1) + 0.7 * rng.standard_normal(6)[terms[1].codes]
    return replace(design, y=y + rng.standard_normal(n))


def constrained_minimum(design: Model, hold: dict[str, float]) -> tuple[float, np.ndarray]:
    """Return the minimum over the free natural parameters by a simplex search, and all parameters there."""
    objective = dense_gaussian(design, profiled=False)
    names = parameter_names(design)
    free = [i for i, name in enumerate(names) if name not in hold]
    full = np.array([hold.get(name, 0.0) for name in names])

    def criterion(natural: np.ndarray) -> float:
        values = full.copy()
        values[free] = natural
        if values[-1] <= 0:
            return np.inf
        theta, first = np.empty(objective.n_theta), 0
        for b in objective.model.random_blocks:
            count = b.place.stop - b.place.start
            try:
                theta[b.place] = b.structure.from_natural(values[first : first + count], b.positions)
            except ValueError:
                return np.inf
            first += count
        theta[-1] = np.log(values[-1])
        return objective.value(theta)

    start = optimise(held_gaussian(design.design, DenseEquations.of(design), hold))
    found = held_gaussian(design.design, DenseEquations.of(design), hold).natural(start.theta).values
    best = optimize.minimize(
        criterion, found[free] * 1.02 + 0.002, method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-9, "maxfev": 800, "adaptive": True},
    )  # fmt: skip
    full[free] = best.x
    return float(best.fun), full


@pytest.mark.parametrize(
    "hold",
    [
        {"var(Residual)": 1.7},
        {"var(g: (Intercept))": 2.0},
        {"cov(g: (Intercept), z1)": 0.0},
        {"cov(g: (Intercept), z1)": 0.1, "var(h: (Intercept))": 0.4},
        {"var(g: z1)": 0.8},
        {"var(g: (Intercept))": 1.0, "cov(g: (Intercept), z1)": 0.2, "var(g: z1)": 0.5},
        {"var(h: (Intercept))": 0.0},
    ],
)
def test_the_rest_is_optimised_with_some_parameters_held(hold: dict[str, float]) -> None:
    design = slopes()
    objective = held_gaussian(design.design, DenseEquations.of(design), hold)
    optimum = optimise(objective)
    natural = objective.natural(optimum.theta)
    named = dict(zip(natural.names, natural.values, strict=True))
    for name, value in hold.items():
        assert named[name] == pytest.approx(value, rel=1e-10, abs=1e-12)
    assert optimum.converged
    lowest, _ = constrained_minimum(design, hold)
    assert optimum.value <= lowest + 1e-6
    # a constrained optimum is no better than the free one
    assert optimum.value >= optimise(dense_gaussian(design)).value - 1e-7


def test_everything_held_needs_no_step() -> None:
    design = slopes()
    hold = dict(zip(parameter_names(design), [1.0, 0.1, 0.5, 0.3, 2.0], strict=True))
    objective = held_gaussian(design.design, DenseEquations.of(design), hold)
    optimum = optimise(objective)
    assert optimum.converged
    assert optimum.iterations == 0
    np.testing.assert_allclose(objective.natural(optimum.theta).values, [1.0, 0.1, 0.5, 0.3, 2.0], rtol=1e-12)
    assert np.all(objective.natural_covariance(optimum.theta) == 0)


def test_a_nonlinear_structure_is_held_in_its_natural_parameters() -> None:
    design = slopes(structure="ar1")
    names = parameter_names(design)
    correlation = next(name for name in names if name.startswith(("rho", "ar", "cor")))
    objective = held_gaussian(design.design, DenseEquations.of(design), {correlation: 0.3})
    optimum = optimise(objective)
    named = dict(zip(names, objective.natural(optimum.theta).values, strict=True))
    assert named[correlation] == pytest.approx(0.3, rel=1e-10)
    assert optimum.converged


def test_held_parameters_map_back_to_the_models_own() -> None:
    design = slopes()
    hold = {"cov(g: (Intercept), z1)": 0.05}
    objective = held_gaussian(design.design, DenseEquations.of(design), hold)
    assert isinstance(objective.model.random_blocks[0].structure, NaturalCoordinates)
    optimum = optimise(objective)
    plain = dense_gaussian(design, profiled=False)
    relative = objective.relative(optimum.theta)
    sigma2 = float(np.exp(optimum.theta[-1]))
    own = np.concatenate(
        [b.structure.rescale(relative[b.place], sigma2, b.positions) for b in plain.model.random_blocks]
        + [[np.log(sigma2)]]
    )
    assert plain.value(own) == pytest.approx(optimum.value, rel=1e-12)


@pytest.mark.parametrize("name", ["us", "ar1", "cs", "unr"])
def test_natural_coordinates_have_exact_derivatives(name: str) -> None:
    base = structure_class(name)()
    coordinates = NaturalCoordinates(base)
    design = slopes(structure=name)
    at = design.random[0].positions
    theta = coordinates.start(np.array([[2.0, 0.3], [0.3, 2.0]]), at)
    gamma = np.array([[0.4, -0.2], [-0.2, 1.1]])
    step = 1e-5
    shifts = step * np.eye(len(theta))
    first = np.array(
        [(coordinates.matrix(theta + e, at) - coordinates.matrix(theta - e, at)) / (2 * step) for e in shifts]
    )
    np.testing.assert_allclose(coordinates.d_matrix(theta, at), first, atol=1e-8)
    slopes_of = [np.einsum("aij,ij->a", coordinates.d_matrix(theta + e, at), gamma) for e in shifts]
    back = [np.einsum("aij,ij->a", coordinates.d_matrix(theta - e, at), gamma) for e in shifts]
    second = (np.array(slopes_of) - np.array(back)) / (2 * step)
    np.testing.assert_allclose(coordinates.curvature(theta, gamma, at), second, atol=1e-8)


def test_a_held_value_that_pushes_correlations_to_one_is_reported() -> None:
    rng, design = np.random.default_rng(1), slopes()
    term = design.random[0]
    b = rng.standard_normal((20, 1)) * np.array([1.2, 0.9])
    y = np.sum(term.values * b[term.codes], axis=1) + rng.standard_normal(design.n)
    design = replace(design, y=y)
    assert optimise(dense_gaussian(design)).singular[0] == (1,)
    objective = held_gaussian(design.design, DenseEquations.of(design), {"var(g: z1)": 0.6})
    optimum = optimise(objective)
    assert not optimum.converged
    assert "did not converge" in optimum.statuses[0].message
    named = dict(zip(parameter_names(design), objective.natural(optimum.theta).values, strict=True))
    assert named["var(g: z1)"] == pytest.approx(0.6, rel=1e-10)


def test_an_unknown_name_is_an_error() -> None:
    design = slopes()
    with pytest.raises(SpecError, match="is no covariance parameter of this model"):
        held_gaussian(design.design, DenseEquations.of(design), {"var(q)": 1.0})
