"""What a fit would take, by the planner that fits ask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

rng = np.random.default_rng(0)
ROWS = pd.DataFrame(
    {
        "x": rng.normal(size=600),
        "g": np.repeat(np.arange(60), 10),
        "t": np.tile(np.arange(10), 60),
        "h": rng.integers(0, 40, 600),
        "y": rng.normal(size=600),
    }
)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (x | g)", {}),
        ("y ~ x + (1 | g) + (1 | h)", {}),
        ("y ~ x", {"residual": "us(t | g)"}),
        ("y ~ x + (1 | g)", {"bounds": "none"}),
        ("y ~ x + (1 | g) + (1 | h)", {"control": mm.Control(engine="sparse")}),
    ],
)
def test_the_engine_chosen_is_that_of_the_fit(formula: str, options: dict[str, Any]) -> None:
    cost = mm.estimate_cost(formula, ROWS, **options)
    assert cost["engine"][cost["chosen"]].tolist() == [mm.lmm(formula, ROWS, **options).engine]
    assert (cost["seconds"][cost["chosen"]] > 0).all()
    assert (cost["memory_bytes"][cost["chosen"]] > 8 * 600).all()


def test_engines_that_cannot_take_a_model_say_why() -> None:
    cost = mm.estimate_cost("y ~ x", ROWS, residual="us(t | g)")
    assert "independent errors" in cost["reason"][list(cost["engine"]).index("blocked")]
    large = mm.estimate_cost(
        "y ~ x + (1 | a) + (1 | b)",
        {"a": rng.integers(0, 9000, 60_000), "b": rng.integers(0, 9000, 60_000), "x": rng.normal(size=60_000),
         "y": rng.normal(size=60_000)},
        control=mm.Control(memory=2e8),
    )  # fmt: skip
    # no exact engine holds a dense tail of 9,000 columns in 200 MB
    assert list(large["engine"][large["chosen"]]) == ["iterative"]
    assert all(reason for reason, chosen in zip(large["reason"], large["chosen"], strict=True) if not chosen)


def test_seconds_and_bytes_grow_with_the_rows() -> None:
    few, many = (mm.estimate_cost("y ~ x + (x | g)", pd.concat([ROWS] * k)) for k in (1, 20))
    seconds = [float(cost["seconds"][cost["chosen"]][0]) for cost in (few, many)]
    assert 10 < seconds[1] / seconds[0] < 40
    held = [float(cost["memory_bytes"][cost["chosen"]][0]) for cost in (few, many)]
    assert 5 < held[1] / held[0] < 40


def test_large_residual_clusters_are_a_matter_of_memory() -> None:
    rng = np.random.default_rng(0)
    field = {
        "z": rng.normal(size=3000),
        "x": rng.uniform(size=3000),
        "y": rng.uniform(size=3000),
        "f": [1] * 3000,
    }
    asked = {"residual": "exp(x, y | f)"}
    cost = mm.estimate_cost("z ~ 1", field, **asked, control=mm.Control(memory=4e9))
    chosen = cost["chosen"]
    assert list(np.asarray(cost["engine"])[chosen]) == ["clusters"]
    assert 0.9e9 < np.asarray(cost["memory_bytes"])[chosen][0] < 1.2e9
    with pytest.raises(mm.SpecError, match=r"its clusters .*memory"):
        mm.lmm("z ~ 1", field, **asked, control=mm.Control(memory=5e8))
