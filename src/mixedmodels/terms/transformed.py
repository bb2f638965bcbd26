"""Model matrices by formulaic: transforms that learn from the data (`poly`, `bs` …) and free expressions."""

from __future__ import annotations

import keyword
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError
from ..frame.column import Column
from ..syntax.spelling import variables
from ..syntax.tokens import Kind, Tokens, outside_brackets, tokenize
from ..typing import Array, Labels
from .encoder import INTERCEPT, Encoder, check_finite_values

if TYPE_CHECKING:
    import pandas as pd

_CONTEXT: Mapping[str, Any] = {
    # formulaic's exp10 is x**10
    "exp10": lambda x: np.power(10.0, x),
    **{name: getattr(np, name) for name in ("log1p", "expm1", "sqrt", "abs", "sign", "sin", "cos", "tan")},
    **{name: getattr(np, name) for name in ("floor", "ceil", "minimum", "maximum", "where")},
}


@dataclass(frozen=True, slots=True, eq=False)
class TransformedEncoder(Encoder):
    """A model matrix in formulaic's hands: its specification with everything it learned.

    `levels` holds the levels of the columns that it must see as factors.
    """

    specification: Any
    levels: Mapping[str, NDArray[Any]]

    def fill(self, out: Array, data: Mapping[str, Column]) -> None:
        out[:] = self._evaluate(data)

    def _evaluate(self, data: Mapping[str, Column]) -> Array:
        with _explained(" + ".join(self.variables)):
            made = self.specification.get_model_matrix(
                _pandas_frame(self.variables, data, self.levels), context=_CONTEXT, na_action="ignore"
            )
        return np.asarray(made, dtype=np.float64)


def learn_transformed(
    text: str, data: Mapping[str, Column], contrasts: Mapping[str, str]
) -> tuple[TransformedEncoder, Array]:
    """Return the encoder of canonical text learned from `data`, and its matrix (n, p)."""
    from formulaic import Formula

    names = variables(text)
    levels = {
        name: _levels(data[name]) for name in names if data[name].is_factor or name in _only_categorical(text)
    }
    coded, stands_for = _with_contrasts(text, data, contrasts)
    with _explained(text):
        made = Formula(coded).get_model_matrix(
            _pandas_frame(names, data, levels), context=_CONTEXT, na_action="ignore", output="numpy"
        )
    specification = made.model_spec
    matrix = np.asarray(made, dtype=np.float64)
    assign = np.zeros(matrix.shape[1], int)
    terms = []
    for index, (term, places) in enumerate(specification.term_indices.items()):
        terms.append(_rename(str(term), stands_for))
        assign[list(places)] = index
    columns = tuple(
        INTERCEPT if c == "Intercept" else _rename(c, stands_for) for c in specification.column_names
    )
    for place, label in enumerate(columns):
        check_finite_values(label, matrix[:, place])
    encoder = TransformedEncoder(columns, tuple(terms), tuple(assign.tolist()), names, specification, levels)
    return encoder, matrix


def _levels(column: Column) -> NDArray[Any]:
    levels = column.factor().levels
    assert levels is not None
    return levels


def _pandas_frame(
    names: Labels, data: Mapping[str, Column], levels: Mapping[str, NDArray[Any]]
) -> pd.DataFrame:
    import pandas as pd

    def values(name: str) -> Any:
        if name in levels:
            return pd.Categorical.from_codes(data[name].known_codes(levels[name]), categories=levels[name])
        return data[name].values if data[name].values.dtype.kind == "M" else data[name].number()

    n = len(next(iter(data.values())).values)
    return pd.DataFrame({name: values(name) for name in names}, index=pd.RangeIndex(n))


def _only_categorical(text: str) -> set[str]:
    """Return the columns that stand only as the first argument of `C(...)`."""
    tokens = tokenize(text)
    inside: set[str] = set()
    elsewhere: set[str] = set()
    for index, token in enumerate(tokens):
        if token.kind not in (Kind.NAME, Kind.QUOTED):
            continue
        coded = index >= 2 and tokens[index - 1].text == "(" and tokens[index - 2].text == "C"
        plain = index + 1 < len(tokens) and tokens[index + 1].text in (")", ",")
        (inside if coded and plain else elsewhere).add(token.text.strip("`"))
    return inside - elsewhere


