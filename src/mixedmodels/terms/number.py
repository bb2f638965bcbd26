"""One number per row: a column of data, or an expression of columns with what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..frame.column import Column
from ..syntax.expressions import read_expression
from ..syntax.tokens import tokenize
from ..syntax.tree import Node, Variable
from ..typing import Array
from .encoder import check_finite_values
from .evaluate import Evaluation, Learned
from .functions import NO_FUNCTIONS, OwnFunctions


@dataclass(frozen=True, slots=True, eq=False)
class NumberEncoding:
    """One number per row: a column, or an expression of columns with what it learned."""

    text: str
    expression: Node
    learned: Learned

    def values(self, data: Mapping[str, Column], n: int) -> Array:
        """Return the values, (n,)."""
        return _checked_number(self.text, self.expression, Evaluation.of(self.learned, data, n))


def learn_number(
    text: str, data: Mapping[str, Column], n: int, functions: OwnFunctions = NO_FUNCTIONS
) -> tuple[NumberEncoding, Array]:
    """Return the encoding of a numeric expression learned from `data`, and its values (n,)."""
    expression = read_expression(text, tokenize(text), None)
    evaluation = Evaluation(data, n, functions, learning=True)
    values = _checked_number(text, expression, evaluation)
    return NumberEncoding(text, expression, evaluation.learned()), values


def _checked_number(text: str, expression: Node, evaluation: Evaluation) -> Array:
    if isinstance(expression, Variable):
        return evaluation.data[expression.name].number()
    values = np.ascontiguousarray(evaluation.column(expression, text))
    check_finite_values(text, values)
    return values
