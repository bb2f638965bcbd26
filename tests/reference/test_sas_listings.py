"""Every listing of REPEATED structures, Kenward–Roger and EMPIRICAL that SAS printed, section by section."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from reference.sas_listings import (
    FILES,
    MISSING,
    PRESENT,
    REQUESTS,
    SHARED,
    cases,
    fev,
    fit_of,
    fit_request,
    last_digit,
    printed,
    request_of,
    short_of_optimum,
    tools_of,
    without_weights,
)

pytestmark = pytest.mark.skipif(not PRESENT, reason=MISSING)
COMPARED = {
    "Dimensions",
    "Number of Observations",
    "Model Information",
    "Fit Statistics",
    "objective_initial",
    "objective_final",
    "iterations",
    "null_model_lrt",
    "Covariance Parameter Estimates",
    "Solution for Fixed Effects",
    "Type 3 Tests of Fixed Effects",
    "Least Squares Means",
    "Differences of Least Squares Means",
    "Tests of Effect Slices",
}
TIGHT = {"t Value": 5.001e-3, "F Value": 5.001e-3, "Chi-Square": 5.001e-3}


@pytest.fixture(params=list(REQUESTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def with_section(title: str) -> Any:
    """Return a parametrisation over the listings that have a section, or full-precision figures so named."""
    names = [name for name, case in cases().items() if title in case["results"] or title in case]
    return pytest.mark.parametrize("listing", names)


def section(listing: str, title: str) -> list[dict[str, Any]]:
    case = cases()[listing]
    lines: list[dict[str, Any]] = case.get(title) or case["results"][title]
    return lines


def test_every_listing_and_every_section_is_compared() -> None:
    assert set(cases()) == set(REQUESTS)
    assert len(REQUESTS) == 17 + 8 + 4
    for case in cases().values():
        assert set(case["results"]) <= COMPARED
        assert set(case) <= {"id", "program", "results", "lsmeans_diff_full_precision", "covb_full_precision"}


def test_objective(name: str) -> None:
    # SAS ends the REML fits of the exponential 1.3e-5 above the minimum; see the test after the next
    allowed = 1.4e-5 if "exp" in name and request_of(name).method == "reml" else 1e-5
    assert fit_of(name).criterion == pytest.approx(printed(name)["objective_final"], abs=allowed)
    assert fit_of(name).criterion <= printed(name)["objective_final"] + 1e-8


def test_equal_spacing_makes_the_exponential_an_autoregression() -> None:
    for method in ("ml", "reml"):
        value = printed(f"sas_ar1_{method}")["objective_final"]
        assert fit_of(f"sas_sp_exp_{method}").criterion == pytest.approx(value, abs=2e-8)


def test_sas_stopped_early_in_the_exponential() -> None:
    """At the estimates SAS printed −2l is what SAS printed, and above that at ours: SAS had not arrived."""
    fit, results = fit_of("sas_sp_exp_reml"), printed("sas_sp_exp_reml")
    rows = {row["Cov Parm"]: row["Estimate"] for row in results["Covariance Parameter Estimates"]}
    theirs = mm.gls(
        "FEV1 ~ 1",
        fev(),
        residual="exp(VISITN | USUBJID)",
        hold={"var(Residual)": rows["Residual"], "range(Residual)": rows["SP(EXP)"]},
    )
    # −2l rises by (Δ/SE)²: printed estimates are rounded by 1e-4 of their standard errors at most
    assert theirs.criterion == pytest.approx(results["objective_final"], abs=2e-6)
    assert theirs.criterion > fit.criterion + 1e-5
    gradient = fit._work.criterion().gradient(fit.optimum.theta)
    assert np.abs(gradient).max() < 1e-3


def test_counts(name: str) -> None:
    fit, results = fit_of(name), printed(name)
    assert fit.nobs == results["Number of Observations"]["Number of Observations Used"]
    assert fit.nobs + results["Number of Observations"]["Number of Observations Not Used"] == len(fev())
    dimensions = results["Dimensions"]
    assert fit.n_covariance_parameters == dimensions["Covariance Parameters"]
    assert fit.design.residual.n_clusters_given == dimensions["Subjects"]
    assert np.bincount(fit.rows.residual.clusters).max() == dimensions["Max Obs per Subject"]
    assert dimensions["Columns in Z"] == 0


def test_information_criteria(name: str) -> None:
    table = fit_of(name).information_criteria()
    ours = dict(zip(table["criterion"], table["sas"], strict=True))
    for label, value in printed(name)["Fit Statistics"].items():
        key = "-2 log L" if label.startswith("-2") else label.split()[0]
        assert ours[key] == pytest.approx(value, abs=0.0501), label


def test_null_model(name: str) -> None:
    table, results = mm.compare(fit_of(name)), printed(name)
    assert table["deviance"][0] == pytest.approx(results["objective_initial"], abs=1e-7)
    line = results["null_model_lrt"]
    assert table["df"][1] == line["DF"]
    assert table["statistic"][1] == pytest.approx(line["ChiSq"], abs=5.01e-3)
    near(table["p_value"][1], line["p"], 5.1e-5)


def near(ours: float, theirs: Any, allowed: float) -> None:
    """Compare with a printed figure, or with a bound printed as `<.0001`."""
    if isinstance(theirs, dict):
        assert ours < theirs["lt"]
    else:
        assert ours == pytest.approx(theirs, abs=allowed)


def parameter_names(name: str) -> dict[str, str]:
    """Return what SAS calls each covariance parameter and our name of it."""
    asked = request_of(name)
    kind = asked.residual.split("(")[0]
    visits = asked.visits
    if kind == "us":
        pairs = [(i, j) for i in range(4) for j in range(i + 1)]
        return {
            f"UN({i + 1},{j + 1})": f"var(Residual: {visits[i]})"
            if i == j
            else f"cov(Residual: {visits[j]}, {visits[i]})"
            for i, j in pairs
        }
    variances = {f"Var({i + 1})": f"var(Residual: {visit})" for i, visit in enumerate(visits)}
    if kind == "ante1":
        steps = zip(range(1, 4), visits[:-1], visits[1:], strict=True)
        return variances | {f"Rho({k})": f"cor(Residual: {a}, {b})" for k, a, b in steps}
    if kind == "htoep":
        return variances | {f"TOEPH({k})": f"correlation(Residual: {k})" for k in (1, 2, 3)}
    shared = {"ar1": ("AR(1)", "correlation"), "exp": ("SP(EXP)", "range"), "cs": ("CS", "covariance")}
    theirs, ours = shared[kind]
    variance = "specific" if kind == "cs" else "var"
    if "by=" in asked.residual:
        names = {}
        for level in ("PBO", "TRT"):
            names[f"Variance ARMCD {level}"] = f"{variance}(Residual [ARMCD={level}])"
            names[f"{theirs} ARMCD {level}"] = f"{ours}(Residual [ARMCD={level}])"
        return names
    return {theirs: f"{ours}(Residual)", "Residual": f"{variance}(Residual)"}


def test_covariance_parameters_and_their_limits(name: str) -> None:
    fit, slack = fit_of(name), short_of_optimum(name)
    natural = fit._work.criterion().natural(fit.optimum.theta)
    std_error = np.sqrt(np.diag(fit._work.natural_covariance()))
    # the table has one row per parameter, in the order of the natural parameters for errors
    table = fit.variance_components(ci="satterthwaite")
    places = {label: i for i, label in enumerate(natural.names)}
    names = parameter_names(name)
    lines = printed(name)["Covariance Parameter Estimates"]
    assert len(lines) == len(places)
    for row in lines:
        key = f"{row['Cov Parm']} {row['Group']}" if "Group" in row else row["Cov Parm"]
        i = places[names[key]]
        reach = slack * std_error[i]
        assert natural.values[i] == pytest.approx(row["Estimate"], abs=last_digit(row["Estimate"], 5) + reach)
        assert table["std_error"][i] == pytest.approx(std_error[i])
        # limits move with the estimate and, by much the same share, with its standard error
        for side, column in (("Lower", "conf_low"), ("Upper", "conf_high")):
            if side not in row:
                assert "cl" not in re.split(r"\W+", cases()[name]["program"].split(";")[0])
                continue
            allowed = last_digit(row[side], 5) + 3 * reach
            assert table[column][i] == pytest.approx(row[side], abs=allowed), (key, side)


def check_line(name: str, ours: dict[str, float], line: dict[str, Any]) -> None:
    """Compare one line of estimates or tests, every column SAS printed in it.

    Digits are those printed; what SAS falls short of the optimum by moves an estimate by that many of its
    standard errors, and df, printed as whole numbers, by 5e-4 of themselves.
    """
    slack = short_of_optimum(name)
    error, t = ours.get("StdErr", 0.0), ours.get("t Value", 0.0)
    f = ours.get("F Value", 0.0)
    moved = {
        "Estimate": slack * error,
        "StdErr": 2 * slack * error,
        "t Value": slack * (1 + 2 * abs(t)),
        "F Value": 2 * slack * (np.sqrt(abs(f)) + 2 * abs(f)),
        "Chi-Square": 2 * slack * (np.sqrt(abs(f)) + 2 * abs(f)) * ours.get("NumDF", 1.0),
        "Lower": 5 * slack * error,
        "Upper": 5 * slack * error,
    }
    for column, value in line.items():
        if column in ("Effect", "ARMCD", "_ARMCD", "AVISIT", "_AVISIT", "RACE", "SEX") or value is None:
            continue
        if column in ("DF", "DenDF"):
            # SAS bounds degrees of freedom by n − rank X; in the listings only weighted differences get there
            bound = fit_of(name).df_resid
            assert min(ours[column], bound) == pytest.approx(value, abs=0.5 + 5e-4 * value)
        elif column.startswith("Pr"):
            near(ours[column], value, 5.1e-5 + slack)
        elif column in ("NumDF", "Alpha"):
            assert ours[column] == pytest.approx(value)
        else:
            digit = TIGHT.get(column) or last_digit(value, 5)
            assert ours[column] == pytest.approx(value, abs=digit + moved[column]), column


def estimates(table: Any, i: int) -> dict[str, float]:
    """Return one row of a table of estimates under SAS's names."""
    estimate, error, df = (float(table[c][i]) for c in ("estimate", "std_error", "df"))
    t = estimate / error
    return {
        "Estimate": estimate, "StdErr": error, "DF": df, "t Value": t, "Pr > |t|": 2 * stats.t.sf(abs(t), df),
        "Alpha": 0.05, "Lower": float(table["conf_low"][i]), "Upper": float(table["conf_high"][i]),
    }  # fmt: skip


