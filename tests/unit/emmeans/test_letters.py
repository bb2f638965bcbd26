"""Letters are those of the adjusted p-values of all pairs."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm


@pytest.mark.parametrize("adjust", ["tukey", "bonferroni", "none"])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_means_share_a_letter_exactly_where_their_pair_does_not_differ(adjust: str, spread: float) -> None:
    generator = np.random.default_rng(3)
    treatment = np.tile(np.arange(12), 6)
    means = spread * generator.standard_normal(12)
    data = {
        "y": means[treatment] + 0.5 * generator.standard_normal(72),
        "t": [f"t{code:02d}" for code in treatment],
        "x": np.arange(72.0),
    }
    found = mm.gls("y ~ t", data, residual="exp(x | 1)").emmeans("t")
    letters = found.cld(adjust=adjust)
    of = {
        level: set(text.replace(" ", "")) for level, text in zip(letters["t"], letters["group"], strict=True)
    }
    pairs = found.contrast("pairwise", adjust=adjust)
    for name, p_value in zip(pairs["contrast"], pairs["p_value"], strict=True):
        first, second = name.split(" - ")
        assert bool(of[first] & of[second]) == (p_value >= 0.05), name
