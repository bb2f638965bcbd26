"""The designs whose sizes and coverages are simulated: one entry each in `SCENARIOS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from measures import (
    Drawn,
    bootstraps,
    clusters_of_another_kind,
    components,
    heterogeneity,
    likelihood_ratio,
    means,
    new_cluster,
    of_binary,
    other_spelling,
    own_clusters,
    pooled,
    restricted_ratio,
    restricted_ratio_of_slopes,
    robust,
    small_areas,
    tests,
)

import mixedmodels as mm
from mixedmodels.typing import Array

Measure = Callable[[mm.Fit, Drawn], dict[str, float]]


@dataclass(frozen=True)
class Scenario:
    """A design, how its responses are drawn (every fixed effect is zero), the model fitted, and what is measured.

    Parameters
    ----------
    title
        What it is, for the page.
    design
        The columns of the data but the response.
    draw
        A response, (n,), with the random effects that measures ask for.
    fit
        The model of a data frame with the column `y`.
    measures
        Each returns quantity|what|how → a number.
    replicates
        How many are run by default.
    """

    title: str
    design: pd.DataFrame
    draw: Callable[[np.random.Generator], tuple[Array, Mapping[str, Any]]]
    fit: Callable[[pd.DataFrame], mm.Fit]
    measures: tuple[Measure, ...]
    replicates: int = 1000


def only(draw: Callable[[np.random.Generator], Array]) -> Callable[[np.random.Generator], tuple[Array, Any]]:
    """Return a draw without anything beside the response."""
    return lambda rng: (draw(rng), {})


def lmm(formula: str, **options: Any) -> Callable[[pd.DataFrame], mm.Fit]:
    """Return the fit of a formula as a function of the data."""
    return lambda data: mm.lmm(formula, data, **options)


def gls(formula: str, **options: Any) -> Callable[[pd.DataFrame], mm.Fit]:
    """Return the generalised least squares fit of a formula as a function of the data."""
    return lambda data: mm.gls(formula, data, **options)


def grid(**levels: int) -> pd.DataFrame:
    """Return every combination of the levels 0 … n − 1 of each name, as whole numbers."""
    index = pd.MultiIndex.from_product([range(n) for n in levels.values()], names=list(levels))
    return index.to_frame(index=False)


def words(data: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return the data with these columns as text, so that they are factors."""
    return data.assign(**{name: name[0] + data[name].astype(str) for name in names})