def f_test(table: Any, i: int) -> dict[str, float]:
    """Return one row of a table of F tests under SAS's names; χ² is F times its numerator df."""
    q, f = float(table["num_df"][i]), float(table["statistic"][i])
    return {
        "NumDF": q, "DenDF": float(table["den_df"][i]), "F Value": f, "Pr > F": float(table["p_value"][i]),
        "Chi-Square": q * f, "Pr > ChiSq": stats.chi2.sf(q * f, q),
    }  # fmt: skip


def test_fixed_effects(name: str) -> None:
    tools = tools_of(name)
    table = tools.table() if request_of(name).robust else tools.fixed_effects()
    rows = {plain(term): i for i, term in enumerate(table["term"])}
    found = 0
    for line in section(name, "Solution for Fixed Effects"):
        if line["StdErr"] is None:
            continue
        check_line(name, estimates(table, rows[frozenset(levels(line))]), line)
        found += 1
    assert found == len(rows)


def plain(term: str) -> frozenset[str]:
    """Return `ARMCD[T.TRT]:AVISIT[T.VIS2]` as a set of `ARMCD=TRT` and `AVISIT=VIS2`."""
    parts = re.findall(r"(\w+)\[T\.([^\]]*)\]", term)
    return frozenset(f"{factor}={level}" for factor, level in parts) or frozenset(["Intercept"])


