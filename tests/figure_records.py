"""What a figure shows, as plain values: its words, the data of its artists, and a coarse picture in grey.

    python tests/figure_records.py

writes `tests/reference/figures/records.json` anew from the figures of `FIGURES`. Look at them first: `--folder DIR`
saves them as PNG there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import mixedmodels as mm
from mixedmodels.fit import Fit

mpl.use("Agg")
RECORDS = Path(__file__).parent / "reference" / "figures" / "records.json"
CELLS = (12, 16)
"""Rows and columns of the coarse picture."""


@cache
def model(name: str) -> Fit:
    """Return one of the models whose figures are kept."""
    load = mm.datasets.load
    if name == "sleep":
        return mm.lmm("Reaction ~ Days + (Days | Subject)", load("sleepstudy"))
    if name == "growth":
        formula = "Y ~ 0 + fem + male + fem:age + male:age + (0 + fem | id) + (0 + male | id)"
        return mm.lmm(formula, load("orthodont"))
    if name == "oats":
        return mm.lmm("yield ~ factor(nitro) * Variety + (1 | Block/Variety)", load("oats"))
    if name == "mares":
        formula = "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (1 | Mare)"
        return mm.lmm(formula, load("ovary"), residual="ar1(1 | Mare)")
    if name == "curve":
        return mm.lmm("follicles ~ s(Time, bs='cr') + (1 | Mare)", load("ovary"))
    if name == "visits":
        return mm.gls("Y ~ sex * age", load("orthodont"), residual="ar1(age | id)")
    if name == "epilepsy":
        return mm.glmm("y ~ base * trt + age + period + (1 | subject)", load("epil"), "poisson")
    return mm.glmm("cbind(incidence, size - incidence) ~ period + (1 | herd)", load("cbpp"), "binomial")


def studies() -> Fit:
    """Return a meta-analysis of seven studies."""
    data = {
        "trial": ["A", "B", "C", "D", "E", "F", "G"],
        "y": [0.12, -0.35, 0.48, 0.31, 0.77, 0.05, 0.39],
        "v": [0.04, 0.11, 0.02, 0.06, 0.09, 0.03, 0.05],
    }
    return mm.meta("y ~ 1", data, variance="v")


FIGURES: dict[str, Callable[[], Any]] = {
    "residuals": lambda: model("sleep").plot.residuals(),
    "residuals of a binomial model": lambda: model("herds").plot.residuals(),
    "qq": lambda: model("sleep").plot.qq(),
    "qq by level": lambda: model("visits").plot.qq(by="sex"),
    "profile": lambda: model("sleep").plot.profile("covariance"),
    "profile as densities": lambda: model("sleep").plot.profile("covariance", show="density"),
    "emmeans": lambda: model("oats").plot.emmeans(["nitro", "Variety"]),
    "emmeans with arrows": lambda: model("oats").emmeans("nitro").plot(comparisons=True),
    "contrasts": lambda: model("oats").emmeans("nitro").pairs().plot(),
    "pairwise": lambda: model("oats").plot.pairwise("nitro"),
    "pairwise by groups": lambda: model("oats").plot.pairwise("nitro", by="Variety", adjust="holm"),
    "interaction": lambda: model("oats").plot.interaction("nitro", "Variety"),
    "interaction along numbers": lambda: model("visits").plot.interaction("age", "sex"),
    "effects": lambda: model("sleep").plot.effects("Days"),
    "effects by levels": lambda: model("visits").plot.effects("age", "sex"),
    "effects on the response": lambda: model("epilepsy").plot.effects("base", "trt", type="response"),
    "covariance": lambda: model("mares").plot.covariance("V"),
    "covariance of effects": lambda: model("sleep").plot.covariance("G", correlation=False),
    "acf": lambda: model("mares").plot.acf(),
    "acf of scaled residuals": lambda: model("mares").plot.acf(kind="scaled"),
    "variogram": lambda: model("mares").plot.variogram("Time"),
    "variogram of random slopes": lambda: model("sleep").plot.variogram("Days"),
    "smooth": lambda: model("curve").plot.smooth("s(Time)"),
    "influence": lambda: model("growth").plot.influence("id"),
    "forest": lambda: studies().plot.forest("trial"),
    "funnel": lambda: studies().plot.funnel(),
    "random effects": lambda: model("sleep").plot.random_effects(),
    "trajectories": lambda: model("growth").plot.trajectories(
        "age", levels=[1, 2, 3, 4, 12, 13, 14, 15], color="sex"
    ),
}


def figure_of(drawn: Any) -> Any:
    """Return the figure of an Axes or an array of them."""
    return np.ravel(np.asarray(drawn, dtype=object))[0].figure


def record(figure: Any) -> dict[str, Any]:
    """Return the words of a figure, and sums over the data of the artists of each of its Axes."""
    figure.canvas.draw()
    return {
        "caption": caption_of(figure),
        "axes": [_axes(axes) for axes in figure.axes if axes.get_visible()],
        "picture": coarse(figure),
    }


def caption_of(figure: Any) -> str:
    """Return the caption below a figure, in one line."""
    found = [text for text in figure.findobj(mpl.text.Text) if text.get_gid() == "caption"]
    return " ".join(found[0].get_text().split()) if found else ""


def coarse(figure: Any) -> list[list[float]]:
    """Return the mean darkness, 0 to 1, of the cells of a grid laid over the figure."""
    grey = 1.0 - np.asarray(figure.canvas.buffer_rgba())[:, :, :3].mean(axis=2) / 255.0
    rows, columns = (
        np.array_split(np.arange(size), cells) for size, cells in zip(grey.shape, CELLS, strict=True)
    )
    return [[round(float(grey[np.ix_(r, c)].mean()), 3) for c in columns] for r in rows]


def _axes(axes: Any) -> dict[str, Any]:
    lines = [line for line in axes.get_lines() if len(line.get_xdata(orig=False))]
    offsets = [np.asarray(c.get_offsets(), dtype=float) for c in axes.collections]
    paths = [path.vertices for c in axes.collections for path in c.get_paths()]
    return {
        "title": axes.get_title(loc="left"),
        "labels": [axes.get_xlabel(), axes.get_ylabel()],
        "texts": [text.get_text() for text in axes.texts if text.get_gid() != "caption"][:40],
        "legend": [] if axes.get_legend() is None else [t.get_text() for t in axes.get_legend().get_texts()],
        "lines": [
            _sums(np.column_stack([line.get_xdata(orig=False), line.get_ydata(orig=False)])) for line in lines
        ],
        "points": [_sums(values) for values in offsets if values.size > 2],
        "paths": [len(paths), *(_sums(np.concatenate(paths)) if paths else [])],
        "bars": [
            len(axes.patches),
            round(float(sum(p.get_height() for p in axes.patches if hasattr(p, "get_height"))), 6),
        ],
        "images": [_sums(np.asarray(image.get_array(), dtype=float)) for image in axes.images],
    }


def _sums(values: Any) -> list[float]:
    """Return the number, the sum and the root sum of squares of what is finite, to seven digits."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    return [len(finite), _short(float(finite.sum())), _short(float(np.sqrt(np.sum(finite**2))))]


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def main() -> None:
    """Write the records, and the figures where a folder is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="save the figures there as PNG")
    folder = parser.parse_args().folder
    found = {}
    for name, draw in FIGURES.items():
        figure = figure_of(draw())
        found[name] = record(figure)
        if folder is not None:
            figure.savefig(folder / f"{name.replace(' ', '_')}.png", dpi=100)
        plt.close(figure)
    RECORDS.parent.mkdir(exist_ok=True)
    RECORDS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