def split_plot(plot_sd: float) -> Scenario:
    data = grid(block=4, A=3, B=4)
    plot = data.block * 3 + data.A
    frame = words(data.assign(plot=plot), "block", "A", "B", "plot")

    def draw(rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
        blocks, plots = rng.normal(size=4), plot_sd * rng.normal(size=12)
        return blocks[data.block] + plots[plot] + rng.normal(size=48), {}

    truths = {"sd(block: (Intercept))": 1.0, "sd(block:A: (Intercept))": plot_sd, "sd(Residual)": 1.0}
    return Scenario(
        f"split plot: 4 blocks of 3 whole plots of 4, standard deviations 1, {plot_sd:g}, 1",
        frame,
        draw,
        lmm("y ~ A * B + (1 | block / A)"),
        (tests, other_spelling("y ~ A * B + (1 | block) + (1 | plot)"), components(truths)),
        1000,
    )


def pooled_plots() -> Scenario:
    small = split_plot(0.3)
    return replace(small, measures=(pooled,), replicates=2000)


def blocks() -> Scenario:
    data = grid(block=6, treatment=4).drop(index=[3, 9, 14]).reset_index(drop=True)
    truths = {"sd(block: (Intercept))": 1.0, "sd(Residual)": 1.0}
    return Scenario(
        "randomised complete blocks: 6 of 4 treatments, three plots lost, both standard deviations 1",
        words(data, "block", "treatment"),
        only(lambda rng: rng.normal(size=6)[data.block] + rng.normal(size=len(data))),
        lmm("y ~ treatment + (1 | block)"),
        (tests, components(truths)),
    )


def nested() -> Scenario:
    data = grid(school=8, room=3, pupil=3).drop(index=[0, 5, 30, 31, 55]).reset_index(drop=True)
    room = data.school * 3 + data.room
    frame = words(data.assign(arm=data.school % 2, x=data.pupil - 1.0), "school", "room", "arm")
    truths = {"sd(school: (Intercept))": 0.7, "sd(school:room: (Intercept))": 0.5, "sd(Residual)": 1.0}

    def draw(rng: np.random.Generator) -> Array:
        schools, rooms = 0.7 * rng.normal(size=8), 0.5 * rng.normal(size=24)
        return schools[data.school] + rooms[room] + rng.normal(size=len(data))

    measures = (tests, components(truths))
    title = "nested: 8 schools in two arms, 3 rooms each, 2 or 3 pupils; standard deviations 0.7, 0.5, 1"
    return Scenario(title, frame, only(draw), lmm("y ~ arm + x + (1 | school / room)"), measures, 1000)


def crossed() -> Scenario:
    data = grid(person=10, item=8)
    frame = words(
        data.assign(kind=data["item"] % 2, group=data.person % 2), "person", "item", "kind", "group"
    )

    def draw(rng: np.random.Generator) -> Array:
        persons, items = rng.normal(size=10), 0.7 * rng.normal(size=8)
        return persons[data.person] + items[data["item"]] + rng.normal(size=80)

    title = "crossed: 10 persons in two groups by 8 items of two kinds; standard deviations 1, 0.7, 1"
    return Scenario(title, frame, only(draw), lmm("y ~ group * kind + (1 | person) + (1 | item)"), (tests,))


def slopes(clusters: int) -> Scenario:
    data = grid(id=clusters, t=5)
    frame = words(data.assign(time=data.t - 2.0, arm=data.id % 2), "id", "arm")
    truths = {"sd(id: (Intercept))": 1.0, "sd(id: time)": 0.5, "sd(Residual)": 1.0}
    root = np.linalg.cholesky([[1.0, 0.15], [0.15, 0.25]])

    def draw(rng: np.random.Generator) -> Array:
        b = rng.normal(size=(clusters, 2)) @ root.T
        return b[data.id, 0] + b[data.id, 1] * frame.time + rng.normal(size=len(data))

    title = f"random slopes: {clusters} clusters of 5 in two arms; standard deviations 1, 0.5 (correlation 0.3), 1"
    measures = (tests, components(truths)) if clusters > 6 else (tests,)
    return Scenario(title, frame, only(draw), lmm("y ~ arm * time + (time | id)"), measures, 1000)


def mmrm(structure: str, subjects: int) -> Scenario:
    data = grid(id=subjects, v=4)
    rng = np.random.default_rng(20)
    last = np.where(rng.uniform(size=subjects) < 0.3, rng.integers(1, 4, subjects), 4)
    frame = data.assign(arm=data.id % 2, base=rng.normal(size=subjects)[data.id], visit=data.v)
    kept = np.flatnonzero(data.v.to_numpy() < last[data.id])
    frame = words(frame.iloc[kept].reset_index(drop=True), "id", "visit", "arm")
    sd = np.ones(4) if structure == "ar1" else np.array([1.0, 1.2, 1.5, 1.8])
    root = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(range(4), range(4))) * np.outer(sd, sd))
    if structure == "csh":
        root = np.linalg.cholesky((0.5 + 0.5 * np.eye(4)) * np.outer(sd, sd))
    return Scenario(
        f"`{structure}` of 4 visits, {subjects} subjects in two arms, 30 % drop out",
        frame,
        only(lambda rng: (rng.normal(size=(subjects, 4)) @ root.T).ravel()[kept]),
        lambda d: mm.mmrm(f"y ~ base + arm * visit + {structure}(visit | id)", d),
        (tests,),
    )


def series() -> Scenario:
    t = np.arange(30)
    frame = pd.DataFrame({"t": t, "one": 1, "post": np.where(t >= 15, "after", "before")})
    root = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(t, t)))
    title = "one AR(1) series of 30 points, ρ = 0.6, a step in the middle"
    fit = gls("y ~ post", residual="ar1(t | one)")
    return Scenario(title, frame, only(lambda rng: root @ rng.normal(size=30)), fit, (tests,))


