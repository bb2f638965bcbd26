"""Every family with every link: derivatives, densities that sum to one, draws that follow them, flags, limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from mixedmodels.errors import DataError, SpecError
from mixedmodels.likelihood.base import Family
from mixedmodels.likelihood.families import (
    FAMILIES,
    MEAN_FAMILIES,
    TRUNCATED,
    Hurdle,
    ZeroInflated,
    family_name,
    make_family,
)
from mixedmodels.likelihood.links import LINKS, ProbabilityLink, make_link
from mixedmodels.likelihood.responses import Responses
from mixedmodels.likelihood.rows import Rows, pairs
from mixedmodels.likelihood.special import gamma_difference

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "likelihood" / "derivatives.json").read_text(encoding="utf-8")
)
N = 40
TRIALS = 7.0
COUNTS = ("poisson", "nb2", "nb1", "genpois", "compois", "geometric")


def link_name(link: str) -> str:
    return "power(0.5)" if link == "power" else link


def families() -> Iterator[Family]:
    for name, cls in MEAN_FAMILIES.items():
        yield from (make_family(name, link_name(link)) for link in cls.links)
    yield from (make_family(name) for name in TRUNCATED)
    yield from (
        make_family("ordinal", link, levels=4) for link in ("logit", "probit", "cloglog", "loglog", "cauchit")
    )
    yield make_family("multinomial", levels=4)
    for name in (*COUNTS, "binomial", "betabinomial"):
        yield ZeroInflated(make_family(name))  # type: ignore[arg-type]
    for name in ("truncated_poisson", "truncated_nb2", "gamma", "lognormal", "beta"):
        yield Hurdle(make_family(name))  # type: ignore[arg-type]


def identify(family: Family) -> str:
    link = link_of(family)
    return f"{family.name}-{link.name}" if link is not None else family.name


def link_of(family: Family):  # type: ignore[no-untyped-def]
    return getattr(family, "link", None) or getattr(getattr(family, "base", None), "link", None)


def working(family: Family) -> np.ndarray:
    """Return ψ: cuts of an ordered beta at −1 and 1, else the starting values."""
    if family.name == "ordered_beta":
        return np.array([-1.0, np.log(2.0)])
    return np.array([parameter.working(parameter.start) for parameter in family.parameters])


def drawn(family: Family, seed: int = 5) -> tuple[Responses, np.ndarray, np.ndarray]:
    """Return responses drawn at predictors that the link allows."""
    rng = np.random.default_rng(seed)
    eta = rng.uniform(-0.8, 0.8, (len(family.predictors), N))
    link, psi = link_of(family), working(family)
    binomial = "binomial" in family.name and "negative" not in family.name
    if link is not None and link.name in ("inverse", "sqrt", "inverse_squared", "identity", "power(0.5)"):
        low, high = (0.5, 0.9) if family.name == "binomial" else (0.6, 1.6)
        eta[0] = rng.uniform(low, high, N)
    if family.name == "binomial" and link.name == "log":
        eta[0] = rng.uniform(-1.5, -0.1, N)
    trials = np.full(N, TRIALS) if binomial else None
    if family.name == "ordinal":
        eta = np.array([rng.uniform(0.2, 1.5, N), rng.uniform(-1.5, 0.0, N)])
        return Responses(rng.integers(0, 4, N).astype(float)), eta, psi
    y = family.simulate(Responses(np.zeros(N), trials), eta, psi, rng)
    return Responses(y, trials), eta, psi


EVERY = pytest.mark.parametrize("family", list(families()), ids=identify)


@pytest.mark.parametrize(
    "case", REFERENCE, ids=lambda c: f"{c['family']}-{c['link']}-{c['y']}-{c['eta']}-{c['zeta']}"
)
def test_derivatives_at_fifty_digits(case: dict) -> None:
    """Against mpmath's numerical differentiation of the textbook densities.

    The worst is 1e-12 of the larger of 1 and the value (differences of polygammas); most are at rounding.
    """
    options = {"t": {"df": 6.0}, "tweedie": {"power": 1.6}}.get(case["family"], {})
    family = make_family(case["family"], case["link"], **options)
    trials = np.array([TRIALS]) if family.takes_trials else None
    eta = np.array([[case["eta"]], [case["zeta"]]])[: len(family.predictors)]
    table = family.table(Responses(np.array([case["y"]]), trials), eta, np.empty(0), 3)
    for key, value in table.items():
        name = "".join(map(str, (*key, 0)[:2]))
        expected = float(case[name])
        assert float(value[0]) == pytest.approx(expected, rel=2e-12, abs=2e-12), name


@EVERY
def test_each_order_is_the_difference_of_the_one_below(family: Family) -> None:
    """Central differences at 1e-5 carry errors of about 1e-7 where the third derivatives are of the order of 1e2."""
    responses, eta, psi = drawn(family)
    family.check(responses, "y")
    count, step = len(family.predictors), 1e-5
    rows = family.at(responses, eta, psi, 3)
    direction = np.random.default_rng(1).standard_normal(rows.curvature.shape)
    packed = {pair: k for k, pair in enumerate(pairs(count))}
    contracted = rows.contract(direction)
    for a in range(count):
        either: list[Rows] = []
        for sign in (1.0, -1.0):
            moved = eta.copy()
            moved[a] += sign * step
            either.append(family.at(responses, moved, psi, 2))
        up, down = either
        slope = (up.value - down.value) / (2.0 * step)
        np.testing.assert_allclose(rows.score[a], slope, rtol=1e-6, atol=1e-6)
        bend = -(up.score - down.score) / (2.0 * step)
        for b in range(count):
            curvature = rows.curvature[packed[(max(a, b), min(a, b))]]
            np.testing.assert_allclose(curvature, bend[b], rtol=1e-6, atol=1e-6)
        moved_w = (up.curvature - down.curvature) / (2.0 * step)
        twice = np.array([1.0 if b == c else 2.0 for b, c in pairs(count)])
        third = (twice[:, None] * direction * moved_w).sum(axis=0)
        np.testing.assert_allclose(contracted[a], third, rtol=1e-6, atol=2e-6)


@EVERY
def test_lower_orders_are_the_same_numbers(family: Family) -> None:
    responses, eta, psi = drawn(family)
    whole = family.at(responses, eta, psi, 3)
    for order in range(3):
        part = family.at(responses, eta, psi, order)
        np.testing.assert_allclose(part.value, whole.value, rtol=1e-14)
        assert part.third.shape[0] == 0
        if order:
            np.testing.assert_allclose(part.score, whole.score, rtol=1e-13, atol=1e-14)


@EVERY
def test_starting_values_have_a_density(family: Family) -> None:
    responses, _, psi = drawn(family)
    start = family.start(responses)
    assert start.shape == (len(family.predictors), N)
    assert np.isfinite(family.at(responses, start, psi, 1).value).all()


def with_a_mean() -> Iterator[Family]:
    yield from (f for f in families() if f.name not in ("ordinal", "multinomial"))


@pytest.mark.parametrize("family", list(with_a_mean()), ids=identify)
def test_density_mean_and_variance_agree(family: Family) -> None:
    """Sums or integrals of the density give 1, the mean and the variance; to 1e-6, the quadrature's own error."""
    responses, eta, psi = drawn(family)
    if family.name == "t":
        psi = np.array([family.parameters[0].working(9.0)])
    row = slice(0, 1)
    trials = None if responses.trials is None else responses.trials[row]
    point = eta[:, row]

    def density(y: float) -> float:
        one = Responses(np.array([y]), trials)
        return float(np.exp(family.at(one, point, psi, 0).value[0]))

    moments = [0.0, 0.0, 0.0]
    inner = getattr(family, "base", family)
    if inner.discrete:
        support = np.arange(0.0, TRIALS + 1 if trials is not None else 400.0)
        if family.name.startswith("truncated"):
            support = support[1:]
        chances = np.array([density(y) for y in support])
        moments = [float((chances * support**k).sum()) for k in range(3)]
    else:
        unbounded = family.name in ("gaussian", "t")
        upper = 1.0 if inner.name in ("beta", "ordered_beta") else np.inf
        lower = -np.inf if unbounded else 0.0
        centre = float(inner.mean(point[: len(inner.predictors)], psi)[0])
        cut = min(max(centre, 1e-3), 0.999) if upper == 1.0 else centre
        for k in range(3):
            for a, b in ((lower, cut), (cut, upper)):
                moments[k] += quad(lambda y, k=k: y**k * density(y), a, b, limit=400, epsabs=1e-9)[0]
        if family.name in ("tweedie", "ordered_beta") or family.name.startswith("hurdle"):
            moments[0] += density(0.0)
        if family.name == "ordered_beta":
            moments = [moment + density(1.0) for moment in moments]
    if family.name.endswith("genpois") and float(np.exp(point[1, 0])) < 1.0:
        pytest.skip("the sum of an under-dispersed generalised Poisson need not be 1")
    assert moments[0] == pytest.approx(1.0, abs=1e-6)
    one = Responses(np.zeros(1), trials)
    mean = float(family.mean(point, psi)[0]) * (1.0 if trials is None else TRIALS)
    assert moments[1] == pytest.approx(mean, rel=1e-6)
    variance = float(family.variance(one, point, psi)[0])
    assert moments[2] - moments[1] ** 2 == pytest.approx(variance, rel=1e-5)


