"""Searches from a neighbour's estimates, and what happens where they lead nowhere."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.optimise.batched import optimise_near
from mixedmodels.optimise.newton import optimise


def two_variances() -> tuple[mm.Fit, np.ndarray]:
    """Return a fit of errors a tenth as large in one group of rows, and responses like its own."""
    rng = np.random.default_rng(0)
    g, s = np.repeat(np.arange(8), 4), np.tile([0, 1], 16)
    y = rng.standard_normal(8)[g] + rng.standard_normal(32) * np.where(s == 0, 0.2, 2.0)
    data = {"g": g, "s": s.astype(str), "y": y, "x": rng.standard_normal(32)}
    fit = mm.lmm("y ~ x + (1 | g)", data, variance="ident(s)")
    return fit, fit.simulate(3, seed=0)


def test_a_response_that_the_neighbour_leads_astray_is_searched_for_afresh() -> None:
    """The second response has a group of rows without error: −2l falls until rounding ends either search."""
    fit, responses = two_variances()
    work = fit._work.criterion()
    equations = work.equations.new_response(responses[:, 1])
    criterion = type(work)(work.design, equations)
    near, afresh = optimise(criterion, fit.control, fit.optimum.theta), optimise(criterion, fit.control)
    assert not near.converged
    lower = min(near.value, afresh.value)
    assert optimise_near(criterion, fit.control, fit.optimum.theta).value == pytest.approx(lower)
    assert fit.refit(responses).criterion[1] == pytest.approx(lower, rel=1e-8)
    assert fit.refit(responses[:, 1]).criterion == pytest.approx(lower, rel=1e-8)


def test_a_neighbour_outside_the_domain_is_left() -> None:
    fit, _ = two_variances()
    criterion = fit._work.criterion()
    found = optimise_near(criterion, fit.control, np.full(criterion.n_theta, 1e3))
    assert found.converged
    assert found.value == pytest.approx(fit.criterion, abs=1e-6)


def test_native_searches_and_the_general_one_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    responses = fit.simulate(20, seed=3)
    native = fit.refit(responses)
    monkeypatch.setattr("mixedmodels.postfit.refit._natively", lambda *_: None)
    general = fit.refit(responses)
    np.testing.assert_allclose(native.criterion, general.criterion, rtol=1e-10)
    np.testing.assert_allclose(native.beta, general.beta, rtol=1e-6)
