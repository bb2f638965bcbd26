"""Fits by every engine with their tables, by what is installed: run where there is neither a compiler nor the sources.

python tests/installed.py
"""

from __future__ import annotations

import pickle
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

import mixedmodels as mm


def main() -> int:
    """Fit, print and pickle; AssertionError where a number is not the known one."""
    assert "src" not in Path(mm.__file__ or "").parts, mm.__file__
    sleep = mm.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (Days | Subject)"
    for engine, bounds in (("blocked", "psd"), ("clusters", "psd"), ("sparse", "psd"), ("signed", "none")):
        fit = mm.lmm(formula, sleep, bounds=bounds, control=mm.Control(engine=engine))
        assert abs(fit.criterion - 1743.628272) < 1e-5, (engine, fit.criterion)
    np.testing.assert_allclose(fit.beta, [251.4051, 10.46729], rtol=1e-5)
    twin = pickle.loads(pickle.dumps(mm.lmm(formula, sleep)))
    table = twin.fixed_effects()
    np.testing.assert_allclose(table["std_error"], [6.824597, 1.545790], rtol=1e-4)
    np.testing.assert_allclose(table["df"], [17.0, 17.0], rtol=1e-3)
    growth = mm.mmrm("Y ~ sex * age + us(age | id)", mm.datasets.load("orthodont"), method="ml")
    assert abs(growth.criterion - 419.477) < 1e-3, growth.criterion
    for shown in (
        twin,
        twin.anova(),
        growth.variance_components(),
        mm.lm("travel ~ Rail", mm.datasets.load("rail")),
    ):
        assert str(shown)
    mm.lmm("Reaction ~ spline(Days) + (1 | Subject)", sleep).predict(sleep)
    packages = ", ".join(f"{name} {version(name)}" for name in ("mixedmodels", "numpy", "scipy", "narwhals"))
    print(f"Python {sys.version.split()[0]}, {packages}: fits and tables as they must be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
