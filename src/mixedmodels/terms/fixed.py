"""The fixed part: text and columns → X with its names, terms and aliasing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..control import Control
from ..errors import SpecError, suggest
from ..frame.column import Column
from ..frame.model_frame import ModelFrame
from ..spec import ModelSpec
from ..syntax.algebra import Term, expand
from ..syntax.expressions import read_expression
from ..syntax.tokens import tokenize
from ..syntax.tree import Node, Variable
from ..typing import Array, Labels
from .design import FixedTerms
from .encoder import DirectEncoder, check_finite_values, learn_direct
from .evaluate import Evaluation, Learned
from .functions import NO_FUNCTIONS, OwnFunctions
from .rank import ColumnMoments, null_space
from .rows import FixedRows
from .size import MOST_COLUMNS, MOST_FIXED, check_matrix
from .smooth import SplineBasis


@dataclass(frozen=True, slots=True, eq=False)
class FixedEncoding:
    """How X is computed from columns of data: an encoder for the formula, then the powers of the splines."""

    encoder: DirectEncoder
    splines: tuple[tuple[SplineBasis, tuple[int, ...]], ...] = ()

    def matrix(self, data: Mapping[str, Column], n: int) -> Array:
        """Return X for n rows, (n, p)."""
        if not self.splines:
            return self.encoder.matrix(data, n)
        width = len(self.encoder.columns)
        out = np.zeros((n, width + sum(len(powers) for _, powers in self.splines)))
        self.encoder.fill(out[:, :width], data)
        fill_powers(out[:, width:], self.splines, data)
        return out


def fill_powers(
    out: Array, splines: tuple[tuple[SplineBasis, tuple[int, ...]], ...], data: Mapping[str, Column]
) -> None:
    """Write the polynomial columns of the splines into `out` (n, number of powers)."""
    place = 0
    for basis, powers in splines:
        values = data[basis.variable].number()
        for power in powers:
            out[:, place] = values**power
            place += 1


def learn_encoder(
    text: str,
    frame: ModelFrame,
    contrasts: Mapping[str, str],
    room: int = 0,
    most: int = MOST_COLUMNS,
    memory: float | None = None,
    *,
    centred: bool = False,
) -> tuple[DirectEncoder, Array]:
    """Return the encoder of canonical formula text and its matrix with `room` zero columns after it, of at most `most`
    columns and within `memory` bytes."""
    own = OwnFunctions(frame.context)
    terms = expand(text)
    return fill_direct(terms, frame.columns, frame.n, contrasts, room, own, most, memory, centred=centred)


def fill_direct(
    terms: tuple[Term, ...],
    data: Mapping[str, Column],
    n: int,
    contrasts: Mapping[str, str],
    room: int = 0,
    functions: OwnFunctions = NO_FUNCTIONS,
    most: int = MOST_COLUMNS,
    memory: float | None = None,
    *,
    centred: bool = False,
) -> tuple[DirectEncoder, Array]:
    """Return the encoder of expanded terms and its matrix with `room` zero columns after it."""
    direct, evaluation = learn_direct(terms, data, n, contrasts, functions, centred=centred)
    width = len(direct.columns)
    what = "the fixed part" if most == MOST_FIXED else " + ".join(direct.terms)
    check_matrix(what, n, width + room, most, Control().room if memory is None else memory)
    matrix = np.zeros((n, width + room))
    direct.write(matrix[:, :width], evaluation)
    return direct, matrix


def build_fixed(
    spec: ModelSpec,
    frame: ModelFrame,
    bases: tuple[SplineBasis, ...],
    tolerance: float,
    threads: int = 1,
    memory: float | None = None,
) -> tuple[FixedTerms, FixedRows, FixedEncoding]:
    """Return the columns of X with their aliasing, X with its moments, and how it is computed."""
    found, rows, encoding = _build_about(spec, frame, bases, tolerance, threads, memory, centred=True)
    if found.written is not None:
        aliased = np.setdiff1d(np.arange(len(found.columns)), found.estimable)
        if found.written[np.ix_(aliased, np.array(found.estimable, dtype=int))].any():
            # what stands in for an aliased column is not told by the powers of others
            return _build_about(spec, frame, bases, tolerance, threads, memory, centred=False)
    return found, rows, encoding


def _build_about(
    spec: ModelSpec,
    frame: ModelFrame,
    bases: tuple[SplineBasis, ...],
    tolerance: float,
    threads: int,
    memory: float | None,
    *,
    centred: bool,
) -> tuple[FixedTerms, FixedRows, FixedEncoding]:
    """Return X, with `centred` about origins of its own, with moments and aliasing, and how it is computed."""
    contrasts = checked_contrasts(spec, frame)
    powers_room = sum(basis.degree for basis in bases)
    encoder, matrix = learn_encoder(
        spec.fixed, frame, contrasts, powers_room, MOST_FIXED, memory, centred=centred
    )
    splines, names = _spline_powers(encoder.columns, bases)
    width = len(encoder.columns)
    matrix = matrix[:, : width + len(names)] if len(names) < powers_room else matrix
    if splines:
        fill_powers(matrix[:, width:], splines, frame.columns)
        matrix = np.ascontiguousarray(matrix)
    terms = [*encoder.terms]
    assign = [*encoder.assign]
    for basis, powers in splines:
        assign += [len(terms)] * len(powers)
        terms.append(basis.label)
    moments = ColumnMoments.of(matrix, threads)
    estimable, null_basis = null_space(matrix, tolerance, moments)
    columns = (*encoder.columns, *names)
    written = encoder.written()
    if written is not None and names:
        written = np.block(
            [[written, np.zeros((width, len(names)))], [np.zeros((len(names), width)), np.eye(len(names))]]
        )
    fixed = FixedTerms(columns, tuple(terms), tuple(assign), estimable, null_basis, written)
    return fixed, FixedRows(matrix, estimable, moments, fixed.written_kept), FixedEncoding(encoder, splines)


def checked_contrasts(spec: ModelSpec, frame: ModelFrame) -> dict[str, str]:
    """Return `contrasts=` as a dict; `SpecError` for a name that is no factor of the model."""
    factors = [name for name, column in frame.columns.items() if column.is_factor]
    for name, _ in spec.contrasts:
        if name not in frame.columns:
            raise SpecError(f"contrasts: {name!r} is not in the model.{suggest(name, frame.columns)}")
        if name not in factors and f"C({name})" not in spec.fixed:
            raise SpecError(
                f"contrasts: {name!r} is numeric; write C({name}) in the formula to make it a factor."
            )
    return dict(spec.contrasts)


def _spline_powers(
    columns: Labels, bases: tuple[SplineBasis, ...]
) -> tuple[tuple[tuple[SplineBasis, tuple[int, ...]], ...], list[str]]:
    """Return per spline the powers x, x², … that X does not hold already, and their names."""
    taken = set(columns)
    splines = []
    names: list[str] = []
    for basis in bases:
        powers = []
        for power in range(1, basis.degree + 1):
            name = basis.variable if power == 1 else f"{basis.variable}^{power}"
            if name in taken or f"I({basis.variable} ** {power})" in taken:
                continue
            taken.add(name)
            names.append(name)
            powers.append(power)
        if powers:
            splines.append((basis, tuple(powers)))
    return tuple(splines), names


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
