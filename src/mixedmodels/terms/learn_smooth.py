"""Smooths learned from the data of a fit: which basis, which levels, what is centred, what no penalty touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy import linalg

from ..control import Control
from ..covariance import bind
from ..covariance.base import Structure
from ..covariance.penalty import Penalty
from ..errors import DataError, Severity, SpecError, Status
from ..frame.model_frame import ModelFrame
from ..smooths import SMOOTHS
from ..smooths.base import Basis, Given, Smooth, blocks
from ..smooths.mixed import MixedForm, constraint, mixed_form
from ..smooths.tensor import Margin, learn_tensor
from ..spec import ModelSpec, SmoothSpec, SplineSpec, StructureSpec
from ..syntax.algebra import expand
from ..syntax.spelling import variables
from ..syntax.tokens import tokenize
from ..typing import Array
from .functions import OwnFunctions
from .known import known_around
from .number import learn_number
from .size import MOST_FIXED, check_matrix
from .smooth import Argument, By, Curve, LearnedCurve
from .spline import LearnedSpline, learn_spline

Learned = LearnedCurve | LearnedSpline
T = TypeVar("T")
DEPENDENT = float(np.finfo(np.float64).eps) ** 0.5
"""What is left of a column beside smooths of fewer arguments, of the largest column, below which it is dropped."""
FREE = 1e-9
"""Eigenvalue of a penalty, of its largest, that counts as zero where columns were dropped."""
USUAL_MARGIN = 5
"""Dimension of a margin of a tensor product where k= is not given: mgcv's."""


@dataclass(frozen=True, slots=True)
class _Read:
    """The arguments of a smooth at the rows of the fit."""

    spec: SmoothSpec
    arguments: tuple[Argument, ...]
    values: tuple[Array, ...]
    by: tuple[By | None, ...]


def learn_smooths(
    spec: ModelSpec, frame: ModelFrame, functions: OwnFunctions
) -> tuple[tuple[Learned, ...], tuple[Status, ...]]:
    """Return the smooths of a model in the order written, one for each level of a factor in `by=`, and notes.

    Raises
    ------
    DataError, SpecError
        Where columns cannot be what a basis needs, with the smooth, the argument and what to do.
    """
    found: dict[int, list[Learned]] = {}
    notes: list[Status] = []
    # functions of few arguments first: what they hold is taken out of those of more
    order = sorted(range(len(spec.smooths)), key=lambda j: len(spec.smooths[j].arguments))
    for j in order:
        asked = spec.smooths[j]
        if isinstance(asked, SplineSpec):
            found[j] = [learn_spline(asked, frame.columns)]
            continue
        read = _read(asked, frame, functions)
        by_levels = read.by[0] is not None and read.by[0].levels is not None
        if asked.id is not None and not by_levels and "sz" not in asked.basis:
            raise SpecError(
                f"{asked}: id= shares a smoothing parameter among the curves of the levels of a factor, in by= or in "
                "bs='sz', and not among several smooths; leave id= out."
            )
        notes += _notes(read, spec, frame)
        lower = [own for before in found.values() for own in before if isinstance(own, LearnedCurve)]
        found[j], more = _learn(read, frame, lower)
        notes += more
    whole = [own for j in range(len(spec.smooths)) for own in found[j]]
    _check_labels(whole)
    return _filled(whole, frame), tuple(notes)


def _filled(found: Sequence[Learned], frame: ModelFrame) -> tuple[Learned, ...]:
    """Return smooths with their columns; penalised ones of the population side by side in one matrix.

    They are all multiplied with each other, and so need not be put together again. A block of rows is written for all
    of them while it is in the cache.
    """
    curves = [own for own in found if isinstance(own, LearnedCurve)]
    widths = [0 if own.group else own.curve.random.shape[1] for own in curves]
    together: Array = np.empty((frame.n, sum(widths)))
    filled: dict[int, LearnedCurve] = {}
    writers = []
    for own, end, width in zip(curves, np.cumsum(widths), widths, strict=True):
        fixed: Array = np.empty((frame.n, own.curve.n_fixed))
        random = together[:, end - width : end]
        if own.group:
            random = np.empty((frame.n, own.curve.random.shape[1]))
        squares: Array = np.zeros(own.curve.random.shape[1])
        writers.append(own.curve.writer(fixed, random, squares, frame.columns))
        filled[id(own)] = replace(own, fixed=fixed, random=random, squares=squares)
    for block in blocks(frame.n, min((own.curve.basis.block for own in curves), default=1)):
        for write in writers:
            write(block)
    return tuple(filled.get(id(own), own) for own in found)


