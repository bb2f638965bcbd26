"""Estimated marginal means: grids, weights, nesting, estimability, contrasts, letters, printing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.emmeans.contrasts import CONTRASTS, choose_contrasts
from mixedmodels.emmeans.display import compact_letters
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit
from mixedmodels.inference.simultaneous import tukey_upper


def oats() -> pd.DataFrame:
    return mm.datasets.load("oats", backend="pandas").assign(week=lambda d: d["nitro"].astype(str))


@pytest.fixture(scope="module")
def crossed() -> Fit:
    return mm.lmm("yield ~ Variety * week + (1 | Block) + (1 | Block:Variety)", oats())


@pytest.fixture(scope="module")
def holed() -> Fit:
    data = oats()
    return mm.lm(
        "yield ~ Variety * week", data[~((data["Variety"] == "Victory") & (data["week"] == "0.6"))].iloc[:-5]
    )


def test_balanced_means_are_averages(crossed: Fit) -> None:
    data = oats()
    np.testing.assert_allclose(
        crossed.emmeans("Variety")["estimate"], data.groupby("Variety", observed=True)["yield"].mean()
    )
    cells = crossed.emmeans(["Variety", "week"])
    averages = data.groupby(["week", "Variety"], observed=True)["yield"].mean()
    np.testing.assert_allclose(cells["estimate"], averages)
    assert cells["Variety"][:3].tolist() == ["Golden Rain", "Marvellous", "Victory"]
    assert cells.names == ("Variety", "week", "estimate", "std_error", "df", "conf_low", "conf_high")


def test_cell_weights_give_raw_averages(holed: Fit) -> None:
    data = oats()
    data = data[~((data["Variety"] == "Victory") & (data["week"] == "0.6"))].iloc[:-5]
    found = holed.emmeans("Variety", weights="cells")["estimate"]
    np.testing.assert_allclose(found, data.groupby("Variety", observed=True)["yield"].mean())


def test_coding_does_not_matter() -> None:
    data = oats()
    formula = "yield ~ Variety * nitro + (1 | Block)"
    plain = mm.lmm(formula, data)
    for contrasts in ({"Variety": "sum"}, {"Variety": "helmert"}, {"Variety": "poly"}):
        coded = mm.lmm(formula, data, contrasts=contrasts)
        np.testing.assert_allclose(
            coded.emmeans("Variety")["std_error"], plain.emmeans("Variety")["std_error"], rtol=1e-6
        )
        np.testing.assert_allclose(
            coded.emtrends("nitro", "Variety")["estimate"], plain.emtrends("nitro", "Variety")["estimate"]
        )


def test_means_that_are_not_estimable_stay_in_the_family(holed: Fit) -> None:
    """As R's emmeans, which says a family of 3 and adjusts for it where one comparison of three can be made."""
    means = holed.emmeans("Variety", by="week")
    last = [i for i, week in enumerate(means["week"]) if week == "0.6"]
    assert np.isnan(means["estimate"][last]).tolist() == [False, False, True]
    pairs = means.contrast("pairwise")
    comparison = pairs.row(9)
    assert comparison["contrast"] == "Golden Rain - Marvellous"
    statistic, df = abs(comparison["statistic"]), comparison["df"]
    assert comparison["p_value"] == pytest.approx(tukey_upper(statistic, 3.0, df), rel=1e-12)
    alone = means.contrast("pairwise", adjust="none").row(9)["p_value"]
    for adjust in ("bonferroni", "holm"):
        assert means.contrast("pairwise", adjust=adjust).row(9)["p_value"] == pytest.approx(
            min(1.0, 3 * alone)
        )
    assert "tukey adjustment for comparing a family of 3 estimates" in pairs.table.notes
    assert "2 of 12 not estimable (–)" in pairs.table.notes


def test_nested_factors_are_averaged_within() -> None:
    rng = np.random.default_rng(1)
    city = np.repeat(["a", "b", "c", "d", "e"], 6)
    country = np.where(np.isin(city, ["a", "b"]), "X", "Y")
    data = pd.DataFrame({"y": rng.standard_normal(30) + (country == "Y"), "city": city, "country": country})
    fit = mm.lm("y ~ country + city", data)
    means = fit.emmeans("country")
    np.testing.assert_allclose(means["estimate"], data.groupby("country")["y"].mean())
    inner = fit.emmeans("city")
    assert inner["country"].tolist() == ["X", "X", "Y", "Y", "Y"]
    np.testing.assert_allclose(inner["estimate"], data.groupby("city")["y"].mean())
    assert inner.contrast("pairwise")["contrast"].tolist() == ["a - b", "c - d", "c - e", "d - e"]


