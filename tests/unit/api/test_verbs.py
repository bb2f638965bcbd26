"""The verbs and the package's front door."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import mixedmodels as mm


def test_import_is_light() -> None:
    heavy = ("pandas", "polars", "pyarrow", "matplotlib", "formulaic", "scipy.stats", "rich")
    code = f"import sys, mixedmodels as mm; mm.lmm; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_import_takes_a_third_of_a_second_at_most() -> None:
    # of the processor, so that other work on the machine does not count; 0.02 s where nothing else runs
    code = "import time; t = time.process_time(); import mixedmodels; print(time.process_time() - t)"
    taken = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(taken) < 0.35


def test_every_public_name_is_there() -> None:
    for name in mm.__all__:
        assert getattr(mm, name) is not None
    assert set(mm.__all__) == set(dir(mm))
    with pytest.raises(AttributeError, match="no attribute 'lmer4'"):
        mm.lmer4  # type: ignore[attr-defined]  # noqa: B018


def test_lm_is_ordinary_least_squares() -> None:
    # R 4.2: summary(lm(Reaction ~ Days, sleepstudy)), confint, printed to 12 digits.
    fit = mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy"))
    table = fit.fixed_effects()
    np.testing.assert_allclose(table["estimate"], [251.4051048485, 10.4672859596], rtol=1e-11)
    np.testing.assert_allclose(table["std_error"], [6.61015404429, 1.23819529805], rtol=1e-10)
    np.testing.assert_allclose(table["p_value"], [2.15688828181e-87, 9.89409632221e-15], rtol=1e-8)
    np.testing.assert_allclose(table["conf_low"], [238.36075318712, 8.02385502213], rtol=1e-10)
    assert fit.sigma == pytest.approx(47.7147197438, rel=1e-10)


def test_weighted_lm() -> None:
    # R 4.2: summary(lm(Reaction ~ Days, sleepstudy, weights = rep(c(1, 2, 4), 60)))
    fit = mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy"), weights=np.tile([1.0, 2.0, 4.0], 60))
    np.testing.assert_allclose(fit.beta, [251.9770362771, 10.3355184993], rtol=1e-11)
    np.testing.assert_allclose(np.asarray(fit.bse), [6.80293305934, 1.27430611610], rtol=1e-10)
    assert fit.sigma == pytest.approx(75.0110745736, rel=1e-10)


def test_lm_refuses_random_terms() -> None:
    with pytest.raises(mm.SpecError, match="use `lmm`"):
        mm.lm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))


def test_an_unknown_df_method_is_refused_before_fitting() -> None:
    with pytest.raises(
        mm.SpecError, match=r"unknown ddf method 'kenward'\..*Available: asymptotic.*residual"
    ):
        mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), ddf="kenward")


def test_control_reaches_the_optimiser() -> None:
    data = mm.datasets.load("sleepstudy")
    fit = mm.lmm(
        "Reaction ~ Days + (Days | Subject)", data, control=mm.Control(max_iterations=1, decrement=1e-14)
    )
    assert not fit.converged
    assert "Warning: did not converge" in str(fit)
