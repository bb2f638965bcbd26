"""Families of comparisons of which some are not estimable, against R's emmeans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mixedmodels as mm

PRINTED = json.loads((Path(__file__).parent / "holed_family" / "family.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("adjust", PRINTED["p"])
def test_tests_without_a_result_count(adjust: str) -> None:
    """One of three pairs can be compared; digits of ptukey's own quadrature."""
    pairs = mm.lm("y ~ a * b", PRINTED["data"]).emmeans("a").contrast("pairwise", adjust=adjust.lower())
    assert pairs["p_value"][0] == pytest.approx(PRINTED["p"][adjust], rel=1e-6)