def test_covariates_are_at_their_means_unless_asked() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    assert fit.emmeans("Days")["Days"].tolist() == [4.5]
    at = fit.emmeans("Days", at={"Days": [0, 20]})
    np.testing.assert_allclose(at["estimate"], fit.beta[0] + fit.beta[1] * np.array([0, 20]))
    assert "Days = 20 is outside the data (0 to 9)" in at.table.notes


def test_levels_that_are_numbers_go_by_either_name(crossed: Fit) -> None:
    means = crossed.emmeans("week")
    by_level = means.contrast("trt.vs.ctrl", ref=0.2, adjust="none")
    np.testing.assert_array_equal(
        by_level["estimate"], means.contrast("trt.vs.ctrl", ref="week0.2", adjust="none")["estimate"]
    )
    np.testing.assert_array_equal(
        means.contrast({"rise": {"0.6": 1, "0.0": -1}})["estimate"],
        means.contrast({"rise": [-1, 0, 0, 1]})["estimate"],
    )


@pytest.mark.parametrize("value", ["high", np.nan, [1.0, None], {"a": 1}])
def test_values_of_covariates_must_be_numbers(value: object) -> None:
    fit = mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy"))
    with pytest.raises(SpecError, match="'Days' is a number in this model"):
        fit.emmeans("Days", at={"Days": value})


def test_trends_of_powers() -> None:
    data = mm.datasets.load("sleepstudy")
    fit = mm.lm("Reaction ~ Days + I(Days ** 2)", data)
    found = fit.emtrends("Days", at={"Days": 3.0})["estimate"][0]
    assert found == pytest.approx(fit.beta[1] + 6 * fit.beta[2], rel=1e-8)


def test_back_transformed_means_and_ratios() -> None:
    fit = mm.lm("log(amount) ~ Variety", oats().rename(columns={"yield": "amount"}))
    modelled, response = fit.emmeans("Variety"), fit.emmeans("Variety", type="response")
    np.testing.assert_allclose(response["estimate"], np.exp(modelled["estimate"]))
    np.testing.assert_allclose(response["conf_low"], np.exp(modelled["conf_low"]))
    np.testing.assert_allclose(response["std_error"], np.exp(modelled["estimate"]) * modelled["std_error"])
    ratio = response.contrast("pairwise")
    np.testing.assert_allclose(ratio["ratio"], np.exp(modelled.contrast("pairwise")["estimate"]))
    np.testing.assert_allclose(ratio["p_value"], modelled.contrast("pairwise")["p_value"])