@pytest.mark.parametrize("family", list(with_a_mean()), ids=identify)
def test_draws_have_the_mean_of_the_family(family: Family) -> None:
    """Within five standard errors of the mean of 40,000 draws (2,000 where each takes a search)."""
    responses, eta, psi = drawn(family)
    if family.name == "t":
        psi = np.array([family.parameters[0].working(9.0)])
    many = 2_000 if family.name.endswith("compois") else 40_000
    point = np.repeat(eta[:, :1], many, axis=1)
    trials = None if responses.trials is None else np.full(many, TRIALS)
    frame = Responses(np.zeros(many), trials)
    y = family.simulate(frame, point, psi, np.random.default_rng(3))
    family.check(Responses(y, trials), "y")
    mean = float(family.mean(point[:, :1], psi)[0]) * (1.0 if trials is None else TRIALS)
    variance = float(
        family.variance(Responses(np.zeros(1), trials if trials is None else trials[:1]), point[:, :1], psi)[
            0
        ]
    )
    assert abs(y.mean() - mean) < 5.0 * np.sqrt(variance / many)


@pytest.mark.parametrize("family", [f for f in families() if f.log_concave], ids=identify)
def test_the_flag_of_concavity_holds(family: Family) -> None:
    """W ≥ 0 in the first predictor over its whole range, to rounding."""
    responses, eta, psi = drawn(family)
    eta = eta.copy()
    inside = link_of(family)
    grid = np.linspace(-6.0, 6.0, N)
    eta[0] = (
        np.where(inside.inside(grid), grid, eta[0])
        if inside is not None and len(family.predictors) < 3
        else eta[0]
    )
    if family.name == "ordinal":
        eta = np.array([grid + 0.7, grid - 0.4])
    rows = family.at(responses, eta, psi, 2)
    allowed = np.isfinite(rows.value)
    assert (rows.curvature[0][allowed] >= -1e-12).all()


