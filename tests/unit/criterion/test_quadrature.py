"""Quadrature: against brute force, Laplace's approximation and differences; what it refuses."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import mixedmodels as mm
from generalised_models import criterion_of, gradient_error, one_predictor, terms_of
from mixedmodels.control import Control
from mixedmodels.criterion import nodes
from mixedmodels.criterion.gauss_hermite import gauss_hermite, next_points
from mixedmodels.criterion.laplace import EXACT, Laplace
from mixedmodels.criterion.quadrature import Quadrature
from mixedmodels.errors import SpecError
from mixedmodels.likelihood.families import ZeroInflated, make_family
from mixedmodels.likelihood.responses import Responses
from mixedmodels.optimise.newton import optimise
from mixedmodels.terms.stack import PredictorRows
from mixedmodels.typing import Array

ACCURATE = 1e-8
"""Of gradients against differences of the fourth order, whose own error is of the order of 1e-10."""
Data = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def drawn() -> Data:
    rng = np.random.default_rng(7)
    n, levels = 150, 12
    level, x, w = rng.integers(levels, size=n), rng.normal(size=n), rng.normal(size=n)
    eta = 0.4 + 0.5 * x + rng.normal(0.0, 0.6, levels)[level] + 0.3 * rng.normal(size=levels)[level] * x
    return {
        "x": x,
        "w": w,
        "a": np.array([f"a{k}" for k in level]),
        "b": np.array([f"b{k}" for k in rng.integers(5, size=n)]),
        "visit": np.array([f"v{k}" for k in rng.integers(3, size=n)]),
        "sex": np.array(["f", "m"])[level % 2],
        "count": rng.poisson(np.exp(eta)).astype(float),
        "hit": (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float),
        "real": eta + rng.standard_t(4.0, size=n),
    }


LAYOUTS = {
    "one": "(1 | a)",
    "slopes": "(x | a)",
    "three effects": "(x + w | a)",
    "diagonal": "diag(x | a)",
    "two terms": "(1 | a) + (0 + x | a)",
    "by sets": "us(1 | a, by=sex)",
    "serial": "ar1(0 + visit | a)",
    "alike": "cs(0 + visit | a)",
}


def criterion(formula: str, data: Data, family: str, points: int, link: str | None = None) -> Quadrature:
    return Quadrature(one_predictor(formula, data, family, link)[0], points)


def near_start(laplace: Laplace, seed: int = 3) -> Array:
    return laplace.own_start() + np.random.default_rng(seed).normal(0.0, 0.1, laplace.n_theta)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_node_is_laplace(layout: str, drawn: Data) -> None:
    laplace, _ = one_predictor(f"hit ~ x + {LAYOUTS[layout]}", drawn, "binomial")
    theta = near_start(laplace)
    one = Quadrature(laplace, 1)
    laplace.tolerance = one.tolerance = EXACT
    assert one.value(theta) == pytest.approx(laplace.value(theta), abs=1e-9)
    assert one.gradient(theta) == pytest.approx(laplace.gradient(theta), abs=1e-8)


@pytest.mark.parametrize("points", [2, 3, 6])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_by_layout(layout: str, points: int, drawn: Data) -> None:
    laplace, _ = one_predictor(f"count ~ x + {LAYOUTS[layout]}", drawn, "poisson")
    assert gradient_error(Quadrature(laplace, points), near_start(laplace)) < ACCURATE


@pytest.mark.parametrize(
    ("response", "family", "link"),
    [
        ("hit", "binomial", None),
        ("hit", "binomial", "cauchit"),
        ("hit", "binomial", "cloglog"),
        ("count", "poisson", "sqrt"),
        ("real", "t", None),
    ],
)
def test_gradient_by_family(response: str, family: str, link: str | None, drawn: Data) -> None:
    data = dict(drawn)
    n = len(data["x"])
    if family == "t":
        _, design, rows = terms_of("real ~ x + (x | a)", data, data["real"])
        own = make_family("t")
        predictors = (
            PredictorRows(np.array([0, 1]), np.column_stack([np.ones(n), data["x"]]), rows.random),
            PredictorRows(np.array([2]), np.ones((n, 1)), (None,)),
        )
        laplace = criterion_of(own, Responses(data["real"]), predictors, design)
    else:
        laplace, _ = one_predictor(f"{response} ~ x + (x | a)", data, family, link)
    theta = laplace.own_start() + np.random.default_rng(4).normal(0.0, 0.02, laplace.n_theta)
    assert gradient_error(Quadrature(laplace, 4), theta) < ACCURATE


@pytest.mark.parametrize("zero", [[0], [2], [1, 2], [0, 1, 2]])
def test_gradient_where_a_covariance_is_singular(zero: list[int], drawn: Data) -> None:
    laplace, _ = one_predictor("count ~ x + (x | a)", drawn, "poisson")
    theta = near_start(laplace)
    theta[zero] = 0.0
    assert gradient_error(Quadrature(laplace, 4), theta) < ACCURATE


def test_gradient_with_predictors_that_share_or_own_effects(drawn: Data) -> None:
    n = len(drawn["x"])
    _, design, rows = terms_of("count ~ x + (0 + x | a) + (1 | a)", drawn, drawn["count"])
    x = np.column_stack([np.ones(n), drawn["x"]])
    slope, level = rows.random
    zeros = np.random.default_rng(1).random(n) < 0.2
    family = ZeroInflated(make_family("poisson"))
    responses = Responses(np.where(zeros, 0.0, drawn["count"]))
    for one, two in (
        ((slope, None), (None, level)),
        ((slope, level), (None, level)),
        ((slope, level), (slope, level)),
        ((slope, level), (None, None)),
    ):
        predictors = (
            PredictorRows(np.array([0, 1]), x, one),
            PredictorRows(np.array([2]), np.ones((n, 1)), two),
        )
        laplace = criterion_of(family, responses, predictors, design)
        theta = np.array([0.5, 0.3, 0.4, 0.4, -1.0])
        assert gradient_error(Quadrature(laplace, 3), theta) < ACCURATE


def brute_force(y: Array, eta: Array, z: Array, codes: Array, root: Array, grid: Array) -> float:
    """Return −2 log ∫Π_i Poisson(y_i; exp(η_i + z_i'Λu)) φ(u)du, level by level, on a grid (trapezoidal rule)."""
    p = len(root)
    u = np.array(list(product(grid, repeat=p)))
    measure = p * np.log((grid[1] - grid[0]) / np.sqrt(2.0 * np.pi)) - 0.5 * (u**2).sum(axis=1)
    constant = np.array([np.log(np.arange(1, int(k) + 1)).sum() for k in y])
    total = 0.0
    for level in np.unique(codes):
        own = codes == level
        at = eta[own][:, None] + z[own] @ (root @ u.T)
        height = (y[own][:, None] * at - np.exp(at) - constant[own][:, None]).sum(axis=0) + measure
        top = height.max()
        total -= 2.0 * (top + np.log(np.exp(height - top).sum()))
    return float(total)


@pytest.mark.parametrize(
    ("layout", "points", "columns", "grid"),
    [
        ("one", 25, (), np.linspace(-9.0, 9.0, 721)),
        ("slopes", 25, ("x",), np.linspace(-8.0, 8.0, 161)),
        ("three effects", 21, ("x", "w"), np.linspace(-7.0, 7.0, 71)),
    ],
)
def test_value_is_that_of_brute_force(
    layout: str, points: int, columns: tuple[str, ...], grid: Array, drawn: Data
) -> None:
    data = {key: values[:70] for key, values in drawn.items()}
    laplace, _ = one_predictor(f"count ~ x + {LAYOUTS[layout]}", data, "poisson")
    own = Quadrature(laplace, points)
    theta = near_start(laplace)
    theta[: own.model.n_theta] *= 0.5
    root = own.model.numbers(theta).roots
    assert root is not None
    fixed = laplace.stack.fixed(theta[laplace.of_beta])[0]
    z = np.column_stack([np.ones(70), *(data[name] for name in columns)])
    expected = brute_force(data["count"], fixed, z, data["a"], root[0][0], grid)
    assert own.value(theta) == pytest.approx(expected, abs=2e-7)


def test_slope_of_variances_at_zero(drawn: Data) -> None:
    for zero in ([0, 1, 2], [1, 2]):
        own = criterion("count ~ x + (x | a)", drawn, "poisson", 9)
        theta = near_start(own.laplace)
        theta[zero] = 0.0
        gamma = own.evaluate(theta).gammas[0][0]
        moved = theta.copy()
        moved[2] = 1e-3
        assert (own.value(moved) - own.value(theta)) / 1e-6 == pytest.approx(gamma[1, 1], rel=1e-3)


@pytest.mark.parametrize("layout", ["slopes", "two terms", "serial", "by sets"])
def test_slopes_of_covariances_are_those_of_the_integral(layout: str, drawn: Data) -> None:
    own = criterion(f"hit ~ x + {LAYOUTS[layout]}", drawn, "binomial", 15)
    theta = near_start(own.laplace)
    own.gradient(theta)
    read = own._gammas(own._point, theta)
    averaged = own._average_gammas(own._point, theta[own.of_psi])
    for one, two in zip(read, averaged, strict=True):
        assert one == pytest.approx(two, abs=1e-4)


def test_batches_add_up(drawn: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = criterion("hit ~ x + (x | a)", drawn, "binomial", 5)
    theta = near_start(whole.laplace)
    for rows in (100, 700, 2_000):
        monkeypatch.setattr(nodes, "ROWS", rows)
        own = criterion("hit ~ x + (x | a)", drawn, "binomial", 5)
        assert len(own.nodes._batches) > 1
        assert own.value(theta) == pytest.approx(whole.value(theta), rel=1e-13)
        assert own.gradient(theta) == pytest.approx(whole.gradient(theta), abs=1e-10)


def test_order_of_rows_and_names_of_levels(drawn: Data) -> None:
    own = criterion("hit ~ x + (x | a)", drawn, "binomial", 7)
    theta = near_start(own.laplace)
    order = np.random.default_rng(9).permutation(len(drawn["x"]))
    shuffled = {key: values[order] for key, values in drawn.items()}
    shuffled["a"] = np.array([f"level {99 - int(one[1:])}" for one in shuffled["a"]])
    other = criterion("hit ~ x + (x | a)", shuffled, "binomial", 7)
    assert other.value(theta) == pytest.approx(own.value(theta), rel=1e-12)


def test_cbpp_as_lme4_has_it() -> None:
    data = mm.datasets.load("cbpp")
    trials = np.asarray(data["size"], float)
    laplace, basis = one_predictor("incidence ~ period + (1 | herd)", data, "binomial", trials=trials)
    own = Quadrature(laplace, 25)
    found = optimise(own, Control(threads=1))
    assert found.converged
    assert found.evaluations <= 8
    assert -0.5 * found.value == pytest.approx(-91.98337, abs=1e-5)
    beta = basis.coefficients(found.theta[own.of_beta])
    assert beta == pytest.approx([-1.399230, -0.991404, -1.127819, -1.579471], abs=1e-6)
    assert own.natural(found.theta).values == pytest.approx([0.419280], abs=1e-6)
    covariance = 2.0 * np.linalg.inv(own.observed_information(found.theta))
    errors = np.sqrt(np.diagonal(basis.covariance(covariance[own.of_beta, own.of_beta])))
    assert errors == pytest.approx([0.2335116, 0.3067680, 0.3267684, 0.4275945], rel=2e-4)


def test_zero_variance_is_an_optimum() -> None:
    rng = np.random.default_rng(11)
    group = np.repeat([f"g{k}" for k in range(20)], 6)
    data = {"y": np.tile([1.0, 2.0, 3.0, 1.0, 2.0, 3.0], 20), "g": group, "x": rng.normal(size=120)}
    own = criterion("y ~ x + (1 | g)", data, "poisson", 15)
    found = optimise(own, Control(threads=1))
    assert found.converged
    assert found.theta[0] == 0.0
    assert own.evaluate(found.theta).gammas[0][0, 0, 0] > 0.0


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_rules_are_exact_for_polynomials(dimensions: int) -> None:
    rule = gauss_hermite(8, dimensions)
    weights = np.exp(rule.log_weights - 0.5 * (rule.nodes**2).sum(axis=1))
    moments = {0: 1.0, 2: 1.0, 4: 3.0, 6: 15.0, 8: 105.0, 14: 135135.0, 3: 0.0}
    for power, moment in moments.items():
        found = weights @ rule.nodes[:, -1] ** power
        assert found == pytest.approx(moment, rel=1e-11, abs=1e-11)
    far = gauss_hermite(100, 1)
    assert np.exp(far.log_weights - 0.5 * far.nodes[:, 0] ** 2).sum() == pytest.approx(1.0, abs=1e-13)


def test_points_are_raised_up_to_a_limit() -> None:
    assert [next_points(k, 1) for k in (1, 2, 15, 99, 100)] == [2, 4, 23, 100, None]
    assert next_points(21, 3) is None


@pytest.mark.parametrize("points", [0, -1, 2.5, "many", True, 22])
def test_impossible_points_are_refused(points: object, drawn: Data) -> None:
    laplace, _ = one_predictor("hit ~ x + (x + w | a)", drawn, "binomial")
    with pytest.raises(SpecError, match=r"points=.* whole number from 1 to 21"):
        Quadrature(laplace, points)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("random", "reason"),
    [
        ("(1 | a) + (1 | b)", "one grouping factor, and here there are a, b"),
        ("(1 | a / b)", "one grouping factor, and here there are"),
        ("(x + w + visit | a)", "3 random effects a level at most, and a level of a has 5"),
    ],
)
def test_other_layouts_are_refused(random: str, reason: str, drawn: Data) -> None:
    laplace, _ = one_predictor(f"hit ~ x + {random}", drawn, "binomial")
    with pytest.raises(SpecError, match=reason):
        Quadrature(laplace)


def test_levels_that_depend_on_one_another_are_refused(drawn: Data) -> None:
    pandas = pytest.importorskip("pandas")
    levels = sorted(set(drawn["a"]))
    kernel = pandas.DataFrame(np.eye(len(levels)) * 0.5 + 0.5, index=levels, columns=levels)
    laplace, _ = one_predictor("hit ~ x + (1 | a, cov=K)", drawn, "binomial", known={"K": kernel})
    with pytest.raises(SpecError, match="cov=K makes levels depend on one another"):
        Quadrature(laplace)
