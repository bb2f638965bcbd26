"""Long tools take threads of their own, and say the same with any number of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.table import Table

SLEEP = mm.datasets.load("sleepstudy")
ASKED: dict[str, Callable[[Fit, int], Table]] = {
    "bootstrap": lambda fit, threads: fit.bootstrap(n=12, seed=3, threads=threads).confint(),
    "bootstrap of a statistic": lambda fit, threads: fit.bootstrap(
        lambda one: one.sigma, n=6, seed=3, threads=threads
    ).confint(),
    "bootstrap of cases": lambda fit, threads: fit.bootstrap(
        n=6, seed=3, kind="case", threads=threads
    ).confint(),
    "confint": lambda fit, threads: fit.confint("boot", n=12, seed=3, threads=threads),
    "profile": lambda fit, threads: fit.profile(terms="covariance", threads=threads),
    "influence": lambda fit, threads: fit.influence("Subject", refit=True, threads=threads),
    "power": lambda fit, threads: fit.power("Days", n_sim=8, seed=1, threads=threads),
    "compare": lambda fit, threads: mm.compare(
        mm.lmm("Reaction ~ Days + (1 | Subject)", SLEEP),
        fit,
        reference="bootstrap",
        n=8,
        seed=2,
        threads=threads,
    ),
}


@pytest.fixture(scope="module")
def fit() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", SLEEP)


@pytest.mark.parametrize("name", ASKED)
def test_threads_do_not_change_the_answer(name: str, fit: Fit) -> None:
    one, two = ASKED[name](fit, 1), ASKED[name](fit, 2)
    assert one.names == two.names
    assert one.notes == two.notes
    for column in one.names:
        np.testing.assert_array_equal(one[column], two[column])


@pytest.mark.parametrize("name", ASKED)
def test_threads_are_whole_numbers(name: str, fit: Fit) -> None:
    with pytest.raises(mm.SpecError, match="threads="):
        ASKED[name](fit, -1)


def test_failures_of_threads_stand_in_their_order(fit: Fit) -> None:
    own = int(fit.sigma * 1e6) % 2

    def odd(one: Fit) -> float:
        if int(one.sigma * 1e6) % 2 != own:
            raise ValueError("odd")
        return one.sigma

    one, two = (fit.bootstrap(odd, n=20, seed=5, threads=k) for k in (1, 3))
    assert 0 < len(one.failures) < 20
    assert one.failures == two.failures
