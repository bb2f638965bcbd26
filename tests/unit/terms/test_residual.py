"""What is said of an error side that cannot be fitted: the argument, its value, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from structured_models import visits


def data() -> pd.DataFrame:
    frame = visits().copy()
    frame["vis"] = "V" + frame["visit"].astype(str)
    frame["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame["visit"], unit="D")
    frame["odd"] = np.where(frame.index == 5, "one", "rest")
    frame["nothing"] = 0.0
    return frame


REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    # formula, arguments, kind of error, sentence
    "unknown structure": (
        "y ~ x", {"residual": "ar2(visit | id)"}, "SpecError",
        r"unknown covariance structure 'ar2'\. Did you mean 'ar1'\? Available: ante1, ar1",
    ),
    "another unknown structure": (
        "y ~ x", {"residual": "unstructurd(visit | id)"}, "SpecError", r"Did you mean 'unstructured'\?",
    ),
    "no cluster": ("y ~ x", {"residual": "us(visit)"}, "SpecError", r"name the cluster right of a bar"),
    "no structure": ("y ~ x", {"residual": "visit | id"}, "SpecError", r"written name\(position \| cluster\)"),
    "misspelt cluster": (
        "y ~ x", {"residual": "us(visit | idd)"}, "DataError", r"column 'idd' is not in the data\. Did you mean 'id'",
    ),
    "misspelt position": ("y ~ x", {"residual": "us(vist | id)"}, "DataError", r"Did you mean 'visit'"),
    "misspelt option": ("y ~ x", {"residual": "us(visit | id, bi=arm)"}, "SpecError", r"unknown option 'bi'"),
    "text as time": (
        "y ~ x", {"residual": "car1(vis | id)"}, "DataError",
        r"car1 needs numbers for its distances and column 'vis' holds categories such as 'V1', .* such as ar1",
    ),
    "dates as time": (
        "y ~ x", {"residual": "car1(when | id)"}, "DataError", r"column 'when' holds dates; convert it",
    ),
    "no times": ("y ~ x", {"residual": "exp(1 | id)"}, "SpecError", r"exp needs times or coordinates left of the bar"),
    "fractional steps": (
        "y ~ x", {"residual": "ar1(time | id)"}, "DataError", r"ar1 counts steps .* use car1 for distances in time",
    ),
    "times as visits": (
        "y ~ x", {"residual": "us(time | id)"}, "DataError", r"7875 parameters and there are 129 rows; .* use visits",
    ),
    "by= changes inside a cluster": (
        "y ~ x", {"residual": "us(visit | id, by=kind)"}, "DataError",
        r"'kind' changes inside cluster id='0'; each cluster has the covariance of one level",
    ),
    "random intercept and cs": (
        "y ~ x + (1 | id)", {"residual": "cs(visit | id)"}, "SpecError",
        r"the random term 'id' and the residual structure 'cs' of 'id' cannot be told apart: "
        r"var\(id: \(Intercept\)\) can be exchanged for covariance\(Residual\)",
    ),
    "random slope and us": (
        "y ~ x + (visit | id)", {"residual": "us(visit | id)"}, "SpecError",
        r"the random term 'id' and the residual structure 'us' of 'id' cannot be told apart",
    ),
    "two variances for each visit": (
        "y ~ x", {"residual": "har1(visit | id)", "variance": "ident(vis)"}, "SpecError",
        r"the residual structure 'har1' of 'id' and the variance function ident\(vis\) cannot be told apart",
    ),
    "nugget of us": (
        "y ~ x", {"residual": "us(visit | id, nugget=True)"}, "SpecError", r"'us' has a free diagonal already",
    ),
    "bands": ("y ~ x", {"residual": "toep(9)(visit | id)"}, "SpecError", r"'toep' needs 9 positions or more, got 5"),
    "one position for two structures": (
        "y ~ x", {"residual": "kron(us, ar1)(visit | id)"}, "SpecError", r"one position column per structure",
    ),
    "unknown variance function": (
        "y ~ x", {"variance": "pwoer(time)"}, "SpecError", r"unknown variance function 'pwoer'\. Did you mean 'power'",
    ),
    "variance of text": (
        "y ~ x", {"variance": "power(vis)"}, "DataError", r"function of numbers .* use ident\(vis\)",
    ),
    "variance of zero": (
        "y ~ x", {"variance": "power(nothing)"}, "DataError", r"zero in 129 of 129 rows.*const_power",
    ),
    "a variance for every row": (
        "y ~ x", {"variance": "ident(time)"}, "DataError", r"'time' has 125 levels in 129 rows.*power",
    ),
    "likelihood without maximum": (
        "y ~ x", {"variance": "ident(odd)", "method": "ml"}, "DataError",
        r"ident\(odd\): the fixed part can fit the only row of 'one' exactly.*likelihood to infinity.*method='reml'",
    ),
    "unknown held parameter": (
        "y ~ x", {"residual": "ar1(visit | id)", "hold": {"rho": 0.3}}, "SpecError",
        r"hold=\{'rho': …\} is no covariance parameter of this model\. Its parameters: 'var\(Residual\)'",
    ),
    "impossible correlation": (
        "y ~ x", {"residual": "ar1(visit | id)", "start": {"correlation(Residual)": 2.0}}, "SpecError",
        r"no valid covariance has correlation\(Residual\) = 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_refused(name: str) -> None:
    formula, options, kind, sentence = REFUSED[name]
    with pytest.raises(getattr(mm, kind), match=sentence):
        mm.lmm(formula, data(), **options)


def test_a_visit_that_occurs_twice() -> None:
    twice = pd.concat([data(), data().iloc[[7]]], ignore_index=True)
    for residual, cure in (
        ("us(visit | id)", "write 1 for the row order"),
        ("car1(time | id)", "nugget=True"),
    ):
        with pytest.raises(
            mm.DataError, match=rf"position \w+=\S+ occurs twice in cluster id='1'\. .*{cure}"
        ):
            mm.lmm("y ~ x", twice, residual=residual)
    assert mm.lmm("y ~ x", twice, residual="us(1 | id)").nobs == len(twice)


def test_clusters_of_one_row() -> None:
    first = data().groupby("id").head(1)
    with pytest.raises(
        mm.DataError, match=r"'ar1' of 'id': the data do not determine correlation\(Residual\)"
    ):
        mm.gls("y ~ x", first, residual="ar1(visit | id)")


@pytest.mark.parametrize("structure", ["us", "har1", "ante1", "fa(1)"])
def test_a_visit_that_the_fixed_part_fits_by_itself(structure: str) -> None:
    frame = data()
    late = frame[(frame["visit"] < 5) | (frame["id"] == frame["id"][frame["visit"] == 5].iloc[0])]
    with pytest.raises(mm.DataError, match="can fit the only row of '5' exactly"):
        mm.gls("y ~ factor(visit)", late, residual=f"{structure}(visit | id)", method="ml")


def test_rows_with_a_missing_cluster_or_visit_are_dropped_and_counted() -> None:
    for column in ("id", "visit"):
        frame = data()
        frame[column] = frame[column].where(frame.index != 5)
        fit = mm.gls("y ~ x", frame, residual="ar1(visit | id)")
        assert fit.nobs == len(frame) - 1
        assert f"1 of {len(frame)} rows dropped: missing values in {column}" in " ".join(map(str, fit.status))


def test_verbs_name_what_they_fit() -> None:
    with pytest.raises(
        mm.SpecError, match=r"\(1 \| id\) is a random term, which `gls` does not fit; use `lmm`"
    ):
        mm.gls("y ~ x + (1 | id)", data(), residual="ar1(visit | id)")
    with pytest.raises(
        mm.SpecError, match=r"name the residual structure as a term, for example us\(visit \| id\)"
    ):
        mm.mmrm("y ~ x", data())
    with pytest.raises(mm.SpecError, match="one residual structure is allowed"):
        mm.mmrm("y ~ x + us(visit | id) + ar1(visit | id)", data())


def test_clusters_that_are_not_independent() -> None:
    fit = mm.lmm("y ~ x + (1 | site)", data(), residual="ar1(visit | id)")
    with pytest.raises(
        mm.SpecError, match="clusters of 'id' are not independent, for levels of 'site' lie in several"
    ):
        fit.vcov_robust(cluster="id")
    with pytest.raises(mm.SpecError, match="clusters of 'kind' are not independent"):
        fit.vcov_robust(cluster="kind")
    with pytest.raises(
        mm.SpecError,
        match=r"neither a grouping factor nor a column of the data the fit holds\. Did you mean 'site'",
    ):
        fit.vcov_robust(cluster="sites")
    assert fit.vcov_robust().n_clusters == 6


def test_too_few_subjects_for_an_unstructured_covariance() -> None:
    """Seven subjects, five visits, some missing: −2l falls without end as Σ becomes singular."""
    frame = data()
    few = frame[frame["id"] < 7]
    fit = mm.gls("y ~ x", few, residual="us(visit | id)", method="ml")
    assert not fit.converged
    text = " ".join(map(str, fit.status))
    assert "the covariance of the errors (us) becomes singular and the likelihood keeps rising" in text
    assert "use a structure with fewer parameters, such as toep, ar1 or cs" in text
    assert "NOT CONVERGED" in str(fit)


def test_a_visit_that_one_arm_lacks_is_named():
    rows = [
        (str(i), "ab"[i % 2], v) for i in range(30) for v in ("v1", "v2", "v3") if i % 2 == 0 or v != "v3"
    ]
    ids, arms, visits = (np.array(column) for column in zip(*rows, strict=True))
    data = {"y": np.random.default_rng(0).standard_normal(len(ids)), "id": ids, "arm": arms, "visit": visits}
    with pytest.raises(mm.DataError, match=r"no cluster of arm=b has a row at position 'v3'"):
        mm.mmrm("y ~ arm + visit + us(visit | id, by=arm)", data)


def test_holding_what_the_data_do_not_determine_is_the_callers_choice():
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(24), 3)
    drug = np.tile(np.array(["T", "R", "R"]), 24)
    effects = rng.standard_normal((24, 1)) + 0.5 * rng.standard_normal((24, 2))
    y = effects[subject, (drug == "T").astype(int)] + 0.3 * rng.standard_normal(72)
    data = {"y": y, "drug": drug, "subject": subject.astype(str)}
    model = "y ~ drug + hcs(0 + drug | subject)"
    held = mm.lmm(model, data, variance="ident(drug)", hold={"ident(drug): ratio(T)": 1.0})
    # the direction held does not move the likelihood: that of equal variances
    assert held.criterion == pytest.approx(mm.lmm(model, data).criterion, abs=1e-6)
    other = mm.lmm(model, data, variance="ident(drug)", hold={"ident(drug): ratio(T)": 1.2})
    assert other.criterion == pytest.approx(held.criterion, abs=1e-6)
    assert not any("do not determine" in str(status) for status in held.status)
