"""Arrays of size groups that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from ..typing import Array


class LazyBlocks(Sequence[Array]):
    """Arrays of size groups that are made each time they are asked for, where all of them at once take too much."""

    __slots__ = ("_make", "_size")

    def __init__(self, make: Callable[[int], Array], size: int) -> None:
        self._make, self._size = make, size

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Array, ...]: ...
    def __getitem__(self, index: int | slice) -> Array | tuple[Array, ...]:
        if isinstance(index, slice):
            return tuple(self._make(g) for g in range(self._size)[index])
        return self._make(range(self._size)[index])