def _check_labels(found: Sequence[Learned]) -> None:
    labels = [smooth.label for smooth in found]
    for label in labels:
        if labels.count(label) > 1:
            raise SpecError(
                f"{label} is in the formula twice; keep one, or give one of them another argument."
            )


def _read(asked: SmoothSpec, frame: ModelFrame, functions: OwnFunctions) -> _Read:
    arguments: list[Argument] = []
    values: list[Array] = []
    for text in asked.arguments:
        argument = _argument(asked, text, frame, functions)
        arguments.append(argument)
        values.append(np.asarray(argument.values(frame.columns, frame.n), dtype=np.float64))
    return _Read(asked, tuple(arguments), tuple(values), _by(asked, frame))


def _argument(asked: SmoothSpec, text: str, frame: ModelFrame, functions: OwnFunctions) -> Argument:
    names = variables(text)
    column = frame.columns[names[0]]
    plain = len(tokenize(text)) == 1
    if plain and column.is_factor:
        return Argument(text, names, None, column.levels)
    encoding, _ = learn_number(text, frame.columns, frame.n, functions)
    return Argument(text, names, encoding)


def _by(asked: SmoothSpec, frame: ModelFrame) -> tuple[By | None, ...]:
    if asked.by is None:
        return (None,)
    column = frame.columns[asked.by]
    if not column.is_factor:
        column.number()
        return (By(asked.by),)
    assert column.levels is not None
    # beside a smooth for all levels, an ordered factor has differences from its first level
    first = 1 if column.ordered else 0
    return tuple(By(asked.by, column.levels, level) for level in range(first, len(column.levels)))


def _notes(read: _Read, spec: ModelSpec, frame: ModelFrame) -> list[Status]:
    """Return a note where curves by level are centred and the levels have no means of their own."""
    by = read.by[0] if read.by else None
    if by is None or by.levels is None:
        return []
    for term in expand(spec.fixed):
        if len(term) == 1 and by.name in term[0].variables:
            return []
    message = (
        f"{read.spec}: the curves of the levels of {by.name} are centred, and the formula has no {by.name}, so that "
        "all levels have one mean"
    )
    return [Status(Severity.NOTE, message, f"Add {by.name} to the formula unless that is meant")]


def _learn(
    read: _Read, frame: ModelFrame, lower: Sequence[LearnedCurve]
) -> tuple[list[Learned], list[Status]]:
    """Return the curve of a smooth for each level of `by=`, all of one basis, and notes; `lower` stand before it."""
    asked = read.spec
    basis = _basis(read, frame)
    numeric = any(by is not None and by.levels is None for by in read.by)
    means = None if basis.grouping or numeric or not basis.centred else basis.means(read.values)
    absorbed = None if means is None else constraint(basis, read.values, means)
    form = _form(asked, basis, absorbed)
    first = _first_column(basis, means)
    check_matrix(asked.label, frame.n, form.fixed.shape[1] + form.random.shape[1], MOST_FIXED, Control().room)
    factors = tuple(read.arguments[place].variables[0] for place in basis.grouping)
    found: list[Learned] = []
    notes: list[Status] = []
    for by in read.by:
        label = asked.label + (by.label if by else "")
        own = _beside(read, by, basis, lower, frame)
        if own is not None:
            form = own[0]
            notes.append(own[1])
        structure, scale = _structure(form, basis)
        curve = Curve(asked, label, read.arguments, basis, form.fixed, form.random / scale, None, by)
        if means is not None and basis.constrained is not None:
            # the constraint is about some columns; the curve that is shown sums to zero, the intercept has the rest
            curve = replace(curve, shift=means @ np.hstack([curve.fixed, curve.random]))
        curve = replace(curve, lead=_lead(curve, first))
        none: Array = np.zeros((0, 0))
        found.append(LearnedCurve(curve, structure, none, none, None, factors))
    return found, notes


