"""Never a worse REML score than mgcv's, on 300 simulated problems: from no effect at all to curves without noise."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pytest

import mixedmodels as mm

FOLDER = Path(__file__).parent / "smooths_never_worse"
sys.path.insert(0, str(FOLDER))
from problems import COUNT, problem, total  # noqa: E402

RESULT = json.loads((FOLDER / "mgcv.json").read_text())
SAMPLE = tuple(range(3, COUNT, 14))[:20]
"""Problems of every run; the rest are of `make test-full`."""


def worse(number: int) -> float:
    """Return by how much the score of a problem is higher than mgcv's."""
    formula, family, data = problem(number)
    if abs(total(data) - RESULT["total"][number]) > 1e-6 * abs(RESULT["total"][number]):
        pytest.skip("NumPy's generator gives other data than those that mgcv's figures are of")
    with warnings.catch_warnings():
        # `ad` without any noise has a part of the curve that no penalty holds: its variance has no end
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        if family == "gaussian":
            return mm.lmm(formula, data).criterion / 2 - float(RESULT["score"][number])
        return mm.glmm(formula, data, family=family, reml=True).criterion / 2 - float(RESULT["score"][number])


@pytest.mark.parametrize("number", SAMPLE)
def test_a_sample(number: int) -> None:
    assert worse(number) < 1e-5


@pytest.mark.full
def test_all_of_them() -> None:
    found = {number: worse(number) for number in range(COUNT)}
    assert {number: by for number, by in found.items() if by > 1e-5} == {}
    # and better where mgcv stopped short of an optimum or in a worse one
    assert sum(by < -0.01 for by in found.values()) >= 5
