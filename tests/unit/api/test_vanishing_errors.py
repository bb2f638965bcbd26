"""Random effects, as many as there are rows, that leave the errors nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def plots(seed: int) -> pd.DataFrame:
    """Return a field of 7 × 7 plots with correlation exp(−d/2) and no errors."""
    rng = np.random.default_rng(seed)
    x, z = (axis.ravel() for axis in np.meshgrid(np.arange(7.0), np.arange(7.0)))
    distance = np.hypot(x[:, None] - x, z[:, None] - z)
    y = 3.0 * np.linalg.cholesky(np.exp(-distance / 2.0)) @ rng.normal(size=49)
    return pd.DataFrame({"x": x, "z": z, "y": y, "trt": np.tile(list("abcdefg"), 7)})


@pytest.fixture(scope="module")
def swallowed() -> list[tuple[pd.DataFrame, mm.Fit, mm.Fit]]:
    """Return fields whose optimum has no errors, with the fit of each and that of the field as errors."""
    found = []
    for seed in range(40):
        data = plots(seed)
        fit = mm.lmm("y ~ trt + exp(x, z | 1)", data)
        if fit.sigma < 1e-3 * np.std(data["y"]):
            found.append((data, fit, mm.gls("y ~ trt", data, residual="exp(x, z | 1)")))
        if len(found) == 4:
            return found
    raise AssertionError("too few fields swallow their errors")


def test_a_field_without_errors_is_the_same_field_as_errors(
    swallowed: list[tuple[pd.DataFrame, mm.Fit, mm.Fit]],
) -> None:
    for _, fit, alone in swallowed:
        assert fit.converged
        # −2l at σ² = 1e-9 of the field's: ∂(−2l)/∂σ² is of the order of n over the smallest eigenvalue of the field
        assert fit.criterion == pytest.approx(alone.criterion, abs=1e-6)
        assert fit.beta == pytest.approx(alone.beta, rel=1e-5)
        test, other = fit.anova(), alone.anova()
        assert test["den_df"][0] == pytest.approx(other["den_df"][0], rel=1e-3)
        assert test["p_value"][0] == pytest.approx(other["p_value"][0], rel=1e-3)
        messages = " ".join(status.message for status in fit.status)
        assert "all but zero" in messages
        assert "perfect fit" not in messages


def test_its_tables_and_refits_are_those_of_its_own_tests(
    swallowed: list[tuple[pd.DataFrame, mm.Fit, mm.Fit]],
) -> None:
    data, fit, _ = swallowed[0]
    printed = str(fit)
    assert "takes longer" not in printed
    assert "Kenward–Roger" in printed
    assert fit.refit(data["y"].to_numpy()).criterion == pytest.approx(fit.criterion, abs=1e-6)
    drawn = fit.bootstrap(lambda one: one.beta[0], n=4, seed=1)
    assert np.isfinite(drawn.replicates).all()
    responses = np.column_stack([data["y"], data["y"] + np.linspace(0.0, 1.0, len(data))])
    assert fit.refit(responses).criterion[0] == pytest.approx(fit.criterion, abs=1e-6)
    shuffled = mm.lmm("y ~ trt + exp(x, z | 1)", data.sample(frac=1, random_state=1))
    assert shuffled.criterion == pytest.approx(fit.criterion, abs=1e-6)


def test_an_exact_response_is_no_such_fit() -> None:
    data = plots(0).assign(y=lambda d: 2.0 + 3.0 * d["x"] - d["z"])
    with pytest.raises(mm.FitError, match="fit the response perfectly"):
        mm.lmm("y ~ x + z + exp(x, z | 1)", data)


@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_an_exact_fit_of_few_rows_is_still_said_to_be_one() -> None:
    """A range over the levels of 6 groups of 8 rows, whose likelihood has no maximum."""
    data = pd.DataFrame(
        {
            "y": [-0.656, -1.013, -3.548, -2.484, -2.661, 1.389, 0.839, -2.747],
            "x": [5, 0, -1, -2, 2, -2, 0, 5],
            "z": [0, 1, 2, 3, 4, 0, 1, 2],
            "g": [0, 1, 2, 3, 4, 5, 0, 1],
        }
    )
    fit = mm.lmm("y ~ x + z + sph(g | g)", data, method="ml")
    assert any("perfect fit" in status.message for status in fit.status)


def test_engines_agree_on_what_data_can_tell_apart() -> None:
    rng = np.random.default_rng(3)
    series = rng.normal(size=(12, 5))
    for j in range(1, 5):
        series[:, j] += 0.6 * series[:, j - 1]
    data = pd.DataFrame(
        {
            "id": np.repeat([f"s{i}" for i in range(12)], 5),
            "v": np.tile(np.arange(5), 12),
            "y": series.ravel(),
        }
    )
    one = mm.lmm("y ~ v + ar1(0 + factor(v) | id)", data)
    other = mm.lmm("y ~ v + ar1(0 + factor(v) | id)", data, control=mm.Control(engine="clusters"))
    assert other.criterion == pytest.approx(one.criterion, abs=1e-6)


@pytest.mark.parametrize("engine", ["blocked", "sparse"])
def test_kinship_that_explains_everything_converges(engine: str) -> None:
    """One record an animal and no errors: V = σ_a²A, whose residual df are n − 2."""
    rng = np.random.default_rng(5)
    n = 60
    markers = rng.normal(size=(n, 200))
    kinship = markers @ markers.T / 200
    animals = [f"a{i}" for i in range(n)]
    known = {"A": pd.DataFrame(kinship, index=animals, columns=animals)}
    root = np.linalg.cholesky(kinship)
    vanished = 0
    for _ in range(8):
        y = 10.0 + 5.0 * root @ rng.normal(size=n)
        data = pd.DataFrame({"a": animals, "y": y, "x": rng.normal(size=n)})
        fit = mm.lmm("y ~ x + (1 | a, cov=A)", data, known=known, control=mm.Control(engine=engine))
        assert fit.converged
        if fit.sigma > 1e-2:
            continue
        vanished += 1
        x = np.column_stack([np.ones(n), data["x"]])
        precision = np.linalg.inv(kinship)
        normal = x.T @ precision @ x
        residual = y - x @ np.linalg.solve(normal, x.T @ precision @ y)
        scale = residual @ precision @ residual / (n - 2)
        dense = np.linalg.slogdet(kinship)[1] + np.linalg.slogdet(normal)[1]
        dense += (n - 2) * (1.0 + np.log(2.0 * np.pi * scale))
        # −2l relative to σ² is known to n ε var(y)/σ², about 1e-5 here
        assert fit.criterion == pytest.approx(dense, abs=1e-5)
        assert fit.anova()["den_df"][0] == pytest.approx(n - 2, rel=5e-3)
    assert vanished >= 3
