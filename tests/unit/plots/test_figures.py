"""Figures: what is drawn is what was fitted."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

import mixedmodels as mm
from figure_records import caption_of
from mixedmodels.fit import Fit

mpl.use("Agg")
ORTHODONT = "Y ~ 0 + fem + male + fem:age + male:age + (0 + fem | id) + (0 + male | id)"
SUBJECTS = [1, 2, 3, 4, 12, 13, 14, 15]


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def growth() -> Fit:
    return mm.lmm(ORTHODONT, mm.datasets.load("orthodont"))


def curves(axes: Any) -> dict[str, np.ndarray]:
    lines = {line.get_linestyle(): np.column_stack(line.get_data()) for line in axes.get_lines()}
    return {"mean": lines["--"], "predicted": lines["-"], "observed": lines["None"]}


def test_trajectories_draw_mean_and_predicted_curves_over_the_data(growth: Fit) -> None:
    panels = growth.plot.trajectories("age", levels=SUBJECTS, color="sex")
    assert [axes.get_title(loc="left") for axes in panels] == [
        f"id {i}  ({'F' if i < 12 else 'M'})" for i in SUBJECTS
    ]
    data = mm.datasets.load("orthodont")
    for axes, subject in zip(panels, SUBJECTS, strict=True):
        found = curves(axes)
        own = data[data["id"].astype(int) == subject]
        np.testing.assert_array_equal(found["observed"], own[["age", "Y"]].to_numpy())
        rows = own.index.to_numpy()
        np.testing.assert_allclose(
            np.interp(own["age"], *found["predicted"].T), growth.fitted[rows], rtol=1e-10
        )
        np.testing.assert_allclose(
            np.interp(own["age"], *found["mean"].T), growth.linear_predictor[rows], rtol=1e-10
        )


def test_x_is_found_when_one_column_varies_within_subjects(growth: Fit) -> None:
    panels = growth.plot.trajectories(levels=["3"])
    assert panels[0].get_xlabel() == "age"


def test_without_levels_the_first_twelve_are_drawn(growth: Fit) -> None:
    panels = growth.plot.trajectories("age")
    assert len(panels) == 12
    assert caption_of(panels[0].figure) == "The first 12 of 27 levels; levels= chooses others."
    # those at the foot alone name the axis
    assert [axes.get_xlabel() for axes in panels] == [""] * 8 + ["age"] * 4


@pytest.mark.parametrize("backend", ["polars", "pyarrow", "dict"])
def test_any_frame_can_be_drawn(backend: str) -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy", backend=backend))
    assert len(fit.plot.trajectories("Days", levels=["308", "309"])) == 2


def test_misspelt_arguments_suggest(growth: Fit) -> None:
    with pytest.raises(mm.SpecError, match="Did you mean 'age'"):
        growth.plot.trajectories("agee")
    with pytest.raises(mm.SpecError, match="'id' has no '99'"):
        growth.plot.trajectories("age", levels=[99])
    with pytest.raises(mm.SpecError, match="color='sexx'"):
        growth.plot.trajectories("age", color="sexx")
    rail = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    with pytest.raises(mm.SpecError, match="need x="):
        rail.plot.trajectories()


def test_caterpillar_shows_estimates_in_order_with_their_intervals() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    panels = fit.plot.random_effects(level=0.9)
    assert [axes.get_title(loc="left") for axes in panels] == ["(Intercept)", "Days"]
    table = fit.random_effects()
    estimate, se = (table[name].reshape(18, 2) for name in ("estimate", "std_error"))
    order = np.argsort(estimate[:, 0])
    levels = table["level"].reshape(18, 2)[order, 0].tolist()
    assert [label.get_text() for label in panels[0].get_yticklabels()] == levels
    for j, axes in enumerate(panels):
        segments = np.concatenate([np.array(lines.get_segments()) for lines in axes.collections])
        segments = segments[np.argsort(segments[:, 0, 1])]
        np.testing.assert_allclose(segments[:, :, 0].mean(axis=1), estimate[order, j], rtol=1e-10)
        half = np.diff(segments[:, :, 0], axis=1)[:, 0] / 2
        np.testing.assert_allclose(half, 1.6448536 * se[order, j], rtol=1e-7)


def test_many_levels_carry_no_names() -> None:
    data = {"g": np.repeat(np.arange(80), 3), "y": np.random.default_rng(1).standard_normal(240)}
    data["y"] += np.repeat(np.random.default_rng(2).standard_normal(80), 3)
    axes = mm.lmm("y ~ 1 + (1 | g)", data).plot.random_effects()[0]
    assert len(axes.get_yticks()) == 0


def test_without_matplotlib_the_extra_is_named(growth: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(mm.SpecError, match=r"pip install 'mixedmodels\[plot\]'"):
        growth.plot.random_effects("id")


def test_trajectories_of_correlated_errors_are_the_mean() -> None:
    data = mm.datasets.load("orthodont")
    fit = mm.gls("Y ~ sex * age", data, residual="exp(age | id)")
    axes = fit.plot.trajectories("age", levels=["1", "12"])
    assert len(axes) == 2
    for panel in axes:
        mean, predicted = (np.asarray(line.get_ydata()) for line in panel.lines[:2])
        np.testing.assert_allclose(predicted, mean)


def test_trajectories_take_colours_of_subjects_only() -> None:
    data = mm.datasets.load("orthodont").assign(late=lambda d: np.where(d["age"] > 10, "yes", "no"))
    fit = mm.lmm("Y ~ sex * age + late + (1 | id)", data)
    with pytest.raises(mm.SpecError, match="color='late' changes within 'id'"):
        fit.plot.trajectories("age", color="late")


@pytest.fixture(scope="module")
def visits() -> Any:
    """Nine subjects at six visits, a covariate that changes from visit to visit, and classes inside subjects."""
    rng = np.random.default_rng(0)
    data = {
        "id": np.repeat(np.arange(9), 6),
        "visit": np.tile([f"v{i}" for i in range(1, 7)], 9),
        "age": np.repeat(rng.uniform(20, 60, 9), 6) + rng.normal(0, 2, 54),
        "part": [f"c{i % 3}" for i in range(54)],
    }
    data["arm"] = np.where(data["id"] < 5, "A", "B")
    data["y"] = rng.normal(0, 1, 54) + np.repeat(rng.normal(0, 2, 9), 6) + 0.05 * data["age"]
    return data


def test_a_factor_of_time_is_drawn_over_its_levels(visits: Any) -> None:
    fit = mm.lmm("y ~ visit * arm + (1 | id)", visits)
    panels = fit.plot.trajectories(color="arm")
    assert [tick.get_text() for tick in panels[-1].get_xticklabels()] == [f"v{i}" for i in range(1, 7)]
    np.testing.assert_allclose(curves(panels[1])["predicted"][:, 1], fit.fitted[6:12], rtol=1e-10)


def test_curves_are_those_of_x_alone(visits: Any) -> None:
    """A covariate that changes within the subject, and groups inside it, give no zigzag: x enters linearly."""
    fit = mm.lmm("y ~ t + age + (1 | id / part)", {**visits, "t": np.tile(np.arange(6.0), 9)})
    for axes in fit.plot.trajectories("t", group="id", levels=[0, 1]):
        for name in ("mean", "predicted"):
            slopes = np.diff(curves(axes)[name][:, 1]) / np.diff(curves(axes)[name][:, 0])
            np.testing.assert_allclose(slopes, fit.params["t"], rtol=1e-8)


def test_axes_of_the_caller_are_drawn_on(growth: Fit, visits: Any) -> None:
    import matplotlib.pyplot as plt

    _, pair = plt.subplots(1, 2)
    assert growth.plot.trajectories("age", levels=[1, 2], ax=pair)[1] is pair[1]
    with pytest.raises(mm.SpecError, match="ax= has 2 Axes for 1 panels; give one for each subject"):
        growth.plot.trajectories("age", levels=[1], ax=pair)
    fit = mm.lmm("y ~ visit * arm + (1 | id)", visits)
    assert fit.plot.random_effects(ax=pair[0])[0] is pair[0]
    assert fit.emmeans("arm").plot(ax=pair[1]) is pair[1]


def test_means_of_two_factors_are_coloured_by_the_second(visits: Any) -> None:
    means = mm.lmm("y ~ visit * arm + (1 | id)", visits).emmeans(["visit", "arm"])
    axes = means.plot()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["A", "B"]
    assert len(axes.get_yticklabels()) == 6
    assert len(means.plot(color="").get_yticklabels()) == 12
    with pytest.raises(mm.SpecError, match=r"color='am' is no factor of these estimates. Did you mean 'arm'"):
        means.plot(color="am")


def test_thousands_of_levels_are_a_band() -> None:
    rng = np.random.default_rng(1)
    data = {
        "g": np.repeat(np.arange(600), 3),
        "y": rng.standard_normal(1800) + np.repeat(rng.standard_normal(600), 3),
    }
    axes = mm.lmm("y ~ 1 + (1 | g)", data).plot.random_effects()[0]
    assert axes.get_ylabel() == "600 levels of g"
    assert any("clear of 0" in text.get_text() for text in axes.texts)
    assert not axes.get_yticklabels()


def test_trajectories_over_numbers_taken_as_a_factor_go_through_its_levels():
    sleep = mm.datasets.load("sleepstudy")
    fit = mm.lmm("Reaction ~ factor(Days) + (1 | Subject)", sleep)
    panel = fit.plot.trajectories(levels=["308"])[0]
    mean = next(line for line in panel.lines if line.get_linestyle() == "--")
    np.testing.assert_array_equal(mean.get_xdata(), np.arange(10.0))
    own = fit.predict({"Days": np.arange(10), "Subject": ["308"] * 10}, level="population")
    np.testing.assert_allclose(mean.get_ydata(), own)
