"""Variables of a SAS step: names, CLASS, and what a DATA step makes before."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import SpecError
from ..syntax.tokens import Kind, tokenize

FUNCTIONS = {
    **{name: name for name in ("log", "exp", "sqrt", "abs", "log10", "log2", "sin", "cos")},
    **{f"np.{name}": name for name in ("log", "exp", "sqrt", "abs", "log10", "log2", "sin", "cos")},
    "I": "",
}
"""Functions of formulas that a DATA step has."""
LONGEST = 32
"""Characters of a name."""


@dataclass(slots=True)
class Columns:
    """The variables of a step, and the assignments of the DATA step before it."""

    kind: Callable[[str], str]
    factors: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """The CLASS variables, in the order of their names."""
        return sorted(self.factors.values(), key=str.casefold)

    def factor(self, name: str) -> str:
        """Return a CLASS variable of a column; a copy of it where the column is also used as a number."""
        if name in self.numbers:
            copy = self.new(f"{name}_class", self.plain(name))
            return self.factors.setdefault(f"{name} class", copy)
        return self.factors.setdefault(name, self.plain(name))

    def position(self, name: str) -> str:
        """Return the CLASS variable of a position in time; the column is often a number of the model too."""
        return self.factor(name)

    def number(self, name: str) -> str:
        """Return the variable of a column of numbers."""
        if name in self.factors:
            return self.new(f"{name}_number", self.plain(name))
        return self.numbers.setdefault(name, self.plain(name))

    def plain(self, name: str) -> str:
        """Return a column as SAS writes it: a name literal where it is no plain name."""
        name = name[1:-1].replace("``", "`") if name.startswith("`") else name
        if len(name) > LONGEST:
            raise SpecError(
                f"this model cannot be written for SAS: {name!r} has more than {LONGEST} characters."
            )
        if self.written.setdefault(name.casefold(), name) != name:
            other = self.written[name.casefold()]
            raise SpecError(
                f"this model cannot be written for SAS: {other!r} and {name!r} are one name there; rename a column."
            )
        plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is not None
        return name if plain else "'" + name.replace("'", "''") + "'n"

    def new(self, name: str, expression: str) -> str:
        """Return a variable that the DATA step computes."""
        safe = re.sub(r"\W+", "_", name, flags=re.ASCII)[:LONGEST]
        safe = f"_{safe}" if safe[:1].isdigit() else safe
        while self.made.get(safe, expression) != expression:
            safe = f"{safe[: LONGEST - 1]}_"
        self.made[safe] = expression
        return safe

    def computed(self, text: str) -> str:
        """Return the variable of an expression of formula text; a column stands for itself."""
        tokens = tokenize(text)
        if len(tokens) == 1 and tokens[0].kind in (Kind.NAME, Kind.QUOTED):
            return self.number(tokens[0].name)
        expression = self.expression(text)
        name = re.sub(r"\W+", "_", text.replace("np.", ""), flags=re.ASCII).strip("_")
        return self.new(name, expression)

    def expression(self, text: str) -> str:
        """Return formula text as an expression of a DATA step."""
        tokens = tokenize(text)
        parts = []
        for index, token in enumerate(tokens):
            called = index + 1 < len(tokens) and tokens[index + 1].text == "("
            if token.kind is Kind.NAME and called:
                if token.text not in FUNCTIONS:
                    raise SpecError(
                        f"this model cannot be written for SAS: {token.text}() is no function of a DATA step; make "
                        f"{text} a column of the data."
                    )
                parts.append(FUNCTIONS[token.text])
            elif token.kind in (Kind.NAME, Kind.QUOTED):
                parts.append(self.plain(token.name))
            elif token.is_operator("**", "^"):
                parts.append("**")
            elif token.kind in (Kind.NUMBER, Kind.OPEN, Kind.CLOSE) or token.is_operator("+", "-", "*", "/"):
                parts.append(token.text.removesuffix("L"))
            else:
                raise SpecError(
                    f"this model cannot be written for SAS: {token.text!r} in {text} is not read in a DATA step; make "
                    "it a column of the data."
                )
        return "".join(parts)

    def sum_of(self, texts: list[str]) -> str:
        """Return the variable of a sum of expressions."""
        if len(texts) == 1:
            return self.computed(texts[0])
        return self.new("offset_sum", " + ".join(self.expression(text) for text in texts))

    def total(self, first: str, second: str) -> str:
        """Return the variable of events and others added."""
        return self.new("trials", f"{self.expression(first)} + {self.expression(second)}")

    def inverse(self, name: str) -> str:
        """Return the variable of 1/|x|, a weight where the variance is proportional to |x|."""
        return self.new(f"{name}_weight", f"1/abs({self.plain(name)})")

    def logarithm(self, name: str) -> str:
        """Return the variable of log |x|."""
        return self.new(f"log_{name}", f"log(abs({self.plain(name)}))")

    def data_step(self) -> list[str]:
        """Return the DATA step that makes what is not in the data, nothing where all is."""
        if not self.made:
            return []
        return [
            "data model_data;",
            "  set data;",
            *(f"  {name} = {value};" for name, value in self.made.items()),
            "run;",
        ]
