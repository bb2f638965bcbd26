"""Covariance structures: one file per family, one line per structure."""

from __future__ import annotations

from dataclasses import fields

from ..errors import SpecError
from ..registry import look_up
from ..spec import StructureSpec
from .base import Natural, Positions, Structure, semidefinite_cholesky
from .diagonal import CommonDiagonal, Diagonal
from .unstructured import BandedUnstructured, Unstructured, UnstructuredCorrelations

STRUCTURES: dict[str, type[Structure]] = {
    "us": Unstructured,
    "diag": Diagonal,
    "homdiag": CommonDiagonal,
    "banded_us": BandedUnstructured,
    "unr": UnstructuredCorrelations,
}
"""Every covariance structure by its canonical name."""

_ALIASES = {alias.lower(): name for name, cls in STRUCTURES.items() for alias in cls.names}


def structure_class(name: str) -> type[Structure]:
    """Return the class of a structure by its name in a formula, SAS or nlme, without regard to case.

    Examples
    --------
    >>> structure_class("UN").__name__
    'Unstructured'
    """
    return look_up("covariance structure", name, STRUCTURES, _ALIASES)


def bind(spec: StructureSpec) -> Structure:
    """Return the structure that `spec` names, of the order it asks for.

    Examples
    --------
    >>> from mixedmodels.spec import StructureSpec
    >>> bind(StructureSpec("banded_us", order=(2,)))
    BandedUnstructured(diagonals=2)
    """
    cls = structure_class(spec.name)
    _check_order(cls, spec)
    return cls(*spec.order)


def _check_order(cls: type[Structure], spec: StructureSpec) -> None:
    orders = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    if len(spec.order) != len(orders):
        raise SpecError(f"{spec}: {spec.name!r} takes {len(orders)} numbers, got {len(spec.order)}.")


__all__ = ["STRUCTURES", "Natural", "Positions", "Structure", "bind", "semidefinite_cholesky", "structure_class"]
