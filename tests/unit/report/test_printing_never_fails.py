"""What was fitted is printed, whatever its tests come to."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import mixedmodels as mm

RNG = np.random.default_rng(0)
NOISE = {
    "y": RNG.standard_normal(120),
    "x": RNG.standard_normal(120),
    "u": np.tile(np.arange(10.0), 12),
    "g": np.repeat([f"g{i}" for i in range(12)], 10),
    "f": np.tile(["a", "b", "c", "d", "e"], 24),
    "s": np.repeat(["m", "f"], 60),
}
STRUCTURES = (
    "us(0 + f | g)", "cs(0 + f | g)", "hcs(0 + f | g)", "ar1(0 + f | g)", "har1(0 + f | g)", "toep(0 + f | g)",
    "fa(1)(0 + f | g)", "exp(u | g)", "exp(u | s)", "gau(u | g)", "kron(us, ar1)(s, f | g)",
)  # fmt: skip


@pytest.mark.parametrize("structure", STRUCTURES)
def test_models_of_noise_print(structure: str) -> None:
    fit = mm.lmm(f"y ~ x + {structure}", NOISE)
    assert "Degrees of freedom: Kenward–Roger" in str(fit)
    assert np.all(np.isfinite(fit.fixed_effects(ddf="satterthwaite")["std_error"]))
    # where a curved structure is singular this method is refused in a sentence, never with a traceback of LAPACK
    with contextlib.suppress(mm.FitError):
        assert np.all(fit.fixed_effects(ddf="kenward-roger2")["std_error"] > 0)


def test_a_method_that_cannot_be_had_is_replaced_in_print_and_said() -> None:
    fit = mm.lmm("y ~ x + (1 | g)", NOISE, method="ml", ddf="kenward-roger")
    text = " ".join(str(fit).split())
    assert (
        "Warning: the method of this fit, kenward-roger, cannot be had here: ddf='kenward-roger' is" in text
    )
    assert "asymptotic" in text
    with pytest.raises(mm.SpecError, match="defined for REML fits"):
        fit.fixed_effects()
    with pytest.raises(mm.SpecError, match="defined for REML fits"):
        fit.summary(ddf="kenward-roger")


def test_curvature_where_a_variance_has_vanished() -> None:
    from mixedmodels.covariance import Positions, bind
    from mixedmodels.spec import StructureSpec

    exponential = bind(StructureSpec("exp"), dimension=1)
    at = Positions(3, ("a", "b", "c"), np.array([[0.0], [1.0], [3.0]]))
    regular = exponential.from_natural(np.array([1e-8, 2.0]), at)
    vanished = regular.copy()
    vanished[0] = 0.0
    here, near = exponential.d2_natural(vanished, at), exponential.d2_natural(regular, at)
    # ∂²Σ/∂σ²∂r does not depend on σ²
    np.testing.assert_allclose(here[0, 1], near[0, 1], rtol=1e-6)
    np.testing.assert_allclose(here[1, 1], 0.0, atol=1e-6)
