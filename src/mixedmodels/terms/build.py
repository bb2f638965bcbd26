"""Spec and frame → `Design` and `Rows`: what a model is and its numbers, checked."""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from ..frame.model_frame import ModelFrame
from ..spec import ModelSpec
from ..syntax.spelling import variables
from ..typing import Array
from .absorbed import check_absorbed
from .checks import check_bounded, check_overlap
from .design import Design
from .encoding import Encoding
from .fixed import build_fixed
from .functions import OwnFunctions
from .learn_smooth import learn_smooths
from .number import learn_number
from .random import build_random
from .residual import FITTED, build_residual
from .rows import Rows
from .smooth import placed_curves

SMALLEST, LARGEST = 1e-140, 1e140
"""Responses of other sizes under- or overflow when squared."""


def build_design(
    spec: ModelSpec,
    frame: ModelFrame,
    *,
    rank_tolerance: float = 1e-7,
    threads: int = 1,
    memory: float | None = None,
    response: Array | None = None,
) -> tuple[Design, Rows]:
    """Return the terms of a model with labels and how they are computed, and y, X and every Z.

    Parameters
    ----------
    spec
        What was asked.
    frame
        The columns it names, n complete rows.
    rank_tolerance
        See `null_space`.
    threads
        Threads that may share passes over the rows.
    memory
        Bytes that X may plan to take; the default of `Control` without.
    response
        The response, (n,), of a generalised model, which is read before; offsets are not subtracted from it.

    Raises
    ------
    DataError
        When the response is not numeric or constant, when there are no residual degrees of freedom, or when
        the data cannot identify a random term.
    """
    y = _response(spec, frame) if response is None else response
    functions = OwnFunctions(frame.context)
    offsets = tuple(learn_number(text, frame.columns, frame.n, functions) for text in spec.offsets)
    given = [values for _, values in offsets] + [
        frame.beside[key] for key in ("offset",) if key in frame.beside
    ]
    offset = np.sum(given, axis=0) if given else None
    smooths, smooth_notes = learn_smooths(spec, frame, functions)
    fixed, x, fixed_encoding = build_fixed(spec, frame, smooths, rank_tolerance, threads, memory)
    if frame.n < fixed.rank + (response is None):
        what = f"{fixed.rank} fixed effects" + (" and a residual variance" if response is None else "")
        raise DataError(
            f"{frame.n} rows cannot estimate {what}; use fewer terms.{_text_of_many_levels(spec, frame)}"
        )
    random, z, random_encoding, notes = build_random(
        spec, frame, (fixed, x, fixed_encoding), smooths, rank_tolerance
    )
    check_overlap(spec.random, random)
    mean = _first_mean(spec, x.x, y, offset)
    residual, errors, residual_encoding, residual_notes = build_residual(spec, frame, mean)
    check_bounded(spec, residual, errors, x)
    rows = Rows(
        y=y if offset is None or response is not None else y - offset,
        fixed=x,
        random=z,
        residual=errors,
        weights=frame.weights,
        offset=offset,
        used=frame.rows,
    )
    if response is None:
        check_absorbed(spec, fixed, random, residual, rows)
    design = Design(
        n=frame.n,
        fixed=fixed,
        random=random,
        weighted=frame.weights is not None,
        shifted=offset is not None,
        reml=spec.method == "reml",
        residual=residual,
        encoding=Encoding(
            functions,
            fixed_encoding,
            tuple(encoding for encoding, _ in offsets),
            random_encoding,
            residual_encoding,
            placed_curves(smooths, fixed.columns, random),
        ),
        notes=notes + smooth_notes + residual_notes,
    )
    return design, rows


def _first_mean(spec: ModelSpec, x: Array, y: Array, offset: Array | None) -> Array:
    """Return the fitted mean of least squares (n,), where a variance function asks for one."""
    if not any(FITTED in function.arguments for function in spec.variance):
        return y
    if (constant := (np.ptp(x, axis=0) == 0)).any():
        # far from zero columns look alike to a solver that drops small singular values
        x = np.where(constant, x, x - x.mean(axis=0))
    size = np.sqrt(np.mean(x**2, axis=0))
    x = x / np.where(size > 0, size, 1.0)
    own = y if offset is None else y - offset
    mean = x @ np.linalg.lstsq(x, own, rcond=None)[0]
    return np.asarray(mean if offset is None else mean + offset)


def _response(spec: ModelSpec, frame: ModelFrame) -> Array:
    for name in variables(spec.response):
        column = frame.columns[name]
        if not column.is_number:
            what = f"column {name!r} holds {column.kind()}: {column.remedy()}"
            raise DataError(f"the response {spec.response!r} must be numeric; {what}")
    y = learn_number(spec.response, frame.columns, frame.n, OwnFunctions(frame.context))[1]
    size = float(max(abs(y.min()), abs(y.max())))
    if not SMALLEST < size < LARGEST and size > 0:
        raise DataError(
            f"the response {spec.response!r} has values of size {size:.3g}, whose squares floating-point numbers "
            "cannot hold; change its unit."
        )
    # estimates of known sampling variances may agree: nothing of the scale is estimated from them
    if y.min() == y.max() and not spec.sampling:
        raise DataError(
            f"the response {spec.response!r} is {y[0]:.6g} in every row; there is no variation to explain."
        )
    return y


def _text_of_many_levels(spec: ModelSpec, frame: ModelFrame) -> str:
    """Return which columns of text are factors of more levels than half the rows: numbers, perhaps, beside a word."""
    levels = {name: frame.columns[name].levels for name in variables(spec.fixed) if name in frame.columns}
    many = [name for name, own in levels.items() if own is not None and 2 * len(own) > frame.n]
    if not many:
        return ""
    listed = ", ".join(map(repr, many))
    return f" Text in {listed} makes it a factor of nearly as many levels as rows; if it is a number, make it one."