def levels(row: dict[str, Any]) -> list[str]:
    if row["Effect"] == "Intercept":
        return ["Intercept"]
    return [f"{factor}={row[factor]}" for factor in row["Effect"].split("*")]


@with_section("Type 3 Tests of Fixed Effects")
def test_type_three(listing: str) -> None:
    table = tools_of(listing).anova(3)
    terms = [frozenset(term.split(":")) for term in table["term"]]
    lines = section(listing, "Type 3 Tests of Fixed Effects")
    assert len(lines) == len(terms)
    for line in lines:
        check_line(listing, f_test(table, terms.index(frozenset(line["Effect"].split("*")))), line)


def cells(line: dict[str, Any], prefix: str = "") -> tuple[str, ...]:
    return tuple(line[f"{prefix}{factor}"] for factor in ("ARMCD", "AVISIT") if f"{prefix}{factor}" in line)


def means_of(name: str, line: dict[str, Any]) -> tuple[Any, list[tuple[str, ...]]]:
    """Return the means a listing holds and the levels of each; SAS weights levels equally, as emmeans does."""
    factors = [factor for factor in ("ARMCD", "AVISIT") if factor in line]
    means = tools_of(name).emmeans(factors)
    return means, list(zip(*(means[factor] for factor in factors), strict=True))


