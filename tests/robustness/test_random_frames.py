"""A sample of the random calls of `make test-frames`: no exception but ours, no impossible number."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from frame_truths import call
from random_frames import random_model


@pytest.mark.parametrize("block", range(4))
def test_no_call_ends_in_an_impossible_number(block: int) -> None:
    found = [call(seed) for seed in range(100_000 + 10 * block, 100_000 + 10 * (block + 1))]
    # how long a call takes is the business of the long run, not of a busy machine
    wrong = [one for one in found if any(not f.startswith("slow") for f in one["faults"])]
    assert not wrong


@pytest.mark.parametrize("seed", [6041, 6211, 6250, 6349, 6571, 6601, 700048])
def test_calls_at_a_boundary_of_the_errors_say_so(seed: int) -> None:
    """Errors without variance at a position, a singular Σ_R, an exact fit: no SE of 0, no −2l without a warning."""
    assert [fault for fault in call(seed)["faults"] if not fault.startswith("slow")] == []


def test_levels_whose_errors_vanish_are_named() -> None:
    """Rows of a level that random effects and the fixed part fit: its ratio is nowhere near settled."""
    model = random_model(700048)
    fit = mm.lmm(model.formula, model.data, **model.options)
    (told,) = [status for status in fit.status if "does not settle" in status.message]
    assert "ident(h): ratio(2), ident(h): ratio(5), ident(h): ratio(6)" in told.message
    assert "join levels with few rows" in str(told)


def test_bands_keep_a_bounded_covariance_semidefinite() -> None:
    """With whole clusters factored, V alone would let `toep(2)` of three columns be indefinite."""
    model = random_model(6041)
    fit = mm.lmm(model.formula, model.data, **model.options)
    values = np.linalg.eigvalsh(fit.covariances[0][0])
    assert fit.engine == "clusters"
    assert values[0] >= -1e-8 * values[-1]
