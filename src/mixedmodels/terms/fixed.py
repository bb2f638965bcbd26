"""The fixed part: text and columns → X with its names, terms and aliasing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..control import Control
from ..errors import SpecError, suggest
from ..frame.column import Column
from ..frame.model_frame import ModelFrame
from ..spec import ModelSpec
from ..syntax.algebra import Term, expand
from ..typing import Array, Labels
from .design import FixedTerms
from .encoder import DirectEncoder, learn_direct
from .functions import NO_FUNCTIONS, OwnFunctions
from .rank import ColumnMoments, null_space
from .rows import FixedRows
from .size import MOST_COLUMNS, MOST_FIXED, check_matrix


class UnpenalisedColumns(Protocol):
    """Columns of X that a smooth brings: what no penalty touches."""

    @property
    def label(self) -> str: ...
    @property
    def names(self) -> Labels: ...
    @property
    def variables(self) -> Labels: ...
    def fill(self, out: Array, data: Mapping[str, Column]) -> None:
        """Write the columns of some rows into `out` (n, number of names)."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedEncoding:
    """How X is computed from columns of data: an encoder for the formula, then the columns of the smooths."""

    encoder: DirectEncoder
    smooths: tuple[UnpenalisedColumns, ...] = ()

    @property
    def variables(self) -> Labels:
        """The columns of data that are read."""
        own = [name for smooth in self.smooths for name in smooth.variables]
        return tuple(dict.fromkeys((*self.encoder.variables, *own)))

    def matrix(self, data: Mapping[str, Column], n: int) -> Array:
        """Return X for n rows, (n, p)."""
        if not self.smooths:
            return self.encoder.matrix(data, n)
        width = len(self.encoder.columns)
        out = np.zeros((n, width + sum(len(smooth.names) for smooth in self.smooths)))
        self.encoder.fill(out[:, :width], data)
        fill_smooths(out[:, width:], self.smooths, data)
        return out


class LearnedSmooth(Protocol):
    """A smooth learned from the data of a fit, as the fixed part sees it."""

    @property
    def most_fixed(self) -> int:
        """Columns of X that it brings at most."""

    def beside(self, taken: set[str]) -> tuple[UnpenalisedColumns, Array | None]:
        """Return its columns of X beside those whose names are taken, and their values (n, ·) where they are known."""


def fill_smooths(out: Array, smooths: tuple[UnpenalisedColumns, ...], data: Mapping[str, Column]) -> None:
    """Write the unpenalised columns of smooths into `out` (n, number of them)."""
    place = 0
    for smooth in smooths:
        smooth.fill(out[:, place : place + len(smooth.names)], data)
        place += len(smooth.names)


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
    smooths: tuple[LearnedSmooth, ...],
    tolerance: float,
    threads: int = 1,
    memory: float | None = None,
) -> tuple[FixedTerms, FixedRows, FixedEncoding]:
    """Return the columns of X with their aliasing, X with its moments, and how it is computed."""
    found, rows, encoding = _build_about(spec, frame, smooths, tolerance, threads, memory, centred=True)
    if found.written is not None:
        aliased = np.setdiff1d(np.arange(len(found.columns)), found.estimable)
        if found.written[np.ix_(aliased, np.array(found.estimable, dtype=int))].any():
            # what stands in for an aliased column is not told by the powers of others
            return _build_about(spec, frame, smooths, tolerance, threads, memory, centred=False)
    return found, rows, encoding


def _build_about(
    spec: ModelSpec,
    frame: ModelFrame,
    smooths: tuple[LearnedSmooth, ...],
    tolerance: float,
    threads: int,
    memory: float | None,
    *,
    centred: bool,
) -> tuple[FixedTerms, FixedRows, FixedEncoding]:
    """Return X, with `centred` about origins of its own, with moments and aliasing, and how it is computed."""
    contrasts = checked_contrasts(spec, frame)
    room = sum(smooth.most_fixed for smooth in smooths)
    encoder, matrix = learn_encoder(spec.fixed, frame, contrasts, room, MOST_FIXED, memory, centred=centred)
    taken = set(encoder.columns)
    beside = [smooth.beside(taken) for smooth in smooths]
    parts = tuple(part for part, _ in beside if part.names)
    names = [name for part in parts for name in part.names]
    width = place = len(encoder.columns)
    matrix = matrix if len(names) == room else np.ascontiguousarray(matrix[:, : width + len(names)])
    terms = [*encoder.terms]
    assign = [*encoder.assign]
    for part, values in beside:
        if part.names:
            own = matrix[:, place : place + len(part.names)]
            part.fill(own, frame.columns) if values is None else np.copyto(own, values)
            place += len(part.names)
            assign += [len(terms)] * len(part.names)
            terms.append(part.label)
    moments = ColumnMoments.of(matrix, threads)
    estimable, null_basis = null_space(matrix, tolerance, moments)
    columns = (*encoder.columns, *names)
    written = encoder.written()
    if written is not None and names:
        written = np.block(
            [[written, np.zeros((width, len(names)))], [np.zeros((len(names), width)), np.eye(len(names))]]
        )
    fixed = FixedTerms(columns, tuple(terms), tuple(assign), estimable, null_basis, written)
    return fixed, FixedRows(matrix, estimable, moments, fixed.written_kept), FixedEncoding(encoder, parts)


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
