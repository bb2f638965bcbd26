"""Covariance structures: one file per family, one line per structure."""

from __future__ import annotations

from ..errors import SpecError
from ..registry import look_up
from ..spec import StructureSpec
from ..typing import Array
from .anisotropic import AnisotropicExponential, AnisotropicPower
from .antedependence import Antedependence
from .arma import AutoregressiveMovingAverage
from .autoregressive import FirstOrderAutoregressive, HeterogeneousAutoregressive
from .base import Natural, Positions, Structure, semidefinite_cholesky
from .binding import build
from .compound_symmetry import CompoundSymmetry, HeterogeneousCompoundSymmetry
from .diagonal import CommonDiagonal, Diagonal
from .factor_analytic import FactorAnalytic, FactorAnalyticCommon, FactorAnalyticReduced
from .huynh_feldt import HuynhFeldt
from .kronecker import Kronecker
from .linear import LinearCombination
from .matern import Matern
from .penalty import Penalty
from .spatial import (
    ContinuousAutoregressive,
    Exponential,
    Gaussian,
    LinearSpatial,
    Power,
    RationalQuadratic,
    Spherical,
)
from .toeplitz import HeterogeneousToeplitz, Toeplitz
from .unstructured import BandedUnstructured, Unstructured, UnstructuredCorrelations

STRUCTURES: dict[str, type[Structure]] = {
    "us": Unstructured,
    "diag": Diagonal,
    "homdiag": CommonDiagonal,
    "cs": CompoundSymmetry,
    "hcs": HeterogeneousCompoundSymmetry,
    "ar1": FirstOrderAutoregressive,
    "har1": HeterogeneousAutoregressive,
    "arma": AutoregressiveMovingAverage,
    "toep": Toeplitz,
    "htoep": HeterogeneousToeplitz,
    "ante1": Antedependence,
    "fa": FactorAnalytic,
    "fa0": FactorAnalyticReduced,
    "fa1": FactorAnalyticCommon,
    "banded_us": BandedUnstructured,
    "unr": UnstructuredCorrelations,
    "hf": HuynhFeldt,
    "exp": Exponential,
    "gau": Gaussian,
    "sph": Spherical,
    "lin_sp": LinearSpatial,
    "mat": Matern,
    "pow": Power,
    "rq": RationalQuadratic,
    "car1": ContinuousAutoregressive,
    "powa": AnisotropicPower,
    "expa": AnisotropicExponential,
    "lin": LinearCombination,
    "penalty": Penalty,
    "kron": Kronecker,
}
"""Every covariance structure by its canonical name."""

_ALIASES = {alias.lower(): name for name, cls in STRUCTURES.items() for alias in cls.names}


def structure_class(name: str) -> type[Structure]:
    """Return the class of a structure by its name in a formula, SAS or nlme; case and blanks are ignored.

    Examples
    --------
    >>> structure_class("AR(1)").names[0], structure_class("corAR1").names[0], structure_class("UN").names[0]
    ('ar1', 'ar1', 'us')
    """
    return look_up("covariance structure", name.replace(" ", ""), STRUCTURES, _ALIASES)


def bind(
    spec: StructureSpec,
    *,
    sizes: tuple[int, ...] = (),
    dimension: int | None = None,
    matrices: tuple[Array, ...] = (),
) -> Structure:
    """Return the structure that `spec` names, of the order it asks for; `SpecError` when it cannot be had.

    Parameters
    ----------
    spec
        Name (any alias), order, parts and nugget.
    sizes
        For `kron`: the number of levels of each factor; a spec may also carry them as its order.
    dimension
        For `powa` and `expa`: the number of coordinates, when the spec has no order.
    matrices
        For `lin` and `penalty`: the known matrices.

    Examples
    --------
    >>> from mixedmodels.spec import StructureSpec
    >>> bind(StructureSpec("fa", order=(2,)))
    FactorAnalytic(q=2)
    """
    # The first coordinate of a product is the level of its first factor.
    inner = None if dimension is None else max(dimension - 1, 1)
    parts = [bind(part, dimension=inner) for part in spec.parts]
    if any(part.nugget for part in spec.parts):
        raise SpecError(f"{spec}: a nugget belongs to the whole product; write it outside kron.")
    cls = structure_class(spec.name)
    return build(cls, spec, parts, sizes=sizes, dimension=dimension, matrices=matrices)


__all__ = [
    "STRUCTURES",
    "Natural",
    "Positions",
    "Structure",
    "bind",
    "semidefinite_cholesky",
    "structure_class",
]
