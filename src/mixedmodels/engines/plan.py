"""What an evaluation of a model takes, counted before it is taken: parameters, blocks, operations.

What is refused depends on counts alone, never on what is free or how fast the machine is.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..control import Control
from ..errors import SpecError
from ..formats import size_text
from ..terms.design import Design

MOST_PARAMETERS = 3_000
"""Covariance parameters of a model: their information is dense, and each is a direction to differentiate along."""
MOST_OPERATIONS = 5e11
"""Operations of an evaluation, of which a fit takes five to thirty: a dense tail of 7,900 columns, minutes of one
processor."""
PER_SECOND = 2e9
"""Operations of one processor in a second."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Covariance parameters of one part of a model: its name, how many, and the order of the matrix they are of."""

    part: str
    count: int
    order: int

    @property
    def size(self) -> float:
        """Bytes of the matrix and its first derivatives."""
        return 8.0 * (self.count + 1.0) * self.order**2


def parameters(design: Design) -> list[Parameters]:
    """Return the covariance parameters of every part of a model, those of the errors last."""
    found = [Parameters(f"the random term {t.label!r}", t.n_theta, t.n_columns) for t in design.random]
    residual = design.residual
    if residual is not None:
        grid = residual.structure is not None and not residual.structure.needs_coordinates
        order = residual.positions.size if grid else 1
        found.append(Parameters(f"the residual structure of {residual.label!r}", residual.n_theta, order))
    return found


def check_parameters(design: Design, control: Control) -> None:
    """Raise `SpecError` where the covariance parameters, their information or derivatives are too many to hold."""
    found = parameters(design)
    if not found:
        return
    largest = max(found, key=lambda one: one.size)
    total = sum(one.count for one in found)
    size = 32.0 * float(total) ** 2 + sum(one.size for one in found)
    if total <= MOST_PARAMETERS and size <= control.room:
        return
    raise SpecError(
        f"{largest.part} has {largest.count:,} covariance parameters for {largest.order:,} positions"
        + (f", more than the {MOST_PARAMETERS:,} that can be worked with" if total > MOST_PARAMETERS else "")
        + f" ({size_text(size)} with their information and derivatives; control.memory is "
        f"{size_text(control.room)}). Use a structure of fewer parameters, such as ar1, cs, toep or fa(1), "
        "or combine positions."
    )


def check_operations(name: str, operations: float, advice: str = "") -> None:
    """Raise `SpecError` where an evaluation by the cheapest engine makes a fit work for hours."""
    if operations <= MOST_OPERATIONS:
        return
    minutes = operations / PER_SECOND / 60
    raise SpecError(
        f"an evaluation of this model takes about {operations:.1e} operations ({minutes:.0f} minutes of a processor), "
        "and a fit takes five to thirty: too many random columns cross each other, or too many rows are tied together. "
        f"{advice}Use fewer levels, points, knots or rows in a cluster; or, to wait for it, "
        f"control=mm.Control(engine={name!r})."
    )
