"""Laplace's approximation: gradients against differences, the value against brute force, singular covariances."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from generalised_models import criterion_of, gradient_error, one_predictor, several_predictors, terms_of
from mixedmodels.control import Control
from mixedmodels.criterion.laplace import Laplace
from mixedmodels.likelihood.families import ZeroInflated, make_family
from mixedmodels.likelihood.responses import Responses
from mixedmodels.optimise.newton import optimise
from mixedmodels.terms.stack import PredictorRows

ACCURATE = 1e-8
"""Of gradients against differences of the fourth order, whose own error is of the order of 1e-10."""


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    n, a, b = 240, 15, 8
    one, two = rng.integers(a, size=n), rng.integers(b, size=n)
    x = rng.normal(size=n)
    effects = rng.normal(0.0, 0.6, a)[one] + rng.normal(0.0, 0.4, b)[two] + 0.3 * rng.normal(size=a)[one] * x
    eta = 0.4 + 0.5 * x + effects
    return {
        "x": x,
        "a": np.array([f"a{k}" for k in one]),
        "b": np.array([f"b{k}" for k in two]),
        "half": np.array([f"a{k}:{j}" for k, j in zip(one, rng.integers(2, size=n), strict=True)]),
        "visit": np.array([f"v{k}" for k in rng.integers(3, size=n)]),
        "sex": np.array(["f", "m"])[one % 2],
        "count": rng.poisson(np.exp(eta)).astype(float),
        "hit": (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float),
        "size": rng.gamma(3.0, np.exp(eta) / 3.0),
    }


LAYOUTS = {
    "one": "(1 | a)",
    "crossed": "(1 | a) + (1 | b)",
    "nested": "(1 | a) + (1 | half)",
    "slopes": "(x | a)",
    "slopes crossed": "(x | a) + (1 | b)",
    "diagonal": "diag(x | a)",
    "serial": "ar1(0 + visit | a)",
    "by sets": "us(1 | a, by=sex)",
}
FAMILIES = {
    ("poisson", None): "count",
    ("binomial", None): "hit",
    ("binomial", "probit"): "hit",
    ("binomial", "cloglog"): "hit",
    ("binomial", "cauchit"): "hit",
    ("exponential", None): "size",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_by_layout(layout: str, drawn: dict[str, np.ndarray]) -> None:
    criterion, _ = one_predictor(f"count ~ x + {LAYOUTS[layout]}", drawn, "poisson")
    theta = criterion.own_start() + np.random.default_rng(3).normal(0.0, 0.1, criterion.n_theta)
    assert gradient_error(criterion, theta) < ACCURATE


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_by_family(family: tuple[str, str | None], drawn: dict[str, np.ndarray]) -> None:
    criterion, _ = one_predictor(f"{FAMILIES[family]} ~ x + (x | a) + (1 | b)", drawn, *family)
    theta = criterion.own_start() + np.random.default_rng(4).normal(0.0, 0.05, criterion.n_theta)
    assert gradient_error(criterion, theta) < ACCURATE


@pytest.mark.parametrize("place", [0, 2, (0, 1, 2)])
def test_gradient_where_a_covariance_is_singular(place: object, drawn: dict[str, np.ndarray]) -> None:
    criterion, _ = one_predictor("count ~ x + (x | a) + (1 | b)", drawn, "poisson")
    theta = criterion.own_start()
    theta[list(place) if isinstance(place, tuple) else [place]] = 0.0
    assert gradient_error(criterion, theta) < ACCURATE


@pytest.mark.parametrize("engine", ["blocked", "sparse"])
def test_engines_agree(engine: str, drawn: dict[str, np.ndarray]) -> None:
    formula = "hit ~ x + (x | a) + (1 | b)"
    one, _ = one_predictor(formula, drawn, "binomial")
    two, _ = one_predictor(formula, drawn, "binomial", control=Control(threads=1, engine=engine))
    theta = one.own_start()
    one.tolerance = two.tolerance = 1e-20
    assert two.value(theta) == pytest.approx(one.value(theta), rel=1e-12)
    assert two.gradient(theta) == pytest.approx(one.gradient(theta), rel=1e-8, abs=1e-9)
    assert two.evaluate(theta).information == pytest.approx(
        one.evaluate(theta).information, rel=1e-8, abs=1e-8
    )


@pytest.mark.parametrize(
    "family", [("binomial", "probit"), ("poisson", "sqrt"), ("gamma", "log"), ("nb2", None)]
)
def test_gradient_with_the_expected_curvature(
    family: tuple[str, str | None], drawn: dict[str, np.ndarray]
) -> None:
    response = {"binomial": "hit", "gamma": "size"}.get(family[0], "count")
    plain = several_predictors(f"{response} ~ x + (x | a) + (1 | b)", drawn, *family)
    criterion = Laplace(plain.design, plain.equations, plain.observed, expected=True)
    theta = criterion.own_start() + 0.02
    assert gradient_error(criterion, theta) < ACCURATE
    plain.own_start()
    assert abs(criterion.value(theta) - plain.value(theta)) > 1e-4


def test_known_kernel_gradient(drawn: dict[str, np.ndarray]) -> None:
    pandas = pytest.importorskip("pandas")
    levels = sorted(set(drawn["a"]))
    distance = np.abs(np.subtract.outer(np.arange(len(levels)), np.arange(len(levels))))
    kernel = pandas.DataFrame(0.5**distance, index=levels, columns=levels)
    criterion, _ = one_predictor("count ~ x + (1 | a, cov=K)", drawn, "poisson", known={"K": kernel})
    theta = criterion.own_start() + 0.1
    assert gradient_error(criterion, theta) < ACCURATE


def test_value_is_that_of_dense_algebra(drawn: dict[str, np.ndarray]) -> None:
    criterion, basis = one_predictor("count ~ x + (1 | a)", drawn, "poisson")
    theta = criterion.own_start()
    criterion.tolerance = 1e-20
    levels, codes = np.unique(drawn["a"], return_inverse=True)
    fixed = np.column_stack([np.ones(len(codes)), drawn["x"]]) @ basis.coefficients(theta[criterion.of_beta])
    y, total = drawn["count"], 0.0
    for j in range(len(levels)):
        own = codes == j
        u = 0.0
        for _ in range(60):
            mu = np.exp(fixed[own] + theta[0] * u)
            u -= (u - theta[0] * (y[own] - mu).sum()) / (1.0 + theta[0] ** 2 * mu.sum())
        mu = np.exp(fixed[own] + theta[0] * u)
        log_factorial = np.array([np.log(np.arange(1, int(k) + 1)).sum() for k in y[own]])
        density = (y[own] * np.log(mu) - mu - log_factorial).sum()
        total += u**2 - 2.0 * density + np.log1p(theta[0] ** 2 * mu.sum())
    assert criterion.value(theta) == pytest.approx(total, rel=1e-12)


def test_unfinished_mode_is_corrected(drawn: dict[str, np.ndarray]) -> None:
    formula = "hit ~ x + (x | a) + (1 | b)"
    exact, _ = one_predictor(formula, drawn, "binomial")
    theta = exact.own_start()
    exact.tolerance = 1e-20
    nothing = tuple(np.zeros(shape) for shape in exact.stack.shapes)
    fixed = exact.stack.fixed(theta[exact.of_beta])
    rough = exact.search.run(exact.model.numbers(theta), fixed, np.empty(0), nothing, 0.3)
    assert rough is not None
    assert rough.decrement > 1e-4
    value = exact.value(theta)
    crude, _ = one_predictor(formula, drawn, "binomial")
    crude.tolerance = 0.3
    raw = abs(rough.height + rough.logdet - value)
    assert abs(crude.value(theta) - value) < 0.05 * raw


def test_predictors_that_share_or_own_effects(drawn: dict[str, np.ndarray]) -> None:
    n = len(drawn["x"])
    _, design, rows = terms_of("count ~ x + (x | a) + (1 | b)", drawn, drawn["count"])
    x = np.column_stack([np.ones(n), drawn["x"]])
    slope, level = rows.random
    zeros = np.random.default_rng(1).random(n) < 0.2
    family = ZeroInflated(make_family("poisson"))
    responses = Responses(np.where(zeros, 0.0, drawn["count"]))
    layouts = (
        ((slope, None), (None, level)),
        ((slope, level), (None, level)),
        ((slope, level), (slope, level)),
        ((slope, level), (None, None)),
    )
    for one, two in layouts:
        predictors = (
            PredictorRows(np.array([0, 1]), x, one),
            PredictorRows(np.array([2]), np.ones((n, 1)), two),
        )
        criterion = criterion_of(family, responses, predictors, design)
        theta = np.array([0.5, 0.1, 0.3, 0.4, 0.3, 0.4, -1.0])
        assert gradient_error(criterion, theta) < ACCURATE


SEVERAL = {
    "nb2": ("count ~ x + (x | a) + (1 | b)", {}),
    "nb2 dispersion": ("count ~ x + (1 | a)", {"dispersion": "~ x + (1 | b)"}),
    "nb1": ("count ~ x + (1 | a)", {"zero_inflation": "~ 1 + (1 | b)"}),
    "poisson": ("count ~ x + (1 | a)", {"zero_inflation": "~ x + (1 | a)"}),
    "genpois": ("count ~ x + (1 | a)", {}),
    "gamma": ("size ~ x + (x | a)", {"dispersion": "~ sex"}),
    "lognormal": ("size ~ x + (1 | a) + (1 | b)", {}),
    "inverse_gaussian": ("size ~ x + (1 | a)", {}),
    "gaussian": ("size ~ x + (x | a)", {"dispersion": "~ 1 + (1 | b)"}),
    "beta": ("share ~ x + (1 | a) + (1 | b)", {}),
    "betabinomial": ("cbind(events, others) ~ x + (1 | a)", {}),
    "ordinal": ("level ~ x + (x | a)", {}),
    "multinomial": ("kind ~ x + (1 | a)", {}),
    "tweedie": ("positive ~ x + (1 | a)", {}),
    "t": ("size ~ x + (1 | a)", {}),
    "ordered_beta": ("part ~ x + (1 | a)", {}),
    "hurdle gamma": ("positive ~ x + (1 | a)", {"hurdle": "~ x + (1 | b)"}),
    "hurdle poisson": ("count ~ x + (1 | a)", {"hurdle": "~ 1"}),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_gradient_with_several_predictors(name: str, drawn: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(5)
    n = len(drawn["x"])
    share = 1.0 / (1.0 + np.exp(-0.5 * drawn["x"] + rng.normal(size=n)))
    data = {
        **drawn,
        "share": share,
        "part": np.where(rng.random(n) < 0.1, 0.0, np.where(rng.random(n) < 0.1, 1.0, share)),
        "events": rng.binomial(8, share),
        "others": 0,
        "level": np.digitize(drawn["x"] + rng.normal(size=n), [-1.0, 0.2, 1.0]),
        "kind": np.array(["one", "three", "two"])[np.digitize(rng.normal(size=n) + drawn["x"], [-0.5, 0.5])],
        "positive": np.where(rng.random(n) < 0.2, 0.0, drawn["size"]),
    }
    data["others"] = 8 - data["events"]
    formula, options = SEVERAL[name]
    criterion = several_predictors(formula, data, name.removesuffix(" dispersion").split(" ")[-1], **options)
    theta = criterion.own_start()
    theta = theta + 0.03 * rng.normal(size=len(theta))
    assert gradient_error(criterion, theta) < ACCURATE


def test_search_ends_at_a_minimum_in_few_evaluations(drawn: dict[str, np.ndarray]) -> None:
    criterion, _ = one_predictor("count ~ x + (x | a) + (1 | b)", drawn, "poisson")
    found = optimise(criterion, Control(threads=1))
    assert found.converged
    assert found.evaluations <= 15
    hessian = criterion.observed_information(found.theta)
    gradient = criterion.gradient(found.theta)
    assert np.linalg.eigvalsh(hessian)[0] > 0.0
    assert gradient @ np.linalg.solve(hessian, gradient) < 1e-8


def test_zero_variance_is_an_optimum() -> None:
    rng = np.random.default_rng(11)
    group = np.repeat([f"g{k}" for k in range(20)], 6)
    data = {"y": np.tile([1.0, 2.0, 3.0, 1.0, 2.0, 3.0], 20), "g": group, "x": rng.normal(size=120)}
    criterion, _ = one_predictor("y ~ x + (1 | g)", data, "poisson")
    found = optimise(criterion, Control(threads=1))
    assert found.converged
    assert found.theta[0] == 0.0
    assert criterion.evaluate(found.theta).gammas[0][0, 0, 0] > 0.0


def test_cbpp_as_lme4_and_glmmtmb_have_it() -> None:
    data = mm.datasets.load("cbpp")
    criterion, basis = one_predictor(
        "incidence ~ period + (1 | herd)", data, "binomial", trials=np.asarray(data["size"], float)
    )
    found = optimise(criterion, Control(threads=1))
    assert -0.5 * found.value == pytest.approx(-92.02628, abs=1e-5)
    assert basis.coefficients(found.theta[criterion.of_beta]) == pytest.approx(
        [-1.39853, -0.992332, -1.12867, -1.58031], abs=1e-5
    )
    assert found.evaluations <= 15
