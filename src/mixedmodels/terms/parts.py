"""What a block of columns is a product of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ..syntax.algebra import Atom
from ..typing import Labels
from .coding import CodedColumns


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One atom of a block: a number, a factor in some coding of its levels, or the columns of a basis.

    `columns` is the coding of the `levels`, None for numbers and bases; `fields` are the names of the columns of a
    basis, of which the first is left out where it is `reduced`.
    """

    atom: Atom
    columns: CodedColumns | None = None
    levels: NDArray[Any] | None = None
    indicators: str = ""
    fields: Labels | None = None
    reduced: bool = False

    def names(self) -> Labels:
        """Return the names of the part's columns."""
        fields = self.fields if self.columns is None else self.columns.fields
        if fields is None:
            return (self.atom.label,)
        return tuple(f"{self.atom.label}[{name}]" for name in fields)


Block: TypeAlias = tuple[Part, ...]
"""Parts multiplied together; the empty block is the constant."""
