"""Numbers in requests that would take endless time or memory: refused at once, by the name of the argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError, SpecError

AT_ONCE = 2.0
"""Seconds of a processor."""
rng = np.random.default_rng(3)
N = 60
DATA = {
    "x": np.arange(N) + 0.0, "z": rng.normal(size=N), "w": rng.normal(size=N), "v": rng.normal(size=N),
    "k": rng.integers(0, 4, N), "g": np.repeat(list("abcdef"), 10), "y": rng.normal(size=N),
}  # fmt: skip
PLAN: dict[str, Any] = {"fixed": {"(Intercept)": 0.0, "x": 0.1}, "sd": {"g": 1.0, "Residual": 1.0}}
HUGE = (10**9, 10**12, 10**20)

OF_A_FIT: dict[str, Callable[[Any, int], object]] = {
    "n_sim=": lambda fit, n: fit.power("x", n_sim=n),
    "sizes: ": lambda fit, n: fit.power("x", along="g", sizes=[n]),
    "n=": lambda fit, n: fit.bootstrap(n),
    "n=.*": lambda fit, n: fit.confint(method="boot", n=n),
    "n=.*control.memory": lambda fit, n: fit.simulate(n),
    "n=1": lambda fit, n: fit.draws(n),
    "n_sim=.*": lambda fit, n: mm.power("y ~ x + (1 | g)", DATA, n_sim=n, **PLAN),
    "sizes: .*": lambda fit, n: mm.power("y ~ x + (1 | g)", DATA, along="g", sizes=[n], **PLAN),
}
OF_A_COUNT: dict[str, Callable[[Any, int], object]] = {
    "n=": lambda fit, n: fit.residuals("simulated", n=n),
    "n=.*": lambda fit, n: fit.simulate(n),
    "points=": lambda fit, n: mm.glmm(
        "k ~ x + (1 | g)", DATA, family="poisson", method="quadrature", points=n
    ),
}


@pytest.fixture(scope="module")
def fit() -> Any:
    return mm.lmm("y ~ x + (1 | g)", DATA)


@pytest.fixture(scope="module")
def counts() -> Any:
    return mm.glmm("k ~ x + (1 | g)", DATA, family="poisson")


def refused(ask: Callable[[], object], words: str) -> None:
    begin = time.process_time()
    with pytest.raises((SpecError, DataError), match=words):
        ask()
    assert time.process_time() - begin < AT_ONCE


@pytest.mark.parametrize("n", HUGE)
@pytest.mark.parametrize("words", OF_A_FIT)
def test_tools_of_a_fit(fit: Any, words: str, n: int) -> None:
    refused(lambda: OF_A_FIT[words](fit, n), words)


@pytest.mark.parametrize("n", HUGE)
@pytest.mark.parametrize("words", OF_A_COUNT)
def test_tools_of_a_generalised_fit(counts: Any, words: str, n: int) -> None:
    refused(lambda: OF_A_COUNT[words](counts, n), words)


def test_pairs_of_thousands_of_means(fit: Any) -> None:
    means = fit.emmeans("x", at={"x": np.arange(1_200.0)})
    refused(lambda: means.contrast("pairwise"), "1,200 means have 719,400 pairs")
    refused(lambda: means.cld(), "1,200 means have 719,400 pairs")
    assert len(means.contrast("trt.vs.ctrl").table) == 1_199


def test_columns_of_tensor_smooths() -> None:
    refused(lambda: mm.gam("y ~ te(x, z, w, v, k=50)", DATA), "6250000 columns")
    refused(lambda: mm.gam("y ~ s(x, k=1000)", DATA), "60 distinct values")