def field() -> Scenario:
    data = grid(x=7, z=7)
    distance = np.hypot(*(np.subtract.outer(data[c].to_numpy(), data[c].to_numpy()) for c in ("x", "z")))
    root = np.linalg.cholesky(np.exp(-distance / 1.5))
    treatment = np.random.default_rng(7).permutation(np.repeat(range(7), 7))
    frame = words(data.assign(field=1, treatment=treatment), "treatment")
    title = "a field of 7 × 7 plots, 7 treatments at random, exponential correlation of range 1.5"
    fit = gls("y ~ treatment", residual="exp(x, z | field)")
    return Scenario(title, frame, only(lambda rng: root @ rng.normal(size=49)), fit, (tests,), 1000)


def unequal_variances() -> Scenario:
    group = np.repeat(["a", "b", "c"], [5, 12, 8])
    sd = np.repeat([1.0, 3.0, 2.0], [5, 12, 8])
    title = "three groups of 5, 12 and 8 rows with standard deviations 1, 3 and 2, `ident(group)`"
    fit = gls("y ~ group", variance="ident(group)")
    return Scenario(
        title,
        pd.DataFrame({"group": group}),
        only(lambda rng: sd * rng.normal(size=25)),
        fit,
        (tests, means),
        1000,
    )


def ten_clusters() -> Scenario:
    data = grid(g=10, row=6)
    frame = words(data.assign(arm=data.g % 2, x=data.row - 2.5), "g", "arm")

    def draw(rng: np.random.Generator) -> Array:
        return rng.normal(size=10)[data.g] + 0.4 * rng.normal(size=10)[data.g] * frame.x + rng.normal(size=60)

    title = "10 clusters of 6 in two arms, slopes that vary between clusters, which the model leaves out"
    return Scenario(title, frame, only(draw), lmm("y ~ arm + x + (1 | g)"), (tests, robust))


def eight_groups() -> Scenario:
    data = grid(g=8, row=4)
    frame = words(data.assign(arm=data.g % 2), "g", "arm")
    title = "8 groups of 4 in two arms, both standard deviations 1"
    draw = only(lambda rng: rng.normal(size=8)[data.g] + rng.normal(size=32))
    measures = (tests, likelihood_ratio("y ~ 1 + (1 | g)"))
    return Scenario(title, frame, draw, lmm("y ~ arm + (1 | g)"), measures, 800)


def binary(clusters: int, rows: int) -> Scenario:
    data = grid(g=clusters, row=rows)
    frame = words(data.assign(arm=data.g % 2), "g", "arm")

    def draw(rng: np.random.Generator) -> Array:
        eta = -0.3 + rng.normal(size=clusters)[data.g]
        return (rng.random(len(data)) < 1.0 / (1.0 + np.exp(-eta))).astype(float)

    title = f"binary responses: {clusters} clusters of {rows} in two arms, standard deviation 1 between"
    return Scenario(
        title, frame, only(draw), lambda d: mm.glmm("y ~ arm + (1 | g)", d, "binomial"), (of_binary,), 1500
    )


def no_variance() -> Scenario:
    data = grid(g=8, row=5)
    title = "8 groups of 5 whose variance is zero"
    draw = only(lambda rng: rng.normal(size=40))
    return Scenario(title, words(data, "g"), draw, lmm("y ~ 1 + (1 | g)"), (restricted_ratio,), 1000)


def no_slopes() -> Scenario:
    data = grid(id=12, t=5)
    frame = words(data.assign(time=data.t - 2.0), "id")
    draw = only(lambda rng: rng.normal(size=12)[data.id] + rng.normal(size=60))
    title = "12 clusters of 5 whose slopes do not vary"
    return Scenario(title, frame, draw, lmm("y ~ time + (time | id)"), (restricted_ratio_of_slopes,), 1000)


def bootstrapped() -> Scenario:
    data = grid(g=8, row=5)
    truths = {"sd(g: (Intercept))": 1.0, "sd(Residual)": 1.0, "(Intercept)": 0.0}
    title = "8 groups of 5, both standard deviations 1; 199 bootstrap replicates"
    draw = only(lambda rng: rng.normal(size=8)[data.g] + rng.normal(size=40))
    measures = (components(truths), bootstraps(truths))
    return Scenario(title, words(data, "g"), draw, lmm("y ~ 1 + (1 | g)"), measures, 400)


