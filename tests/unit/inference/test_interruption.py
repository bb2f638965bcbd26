"""Long computations end within a second of an interrupt, and leave the fit as it was."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

import mixedmodels as mm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="interval timers are POSIX")


def sample(groups: int, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(groups), size), rng.normal(size=groups * size)
    y = rng.normal(size=groups)[g] + rng.normal(size=groups)[g] * x + rng.normal(size=groups * size)
    return {"y": y, "x": x, "g": g}


LONG: dict[str, Callable[[mm.Fit], object]] = {
    "bootstrap": lambda fit: fit.bootstrap(n=1_000_000, seed=1),
    "statistic": lambda fit: fit.bootstrap(lambda one: one.sigma, n=1_000_000, seed=1),
    "case": lambda fit: fit.bootstrap(n=1_000_000, seed=1, kind="case"),
    "studentized": lambda fit: fit.confint("boot", interval="studentized", n=1_000_000, seed=1),
    "profile": lambda fit: [fit.confint("profile") for _ in range(100_000)],
}


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals need it")
@pytest.mark.parametrize("name", list(LONG))
def test_an_interrupt_ends_it_within_a_second(name: str) -> None:
    fit = mm.lmm("y ~ x + (x | g)", sample(200, 10))
    before = fit.fixed_effects()["std_error"].copy(), fit.criterion, fit.bootstrap(n=9, seed=3).replicates

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            LONG[name](fit)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - began < 2.0
    np.testing.assert_allclose(fit.fixed_effects()["std_error"], before[0], rtol=1e-12)
    assert fit.criterion == before[1]
    np.testing.assert_allclose(fit.bootstrap(n=9, seed=3).replicates, before[2], rtol=1e-10)
