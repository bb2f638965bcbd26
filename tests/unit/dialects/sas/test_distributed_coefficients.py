"""Coefficients of an effect are distributed over the interactions that contain it."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm

PROGRAM = """
proc mixed data=oats;
  class Block Variety nitro;
  model yield = Variety|nitro / ddfm=kr;
  random Block Block*Variety;
  lsmeans Variety / diff;
  estimate 'short' Variety 1 -1 0;
  estimate 'full' Variety 1 -1 0 Variety*nitro .25 .25 .25 .25 -.25 -.25 -.25 -.25;
  estimate 'mean' intercept 1 Variety 1 nitro .25 .25 .25 .25;
  contrast 'all' Variety 1 -1 0, Variety 1 0 -1;
run;
"""


def test_an_interaction_takes_its_share_of_a_main_effect() -> None:
    listing = mm.sas(PROGRAM, data={"oats": mm.datasets.load("oats")})
    means, differences = listing.tables["LSMeans"], listing.tables["Diffs"]
    rows, contrast, tests = (listing.tables[name] for name in ("Estimates", "Contrasts", "Tests3"))
    for row in (0, 1):
        assert rows["Estimate"][row] == pytest.approx(differences["Estimate"][0])
        assert rows["StdErr"][row] == pytest.approx(differences["StdErr"][0])
    assert rows["Estimate"][2] == pytest.approx(means["Estimate"][0])
    assert rows["StdErr"][2] == pytest.approx(means["StdErr"][0])
    assert contrast["FValue"][0] == pytest.approx(tests["FValue"][0])


def test_a_covariate_by_class_effect_contains_no_main_effect() -> None:
    """`sex` beside `sex*age` is a difference at age 0."""
    listing = mm.sas(
        "proc mixed data=d; class id sex; model y = sex age sex*age / s; random intercept / subject=id; "
        "estimate 'at zero' sex 1 -1; run;",
        data={"d": mm.datasets.load("orthodont")},
    )
    solution = listing.tables["SolutionF"]
    row = solution["Effect"].tolist().index("sex")
    assert np.isclose(listing.tables["Estimates"]["Estimate"][0], solution["Estimate"][row])
