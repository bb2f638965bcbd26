"""Type 1, 2 and 3 tests: codings, empty cells, pickled fits, and figures that SAS printed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit
from mixedmodels.inference.anova import hypotheses

SAS = Path(os.environ.get("MIXEDMODELS_SAS", Path(__file__).parents[4] / "shared" / "reference" / "sas"))


def oats(*, gaps: bool) -> pd.DataFrame:
    frame = mm.datasets.load("oats", backend="pandas").assign(week=lambda d: d["nitro"].astype(str))
    if not gaps:
        return frame
    return frame[~((frame["Variety"] == "Victory") & (frame["week"] == "0.6"))].iloc[:-5]


FORMULA = "yield ~ Variety * week + (1 | Block) + (1 | Block:Variety)"


@pytest.fixture(scope="module")
def holed() -> Fit:
    return mm.lmm(FORMULA, oats(gaps=True))


@pytest.mark.parametrize("type", [1, 2, 3])
@pytest.mark.parametrize("contrasts", [{"Variety": "sum"}, {"Variety": "helmert", "week": "poly"}])
def test_coding_does_not_matter(holed: Fit, type: int, contrasts: dict[str, str]) -> None:
    other = mm.lmm(FORMULA, oats(gaps=True), contrasts=contrasts).anova(type, ddf="satterthwaite")
    reference = holed.anova(type, ddf="satterthwaite")
    for name in ("num_df", "den_df", "statistic"):
        # The two fits stop at optima that differ by their tolerance.
        np.testing.assert_allclose(other[name], reference[name], rtol=1e-4)


def test_types_agree_on_balanced_data() -> None:
    fit = mm.lmm(FORMULA, oats(gaps=False))
    tables = [fit.anova(type) for type in (1, 2, 3)]
    for table in tables[1:]:
        np.testing.assert_allclose(table["statistic"], tables[0]["statistic"], rtol=1e-8)
    assert tables[0]["num_df"].tolist() == [2, 3, 6]


def test_hypotheses_are_estimable(holed: Fit) -> None:
    null_basis = holed.design.fixed.null_basis
    for type in (1, 2, 3):
        for L in hypotheses(holed, type).values():
            assert np.abs(L @ null_basis).max() < 1e-8
    assert [len(L) for L in hypotheses(holed, 3).values()] == [2, 3, 5]


def test_type_one_adds_up_to_the_whole_model() -> None:
    data = oats(gaps=True)
    table = mm.lm("yield ~ Variety * week", data).anova(1)
    full, empty = mm.lm("yield ~ Variety * week", data), mm.lm("yield ~ 1", data)
    explained = empty.sigma2 * empty.df_resid - full.sigma2 * full.df_resid
    assert float(np.sum(table["statistic"] * table["num_df"])) * full.sigma2 == pytest.approx(
        explained, rel=1e-9
    )


def test_type_two_of_a_numeric_term_is_a_comparison_of_models() -> None:
    data = oats(gaps=True)
    full, without = mm.lm("yield ~ Variety + nitro", data), mm.lm("yield ~ Variety", data)
    gain = without.sigma2 * without.df_resid - full.sigma2 * full.df_resid
    assert full.anova(2)["statistic"][1] == pytest.approx(gain / full.sigma2, rel=1e-9)


def test_unknown_type_is_refused(holed: Fit) -> None:
    with pytest.raises(SpecError, match="type=4"):
        holed.anova(4)  # type: ignore[arg-type]


def sas_case(file: str, name: str) -> dict[str, Any]:
    path = SAS / file
    if not path.exists():
        pytest.skip(f"figures printed by SAS are not at {path}")
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return next(case for case in cases if case["id"] == name)


def test_type_two_as_sas_prints_it() -> None:
    case = sas_case("lmertest_vs_sas.json", "small_type2")
    data = pd.DataFrame(case["data"]).astype({"a": str, "b": str, "f": str})
    found = mm.lmm("y ~ a * b + (1 | f)", data).anova(2, ddf="satterthwaite")
    # Printed to five decimals.
    np.testing.assert_allclose(found["statistic"], case["results"]["F(a,b,a*b)"], atol=1.1e-5)


def test_between_within_as_sas_prints_it() -> None:
    case = sas_case("textbook_g_side.json", "alda_table7_2")
    path = SAS.parent / "data" / "opposites_pp.csv"
    if not path.exists():
        pytest.skip(f"the data are not at {path}")
    data = pd.read_csv(path).astype({"id": str})
    found = mm.lmm("opp ~ time * ccog + (time | id)", data, ddf="between-within").fixed_effects()
    printed = np.array(list(case["results"]["fixed"].values()))
    columns = np.column_stack([found[name] for name in ("estimate", "std_error", "df", "statistic")])
    # Printed to two to four decimals.
    np.testing.assert_allclose(columns, printed, atol=6e-3, rtol=1e-4)


@pytest.mark.parametrize("type", [1, 2, 3])
@pytest.mark.parametrize("origin", [2019.0, 45000.0, 1e6])
@pytest.mark.parametrize("fixed", ["nitro + Variety", "Variety + nitro", "Variety * nitro"])
def test_a_covariate_far_from_zero_keeps_its_rows(fixed: str, origin: float, type: int) -> None:
    """Without centring it is taken for the intercept from 1e4 times its spread on."""
    data = oats(gaps=True)
    moved = data.assign(nitro=data["nitro"] + origin)
    near, far = (mm.lm(f"yield ~ {fixed}", frame) for frame in (data, moved))
    for name, expected in hypotheses(near, type).items():
        found = hypotheses(far, type)[name]
        assert len(found) == len(expected)
        if "nitro" in name or (fixed.startswith("nitro") and type == 1):  # functions of slopes, or after them
            slopes = [j for j, column in enumerate(near.design.fixed.columns) if "nitro" in column]
            size = np.abs(expected[:, slopes]).max()
            np.testing.assert_allclose(found[:, slopes], expected[:, slopes], atol=1e-6 * size)


def test_a_factor_whose_name_is_no_word() -> None:
    data = oats(gaps=False)
    plain = mm.lm("yield ~ Variety * nitro", data).anova()
    spaced = mm.lm("yield ~ `the variety` * nitro", data.rename(columns={"Variety": "the variety"})).anova()
    np.testing.assert_allclose(spaced["statistic"], plain["statistic"], rtol=1e-10)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_a_basis_keeps_its_rows_in_other_units(unit: float) -> None:
    """The columns x and x² of a spline are of sizes that differ by a factor of the unit."""
    data = mm.datasets.load("sleepstudy", backend="pandas")
    one, other = (
        mm.lmm("Reaction ~ spline(Days, degree=2, knots=4) + (1 | Subject)", frame).anova(ddf="residual")
        for frame in (data, data.assign(Days=data["Days"] * unit))
    )
    assert other["num_df"].tolist() == one["num_df"].tolist() == [2]
