"""Draw the pictures of the guide to smooths: python docs/guides/pictures/smooths.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

import mixedmodels as mm

matplotlib.use("Agg")
HERE = Path(__file__).parent


def keep(axes: Any, name: str) -> None:
    """Write the figure of some axes."""
    np.ravel(axes)[0].figure.savefig(HERE / name, dpi=80)


rng = np.random.default_rng(4)
field = {"x": rng.uniform(0, 10, 400), "z": rng.uniform(0, 1, 400)}
field["y"] = np.sin(field["x"] / 2) * field["z"] + rng.normal(0, 0.2, 400)
keep(mm.lmm("y ~ s(x)", mm.datasets.load("curve")).plot.smooth("s(x)"), "smooth-curve.png")
keep(mm.lmm("y ~ te(x, z)", field).plot.smooth("te(x,z)"), "smooth-surface.png")
calls = mm.glmm(
    "SiblingNegotiation ~ FoodTreatment + s(ArrivalTime, by=FoodTreatment) + (1 | Nest)",
    mm.datasets.load("owls"),
    family="nb2",
)
keep(calls.plot.smooth(), "smooth-owls.png")