@with_section("Least Squares Means")
def test_least_squares_means(listing: str) -> None:
    lines = section(listing, "Least Squares Means")
    means, keys = means_of(listing, lines[0])
    assert len(lines) == len(keys)
    for line in lines:
        check_line(listing, estimates(means, keys.index(cells(line))), line)


def differences(name: str, lines: list[dict[str, Any]]) -> Any:
    means, keys = means_of(name, lines[0])
    rows = np.zeros((len(lines), len(keys)))
    for k, line in enumerate(lines):
        rows[k, keys.index(cells(line))] += 1.0
        rows[k, keys.index(cells(line, "_"))] -= 1.0
    return means.contrast(rows)


@with_section("Differences of Least Squares Means")
def test_differences(listing: str) -> None:
    lines = section(listing, "Differences of Least Squares Means")
    found = differences(listing, lines)
    for k, line in enumerate(lines):
        check_line(listing, estimates(found, k), line)


@with_section("Tests of Effect Slices")
def test_slices(listing: str) -> None:
    lines = section(listing, "Tests of Effect Slices")
    slices = tools_of(listing).emmeans("ARMCD", by="AVISIT").slices()
    for line in lines:
        check_line(listing, f_test(slices, slices["AVISIT"].tolist().index(line["AVISIT"])), line)


@with_section("lsmeans_diff_full_precision")
def test_differences_in_full_precision(listing: str) -> None:
    lines = section(listing, "lsmeans_diff_full_precision")
    found = differences(listing, lines)
    for k, line in enumerate(lines):
        ours = estimates(found, k)
        # SAS stops iterating a little early
        assert ours["StdErr"] == pytest.approx(line["StdErr"], rel=2e-4)
        assert ours["Estimate"] == pytest.approx(line["Estimate"], abs=2e-4 * line["StdErr"])
        assert ours["DF"] == pytest.approx(line["DF"], rel=5e-4)
        assert ours["t Value"] == pytest.approx(line["tValue"], abs=1e-3)
        assert ours["Pr > |t|"] == pytest.approx(line["Probt"], rel=5e-3)
        for side in ("Lower", "Upper"):
            assert ours[side] == pytest.approx(line[side], abs=1e-3 * line["StdErr"])


@with_section("covb_full_precision")
def test_empirical_covariance_in_full_precision(listing: str) -> None:
    matrix = np.array(
        [[row[f"Col{j}"] for j in (1, 2, 3)] for row in section(listing, "covb_full_precision")]
    )
    assert not matrix[2].any()
    np.testing.assert_allclose(np.asarray(tools_of(listing)), matrix[:2, :2], rtol=2e-4)


