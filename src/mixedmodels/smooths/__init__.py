"""Bases of smooths: one file per family, one line in `SMOOTHS`."""

from __future__ import annotations

from ..registry import look_up
from .adaptive import Adaptive
from .base import Basis, Given, Smooth
from .cubic import Cubic, CyclicCubic, ShrinkageCubic
from .factors import Deviations, FactorSmooth, MarkovField, RandomEffect
from .gaussian_process import GaussianProcess
from .mixed import MixedForm, centring, constraint, mixed_form
from .p_spline import BSpline, CyclicPSpline, PSpline
from .radial_smooth import RadialSmooth
from .tensor import Margin, TensorBasis, learn_tensor
from .thin_plate import ShrinkageThinPlate, ThinPlate
from .truncated import TruncatedPowers

SMOOTHS: dict[str, Smooth] = {
    "tp": ThinPlate(),
    "ts": ShrinkageThinPlate(),
    "cr": Cubic(),
    "cs": ShrinkageCubic(),
    "cc": CyclicCubic(),
    "ps": PSpline(),
    "cp": CyclicPSpline(),
    "bs": BSpline(),
    "ad": Adaptive(),
    "gp": GaussianProcess(),
    "re": RandomEffect(),
    "fs": FactorSmooth(),
    "sz": Deviations(),
    "mrf": MarkovField(),
    "rsmooth": RadialSmooth(),
    "spline": TruncatedPowers(),
}
"""Every basis by its name in `s(…, bs=)`."""

_ALIASES = {alias.lower(): name for name, smooth in SMOOTHS.items() for alias in smooth.names}


def find_smooth(name: str) -> Smooth:
    """Return the kind of basis of a name in `bs=`.

    Examples
    --------
    >>> find_smooth("pspline").names[0]
    'ps'
    """
    return look_up("basis", name, SMOOTHS, _ALIASES)


__all__ = [
    "SMOOTHS",
    "Basis",
    "Given",
    "Margin",
    "MixedForm",
    "Smooth",
    "TensorBasis",
    "centring",
    "constraint",
    "find_smooth",
    "learn_tensor",
    "mixed_form",
]