def many_effects() -> Scenario:
    data = grid(g=8, row=4)
    rng = np.random.default_rng(9)
    names = [f"x{i}" for i in range(1, 9)]
    frame = words(data, "g").assign(**{name: rng.normal(size=32) for name in names})
    truths = {"sd(g: (Intercept))": 1.0, "sd(Residual)": 1.0}
    title = "8 groups of 4, 9 fixed effects on 32 rows, both standard deviations 1"
    draw = only(lambda rng: rng.normal(size=8)[data.g] + rng.normal(size=32))
    fit = lmm(f"y ~ {' + '.join(names)} + (1 | g)")
    return Scenario(title, frame, draw, fit, (tests, components(truths)), 1000)


def predictions(clusters: int, sd: float) -> Scenario:
    data = grid(g=clusters, row=8)

    def draw(rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
        b = sd * rng.normal(size=clusters)
        drawn = {"b": b, "new": sd * rng.normal(), "error": rng.normal(), "errors": rng.normal(size=clusters)}
        return b[data.g] + rng.normal(size=len(data)), drawn

    title = f"{clusters} clusters of 8, standard deviations {sd:g} between and 1 within"
    return Scenario(title, words(data, "g"), draw, lmm("y ~ 1 + (1 | g)"), (new_cluster, own_clusters))


def areas(variance: float) -> Scenario:
    sampling = np.tile([0.5, 0.75, 1.0, 1.5, 2.0], 3)
    x = np.linspace(-1, 1, 15)
    frame = pd.DataFrame({"area": [f"a{i}" for i in range(15)], "x": x, "D": sampling})

    def draw(rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
        b = np.sqrt(variance) * rng.normal(size=15)
        return b + np.sqrt(sampling) * rng.normal(size=15), {"mean": b}

    title = f"15 areas with known sampling variances 0.5 … 2, variance between areas {variance:g}"
    return Scenario(
        title, frame, draw, lambda d: mm.fay_herriot("y ~ x", d, variance="D", area="area"), (small_areas,)
    )


def studies() -> Scenario:
    sampling = np.array([0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4])
    frame = pd.DataFrame({"vi": sampling})
    title = "meta-analysis of 8 estimates with variances 0.02 … 0.4, τ² = 0.1"
    draw = only(lambda rng: np.sqrt(sampling + 0.1) * rng.normal(size=8))
    return Scenario(title, frame, draw, lambda d: mm.meta("y ~ 1", d, variance="vi"), (heterogeneity(0.1),))


def equal_and_unequal_clusters() -> Scenario:
    data = grid(g=10, row=6)
    frame = words(data.assign(arm=data.g % 2), "g", "arm")

    def draw(rng: np.random.Generator) -> Array:
        return np.where(data.g % 2, 2.0, 0.5) * rng.normal(size=10)[data.g] + rng.normal(size=60)

    title = "10 clusters of 6 in two arms, variances between clusters 4 and 0.25, modelled as equal"
    return Scenario(title, frame, only(draw), lmm("y ~ arm + (1 | g)"), (clusters_of_another_kind,))


SCENARIOS: Mapping[str, Scenario] = {
    "split_plot": split_plot(1.0),
    "split_plot_small": split_plot(0.3),
    "pooled": pooled_plots(),
    "blocks": blocks(),
    "nested": nested(),
    "crossed": crossed(),
    "slopes_6": slopes(6),
    "slopes_12": slopes(12),
    **{f"mmrm_{s}_{n}": mmrm(s, n) for s in ("us", "ar1", "csh") for n in (20, 40)},
    "series": series(),
    "field": field(),
    "unequal_variances": unequal_variances(),
    "ten_clusters": ten_clusters(),
    "unequal_clusters": equal_and_unequal_clusters(),
    "eight_groups": eight_groups(),
    "binary_10": binary(10, 20),
    "binary_20": binary(20, 10),
    "no_variance": no_variance(),
    "no_slopes": no_slopes(),
    "bootstrapped": bootstrapped(),
    "many_effects": many_effects(),
    "predictions_5": predictions(5, 2.0),
    "predictions_12": predictions(12, 1.0),
    "areas_small": areas(0.1),
    "areas": areas(1.0),
    "studies": studies(),
}
