"""What names of a program of R stand for, and where a call finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import suggest
from ...fit import Fit
from .tree import Call, Name, Node, Program


@dataclass(frozen=True, slots=True)
class Model:
    """A fit and the function of R that made it, which decides what R prints of it."""

    fit: Fit
    verb: str
    made: tuple[str, dict[str, Node]] | None = None


@dataclass(frozen=True, slots=True)
class FormulaText:
    """A formula that was given a name."""

    text: str


@dataclass(slots=True)
class Room:
    """The program, its data, and what it has given names to so far."""

    program: Program
    data: Mapping[str, Any]
    only: Any = None
    names: dict[str, Any] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    further: tuple[Node, ...] = ()

    def value(self, node: Name) -> Any:
        """Return what a name stands for: what the program assigned, then the data."""
        if node.value in self.names:
            return self.names[node.value]
        if node.value in self.data:
            return self.data[node.value]
        known = [*self.names, *self.data]
        listed = f" Names: {', '.join(known)}." if known else " Give data=, for example data={'dent': frame}."
        raise self.program.error(f"{node.value!r} is not known.{suggest(node.value, known)}{listed}", node)

    def frame(self, call: Call, node: Node | None) -> Any:
        """Return the data of a call: those it names, or the only ones there are."""
        if node is None:
            if self.only is not None:
                return self.only
            if len(self.data) == 1:
                return next(iter(self.data.values()))
            raise self.program.error(f"{call.function}() needs data = ….", call)
        if not isinstance(node, Name):
            raise self.program.error(
                "data = is the name of data that were passed; prepare them in Python.", node
            )
        found = self.only if self.only is not None and node.value not in self.data else self.value(node)
        if isinstance(found, (Model, FormulaText)):
            raise self.program.error(f"{node.value!r} is not a data frame.", node)
        return found
