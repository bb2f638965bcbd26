"""What `mm.meta` refuses, what it does with rows that are dropped, and its figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm

TRIALS = {
    "trial": list("abcdefgh"),
    "yi": [-0.9, -1.6, -1.3, -1.4, -0.2, -0.8, 0.4, -0.1],
    "vi": [0.33, 0.19, 0.42, 0.02, 0.05, 0.01, 0.53, 0.07],
    "ablat": [44.0, 55.0, 42.0, 52.0, 13.0, 44.0, 19.0, 18.0],
}


def fitted(**options: Any) -> mm.Fit:
    return mm.meta("yi ~ 1", pd.DataFrame(TRIALS), **{"variance": "vi", **options})


@pytest.mark.parametrize(
    "data", [TRIALS, pd.DataFrame(TRIALS), pl.DataFrame(TRIALS)], ids=["dict", "pandas", "polars"]
)
def test_frames_of_any_library_are_one_model(data: Any) -> None:
    fit = mm.meta("yi ~ ablat", data, variance="vi")
    again = mm.meta("yi ~ ablat", pd.DataFrame(TRIALS), variance=np.array(TRIALS["vi"]))
    assert fit.criterion == pytest.approx(again.criterion, rel=1e-14)


def test_a_diagonal_matrix_is_its_variances() -> None:
    by_column, by_matrix = fitted(), fitted(variance=np.diag(TRIALS["vi"]))
    assert by_matrix.criterion == pytest.approx(by_column.criterion, abs=1e-7)
    np.testing.assert_allclose(
        by_matrix.fixed_effects()["std_error"], by_column.fixed_effects()["std_error"], rtol=1e-5
    )
    for name in ("variance", "conf_low", "conf_high", "i2", "h2", "q", "q_p"):
        first, second = by_matrix.heterogeneity()[name], by_column.heterogeneity()[name]
        np.testing.assert_allclose(first, second, rtol=1e-4, err_msg=name)


def test_a_matrix_is_subset_with_the_rows() -> None:
    v = np.array(TRIALS["vi"])
    matrix = np.diag(v) + 0.1 * np.sqrt(np.outer(v, v)) * (1 - np.eye(8))
    holes = pd.DataFrame(TRIALS)
    holes.loc[[1, 5], "yi"] = np.nan
    kept = [0, 2, 3, 4, 6, 7]
    fit = mm.meta("yi ~ 1", holes, variance=matrix)
    alone = mm.meta("yi ~ 1", pd.DataFrame(TRIALS).iloc[kept], variance=matrix[np.ix_(kept, kept)])
    assert fit.criterion == pytest.approx(alone.criterion, abs=1e-8)


def test_units_do_not_matter() -> None:
    scaled = pd.DataFrame(TRIALS).assign(yi=lambda d: 1e6 * d["yi"], vi=lambda d: 1e12 * d["vi"])
    fit, large = fitted(), mm.meta("yi ~ 1", scaled, variance="vi")
    np.testing.assert_allclose(large.fixed_effects()["p_value"], fit.fixed_effects()["p_value"], rtol=1e-6)
    np.testing.assert_allclose(large.heterogeneity()["i2"], fit.heterogeneity()["i2"], rtol=1e-6)


def test_the_caller_keeps_the_data() -> None:
    data = pd.DataFrame(TRIALS)
    mm.meta("yi ~ 1", data, variance="vi")
    assert list(data) == list(TRIALS)


def test_no_heterogeneity_is_zero_and_has_an_upper_limit() -> None:
    equal = {"yi": [0.1, 0.12, 0.09, 0.11, 0.1], "vi": [0.3, 0.2, 0.4, 0.3, 0.25]}
    table = mm.meta("yi ~ 1", equal, variance="vi").heterogeneity()
    assert table["variance"][0] == pytest.approx(0.0, abs=1e-12)
    assert table["conf_low"][0] == 0.0
    assert table["conf_high"][0] > 0.0
    assert table["i2"][-1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variance": "v"}, "variance='v' is not in the data. Did you mean 'vi'"),
        ({"variance": [1.0, 2.0]}, r"of shape \(2,\) for 8 rows"),
        ({"variance": [0.0, *TRIALS["vi"][1:]]}, "0 is no sampling variance"),
        ({"variance": np.ones((8, 8))}, "not positive definite"),
        ({"variance": np.triu(np.ones((8, 8)))}, "not symmetric"),
        ({"test": "t"}, "test='t' is not known"),
        ({"random": "trial", "test": "knapp-hartung"}, "one effect per row"),
    ],
)
def test_refusals_name_the_argument(options: dict[str, Any], message: str) -> None:
    with pytest.raises((mm.SpecError, mm.DataError), match=message):
        fitted(**options)


def test_other_fits_have_no_heterogeneity() -> None:
    plain = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    for ask in (plain.heterogeneity, plain.plot.forest, plain.plot.funnel):
        with pytest.raises(mm.SpecError, match=r"mm\.meta"):
            ask()
    with pytest.raises(mm.SpecError, match="one effect per row"):
        plain.fixed_effects(ddf="knapp-hartung")
    with pytest.raises(mm.SpecError, match="write the moderators alone"):
        mm.meta("yi ~ 1 + (1 | trial)", TRIALS, variance="vi")
    with pytest.raises(mm.SpecError, match="there are none; give them as known="):
        mm.gls("yi ~ 1", TRIALS, residual="lin(trial | 1)")


def test_figures_show_every_row() -> None:
    fit = fitted()
    axes = fit.plot.forest(labels="trial")
    assert [text.get_text() for text in axes.get_yticklabels()] == [*"abcdefgh", "mean"]
    assert axes.get_xlabel().startswith("yi")
    funnel = fit.plot.funnel(ax=fit.plot.forest().figure.add_subplot())
    assert funnel.get_ylim()[1] == 0.0
    with pytest.raises(mm.SpecError, match="3 names for 8 rows"):
        fit.plot.forest(labels=["a", "b", "c"])


def test_variances_with_row_labels_are_matched_with_the_data() -> None:
    data = pd.DataFrame(TRIALS, index=[f"r{i}" for i in range(8)])
    upside_down = data.iloc[::-1]
    expected = fitted().criterion
    matrix = pd.DataFrame(np.diag(data["vi"]), index=data.index, columns=data.index)
    for variance in (upside_down["vi"], matrix.loc[upside_down.index, upside_down.index], matrix.to_numpy()):
        assert mm.meta("yi ~ 1", data, variance=variance).criterion == pytest.approx(expected, abs=1e-7)
    with pytest.raises(mm.DataError, match="variance has row labels 'a'"):
        mm.meta("yi ~ 1", data, variance=data["vi"].set_axis(list("abcdefgh")))


def test_an_infinite_variance_is_named() -> None:
    with pytest.raises(mm.DataError, match="inf is no sampling variance"):
        fitted(variance=[np.inf, *TRIALS["vi"][1:]])


def test_an_updated_meta_analysis_is_one() -> None:
    full = mm.meta("yi ~ ablat", TRIALS, variance="vi")
    dropped, direct = full.update(". ~ . - ablat"), fitted()
    assert str(dropped.fixed_effects()) == str(direct.fixed_effects())
    assert str(dropped.heterogeneity()) == str(direct.heterogeneity())
    nested = mm.meta("yi ~ ablat", TRIALS, variance=np.diag(TRIALS["vi"]), random="trial")
    assert nested.update(". ~ . - ablat").heterogeneity()["variance"] == pytest.approx(
        direct.heterogeneity()["variance"], rel=1e-4
    )  # of two engines, each within 1e-4 standard errors
    compared = mm.compare(nested, nested.update(". ~ . - ablat"))
    assert not any("not nested" in note for note in compared.notes)
    assert np.isfinite(compared["p_value"][1])
    for change in ({"data": TRIALS}, {"weights": None}, {"hold": None}, {"variance": "power(ablat)"}):
        with pytest.raises(mm.SpecError, match=r"update: .* call mm\.meta"):
            full.update(**change)


def test_estimates_of_small_areas_stand_beside_rows_called_estimate() -> None:
    fit = fitted()
    table = fit.small_area()
    assert table["estimate"] == pytest.approx(fit.fitted, rel=1e-10)
    assert table.names[:4] == ("estimate_", "n", "gamma", "estimate")


def test_estimates_that_agree_have_no_heterogeneity() -> None:
    """metafor: τ² = 0 with profile limits 0 and 0.1717, SE .1519 by test="z", and 0 by test="knha", which is no SE."""
    same = {"yi": [0.3] * 6, "vi": [0.1, 0.2, 0.1, 0.3, 0.2, 0.1]}
    fit = mm.meta("yi ~ 1", same, variance="vi", test="z")
    row, found = fit.fixed_effects().row(0), fit.heterogeneity(ci="profile")
    assert [row["estimate"], row["std_error"], row["p_value"]] == pytest.approx(
        [0.3, 0.1519, 0.0483], abs=6e-5
    )
    assert [found["variance"][0], found["conf_low"][0], found["conf_high"][0]] == pytest.approx(
        [0, 0, 0.1717], abs=6e-5
    )
    assert not any("perfect fit" in status.message for status in fit.status)
    table = mm.meta("yi ~ 1", same, variance="vi").fixed_effects()
    assert np.isnan([table["std_error"][0], table["p_value"][0]]).all()
    assert "the estimates agree exactly" in table.notes[0]