def _beside(
    read: _Read, by: By | None, basis: Basis, lower: Sequence[LearnedCurve], frame: ModelFrame
) -> tuple[MixedForm, Status] | None:
    """Return the form of a smooth without the columns that smooths of some of its arguments hold, None where none do.

    Notes
    -----
    Columns of the centred basis are taken in turn by pivoted QR of what the constant and the smooths of fewer arguments
    leave of them; those of which nothing is left are dropped, with their rows of the penalties. *Same as* `gam.side` of
    mgcv.
    """
    asked, names = read.spec, set(read.spec.arguments)
    inside = [
        one
        for one in lower
        if set(one.curve.spec.arguments) < names
        and not one.group
        and (one.curve.by.label if one.curve.by else "") == (by.label if by else "")
    ]
    if not inside or asked.kind == "ti" or basis.grouping or asked.fixed or not basis.penalties:
        return None
    z = _reflected(basis, basis.means(read.values) if basis.centred and not _numeric(by) else None)
    columns = basis.design(read.values, 0, z)
    taken = [np.ones((frame.n, 1)), *(one.curve.values(frame.columns, frame.n) for one in inside)]
    if by is not None:
        weights = by.weights(frame.columns)[:, None]
        columns, taken[0] = columns * weights, weights
    given = np.hstack(taken)
    given = given / np.sqrt(np.einsum("ij,ij->j", given, given))
    q = np.linalg.qr(given)[0]
    size = float(np.sqrt(np.einsum("ij,ij->j", columns, columns)).max())
    left = columns - q @ (q.T @ columns)
    left = left - q @ (q.T @ left)
    r, pivot = linalg.qr(left, mode="r", pivoting=True)
    kept = np.abs(np.diagonal(r)) > DEPENDENT * size
    if kept.all():
        return None
    z = z[:, np.sort(pivot[: int(np.count_nonzero(kept))])]
    penalties = tuple(z.T @ s @ z for s in basis.penalties)
    total = np.sum([s / np.linalg.norm(s) for s in penalties if s.any()], axis=0)
    values = np.linalg.eigvalsh(total)
    free = int(np.count_nonzero(values < FREE * values[-1]))
    form = mixed_form(penalties, free, select=asked.select)
    form = MixedForm(z @ form.fixed, z @ form.random, form.penalties, form.diagonal)
    held = ", ".join(one.label for one in inside)
    count = f"{np.count_nonzero(~kept)} of {len(kept)} columns"
    message = f"{count} of {asked.label} were left out: {held} hold them already"
    return form, Status(Severity.NOTE, message, "ti() has interactions without main effects")


def _numeric(by: By | None) -> bool:
    return by is not None and by.levels is None


def _reflected(basis: Basis, means: Array | None) -> Array:
    """Return Z (k, k − 1) of the constraint by a reflection about the first mean; the identity without one."""
    k = basis.size
    whole: Array = np.eye(k)
    if means is None or k < 2:
        return whole
    normal = _normal(basis, means)
    out: Array = (whole - 2.0 * np.outer(normal, normal))[:, 1:]
    return out


def _normal(basis: Basis, means: Array) -> Array:
    """Return the unit vector of the reflection that takes the means to the first coordinate, (k,)."""
    if basis.constrained is not None:
        means = np.asarray(np.where(basis.constrained, means, 0.0))
    normal = means / np.linalg.norm(means)
    normal[0] += np.copysign(1.0, normal[0])
    out: Array = normal / np.linalg.norm(normal)
    return out


def _first_column(basis: Basis, means: Array | None) -> Array:
    """Return coefficients (k,) of the first column of the basis, centred by a reflection about its first mean."""
    k = basis.size
    first: Array = np.eye(k)[0]
    apart = basis.constrained is not None and not basis.constrained[0]
    if means is None or k < 2 or apart:
        return first
    normal = _normal(basis, means)
    found: Array = np.eye(k)[1] - 2.0 * normal[1] * normal
    return found


def _lead(curve: Curve, first: Array) -> Array:
    """Return a function by its coefficients on the basis in the coordinates of a curve, (M + r,)."""
    maps = np.hstack([curve.fixed, curve.random])
    size = np.sqrt(np.einsum("ij,ij->j", maps, maps))
    found: Array = np.linalg.lstsq(maps / size, first, rcond=None)[0] / size
    return found


def _basis(read: _Read, frame: ModelFrame) -> Basis:
    asked = read.spec
    if asked.kind != "s":
        return _tensor(read)
    kind = _kind(asked, asked.basis[0] if asked.basis else "tp")
    _check_kinds(read, kind.names[0], kind.variables, kind.factors)
    return kind.learn(read.values, _given(read, frame))


def _kind(asked: SmoothSpec, name: str) -> Smooth:
    if name not in SMOOTHS:
        raise SpecError(f"{asked}: bs={name!r} is not built; use one of {', '.join(map(repr, SMOOTHS))}.")
    return SMOOTHS[name]


