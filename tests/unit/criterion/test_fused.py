"""Laplace's approximation level by level in native code says what the general equations say."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from generalised_models import gradient_error, several_predictors
from mixedmodels.criterion.laplace import EXACT, Laplace
from mixedmodels.kernels import LevelModes
from mixedmodels.likelihood.families import make_family
from mixedmodels.likelihood.native import NATIVE
from mixedmodels.likelihood.responses import Responses
from mixedmodels.optimise.newton import optimise

ROUNDING = 1e-9
"""Of two ways of summing a few hundred rows, modes known to a decrement of 1e-20, relative to the largest entry."""


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    n, levels = 210, 17
    a = rng.integers(levels, size=n)
    x = rng.normal(size=n)
    eta = 0.3 + 0.5 * x + rng.normal(0.0, 0.7, levels)[a] + rng.normal(0.0, 0.3, levels)[a] * x
    trials = rng.integers(1, 6, size=n).astype(float)
    return {
        "x": x,
        "a": np.array([f"a{k}" for k in a]),
        "sex": np.array(["f", "m"])[a % 2],
        "count": rng.poisson(np.exp(eta)).astype(float),
        "hit": rng.binomial(trials.astype(int), 1.0 / (1.0 + np.exp(-eta))).astype(float),
        "size": rng.gamma(3.0, np.exp(eta) / 3.0),
        "trials": trials,
        "frequency": rng.integers(1, 4, size=n).astype(float),
        "exposure": rng.normal(size=n),
    }


LAYOUTS = {
    "one": "(1 | a)",
    "slopes": "(x | a)",
    "two terms": "(1 | a) + (0 + x | a)",
    "diagonal": "diag(x | a)",
    "by sets": "us(1 | a, by=sex)",
    "three columns": "(x + exposure | a)",
}
RESPONSES = {"binomial": "hit", "poisson": "count", "nb2": "count", "geometric": "count"}


def pair(
    drawn: dict[str, np.ndarray], family: tuple[str, str], layout: str, **options: str
) -> tuple[Laplace, Laplace]:
    """Return a criterion in native code and the same on the general equations."""
    name, link = family
    if name == "binomial":
        options["trials"] = "trials"
    formula = f"{RESPONSES.get(name, 'size')} ~ x + offset(0.3 * exposure) + {LAYOUTS[layout]}"
    one, two = (several_predictors(formula, drawn, name, link, **options) for _ in range(2))
    assert one.fused is not None
    two.fused = None
    return one, two


def assert_same(one: np.ndarray, two: np.ndarray) -> None:
    """Fail unless two arrays agree to rounding, relative to the largest entry."""
    scale = max(1.0, float(np.abs(two).max(initial=0.0)))
    assert np.abs(one - two).max(initial=0.0) <= ROUNDING * scale


def compare(one: Laplace, two: Laplace, theta: np.ndarray) -> None:
    """Fail unless value, derivatives, modes and steps agree at θ."""
    step = np.random.default_rng(1).normal(0.0, 1.0, len(theta))
    assert abs(one.value(theta) - two.value(theta)) <= ROUNDING * abs(two.value(theta))
    first, second = one.evaluate(theta), two.evaluate(theta)
    assert_same(first.gradient, second.gradient)
    assert_same(first.information, second.information)
    assert_same(first.curvature, second.curvature)
    for own, other in zip((*first.gammas, *first.traces), (*second.gammas, *second.traces), strict=True):
        assert_same(own, other)
    assert abs(one.reach(theta, step) - two.reach(theta, step)) < ROUNDING
    found, known = one.rest(theta), two.rest(theta)
    for own, other in zip(
        (*found.b, found.eta, found.weight), (*known.b, known.eta, known.weight), strict=True
    ):
        assert_same(own, other)
    assert_same(found.score[0], known.score[0])


@pytest.mark.parametrize("family", NATIVE)
def test_families(family: tuple[str, str], drawn: dict[str, np.ndarray]) -> None:
    one, two = pair(drawn, family, "slopes", frequency="frequency")
    one.tolerance = two.tolerance = EXACT
    theta = two.own_start()
    rng = np.random.default_rng(5)
    for _ in range(3):
        # the second and third start from what was predicted from the one before
        compare(one, two, theta + rng.normal(0.0, 0.1, len(theta)))
    assert gradient_error(one, theta) < 1e-8


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, drawn: dict[str, np.ndarray]) -> None:
    one, two = pair(drawn, ("nb2", "log"), layout)
    one.tolerance = two.tolerance = EXACT
    theta = two.own_start() + np.random.default_rng(6).normal(0.0, 0.1, one.n_theta)
    compare(one, two, theta)
    theta[: one.model.n_theta] = 0.0
    compare(one, two, theta)


@pytest.mark.parametrize("family", NATIVE)
def test_optimum(family: tuple[str, str], drawn: dict[str, np.ndarray]) -> None:
    one, two = pair(drawn, family, "one")
    first, second = optimise(one), optimise(two)
    assert first.converged
    assert second.converged
    assert abs(first.value - second.value) < 1e-8
    # the Hessians by differences err by 1e-7 relative, at optima that differ by 1e-4 standard errors
    one_covariance, two_covariance = one.covariance(first.theta), two.covariance(first.theta)
    assert np.abs(one_covariance - two_covariance).max() < 1e-6 * np.abs(two_covariance).max()


@pytest.mark.parametrize(
    ("family", "link", "options"),
    [
        ("binomial", "cauchit", {}),
        ("nb2", None, {"dispersion": "~ x"}),
        ("poisson", None, {"zero_inflation": "~ 1"}),
        ("gamma", None, {"weights": "trials"}),
    ],
)
def test_what_native_code_does_not_know(
    family: str, link: str | None, options: dict[str, str], drawn: dict[str, np.ndarray]
) -> None:
    response = {"binomial": "count > 1", "gamma": "size"}.get(family, "count")
    data = {**drawn, "hit": (drawn["count"] > 1).astype(float)}
    name = "hit" if family == "binomial" else response
    assert several_predictors(f"{name} ~ x + (1 | a)", data, family, link, **options).fused is None


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(2)
    n = 60_000
    a = rng.integers(900, size=n)
    data = {"x": rng.normal(size=n), "a": a.astype(str)}
    data["y"] = rng.poisson(np.exp(0.2 * data["x"] + rng.normal(0.0, 0.5, 900)[a])).astype(float)
    one, two = (
        mm.glmm("y ~ x + (1 | a)", data, family="poisson", control=mm.Control(threads=threads))
        for threads in (1, 2)
    )
    assert one.optimum.theta.tolist() == two.optimum.theta.tolist()


def test_far_tails_of_links() -> None:
    eta = np.array([[-40.0, -12.0, -4.9, -5.1, 0.0, 4.0, 9.0, 30.0]])
    n = eta.shape[1]
    level, none = np.zeros(n, np.int64), np.zeros(0)
    for link in ("logit", "probit", "cloglog"):
        for y in (np.zeros(n), np.ones(n)):
            known = make_family("binomial", link).at(Responses(y), eta, order=3)
            modes = LevelModes(
                link, y, None, None, eta[0], level, None, np.zeros((n, 0)), 0.0, level[:1], 1, 0, 1
            )
            modes.evaluate(none, 0.0, np.zeros((1, 1, 1)), EXACT, None, None)
            _, score, weight = modes.rows_at(none, 0.0)
            usable = np.isfinite(known.value)
            # where w/(e^w − 1) underflows one of the two is 0
            np.testing.assert_allclose(score[usable], known.score[0][usable], rtol=1e-12, atol=1e-290)
            # the general formula of cloglog gives 0 for −w/2 where 1 − w is 1
            np.testing.assert_allclose(weight[usable], known.curvature[0][usable], rtol=1e-9, atol=1e-17)