@pytest.mark.parametrize("name", LINKS)
def test_links_are_inverses(name: str) -> None:
    link = make_link(link_name(name))
    mu = np.linspace(0.03, 0.97, 21)
    value, first, second, third = link.inverse(link.forward(mu))
    np.testing.assert_allclose(value, mu, rtol=1e-13)
    eta, step = link.forward(mu), 1e-5
    up, down = link.inverse(eta + step), link.inverse(eta - step)
    for got, k in ((first, 0), (second, 1), (third, 2)):
        np.testing.assert_allclose(got, (up[k] - down[k]) / (2.0 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, cls in LINKS.items() if issubclass(cls, ProbabilityLink)])
def test_tails_keep_their_digits(name: str) -> None:
    """log F and log(1 − F) far out are finite or −∞, never NaN, and their derivatives are finite."""
    link = make_link(name)
    assert isinstance(link, ProbabilityLink)
    eta = np.array([-700.0, -40.0, -9.0, 0.0, 9.0, 40.0, 700.0])
    for side in (link.log_below(eta), link.log_above(eta)):
        assert not np.isnan(side[0]).any()
        assert (side[0] <= 0.0).all()
        finite = np.isfinite(side[0])
        assert all(np.isfinite(part[finite]).all() for part in side[1:])
    value, _, _ = link.log_between(np.array([8.5, -8.0]), np.array([8.0, -8.5]))
    assert np.isfinite(value).all()


def test_large_sizes_are_the_poisson() -> None:
    """A negative binomial with k = e^{40}, a beta-binomial with φ = e^{40}: the limits, not noise."""
    y = np.array([0.0, 1.0, 5.0, 60.0])
    eta = np.log(np.array([0.5, 1.0, 7.0, 50.0]))
    limit = make_family("poisson").at(Responses(y), eta[None])
    near = make_family("nb2").at(Responses(y), np.array([eta, np.full(4, 40.0)]))
    np.testing.assert_allclose(near.value, limit.value, rtol=1e-12)
    np.testing.assert_allclose(near.score[0], limit.score[0], atol=1e-12)
    np.testing.assert_allclose(near.curvature[0], limit.curvature[0], rtol=1e-12)
    assert np.abs(near.score[1]).max() < 1e-12
    trials = np.full(4, 80.0)
    binomial = make_family("binomial").at(Responses(y, trials), eta[None] / 3.0)
    wide = make_family("betabinomial").at(Responses(y, trials), np.array([eta / 3.0, np.full(4, 40.0)]))
    np.testing.assert_allclose(wide.value, binomial.value, rtol=1e-11)
    np.testing.assert_allclose(wide.score[0], binomial.score[0], atol=1e-9)


