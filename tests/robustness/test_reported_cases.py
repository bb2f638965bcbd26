"""Models of public reports and of small samples that gave wrong numbers: the right values, with their sources."""

from __future__ import annotations

import os
import runpy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

CASES = Path(os.environ.get("MIXEDMODELS_CASES", Path(__file__).parents[3] / "shared" / "cases"))
REPORTS = CASES / "reports"
pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="the cases lie beside the project where they are shared"
)

PRINTED = {
    "fa_standard_errors": "T - R     -0.0317710  0.0608370",
    "ident_one_row": "gls reml DataError ident(t): the fixed part has a parameter of its own for the only row of",
    "profile_held": "by algebra, REML [0.11527 0.9647 ]",
    "robust_known_v": "(Intercept)  0.367755  0.0969720  14.53      3.792   0.0019",
    "singular_kernels": "ar1 errors (default engine)  sparse 268.043150 converged True",
    "unaligned_columns": "only y unaligned gls 185.56399",
}
"""A line that each script prints."""


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_scripts_run_and_print_their_values(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPORTS)
    # the script on kernels shows the last refusal by this name, and there is none any more
    given = {"last": "none refused"} if name == "singular_kernels" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        runpy.run_path(str(REPORTS / f"{name}.py"), init_globals=given)
    assert PRINTED[name] in capsys.readouterr().out


class TestHeld:
    """Profile limits of variances beside held ones; metafor's `confint`."""

    def test_limits_of_between_study_variances(self) -> None:
        trials = pd.read_csv(REPORTS / "bcg.csv")
        fit = mm.fay_herriot("yi ~ 1", trials, variance="vi", area="trial")
        table = fit.variance_components(ci="profile")
        assert (table["conf_low"][0], table["conf_high"][0]) == pytest.approx((0.11527, 0.96470), abs=6e-6)
        table = mm.meta("yi ~ 1", trials, variance="vi").heterogeneity(ci="profile")
        assert (table["conf_low"][0], table["conf_high"][0]) == pytest.approx((0.11527, 0.96470), abs=6e-6)

    def test_three_levels(self) -> None:
        data = pd.read_csv(REPORTS / "konst.csv")
        weights, hold = 1 / data.vi, {"var(Residual)": 1}
        fit = mm.lmm("yi ~ 1 + (1 | district/school)", data, weights=weights, hold=hold)
        table = fit.variance_components(ci="profile")
        np.testing.assert_allclose(table["conf_low"][:2], [0.0222, 0.0163], atol=6e-5)
        np.testing.assert_allclose(table["conf_high"][:2], [0.2072, 0.0628], atol=6e-5)

    def test_a_covariance_held_at_zero_is_no_covariance(self) -> None:
        sleep = mm.datasets.load("sleepstudy")
        hold = {"cov(Subject: (Intercept), Days)": 0}
        held = mm.lmm("Reaction ~ Days + (Days | Subject)", sleep, hold=hold)
        other = mm.lmm("Reaction ~ Days + (Days || Subject)", sleep)
        ours, theirs = (fit.variance_components(ci="profile") for fit in (held, other))
        variances = ours["kind"] == "variance"
        for column in ("conf_low", "conf_high"):
            np.testing.assert_allclose(ours[column][variances], theirs[column], rtol=1e-5)


def test_kernels_of_every_sign_of_rounding_are_taken() -> None:
    data, kernel = pd.read_csv(REPORTS / "gb.csv"), np.loadtxt(REPORTS / "G.txt")
    data["blk"] = np.arange(80) % 7
    data["t"] = data.groupby("blk").cumcount()
    text = "y ~ 1 + (1 | id, cov=G)"
    for options, value in (
        ({}, 268.391839),
        ({"control": mm.Control(engine="sparse")}, 268.391839),
        ({"residual": "ar1(t | blk)"}, 268.043150),
    ):
        fit = mm.lmm(text, data, known={"G": kernel}, **options)
        assert fit.criterion == pytest.approx(value, abs=6e-7)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        dosage = rng.binomial(2, 0.4, (40, [100, 30, 500][seed % 3])).astype(float)
        p = dosage.mean(0) / 2
        w = dosage - 2 * p
        assert mm.lmm(text, data, known={"G": w @ w.T / (2 * (p * (1 - p)).sum())}).converged
    memberships = np.random.default_rng(0).dirichlet(np.ones(5), 40)
    for known in (np.kron(np.eye(20), np.ones((2, 2))), memberships @ memberships.T):
        assert mm.lmm(text, data, known={"G": known}).converged
    with pytest.raises(mm.DataError, match="precision=G: the matrix is not positive definite"):
        mm.lmm("y ~ 1 + (1 | id, precision=G)", data, known={"G": kernel})


def test_robust_covariances_with_known_sampling_covariances() -> None:
    """metafor's `rma.mv` and clubSandwich's CR2 on assink2016."""
    data, v = pd.read_csv(REPORTS / "assink.csv"), pd.read_csv(REPORTS / "assinkV.csv").to_numpy()
    v, data["row"] = (v + v.T) / 2, range(len(data))
    hold = {"var(row: (Intercept))": 1}
    by_hand = mm.lmm(
        "yi ~ 1 + (1 | study) + (1 | row, cov=V)", data, known={"V": (v, data["row"])}, hold=hold
    )
    meta = mm.meta("yi ~ 1", data, variance=v, random="study/esid")
    assert meta.heterogeneity()["variance"][:2] == pytest.approx([0.080733, 0.154543], abs=2e-6)
    for fit in (by_hand, meta):
        row = fit.vcov_robust(kind="CR2", cluster="study").table().row(0)
        assert row["estimate"] == pytest.approx(0.367755, abs=1e-6)
        found = [row["std_error"], row["df"], row["p_value"]]
        assert found == pytest.approx([0.0970, 14.53, 0.0019], abs=5e-3)
    assert np.isfinite(mm.gls("yi ~ 1", data, residual="lin(row | study)", known={"V": v}).criterion)


