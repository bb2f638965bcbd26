"""Diagnostic figures and figures of means: what is drawn is what the tools compute, for every class of model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import mixedmodels as mm
from figure_records import caption_of, figure_of, model
from mixedmodels.fit import Fit
from mixedmodels.inference.predictors import predictors
from mixedmodels.plots import backend
from mixedmodels.plots.comparison_arrows import comparison_arrows

mpl.use("Agg")
NLME = Path(__file__).parents[2] / "reference" / "correlograms" / "correlograms.json"


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def points(axes: Any) -> np.ndarray:
    """Return the points that are drawn as marks alone."""
    found = [line for line in axes.lines if line.get_linestyle() == "None"]
    return np.column_stack([found[0].get_xdata(), found[0].get_ydata()])


def heights(axes: Any) -> np.ndarray:
    """Return the autocorrelations of a figure: its marks, the fitted ones apart."""
    return points(axes)[:, 1]


def test_the_panel_shows_the_residuals() -> None:
    fit = model("sleep")
    over, histogram, quantiles, numbers = fit.plot.residuals("response")
    np.testing.assert_array_equal(points(over), np.column_stack([fit.fitted, fit.resid]))
    assert sum(bar.get_height() for bar in histogram.patches) == pytest.approx(100.0)
    np.testing.assert_array_equal(points(quantiles)[:, 1], np.sort(fit.resid))
    texts = [text.get_text() for text in numbers.texts]
    assert texts[texts.index("Maximum") + 1] == f"{fit.resid.max():.4g}"
    assert texts[texts.index("AIC") + 1] == f"{fit.aic:.3f}"


def test_marginal_residuals_stand_over_the_mean() -> None:
    fit = model("sleep")
    over = fit.plot.residuals("scaled", level="marginal")[0]
    np.testing.assert_array_equal(points(over)[:, 0], fit.linear_predictor)
    np.testing.assert_array_equal(points(over)[:, 1], fit.residuals("scaled", level="marginal"))


def test_rows_left_out_of_the_fit_are_left_out_of_the_figure() -> None:
    data = mm.datasets.load("sleepstudy").copy()
    data.loc[[3, 50], "Reaction"] = np.nan
    whole = mm.lmm("Reaction ~ Days + (Days | Subject)", data, na="exclude")
    dropped = mm.lmm("Reaction ~ Days + (Days | Subject)", data)
    for draw in (lambda fit: fit.plot.residuals()[0], lambda fit: fit.plot.effects("Days")):
        np.testing.assert_allclose(points(draw(whole)), points(draw(dropped)))


def test_quantiles_of_effects_are_those_of_the_term() -> None:
    fit = model("sleep")
    _, intercepts, slopes = fit.plot.qq()
    for axes, values in zip((intercepts, slopes), fit.solution.random[0].T, strict=True):
        np.testing.assert_array_equal(points(axes)[:, 1], np.sort(values))
    assert len(fit.plot.qq("Subject")) == 2
    assert len(fit.plot.qq("residual")) == 1


def test_an_effect_far_out_is_named() -> None:
    rng = np.random.default_rng(3)
    names = np.repeat([f"g{i}" for i in range(30)], 6)
    effects = np.where(np.arange(30) == 11, 12.0, rng.standard_normal(30))
    fit = mm.lmm("y ~ 1 + (1 | g)", {"g": names, "y": np.repeat(effects, 6) + 0.3 * rng.standard_normal(180)})
    assert fit.plot.qq("g")[0].texts[-1].get_text() == "g11"


def test_profiles_cross_the_limits_of_the_intervals() -> None:
    fit = model("sleep")
    panels, table = fit.plot.profile("covariance"), fit.confint("profile", terms="covariance")
    for k, axes in enumerate(panels):
        curve = axes.lines[0]
        at = np.interp([-1.959964, 1.959964], curve.get_ydata(), curve.get_xdata())
        spread = table["conf_high"][k] - table["conf_low"][k]
        # the curve is drawn through about ten points of the profile
        assert at == pytest.approx([table["conf_low"][k], table["conf_high"][k]], abs=2e-3 * spread)


def test_densities_of_profiles_have_an_area_of_one() -> None:
    for axes in model("sleep").plot.profile("fixed", show="density"):
        x, y = axes.lines[0].get_data()
        assert float(np.sum(0.5 * (y[1:] + y[:-1]) * np.diff(x))) == pytest.approx(0.99, abs=2e-3)


def test_autocorrelations_are_those_of_nlme() -> None:
    theirs = json.loads(NLME.read_text(encoding="utf-8"))
    ovary = mm.datasets.load("ovary")
    mares = mm.lmm("follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (1 | Mare)", ovary)
    axes = mares.plot.acf(level="conditional", max_lag=8)
    # estimates of either program are known to about 1e-6
    np.testing.assert_allclose(heights(axes), theirs["mares"]["acf"][1:], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(heights(model("visits").plot.acf()), theirs["visits"]["acf"][1:], rtol=1e-5)
    found = model("visits").plot.variogram().collections[0].get_offsets()
    np.testing.assert_allclose(np.asarray(found)[:, 0], theirs["variogram"]["dist"])
    np.testing.assert_allclose(np.asarray(found)[:, 1], theirs["variogram"]["variog"], rtol=1e-5)


def test_the_fitted_structure_is_drawn_over() -> None:
    fit = model("visits")
    correlation = fit.marginal_cov("1", correlation=True).array
    drawn = next(line for line in fit.plot.acf().lines if line.get_marker() == "D")
    np.testing.assert_allclose(drawn.get_ydata(), correlation[0, 1:], rtol=1e-8)
    np.testing.assert_allclose(fit.plot.variogram().lines[0].get_ydata(), 1.0 - correlation[0, 1:], rtol=1e-8)
    sleep = model("sleep")
    v = sleep.marginal_cov("308").array
    line = sleep.plot.variogram("Days", kind="response").lines[0].get_ydata()
    expected = [
        np.mean([0.5 * (v[i, i] + v[i + d, i + d]) - v[i, i + d] for i in range(10 - d)])
        for d in range(1, 10)
    ]
    np.testing.assert_allclose(line, expected, rtol=1e-8)


def test_correlations_of_a_field_are_drawn_by_distance() -> None:
    rng = np.random.default_rng(5)
    x, y = np.meshgrid(np.arange(9.0), np.arange(9.0))
    place = np.column_stack([x.ravel(), y.ravel()])
    apart = np.sqrt(((place[:, None] - place[None]) ** 2).sum(-1))
    z = np.linalg.cholesky(np.exp(-apart / 2.0)) @ rng.standard_normal(81)
    data = {"x": place[:, 0], "y": place[:, 1], "z": z, "f": np.ones(81)}
    fit = mm.gls("z ~ 1", data, residual="exp(x, y | f)")
    axes = fit.plot.variogram()
    line = axes.lines[0]
    reach = float(fit.confint(terms="covariance").row(0)["estimate"])
    assert 0.05 < reach < 50.0
    assert np.all(np.diff(line.get_ydata()) > 0)
    assert line.get_xdata()[-1] <= 0.5 * apart.max() + 1e-9
    with pytest.raises(mm.SpecError, match="several dimensions"):
        fit.plot.acf()


def test_the_heat_map_is_the_matrix() -> None:
    fit = model("sleep")
    np.testing.assert_allclose(
        fit.plot.covariance("V", correlation=False).images[0].get_array(), fit.marginal_cov().array
    )
    np.testing.assert_allclose(fit.plot.covariance("R").images[0].get_array(), np.eye(10))
    axes = fit.plot.covariance(term="Subject")
    assert [text.get_text() for text in axes.texts] == ["1.00", "0.07", "0.07", "1.00"]


@pytest.mark.parametrize("seed", range(12))
def test_arrows_overlap_where_means_do_not_differ(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(3, 8))
    sizes = rng.integers(3, 15, k)
    arm = np.repeat([f"a{i}" for i in range(k)], sizes)
    y = np.repeat(rng.normal(0, 1.3, k), sizes) + rng.standard_normal(int(sizes.sum()))
    means = mm.lm("y ~ arm", {"y": y, "arm": arm}).emmeans("arm")
    arrows = comparison_arrows(means, "tukey")
    p_value = means.pairs()["p_value"]
    right = means["estimate"] + np.nan_to_num(arrows.right)
    left = means["estimate"] - np.nan_to_num(arrows.left)
    wrong = 0
    for row, (i, j) in enumerate(zip(*np.triu_indices(k, 1), strict=True)):
        low, high = (i, j) if means["estimate"][i] < means["estimate"][j] else (j, i)
        wrong += bool(right[low] < left[high]) is not bool(p_value[row] < 0.05)
    assert wrong == arrows.text.count(" and ")


def test_arrows_of_equal_precision_are_half_the_least_significant_difference() -> None:
    means = model("oats").emmeans("nitro")
    arrows = comparison_arrows(means, "tukey")
    half = float((means.pairs()["conf_high"] - means.pairs()["conf_low"])[0]) / 4
    np.testing.assert_allclose(arrows.right[:3], half, rtol=2e-3)
    np.testing.assert_allclose(arrows.left[1:], half, rtol=2e-3)
    assert np.isnan(arrows.left[0])
    assert np.isnan(arrows.right[3])


def test_means_are_drawn_as_tabled() -> None:
    fit = model("oats")
    means = fit.emmeans("nitro", by="Variety")
    axes = fit.plot.interaction("nitro", "Variety")
    drawn = [line for line in axes.lines if line.get_linestyle() == "-"]
    for k, line in enumerate(drawn):
        np.testing.assert_allclose(line.get_ydata(), means["estimate"][4 * k : 4 * k + 4])
    alone = fit.plot.emmeans("nitro", by="Variety")
    assert {len(line.get_xdata()) for line in alone.lines} == {3}


def test_partial_residuals_are_the_curve_and_the_residual() -> None:
    fit = model("sleep")
    found = points(fit.plot.effects("Days"))
    days = mm.datasets.load("sleepstudy")["Days"].to_numpy()
    np.testing.assert_array_equal(found[:, 0], days)
    np.testing.assert_allclose(found[:, 1], fit.beta[0] + fit.beta[1] * days + fit.resid, rtol=1e-9)


def test_partial_residuals_of_a_generalised_model_are_working_ones() -> None:
    fit = model("epilepsy")
    link = fit.plot.effects("base")
    response = fit.plot.effects("base", type="response")
    np.testing.assert_allclose(points(response)[:, 1], np.exp(points(link)[:, 1]), rtol=1e-9)
    assert link.get_ylabel() == "log of the mean of y"


@pytest.mark.parametrize("backend", ["polars", "pyarrow", "dict"])
def test_any_frame_is_drawn(backend: str) -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy", backend=backend))
    for draw in (
        fit.plot.residuals, fit.plot.qq, lambda: fit.plot.qq(by="Subject"), lambda: fit.plot.effects("Days"),
        fit.plot.acf, lambda: fit.plot.variogram("Days"), fit.plot.covariance, lambda: fit.plot.emmeans("1"),
    ):  # fmt: skip
        assert caption_of(figure_of(draw()))


CLASSES: dict[str, Any] = {
    "lm": lambda: mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy")),
    "gls": lambda: model("visits"),
    "crossed": lambda: mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin")),
    "glm": lambda: mm.glm("y ~ base * trt", mm.datasets.load("epil"), "poisson"),
    "glmm": lambda: model("herds"),
    "pseudo": lambda: mm.glmm("y ~ base + (1 | subject)", mm.datasets.load("epil"), "poisson", method="rspl"),
    "ordinal": lambda: mm.glmm("rating ~ temp + (1 | judge)", mm.datasets.load("wine"), "ordinal"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_model_is_drawn_or_refused_in_words(name: str) -> None:
    fit: Fit = CLASSES[name]()
    predictor = next(iter(predictors(fit)), "none")
    asks: dict[str, Any] = {
        "residuals": fit.plot.residuals,
        "qq": fit.plot.qq,
        "covariance": fit.plot.covariance,
        "acf": lambda: fit.plot.acf(group=next(iter(fit.ngroups), None)),
        "emmeans": lambda: fit.plot.emmeans("1"),
        "effects": lambda: fit.plot.effects(predictor),
        "interaction": lambda: fit.plot.interaction(predictor),
    }
    drawn, refused = [], []
    for figure, ask in asks.items():
        try:
            assert caption_of(figure_of(ask()))
            drawn.append(figure)
        except mm.SpecError as error:
            refused.append((figure, str(error)))
    allowed = {
        "lm": {"covariance"}, "glm": {"covariance"}, "crossed": {"covariance", "effects", "interaction"},
        "ordinal": {"residuals", "qq", "acf", "effects", "interaction", "emmeans"},
    }  # fmt: skip
    assert {figure for figure, _ in refused} <= allowed.get(name, set()), refused
    assert all(len(words) > 20 for _, words in refused)


def test_what_is_asked_wrongly_is_said() -> None:
    fit = model("sleep")
    for ask, words in (
        (lambda: fit.plot.residuals("simulated"), "'simulated'"),
        (lambda: fit.plot.residuals(level="both"), "level"),
        (lambda: fit.plot.qq("Subjct"), "Subjct"),
        (lambda: fit.plot.qq(by="Dayz"), "Did you mean 'Days'"),
        (lambda: fit.plot.variogram(), "needs position="),
        (lambda: fit.plot.variogram("Dayz"), "Did you mean 'Days'"),
        (lambda: fit.plot.variogram("Days", bins=1), "bins=1"),
        (lambda: fit.plot.acf(max_lag=0), "max_lag=0"),
        (lambda: fit.plot.effects("Dayz"), "Did you mean 'Days'"),
        (lambda: fit.plot.effects("Days", "Days"), "two predictors"),
        (lambda: fit.plot.covariance("W"), "matrix"),
        (lambda: fit.plot.profile(show="both"), "show"),
        (lambda: fit.plot.residuals(ax=[1, 2]), "4 panels"),
        (lambda: fit.emmeans("1").contrast("eff").plot(comparisons=True), "comparisons=True"),
    ):
        with pytest.raises(mm.SpecError, match=words):
            ask()


def test_influence_is_drawn_as_tabled() -> None:
    fit = model("growth")
    table = fit.influence("id")
    panels = fit.plot.influence("id", measures=["cooks_d", "dfbetas[fem:age]"], named=2)
    for axes, name in zip(panels, ("cooks_d", "dfbetas[fem:age]"), strict=True):
        drawn = np.concatenate(
            [np.column_stack(line.get_data()) for line in axes.lines if line.get_marker() == "o"]
        )
        np.testing.assert_array_equal(drawn[np.argsort(drawn[:, 0]), 1], table[name])
        far = np.argsort(-np.abs(table[name]))[:2]
        assert {text.get_text() for text in axes.texts} == {str(table["level"][i]) for i in far}
    with pytest.raises(mm.SpecError, match="Did you mean 'cooks_d'"):
        fit.plot.influence("id", measures="cook_d")


def test_given_axes_are_drawn_on() -> None:
    figure, grid = plt.subplots(2, 2)
    panels = model("sleep").plot.residuals(ax=grid)
    assert [axes.figure for axes in panels] == [figure] * 4
    single = plt.subplots()[1]
    for draw in (
        lambda ax: model("sleep").plot.effects("Days", ax=ax), lambda ax: model("sleep").plot.acf(ax=ax),
        lambda ax: model("sleep").plot.covariance(ax=ax), lambda ax: model("oats").plot.emmeans("nitro", ax=ax),
    ):  # fmt: skip
        assert draw(single) is single


def test_very_many_points_are_counted_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "MOST_POINTS", 100)
    over = model("sleep").plot.residuals()[0]
    assert caption_of(over.figure).count("180 points are counted in hexagonal cells") == 1
    assert sum(over.collections[0].get_array()) == 180


def test_pairs_of_large_clusters_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    from mixedmodels.plots import variogram

    monkeypatch.setattr(variogram, "MOST_PAIRS", 500)
    axes = model("mares").plot.variogram("Time")
    assert "A random sample of 500 of" in caption_of(axes.figure)


def test_colours_are_told_apart_without_red_or_green() -> None:
    """In the eyes of people without long or medium cones, by the transformations of Viénot, Brettel and Mollon."""
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
    )
    sights = {
        "all": np.eye(3),
        "protan": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
        "deutan": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    }
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in backend.PALETTE[:6]])
    for sight in sights.values():
        seen = np.clip((np.linalg.inv(to_lms) @ sight @ to_lms @ (rgb**2.2).T).T, 0, 1) ** (1 / 2.2)
        apart = np.sqrt(((seen[:, None] - seen[None]) ** 2).sum(-1)) + 9.0 * np.eye(6)
        assert apart.min() > 0.2


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_pairs_stand_at_their_p_values(library: str) -> None:
    data = mm.datasets.load("oats")
    if library == "polars":
        data = pytest.importorskip("polars").from_pandas(data)
    fit = mm.lmm("yield ~ factor(nitro) * Variety + (1 | Block/Variety)", data)
    panels = fit.plot.pairwise("nitro", by="Variety")
    table = fit.emmeans("nitro", by="Variety").pairs()
    for k, axes in enumerate(panels):
        p = table["p_value"][6 * k : 6 * (k + 1)]
        drawn = np.array([line.get_xdata()[0] for line in axes.lines[:6]])
        np.testing.assert_allclose(drawn[p >= 1e-4], np.log10(p[p >= 1e-4]), rtol=1e-8)
        assert (drawn[p < 1e-4] < -4).all()
        assert axes.get_title(loc="left") == f"Variety {['Golden Rain', 'Marvellous', 'Victory'][k]}"
    with pytest.raises(mm.SpecError, match="2 to 25"):
        fit.plot.pairwise("1")
    herds = model("herds").plot.pairwise("period", type="response")[0]
    assert len(herds.get_yticklabels()) == 4