def _with_contrasts(
    text: str, data: Mapping[str, Column], contrasts: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """Return text with the factors of `contrasts=` wrapped as `C(f, contr.sum)`, and what those stand for."""
    tokens = tokenize(text)
    stands_for: dict[str, str] = {}
    written = []
    position = 0
    for token in _outside_calls(tokens):
        name = token.text.strip("`")
        coded = token.kind in (Kind.NAME, Kind.QUOTED) and contrasts.get(name, "treatment") != "treatment"
        if not coded or not data[name].is_factor:
            continue
        wrapped = f"C({token.text}, contr.{contrasts[name]})"
        stands_for[wrapped.replace("`", "")] = name
        written.append(text[position : token.start] + wrapped)
        position = token.stop
    return "".join([*written, text[position:]]), stands_for


def _outside_calls(tokens: Tokens) -> Tokens:
    """Return the tokens that no function call and no bracket but grouping parentheses holds."""
    kept = []
    stack: list[bool] = []
    for index, token in enumerate(tokens):
        called = token.kind is Kind.NAME and index + 1 < len(tokens) and tokens[index + 1].text == "("
        if token.kind is Kind.OPEN:
            before = tokens[index - 1] if index else None
            stack.append(token.text != "(" or (before is not None and before.kind is Kind.NAME))
        elif token.kind is Kind.CLOSE:
            stack.pop()
        elif not any(stack) and not called:
            kept.append(token)
    return kept


def _rename(label: str, stands_for: Mapping[str, str]) -> str:
    for wrapped, name in stands_for.items():
        label = label.replace(wrapped, name)
    return label


@contextmanager
def _explained(text: str) -> Iterator[None]:
    """Turn formulaic's errors, and its warning about unseen levels, into ours."""
    from formulaic.errors import DataMismatchWarning, FormulaicError

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", DataMismatchWarning)
            yield
    except DataMismatchWarning as warning:
        found = re.search(r"\{(.*)\}", str(warning))
        what = found.group(1) if found else str(warning)
        raise DataError(f"a factor has levels that were not in the data of the fit: {what}.") from None
    except FormulaicError as error:
        message = re.sub(r"\x1b\[[0-9;]*m|⧛|⧚", "", str(error))
        raise SpecError(f"the fixed part cannot be evaluated: {message}") from error
    except SyntaxError:
        words = [name for name in variables(text) if keyword.iskeyword(name)]
        raise SpecError(
            f"the formula cannot be evaluated: {', '.join(map(repr, words)) or text!r} cannot stand inside this "
            "transform; rename the column, for example with a capital letter."
        ) from None
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        if isinstance(error, (DataError, SpecError)):
            raise
        raise SpecError(f"the formula cannot be evaluated: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class ExpressionEncoder:
    """One number per row from an expression that formulaic evaluates, such as `scale(y)` or `y / 10`."""

    text: str
    encoder: TransformedEncoder

    def values(self, data: Mapping[str, Column], n: int) -> Array:
        """Return the values, (n,)."""
        return np.ascontiguousarray(self.encoder.matrix(data, n)[:, 0])


def learn_expression(text: str, data: Mapping[str, Column]) -> tuple[ExpressionEncoder, Array]:
    """Return the encoder of a numeric expression learned from `data`, and its values (n,)."""
    for name in variables(text):
        if data[name].is_factor:
            data[name].number()
    tokens = tokenize(text)
    free = any(tokens[i].kind is Kind.OPERATOR for i in outside_brackets(tokens)) or not variables(text)
    encoder, matrix = learn_transformed(f"0 + {{{text}}}" if free else f"0 + {text}", data, {})
    if matrix.shape[1] != 1:
        raise SpecError(f"{text} gives {matrix.shape[1]} columns where one number per row is needed.")
    return ExpressionEncoder(text, encoder), np.ascontiguousarray(matrix[:, 0])