def _given(read: _Read, frame: ModelFrame) -> Given:
    asked = read.spec
    return Given(
        label=str(asked),
        k=asked.k[0] if asked.k else None,
        m=_order(asked.m[0]) if asked.m else None,
        knots=np.array(asked.knots[0]) if asked.knots else None,
        levels=tuple(
            None if one.levels is None else tuple(str(level) for level in one.levels)
            for one in read.arguments
        ),
        known=_known(read, frame) if "mrf" in asked.basis else None,
        margin=asked.margin or "tp",
        shared=asked.id is not None,
    )


def _known(read: _Read, frame: ModelFrame) -> Array | None:
    """Return the matrix over the regions of a map, those of the data first."""
    one = read.arguments[0]
    name = one.variables[0]
    if name not in frame.known or one.levels is None:
        return None
    return known_around(f"known={name!r}", frame.known[name], one.levels)


def _tensor(read: _Read) -> Basis:
    """Return the basis of a tensor product; margins are `cr` with five columns unless asked otherwise."""
    asked = read.spec
    factors = [one.text for one in read.arguments if one.levels is not None]
    if factors:
        raise DataError(f"{asked}: {factors[0]!r} is a factor; give it as by=, a surface for each level.")
    counts = asked.dimensions or (1,) * len(read.arguments)
    margins = tuple(_margin(asked, j, count) for j, count in enumerate(counts))
    return learn_tensor("t2 full" if asked.full else asked.kind, read.values, margins, str(asked))


def _margin(asked: SmoothSpec, j: int, count: int) -> Margin:
    name = _of_margin(asked.basis, j) or ("cr" if count == 1 else "tp")
    kind = _kind(asked, name)
    if count > kind.variables[1]:
        possible = ", ".join(repr(n) for n, one in SMOOTHS.items() if one.tensor and one.variables[1] > 1)
        raise SpecError(
            f"{asked}: bs={name!r} takes {kind.variables[1]} column, and d= gives that margin {count}; use {possible}."
        )
    m, knots = _of_margin(asked.m, j), _of_margin(asked.knots, j)
    given = Given(
        label=str(asked),
        k=_of_margin(asked.k, j) or USUAL_MARGIN**count,
        m=None if m is None else _order(m),
        knots=None if knots is None else np.array(knots),
    )
    return Margin(kind, given, count)


def _of_margin(given: tuple[T, ...], j: int) -> T | None:
    """Return what is given for a margin: one value for all, or one each."""
    return None if not given else given[0] if len(given) == 1 else given[j]


def _order(m: tuple[float, ...]) -> int | tuple[float, ...]:
    """Return whole numbers as such; the range and power of `gp` are none."""
    given = tuple(int(value) if value == int(value) else value for value in m)
    return int(given[0]) if len(given) == 1 and given[0] == int(given[0]) else given


def _check_kinds(read: _Read, name: str, numbers: tuple[int, int], factors: tuple[int, int]) -> None:
    """Raise where a basis is asked for more or fewer numbers and factors than it takes."""
    count = sum(one.levels is not None for one in read.arguments)
    for what, found, (least, most), of in (
        ("numeric column", len(read.arguments) - count, numbers, False),
        ("factor", count, factors, True),
    ):
        if least <= found <= most:
            continue
        wanted = f"{least}" if least == most else f"{least} to {most}"
        texts = [one.text for one in read.arguments if (one.levels is not None) == of]
        shown = f" ({', '.join(texts)})" if texts else ""
        by = "; for a curve for each level write by=" if of and found > most else ""
        raise DataError(
            f"{read.spec}: bs={name!r} takes {wanted} {what}{'' if wanted == '1' else 's'}, got {found}{shown}{by}."
        )


def _form(asked: SmoothSpec, basis: Basis, absorbed: Array | None) -> MixedForm:
    if asked.fixed or not basis.penalties:
        whole = np.eye(basis.size) if absorbed is None else absorbed
        return MixedForm(whole, whole[:, :0], (), None)
    return mixed_form(basis.penalties, basis.null_dimension, absorbed, select=asked.select)


def _structure(form: MixedForm, basis: Basis) -> tuple[Structure, float]:
    """Return the covariance of the penalised coefficients, and what their columns are divided by.

    Variances are σ²/λ of the penalties in the units of the data, as mgcv's `gam.vcomp` prints them.
    """
    if len(form.penalties) <= 1:
        scale = basis.scales[0] if basis.scales else 1.0
        return bind(StructureSpec("homdiag")), float(np.sqrt(scale))
    weights = form.penalties if form.diagonal is None else tuple(form.diagonal)
    ones = (1.0,) * (len(form.penalties) - len(basis.scales))
    return Penalty(tuple(weights), (*basis.scales, *ones)), 1.0
