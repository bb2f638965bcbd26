"""The exact restricted likelihood-ratio test of a curve against a line, against RLRsim."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import mixedmodels as mm

RESULT = json.loads((Path(__file__).parent / "smooths_exact" / "rlrsim.json").read_text())
DATA = {"x": np.array(RESULT["x"]), "y": np.array(RESULT["y"])}


def test_a_curve_against_the_line_that_it_contains() -> None:
    curve, line = mm.lmm("y ~ s(x, bs='cr')", DATA), mm.lm("y ~ x", DATA)
    table = mm.compare(line, curve, boundary="exact", n=100_000, seed=2, progress=False)
    assert table["statistic"][1] == pytest.approx(RESULT["statistic"], abs=1e-5)
    # four Monte Carlo errors of both, and the grid of RLRsim
    assert table["p_value"][1] == pytest.approx(RESULT["p_value"], abs=0.005)
    alone = mm.compare(curve, boundary="exact", n=100_000, seed=2, progress=False)
    assert alone["statistic"][1] == pytest.approx(table["statistic"][1], abs=1e-8)
    assert alone["p_value"][1] == table["p_value"][1]


def test_a_curve_among_others_is_refused_in_one_sentence() -> None:
    data = DATA | {"z": np.cos(np.arange(len(DATA["x"])))}
    with pytest.raises(mm.SpecError, match="one variance component"):
        mm.compare(
            mm.lmm("y ~ x + s(z, bs='cr')", data), mm.lmm("y ~ s(x, bs='cr') + s(z, bs='cr')", data),
            boundary="exact", progress=False,
        )  # fmt: skip