def test_ratios_are_held_by_their_short_names() -> None:
    """By REML the criterion does not depend on the variance of a row that has its own mean."""
    data = pd.read_csv(REPORTS / "em.csv")
    data["t"] = np.where(data.index == 5, "solo", data.a)
    found = [
        mm.gls("y ~ t", data, variance="ident(t)", hold={"ratio(solo)": ratio}).criterion for ratio in (1, 3)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


class TestSmallSamples:
    """The values beside each case of `inference/small_samples.py`."""

    def test_one_series(self) -> None:
        lags = np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
        y = np.linalg.cholesky(0.8**lags) @ np.random.default_rng(1).normal(size=30)
        series = {"t": np.arange(30), "one": np.ones(30), "post": (np.arange(30) >= 15) * 1.0, "y": y}
        fit = mm.gls("y ~ post", series, residual="ar1(t | one)")
        errors = {
            method: fit.fixed_effects(ddf=method)["std_error"][0] for method in ("auto", "satterthwaite")
        }
        assert errors["auto"] == pytest.approx(0.6257, abs=6e-5)
        assert errors["satterthwaite"] == pytest.approx(0.5132, abs=6e-5)

    def test_fields(self) -> None:
        plots = np.array([(i, j) for i in range(7) for j in range(7)], float)
        distance = np.sqrt(((plots[:, None] - plots[None]) ** 2).sum(-1))
        root, rng = np.linalg.cholesky(np.exp(-distance / 2)), np.random.default_rng(2)
        errors: dict[int, Any] = {}
        for i in range(10):
            field = {"x": plots[:, 0], "z": plots[:, 1], "f": np.ones(49), "y": root @ rng.normal(size=49)}
            fit = mm.gls("y ~ 1", field, residual="exp(x, z | f)")
            errors[i] = [
                float(fit.fixed_effects(ddf=method)["std_error"][0])
                for method in ("auto", "satterthwaite", "kenward-roger2")
            ]
            assert errors[i][2] > 0
        assert [errors[i][0] for i in (1, 7, 9)] == pytest.approx([0.7522, 0.8264, 1.6117], abs=6e-5)
        assert [errors[i][1] for i in (1, 7, 9)] == pytest.approx([0.7025, 0.7543, 1.4793], abs=6e-5)

    def test_welch(self) -> None:
        rng = np.random.default_rng(3)
        y = np.r_[rng.normal(size=5), 3 * rng.normal(size=12)]
        group = np.repeat(["a", "b"], [5, 12])
        for label in (group, np.where(group == "a", "z", "b")):
            row = mm.gls("y ~ g", {"y": y, "g": label}, variance="ident(g)").fixed_effects().row(1)
            found = [row["std_error"], row["df"], row["p_value"]]
            assert found == pytest.approx([1.33135, 14.8265, 0.83107], rel=1e-5)

    def test_new_clusters(self) -> None:
        rng, cluster = np.random.default_rng(5), np.repeat(np.arange(5), 8)
        y = 2 * rng.normal(size=5)[cluster] + rng.normal(size=40)
        fit = mm.lmm("y ~ 1 + (1|g)", {"g": [f"g{k}" for k in cluster], "y": y})
        new = fit.predict({"g": ["new"]}, new_levels="population", interval="prediction")
        population = fit.predict({"g": ["new"]}, level="population", interval="prediction")
        for column in ("fit", "lower", "upper"):
            assert new[column][0] == pytest.approx(population[column][0], rel=1e-9)

    def test_refits_from_distant_starts(self) -> None:
        rng = np.random.default_rng(0)
        rng.normal(size=17)
        data = {"g": np.repeat(list("abc"), [4, 6, 10]), "y": rng.normal(size=20)}
        fit = mm.gls("y ~ g", data, variance="ident(g)")
        scale = np.repeat([3, 1, 1.5], [4, 6, 10])[:, None]
        many = fit.refit(np.random.default_rng(1).normal(size=(1000, 20)).T * scale)
        assert many.converged.all()
        found = many.criterion[[610, 922, 942, 953]]
        np.testing.assert_allclose(found, [70.485, 65.826, 62.978, 74.707], atol=6e-4)

    def test_no_negative_f(self) -> None:
        data = pd.read_csv(CASES / "inference" / "negative_f.csv")
        fit = mm.lmm("y ~ arm*t + (t|id)", data)
        observed = fit.wald(np.eye(4)[[1, 3]], joint=True).row(0)
        assert not observed["statistic"] < 0
        expected = fit.wald(np.eye(4)[[1, 3]], joint=True, information="expected").row(0)
        found = [expected["den_df"], expected["statistic"], expected["p_value"]]
        assert found == pytest.approx([2.43, 2.19, 0.286], abs=6e-3)