def test_identities_between_families() -> None:
    """Gamma of shape 1 is exponential; nb2 with k = 1 geometric; compois and genpois with φ = 1 Poisson."""
    y = np.array([1.0, 2.0, 7.0])
    eta = np.array([0.3, -0.4, 1.2])
    level = np.array([eta, np.zeros(3)])
    for general, special in (
        ("gamma", "exponential"),
        ("nb2", "geometric"),
        ("compois", "poisson"),
        ("genpois", "poisson"),
    ):
        wide = make_family(general, "log").at(Responses(y), level)
        narrow = make_family(special, "log").at(Responses(y), eta[None])
        np.testing.assert_allclose(wide.value, narrow.value, rtol=1e-12)
        np.testing.assert_allclose(wide.curvature[0], narrow.curvature[0], rtol=1e-10)
    two = make_family("ordinal", levels=2).at(Responses(np.array([1.0])), np.array([[np.inf], [-0.4]]))
    logit = make_family("binomial").at(Responses(np.array([1.0])), np.array([[0.4]]))
    assert two.value[0] == pytest.approx(logit.value[0], rel=1e-14)
    categories = make_family("multinomial", levels=2).at(Responses(np.array([1.0])), np.array([[0.4]]))
    assert categories.value[0] == pytest.approx(logit.value[0], rel=1e-14)
    assert categories.third[0, 0] == pytest.approx(logit.third[0, 0], rel=1e-13)


def test_frequencies_are_rows_and_weights_divide_the_dispersion() -> None:
    y, eta = np.array([1.3]), np.array([[0.4], [0.2]])
    family = make_family("gamma")
    once = family.at(Responses(y), eta)
    thrice = family.at(Responses(y, frequency=np.array([3.0])), eta)
    assert thrice.value[0] == pytest.approx(3.0 * once.value[0], rel=1e-15)
    weighed = family.at(Responses(y, weights=np.array([2.0])), eta)
    shifted = family.at(Responses(y), eta + np.array([[0.0], [np.log(2.0)]]))
    assert weighed.value[0] == pytest.approx(shifted.value[0], rel=1e-14)


@pytest.mark.parametrize("order", range(4))
def test_differences_of_gammas_join(order: int) -> None:
    """Both formulas agree where one takes over from the other, at x = 1000."""
    y = np.array([0.0, 1.0, 7.0, 500.0])
    below, above = (gamma_difference(np.full(4, x), y, order) for x in (999.9999999, 1000.0))
    np.testing.assert_allclose(below, above, rtol=1e-8, atol=1e-12)


def test_names_of_other_software() -> None:
    asked = (
        "nbinom2",
        "negbin",
        "Gamma",
        "cumulative",
        "nbinom1",
        "inverse.gaussian",
        "truncated_nbinom2",
        "normal",
    )
    got = tuple(family_name(name) for name in asked)
    assert got == ("nb2", "nb2", "gamma", "ordinal", "nb1", "inverse_gaussian", "truncated_nb2", "gaussian")
    assert set(FAMILIES) >= {"ordered_beta", "tweedie", "t", "multinomial", "truncated_nb1", "betabinomial"}
    with pytest.raises(SpecError, match="Did you mean 'poisson'"):
        make_family("poisso")
    with pytest.raises(SpecError, match="does not go with family='gamma'"):
        make_family("gamma", "logit")
    with pytest.raises(SpecError, match="between 1 and 2"):
        make_family("tweedie", power=2.5)


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("poisson", [1.0, 2.5], "y is 2.5 in row 1; a count is a whole number"),
        ("poisson", [-3.0, 1.0], "y is -3 in row 0"),
        ("binomial", [0.0, 2.0], "there are 1 trials there"),
        ("gamma", [1.0, 0.0], "is positive.*hurdle"),
        ("beta", [0.5, 1.0], "strictly between 0 and 1.*ordered_beta"),
        ("truncated_poisson", [1.0, 0.0], "whole number from 1"),
        ("lognormal", [1.0, -1.0], "is positive"),
        ("inverse_gaussian", [1.0, np.inf], "is positive"),
        ("tweedie", [1.0, -0.1], "0 or positive"),
        ("ordered_beta", [1.0, 1.2], "between 0 and 1"),
    ],
)
def test_impossible_responses_are_named(name: str, y: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_family(name).check(Responses(np.array(y)), "y")
