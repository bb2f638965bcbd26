"""The iterative engine: estimates by simulation against exact ones, and what it says of itself."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm
from mixedmodels import engines
from mixedmodels.engines.iterative import conjugate, system
from mixedmodels.optimise import simulated

EXACT, SIMULATED = mm.Control(engine="blocked", threads=1), mm.Control(engine="iterative", threads=1)
CROSSED = "y ~ x + (1 | a) + (1 | b)"
SLOPES = "y ~ x + (1 + x | a) + (1 + x | b)"


def ratings(n: int = 3000, raters: int = 300, items: int = 160, seed: int = 1) -> pd.DataFrame:
    """Return ratings of items by raters, more items than there are unit vectors in place of probes."""
    rng = np.random.default_rng(seed)
    a, b, x = rng.integers(0, raters, n), rng.integers(0, items, n), rng.standard_normal(n)
    effects = rng.standard_normal((2, raters)), 0.6 * rng.standard_normal((2, items))
    y = 1 + 0.5 * x + effects[0][0][a] + effects[1][0][b] + x * (0.4 * effects[0][1][a] + effects[1][1][b])
    weight = rng.uniform(0.5, 2.0, n)
    y = y + rng.standard_normal(n) / np.sqrt(weight)
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b, "weight": weight})


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return ratings()


def errors_of(fit: mm.Fit) -> np.ndarray:
    """Return the Monte Carlo errors of θ̂ in its standard errors."""
    return simulated._errors(fit._work.criterion(), fit.optimum.theta)[0]


@pytest.mark.parametrize(
    ("formula", "options"),
    [(CROSSED, {}), (CROSSED, {"method": "ml"}), (SLOPES, {"weights": "weight"})],
    ids=["intercepts", "maximum likelihood", "weighted slopes"],
)
def test_estimates_are_within_four_monte_carlo_errors(
    data: pd.DataFrame, formula: str, options: dict[str, str]
) -> None:
    exact = mm.lmm(formula, data, control=EXACT, **options)
    fit = mm.lmm(formula, data, control=SIMULATED, **options)
    assert fit.engine == "iterative"
    assert fit.converged
    # H is the average information with curvature, as at the optimum of the exact search
    here = exact._work.criterion().evaluate(exact.optimum.theta)
    se = np.sqrt(2 * np.diag(np.linalg.inv(here.information + here.curvature)))
    apart = np.abs(fit.optimum.theta - exact.optimum.theta) / se
    assert (apart < 4 * np.maximum(errors_of(fit), 1e-4)).all()
    assert errors_of(fit).max() <= simulated.ENOUGH
    noise = fit._work.criterion().settle(fit.optimum.theta).noise
    # where more probes than columns of the tail would be taken all is exact
    assert abs(fit.criterion - exact.criterion) < max(4 * noise, 1e-6)
    assert noise > 0 or formula == SLOPES
    # solutions of linear equations at θ̂, which is known to a hundredth of a standard error
    np.testing.assert_allclose(fit.beta, exact.beta, atol=0.01 * np.min(exact.bse))
    np.testing.assert_allclose(np.asarray(fit.bse), np.asarray(exact.bse), rtol=2e-3)
    for one, other in zip(fit.solution.random, exact.solution.random, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3 * np.abs(other).max())


def test_what_follows_a_fit(data: pd.DataFrame) -> None:
    exact, fit = (mm.lmm(CROSSED, data, control=control) for control in (EXACT, SIMULATED))
    for ddf in ("satterthwaite", "kenward-roger"):
        one, other = fit.fixed_effects(ddf=ddf), exact.fixed_effects(ddf=ddf)
        np.testing.assert_allclose(one["std_error"], other["std_error"], rtol=1e-3)
        # of the expected information a trace of second order is simulated, known to some per cent
        np.testing.assert_allclose(one["df"], other["df"], rtol=0.05)
    one, other = fit.random_effects(), exact.random_effects()
    np.testing.assert_allclose(one["std_error"], other["std_error"], rtol=0.05)
    new = data.head(300)
    one, other = (f.predict(newdata=new, interval="confidence") for f in (fit, exact))
    np.testing.assert_allclose(one["se"], other["se"], rtol=0.05)
    # few rows are solved for each by itself
    one, other = (f.predict(newdata=new.head(20), interval="confidence") for f in (fit, exact))
    np.testing.assert_allclose(one["se"], other["se"], rtol=1e-3)
    one, other = (np.diag(f._work.natural_covariance()) ** 0.5 for f in (fit, exact))
    np.testing.assert_allclose(one, other, rtol=0.01)


def test_a_fit_is_the_same_again_and_says_what_is_approximate(data: pd.DataFrame) -> None:
    one, other = (mm.lmm(CROSSED, data, control=SIMULATED) for _ in range(2))
    assert one.criterion == other.criterion
    np.testing.assert_array_equal(one.beta, other.beta)
    several = mm.lmm(CROSSED, data, control=mm.Control(engine="iterative", threads=2))
    assert several.criterion == one.criterion
    said = [str(status) for status in one.status]
    assert any("estimated by simulation with 32 random probes" in text for text in said)
    text = str(one)
    assert "iterative engine" in text
    assert "random probes" in text


def test_more_probes_are_taken_until_errors_are_small(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "START", 4)
    monkeypatch.setattr(system.IterativeSystem.__init__, "__defaults__", (4,))
    few = mm.lmm(CROSSED, data, control=SIMULATED)
    found = errors_of(few).max()
    monkeypatch.setattr(simulated, "ENOUGH", 0.7 * found)
    more = mm.lmm(CROSSED, data, control=SIMULATED)
    said = next(str(status) for status in more.status if "random probes" in str(status))
    count = int(said.split("with ")[1].split()[0])
    # twice as many at least, and not as many as there are columns, which would be exact
    assert 8 <= count < 160
    assert errors_of(more).max() <= 0.7 * found
    monkeypatch.setattr(simulated, "MOST", 4)
    stopped = mm.lmm(CROSSED, data, control=SIMULATED)
    assert any("as many probes as are taken" in str(status) for status in stopped.status)


def test_a_variance_of_zero_is_found() -> None:
    frame = ratings(seed=4)
    rng = np.random.default_rng(1)
    frame["y"] = 1 + 0.5 * frame["x"] + 0.7 * rng.standard_normal(300)[frame["a"]] + rng.standard_normal(3000)
    exact, fit = (mm.lmm(CROSSED, frame, control=control) for control in (EXACT, SIMULATED))
    assert exact.theta[1] == fit.theta[1] == 0.0
    assert fit.singular
    np.testing.assert_allclose(fit.theta[0], exact.theta[0], rtol=1e-3)


def test_units_origins_and_the_order_of_rows_change_nothing(data: pd.DataFrame) -> None:
    fit = mm.lmm(SLOPES, data, control=SIMULATED)
    moved = data.sample(frac=1.0, random_state=1).assign(x=2000 + 10 * data["x"], y=1e6 * data["y"])
    again = mm.lmm(SLOPES, pl.from_pandas(moved), control=SIMULATED)
    shift = len(data) - 2
    assert again.criterion - 2 * shift * np.log(1e6) == pytest.approx(
        fit.criterion + 2 * np.log(10), rel=1e-9
    )
    assert again.sigma2 == pytest.approx(1e12 * fit.sigma2, rel=1e-6)
    np.testing.assert_allclose(again.beta[1], 1e5 * fit.beta[1], rtol=1e-6)
    kept = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(kept.random_effects()["std_error"], again.random_effects()["std_error"])


def test_aliased_columns_are_left_out(data: pd.DataFrame) -> None:
    twice = data.assign(z=2 * data["x"] + 1)
    fit, plain = (mm.lmm(f, twice, control=SIMULATED) for f in (f"{CROSSED} + z", CROSSED))
    assert np.isnan(fit.beta[2])
    assert fit.criterion == pytest.approx(plain.criterion, rel=1e-12)


def test_an_exact_search_begins_by_simulation_where_it_takes_long(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = mm.lmm(CROSSED, data, control=EXACT)
    monkeypatch.setattr(engines, "WORTH_SIMULATING", 1.0)
    monkeypatch.setattr(engines, "SEARCH", 0.0)
    fit = mm.lmm(CROSSED, data)
    assert fit.engine == "blocked"
    assert fit.optimum.decrement <= 1e-8
    assert fit.criterion == pytest.approx(exact.criterion, abs=1e-8)
    np.testing.assert_allclose(fit.theta, exact.theta, rtol=1e-5)
    assert "began by simulation" in str(fit)
    assert "everything reported is exact" in str(fit).replace("\n  ", " ")
    assert "begins by simulation" in str(mm.estimate_cost(CROSSED, data))
    assert fit.optimum.iterations <= 1


def test_what_takes_too_long_exactly_is_simulated(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MOST_OPERATIONS", 1.0)
    monkeypatch.setattr(engines, "CHEAP", 0.0)
    fit = mm.lmm(CROSSED, data)
    assert fit.engine == "iterative"
    assert "no exact one being taken (blocked: an evaluation takes" in str(fit).replace("\n  ", " ")
    chosen = mm.estimate_cost(CROSSED, data)
    assert chosen["engine"][chosen["chosen"]].tolist() == ["iterative"]


def test_generalised_models_are_not_simulated(data: pd.DataFrame) -> None:
    frame = data.assign(y=(data["y"] > 1).astype(int))
    with pytest.raises(mm.SpecError, match="engine='iterative' takes linear mixed models"):
        mm.glmm(CROSSED, frame, family="binomial", control=SIMULATED)


def test_profiles_are_refused_and_ratios_say_what_they_are_known_to(data: pd.DataFrame) -> None:
    fit, small = (
        mm.lmm(f, data, method="ml", control=SIMULATED) for f in (CROSSED, "y ~ 1 + (1 | a) + (1 | b)")
    )
    with pytest.raises(mm.SpecError, match="which this fit knows to ±"):
        fit.profile()
    assert any("-2 log L is simulated" in note for note in mm.compare(small, fit).notes)


@pytest.mark.parametrize(
    ("formula", "control", "message"),
    [
        ("y ~ x + (1 | a)", {}, "two or more crossed grouping factors"),
        (CROSSED, {"memory": 4e5}, "sparse cross-products and probes would take"),
    ],
)
def test_refusals(data: pd.DataFrame, formula: str, control: dict[str, float], message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        mm.lmm(formula, data, control=mm.Control(engine="iterative", **control))


def test_an_interruption_leaves_nothing_behind(data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupted(*arguments: object) -> np.ndarray:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*arguments)

    original = conjugate.conjugate_gradients
    monkeypatch.setattr("mixedmodels.engines.iterative.point.conjugate_gradients", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mm.lmm(CROSSED, data, control=SIMULATED)


def test_indefinite_equations_are_refused() -> None:
    s = np.array([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(np.linalg.LinAlgError):
        conjugate.conjugate_gradients(lambda v: s @ v, np.ones(2), np.eye(2), 1e-10)
