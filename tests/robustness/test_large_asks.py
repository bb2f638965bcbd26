"""Nothing that is too large kills the process or runs on: a refusal within seconds, which says what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mixedmodels as mm
from large_asks import ASKS
from mixedmodels.control import processors
from mixedmodels.errors import SpecError

PROGRAM = Path(__file__).parents[1] / "large_asks.py"
SECONDS = 10.0
"""Of a processor."""
SIMULATED = {"crossed 10,000 by 10,000", "crossed 50,000 by 50,000", "crossed slopes 20,000 by 20,000"}
"""What no exact engine holds, and simulation does."""
ADVICE = ("Use ", "Write ", "Round ", "knots= is at most")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[object]]:
    if sys.platform != "linux":
        pytest.skip("address space is limited on Linux alone")
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=600)
    return {line[0]: line[1:] for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", ASKS)
def test_what_is_too_large_is_refused_or_simulated(name: str, outcomes: dict[str, list[object]]) -> None:
    seconds, kind, message = outcomes[name]
    if name in SIMULATED:
        assert kind == "fitted"
        return
    assert kind in ("SpecError", "DataError")
    assert any(word in str(message) for word in ADVICE), message
    assert isinstance(seconds, float)
    assert seconds < SECONDS


@pytest.mark.parametrize("threads", [5000, 2**63, 2**70])
def test_threads_are_no_more_than_processors(threads: int) -> None:
    control = mm.Control(threads=threads)
    assert control.threads_for(10) == processors()
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), control=control)
    assert any(f"threads={threads} reduced to" in str(status) for status in fit.status)


@pytest.mark.parametrize("threads", [-1, True, "2", 1.5])
def test_threads_that_are_no_number(threads: object) -> None:
    with pytest.raises(SpecError, match="threads="):
        mm.Control(threads=threads)  # type: ignore[arg-type]