def test_specs_in_words(crossed: Fit) -> None:
    grouped = crossed.emmeans("Variety | week")
    assert grouped.by == ("week",)
    np.testing.assert_array_equal(grouped["estimate"], crossed.emmeans("Variety", by="week")["estimate"])
    np.testing.assert_array_equal(crossed.emmeans("Variety * week")["estimate"], grouped["estimate"])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda fit: fit.emmeans("Varity"), "Did you mean 'Variety'"),
        (lambda fit: fit.emmeans("week", at={"Variety": "Victry"}), "Did you mean 'Victory'"),
        (lambda fit: fit.emmeans("week", at={"Varity": "Victory"}), "Did you mean 'Variety'"),
        (lambda fit: fit.emmeans("week", weights="equl"), "Did you mean 'equal'"),
        (lambda fit: fit.emmeans("week").contrast("pairwize"), "Did you mean 'pairwise'"),
        (lambda fit: fit.emmeans("week").contrast("pairwise", adjust="tuky"), "Did you mean 'tukey'"),
        (lambda fit: fit.emmeans("Variety").contrast("trt.vs.ctrl", ref="Victry"), "Did you mean 'Victory'"),
        (lambda fit: fit.emmeans("Variety").contrast({"x": [1, -1]}), "3 means"),
        (lambda fit: fit.emmeans("week").contrast("trt.vs.ctrl", ref="0.3"), "Means: 0.0, 0.2, 0.4, 0.6"),
        (lambda fit: fit.emtrends("Variety"), "is a factor"),
        (lambda fit: fit.emmeans("Variety").cld(alpha=5), "alpha=5 must lie between 0 and 1"),
        (lambda fit: fit.emmeans("pairwise ~ Variety"), "contrast afterwards"),
        (lambda fit: fit.emmeans("Variety", type="response"), "no known inverse"),
    ],
)
def test_mistakes_are_explained(crossed: Fit, ask: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ask(crossed)  # type: ignore[operator]


@pytest.mark.parametrize("name", CONTRASTS)
def test_contrasts_sum_to_zero(name: str) -> None:
    for k in range(2, 8):
        made = choose_contrasts(name, [f"level {i}" for i in range(k)])
        assert len(made.names) == len(made.weights)
        np.testing.assert_allclose(made.weights.sum(axis=1), 0, atol=1e-12)


def test_polynomial_contrasts_are_the_tabled_integers() -> None:
    made = choose_contrasts("poly", list("abcdef"))
    expected = [
        [-5, -3, -1, 1, 3, 5],
        [5, -1, -4, -4, -1, 5],
        [-5, 7, 4, -4, -7, 5],
        [1, -3, 2, 2, -3, 1],
        [-1, 5, -10, 10, -5, 1],
    ]
    np.testing.assert_array_equal(made.weights, expected)
    assert made.names == ("linear", "quadratic", "cubic", "quartic", "degree 5")


def test_contrasts_by_hand(crossed: Fit) -> None:
    means = crossed.emmeans("Variety")
    by_dict = means.contrast({"Victory vs rest": {"Victory": 1, "Marvellous": -0.5, "Golden Rain": -0.5}})
    by_matrix = means.contrast([-0.5, -0.5, 1.0])
    assert by_dict["estimate"][0] == pytest.approx(by_matrix["estimate"][0])
    assert by_dict["contrast"].tolist() == ["Victory vs rest"]


def test_contrasts_of_contrasts(crossed: Fit) -> None:
    found = crossed.emmeans(["Variety", "week"]).contrast(interaction=["pairwise", "consec"])
    cells = crossed.emmeans(["Variety", "week"])["estimate"].reshape(4, 3)
    assert found.names[:2] == ("Variety_pairwise", "week_consec")
    assert found["estimate"][0] == pytest.approx((cells[1, 0] - cells[1, 1]) - (cells[0, 0] - cells[0, 1]))


def test_tukey_falls_back_to_sidak(crossed: Fit) -> None:
    asked = crossed.emmeans("week").contrast("poly", adjust="tukey")
    np.testing.assert_allclose(
        asked["p_value"], crossed.emmeans("week").contrast("poly", adjust="sidak")["p_value"]
    )
    assert any("sidak used instead" in note for note in asked.table.notes)


def test_slices_are_joint_tests(crossed: Fit) -> None:
    slices = crossed.emmeans("Variety", by="week").slices()
    assert slices["week"].tolist() == ["0.0", "0.2", "0.4", "0.6"]
    L = np.zeros((2, 12))
    L[0, 1], L[1, 2] = 1.0, 1.0
    expected = crossed.wald(L, joint=True).row(0)
    assert slices["statistic"][0] == pytest.approx(expected["statistic"], rel=1e-8)


def test_equivalence_and_noninferiority(crossed: Fit) -> None:
    pairs = crossed.emmeans("Variety").contrast("pairwise", adjust="none")
    row = pairs.row(0)
    equivalence = pairs.test(side="equivalence", delta=20.0)
    assert equivalence["statistic"][0] == pytest.approx((abs(row["estimate"]) - 20.0) / row["std_error"])
    assert pairs.test(side="noninferiority", delta=20.0)["statistic"][0] == pytest.approx(
        (row["estimate"] + 20.0) / row["std_error"]
    )
    greater, less = pairs.test(side="greater")["p_value"], pairs.test(side="less")["p_value"]
    np.testing.assert_allclose(greater + less, 1.0)
    for given in ({"side": "equivalence"}, {"side": "less", "delta": 2.0}):
        with pytest.raises(SpecError, match="delta"):
            pairs.test(**given)


def test_letters() -> None:
    differs = np.zeros((4, 4), bool)
    for i, j in ((0, 2), (0, 3), (1, 3)):
        differs[i, j] = differs[j, i] = True
    letters = compact_letters(differs)
    for i in range(4):
        for j in range(4):
            shared = set(letters[i].replace(" ", "")) & set(letters[j].replace(" ", ""))
            assert bool(shared) != differs[i, j]


def test_letters_of_means(crossed: Fit) -> None:
    table = crossed.emmeans("week").cld()
    assert table["week"].tolist() == ["0.0", "0.2", "0.4", "0.6"]
    assert [text.strip() for text in table["group"]] == ["a", "b", "c", "c"]


def test_printed_groups(crossed: Fit) -> None:
    text = repr(crossed.emmeans("Variety", by="week"))
    assert text.startswith("week = 0.0:\nVariety      estimate")
    assert text.count("Golden Rain") == 4
    assert text.endswith("df: Kenward–Roger\nconfidence level 0.95")


def test_as_a_frame(crossed: Fit) -> None:
    means = crossed.emmeans("Variety")
    frame = means.to_frame()
    assert list(frame.columns) == list(means.names)
    assert len(frame) == len(means) == 3
    assert "<table" in means.to_html()


def test_offsets_enter_at_their_mean() -> None:
    data = mm.datasets.load("sleepstudy").assign(shift=lambda d: 3.0 * d["Days"])
    fit = mm.lm("Reaction ~ 1 + offset(shift)", data)
    assert fit.emmeans("1")["estimate"][0] == pytest.approx(data["Reaction"].mean())


def test_joint_tests_of_a_balanced_design_are_type_three(crossed: Fit) -> None:
    joint, type3 = crossed.joint_tests(), crossed.anova()
    assert joint["term"].tolist() == ["Variety", "week", "Variety:week"]
    np.testing.assert_allclose(joint["statistic"], type3["statistic"], rtol=1e-8)
    np.testing.assert_allclose(joint["den_df"], type3["den_df"], rtol=1e-6)


def test_nested_factors_are_tested_with_what_they_nest_in() -> None:
    rng = np.random.default_rng(2)
    city = np.tile(["a", "b", "c", "d", "e"], 8)
    country = np.where(np.isin(city, ["a", "b"]), "X", "Y")
    treatment = np.repeat(["p", "q"], 20)
    data = pd.DataFrame(
        {"y": rng.standard_normal(40), "city": city, "country": country, "treatment": treatment}
    )
    fit = mm.lm("y ~ country + country:city + treatment", data)
    assert fit.joint_tests()["term"].tolist() == ["country", "treatment", "country:city"]
    # cities share the weight of their country
    cells = fit.emmeans(["treatment", "country"])["estimate"].reshape(2, 2)
    np.testing.assert_allclose(fit.emmeans("treatment")["estimate"], cells.mean(axis=0))
    towns = fit.emmeans(["treatment", "city"])["estimate"].reshape(5, 2)
    np.testing.assert_allclose(cells, [towns[:2].mean(axis=0), towns[2:].mean(axis=0)])


def test_figure(crossed: Fit) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = crossed.emmeans("Variety").plot()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Golden Rain", "Marvellous", "Victory"]


@pytest.mark.parametrize(
    "name", ["estimate", "df", "p_value", "conf_low", "contrast", "group", "term", "statistic", "num_df"]
)
def test_factors_may_be_called_as_columns_of_the_tables_are(name: str) -> None:
    data = oats()
    plain = mm.lmm("yield ~ Variety * nitro + (1 | Block)", data)
    named = mm.lmm(f"yield ~ {name} * nitro + (1 | Block)", data.rename(columns={"Variety": name}))
    for ask in (
        lambda fit, factor: fit.emmeans(factor).table,
        lambda fit, factor: fit.emtrends("nitro", factor).table,
        lambda fit, factor: (
            fit.emmeans("nitro", by=factor, at={"nitro": [0.1, 0.2]}).contrast("pairwise").table
        ),
        lambda fit, factor: fit.emmeans(factor).test(),
        lambda fit, factor: fit.emmeans(factor).cld(),
        lambda fit, factor: fit.emmeans("nitro", by=factor, at={"nitro": [0.1, 0.2]}).slices(),
        lambda fit, factor: fit.joint_tests(by=factor),
    ):
        expected, found = ask(plain, "Variety"), ask(named, name)
        assert len(found.names) == len(expected.names)
        for one, other in zip(expected.names, found.names, strict=True):
            assert other == one or (one, other.rstrip("_")) in (("Variety", name), ("group", "group"))
            assert list(found[other]) == list(expected[one])


def test_a_factor_called_as_a_column_heads_its_groups() -> None:
    data = oats().rename(columns={"Variety": "df"})
    text = str(mm.lmm("yield ~ df * week + (1 | Block)", data).emmeans("week", by="df"))
    assert "df_ = Victory:" in text
