"""From the name and order of a structure, as written in a formula, to the structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from ..errors import SpecError
from ..spec import StructureSpec
from ..typing import Array
from .base import Structure
from .kronecker import Kronecker
from .linear import LinearCombination
from .nugget import WithNugget
from .penalty import Penalty


def build(
    cls: type[Structure],
    spec: StructureSpec,
    parts: Sequence[Structure],
    *,
    sizes: tuple[int, ...],
    dimension: int | None,
    matrices: tuple[Array, ...],
) -> Structure:
    """Return a structure of class `cls` as `spec` asks, or raise `SpecError`; see `bind`."""
    if parts and cls is not Kronecker:
        raise SpecError(f"{spec}: only kron takes structures as arguments.")
    if cls is Kronecker:
        structure: Structure = _product(spec, parts, sizes or spec.order)
    elif cls is LinearCombination:
        structure = LinearCombination(matrices)
    elif cls is Penalty:
        structure = Penalty(matrices)
    else:
        structure = cls(*_order(cls, spec, dimension))
    return WithNugget(structure) if spec.nugget else structure


def _order(cls: type[Structure], spec: StructureSpec, dimension: int | None) -> tuple[int, ...]:
    """Return the integers of the order, checked against the fields of the class."""
    allowed: list[Field[Any]] = [f for f in fields(cls) if f.init]  # type: ignore[arg-type]
    order = spec.order
    if not order and dimension is not None and [f.name for f in allowed] == ["dimension"]:
        order = (dimension,)
    required = sum(f.default is MISSING for f in allowed)
    if not required <= len(order) <= len(allowed):
        raise SpecError(
            f"{spec}: {_usage(spec.name, [f.name for f in allowed], required)}, got {len(order)}."
        )
    for value in order:
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpecError(f"{spec}: the order {value!r} must be a whole number.")
    return order


def _usage(name: str, arguments: list[str], required: int) -> str:
    if not arguments:
        return f"{name!r} takes no order"
    form = f"{name}({', '.join(arguments)})"
    return f"write {form}" if required else f"write {name} or {form}"


def _product(spec: StructureSpec, parts: Sequence[Structure], sizes: tuple[int, ...]) -> Kronecker:
    """Return the product of two or more structures, nested from the right."""
    if len(parts) < 2:
        raise SpecError(f"{spec}: kron takes two structures, as in kron(us, ar1).")
    if len(sizes) != len(parts):
        raise SpecError(
            f"{spec}: kron of {len(parts)} structures needs the number of levels of each, got "
            f"sizes={sizes!r}; give one grouping variable per structure."
        )
    second: Structure = parts[-1]
    below = sizes[-1]
    for part, size in zip(reversed(parts[1:-1]), reversed(sizes[1:-1]), strict=True):
        second = Kronecker(part, second, (size, below))
        below *= size
    return Kronecker(parts[0], second, (sizes[0], below))