def test_sas_leaves_weights_out_of_the_slopes_of_satterthwaite() -> None:
    """SAS's df of weighted analyses would change if all weights were doubled, and they must not.

    The listing's df come from ∂Σ/∂θ in place of ∂V/∂θ = W^-½ ∂Σ/∂θ W^-½ (`without_weights`). Doubling the
    weights doubles Σ and leaves V, β̂ and their covariance as they are; the true df too, while SAS's would
    be divided by four.
    """
    fit = fit_of("sas_weighted")
    own = fit.fixed_effects()["df"]
    heavier = fit_request(request_of("sas_weighted")).update(weights=2 * np.asarray(fev()["WEIGHT"]))
    plain = [one.fixed_effects(ddf="asymptotic")["std_error"] for one in (heavier, fit)]
    np.testing.assert_allclose(*plain, rtol=1e-5)
    np.testing.assert_allclose(heavier.fixed_effects()["df"], own, rtol=1e-3)
    theirs, doubled = without_weights(fit), without_weights(heavier)
    np.testing.assert_allclose(doubled.fixed_effects()["df"], theirs.fixed_effects()["df"] / 4, rtol=1e-3)
    # and the slopes of Φ by differences of the fit's own covariance are ours
    np.testing.assert_allclose(satterthwaite_by_differences(fit), own, rtol=1e-4)


def satterthwaite_by_differences(fit: Any) -> np.ndarray:
    """Return 2Φ_jj²/(g'Wg) with g from central differences of the covariance of β̂ in θ."""
    objective, theta = fit._work.criterion(), np.array(fit.optimum.theta)
    slopes = []
    for a in range(len(theta)):
        step = 1e-5 * max(abs(theta[a]), 1.0)
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[a] += sign * step
            ends.append(np.diag(objective.solve(moved)[0].vcov))
        slopes.append((ends[0] - ends[1]) / (2 * step))
    g = np.array(slopes)
    w = objective.working_covariance(theta)
    variance = np.diag(fit.cov_params(ddf="asymptotic").array)
    return np.asarray(2 * variance**2 / np.einsum("ax,ab,bx->x", g, w, g))


def predictions() -> dict[str, np.ndarray]:
    path = SHARED / "sas" / "mmrm_fev_outp_outpm.json"
    found = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else []
    return {
        case["id"]: np.array([[np.nan if v is None else v for v in row] for row in case["rows_first_200"]])
        for case in found
    }


PREDICTED = {"un_kenwardroger_linear": "kenward-roger-linear", "un_satterthwaite": "satterthwaite"}


def test_every_prediction_listing_is_compared() -> None:
    assert set(predictions()) == set(PREDICTED)


@pytest.mark.parametrize("listing", list(PREDICTED))
def test_predictions_with_missing_responses(listing: str) -> None:
    rows = predictions()[listing]
    data: pd.DataFrame = fev()
    np.testing.assert_allclose(data["FEV1"][:200], rows[:, 1], rtol=1e-12)
    fit = mm.gls("FEV1 ~ ARMCD", data, residual="us(AVISIT | USUBJID)")
    # both listings hold the same standard errors: predictions take covariance parameters as known
    given = fit.predict(data, se=True, ddf="satterthwaite")
    mean = fit.predict(data, level="population", se=True, ddf="satterthwaite")
    # SAS stops a little short of the optimum; its estimates differ in the fifth figure, and predictions
    # by less than a thousandth of their standard errors
    error = rows[:, 3]
    np.testing.assert_allclose(mean["fit"][:200], rows[:, 2], atol=2e-3 * error.min())
    np.testing.assert_allclose(mean["se"][:200], error, rtol=2e-4)
    missing = np.isnan(rows[:, 1])
    assert missing.sum() > 50
    gap = np.abs(given["fit"][:200] - rows[:, 4]) / rows[:, 5]
    assert gap[missing].max() < 1e-3
    np.testing.assert_allclose(given["se"][:200][missing], rows[missing, 5], rtol=2e-4)
    np.testing.assert_array_equal(given["fit"][:200][~missing], mean["fit"][:200][~missing])
    np.testing.assert_allclose(given["se"][:200][~missing], rows[~missing, 5], rtol=2e-4)


def test_all_files_are_read() -> None:
    here = {path.stem for path in (SHARED / "sas").glob("*.json")}
    # the last two are compared in test_inference_sas
    assert here == {*FILES, "mmrm_fev_outp_outpm", "textbook_g_side", "lmertest_vs_sas"}
