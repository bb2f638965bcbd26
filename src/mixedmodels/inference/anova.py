"""F tests of the model terms: types 1, 2 and 3, the same whatever the coding of factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..table import Table
from ..terms.encoding import encoding_of
from ..terms.smooth import Curve
from ..typing import Array, Ddf
from .components import by_component
from .ddf import method_for
from .directions import column_sizes
from .model_terms import ModelTerm, indicator_map, indicator_matrix, model_terms
from .sensitivity import Information
from .wald import empty_tests, joint_test

DEPENDENT = 1e-7
"""Length of what is left of a column, of its length about its mean, below which it depends on those before it."""
NEARLY_ALIKE = 1e-11
"""The same for powers of one column as they are written, far from zero."""
ROUNDING = 1e-13
"""The same of its length about zero: what rounding leaves of a column."""
Type = Literal[1, 2, 3, "I", "II", "III"]
TYPES = {1: 1, 2: 2, 3: 3, "I": 1, "II": 2, "III": 3, "1": 1, "2": 2, "3": 3}
NEGLIGIBLE = 1e-9


def anova(
    fit: Fit,
    type: Type = 3,
    *,
    ddf: Ddf | None = None,
    information: Information = "observed",
) -> Table:
    """Return F tests of every term of the fixed part.

    Parameters
    ----------
    fit
        The fitted model.
    type
        1: each term after those before it. 2: each term after all that do not contain it. 3: each term with
        the effects that contain it averaged over their levels.
    ddf, information
        Degrees-of-freedom method, the fit's own by default, and the information it is computed from.

    Returns
    -------
    Table
        `term num_df den_df statistic p_value`, without the intercept. Terms of which nothing is estimable
        have no df. Penalised smooths have their tests in `fit.smooths()`: what no penalty touches of one is no
        hypothesis about the curve.

    Notes
    -----
    Hypotheses Lβ = 0 by Goodnight (1978): type 1, the rows of a forward Doolittle reduction of X'X; type 2,
    the same with the term after all that do not contain it and before those that do; type 3, in the coding
    with an indicator for every level, the estimable functions that involve only the term and those
    containing it, orthogonal to those that involve only the latter. A term contains another when it has the
    same numeric variables, and all its factors and more. Empty cells and aliased columns are therefore
    treated as in SAS. *Same as* SAS `HTYPE=`, `lmerTest::anova`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> cake = mm.datasets.load("cake")
    >>> fit = mm.lmm("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> print(fit.anova(ddf="satterthwaite"))
    Type 3 tests of fixed effects
    term                num_df  den_df  statistic  p_value
    recipe                   2      42      0.249   0.7809
    temperature              5     210     20.520  <0.0001
    recipe:temperature      10     210      1.006   0.4393
    df: Satterthwaite
    """
    if type not in TYPES:
        raise SpecError(f"type={type!r} is not known. Allowed: 1, 2, 3.")
    kind = TYPES[type]
    method = method_for(fit, ddf, information=information)
    kept = list(fit.design.fixed.estimable)
    rows = []
    names = []
    curves = penalised_smooths(fit)
    for name, L in hypotheses(fit, kind).items():
        if name in curves:
            continue
        names.append(name)
        rows.append(joint_test(fit, L[:, kept], np.zeros(len(L)), method.for_term(name), ()).row(0))
    notes = [f"df: {method.describe(fit)}", *empty_tests(fit, rows, names)]
    if curves:
        notes.append(f"tests of {', '.join(curves)}: fit.smooths()")
    columns = {
        key: np.array([row[key] for row in rows]) for key in ("num_df", "den_df", "statistic", "p_value")
    }
    return Table({"term": names, **columns}, f"Type {kind} tests of fixed effects", tuple(notes), fit.backend)


def penalised_smooths(fit: Fit) -> tuple[str, ...]:
    """Return the names of the smooths of a fit that have a penalty, `spline()` apart, whose polynomial is written."""
    encoding = encoding_of(fit.design)
    found = () if encoding is None else encoding.smooths
    return tuple(
        place.label
        for place in found
        if isinstance(place.curve, Curve) and place.term is not None and place.fixed
    )


def hypotheses(fit: Fit, type: int) -> dict[str, Array]:
    """Return for each term but the intercept the rows L (q, p) of its hypothesis of type 1, 2 or 3."""
    build = {1: _sequential, 2: _after_others, 3: _marginal}[type]
    if fit.rows is None or not fit.rows.parts:
        return fit._work.keep(f"hypotheses {type}", lambda: build(fit, model_terms(fit)))
    return fit._work.keep(f"hypotheses {type}", lambda: by_component(fit, build))


def _sequential(fit: Fit, terms: list[ModelTerm]) -> dict[str, Array]:
    matrix, places, coding = _reduction_columns(fit, terms)
    # powers come after lower ones, with which their columns span the same as those written
    blocks = _doolittle(_Reduced.of(matrix), [places[term.name] for term in terms])
    return {
        term.name: block @ coding for term, block in zip(terms, blocks, strict=True) if not term.is_intercept
    }


def _after_others(fit: Fit, terms: list[ModelTerm]) -> dict[str, Array]:
    matrix, places, coding = _reduction_columns(fit, terms)
    reduced = _Reduced.of(matrix)
    if fit.design.fixed.written is not None:
        maps = _written_maps(fit, terms)
        reduced, coding = reduced.combined(maps[0]), maps[1] @ coding
    found = {}
    for term in terms:
        if term.is_intercept:
            continue
        if (rows := _coefficients_as_written(fit, term, terms)) is not None:
            found[term.name] = rows
            continue
        before = [places[other.name] for other in terms if other is not term and not other.contains(term)]
        after = [places[other.name] for other in terms if other.contains(term)]
        rows = _doolittle(reduced, [*before, places[term.name], *after])[len(before)]
        found[term.name] = (rows if after else _reduced(rows, list(places[term.name]))) @ coding
    return found


def _reduction_columns(fit: Fit, terms: list[ModelTerm]) -> tuple[Array, dict[str, tuple[int, ...]], Array]:
    """Return the columns to reduce, their places by term, and what turns functions of them into those of X.

    The degrees of freedom of a type 1 or 2 test depend a little on the coding through the basis of its
    rows; that of treatment coding is used whatever coding the fit has.
    """
    x = fit._work.rows().fixed.matrix
    if not fit.spec.contrasts:
        return x, {term.name: term.place for term in terms}, np.eye(x.shape[1])
    indicators, places = indicator_matrix(fit, terms)
    centred, shift = _centre(indicators, terms, places)
    gram, _, unit = _scaled_gram(centred)
    coding = unit[:, None] * (np.linalg.pinv(gram, rcond=1e-9, hermitian=True) @ ((centred * unit).T @ x))
    return indicators, places, coding - shift @ coding


def _centre(
    indicators: Array, terms: list[ModelTerm], places: dict[str, tuple[int, ...]]
) -> tuple[Array, Array]:
    """Return the columns C (n, q) with numbers about their means, and E (q, q) with indicators = C(I + E).

    The columns of `x` and `x:a` are taken about the mean of x, in each cell of `a`, where the model has the indicators
    of those cells; EE = 0. So x far from zero is told from the intercept.
    """
    centred, shift = indicators.copy(), np.zeros((indicators.shape[1],) * 2)
    for term in terms:
        cells = _cells(term, terms)
        if not term.numbers or cells is None:
            continue
        own, source = list(places[term.name]), list(places[cells.name])
        counts = indicators[:, source].sum(axis=0)
        means = (indicators[:, source].T @ indicators[:, own]) / counts[:, None]
        centred[:, own] -= indicators[:, source] @ means
        shift[np.ix_(source, own)] = means
    return centred, shift


def _cells(term: ModelTerm, terms: list[ModelTerm]) -> ModelTerm | None:
    """Return the term of indicators, one of them in every row, about whose means the columns of a term are taken."""
    plain = [other for other in terms if not other.numbers]
    same = [other for other in plain if other.factors == term.factors]
    if term.factors or same:
        return same[0] if same else None
    return plain[0] if plain else None


def _scaled_gram(matrix: Array) -> tuple[Array, Array, Array]:
    """Return the Gram matrix of the columns brought to length one, their lengths, and one over them."""
    size = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    unit = np.divide(1.0, size, out=np.zeros(len(size)), where=size > 0)
    return (matrix * unit).T @ (matrix * unit), size, unit


def _written_maps(fit: Fit, terms: list[ModelTerm]) -> tuple[Array, Array]:
    """Return A and its inverse T: the columns that tests are reduced in times A are those as written."""
    if fit.spec.contrasts:
        return indicator_map(fit, terms), indicator_map(fit, terms, back=True)
    written = fit.design.fixed.written
    assert written is not None
    return _inverse(written), written


def _inverse(written: Array) -> Array:
    """Return the inverse of a unit upper triangular matrix, row by row, so that no small element is lost."""
    out = np.eye(len(written))
    for j in range(len(written) - 1, -1, -1):
        out[j] -= written[j, j + 1 :] @ out[j + 1 :]
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Reduced:
    """A triangle with the lengths and angles of n columns, the lengths of these, and about their means."""

    triangle: Array
    length: Array
    spread: Array
    mean: Array
    rows: int
    dependent: float = DEPENDENT

    @classmethod
    def of(cls, x: Array) -> _Reduced:
        """Return the triangle of columns (n, p)."""
        length = np.sqrt(np.einsum("ij,ij->j", x, x))
        spread = np.sqrt(len(x)) * x.std(axis=0)
        unit = np.divide(1.0, length, out=np.ones(x.shape[1]), where=length > 0)
        triangle = np.asarray(np.linalg.qr(x * unit, mode="r"), dtype=float) / unit
        return cls(triangle, length, spread, x.mean(axis=0), len(x))

    def combined(self, map_: Array) -> _Reduced:
        """Return the triangle of the columns times an upper triangular map."""
        triangle, mean = self.triangle @ map_, self.mean @ map_
        length = np.linalg.norm(triangle, axis=0)
        spread = np.sqrt(np.maximum(length**2 - self.rows * mean**2, 0.0))
        return _Reduced(triangle, length, spread, mean, self.rows, NEARLY_ALIKE)


def _doolittle(x: _Reduced, order: list[tuple[int, ...]]) -> list[Array]:
    """Return for blocks of columns in order their rows of the triangular factor of X'X, (q_b, p) each.

    Row j of R in X = QR is the estimable function the j-th column tests after those before it; columns that
    depend on earlier ones have none. Products of the columns would lose a column far from zero, so that they are
    reduced themselves, by a triangle of the same lengths and angles.
    """
    p, length, spread = len(x.length), x.length, x.spread
    # columns that do not vary are measured by their length; nothing is known below the rounding of the columns
    scale = np.where(spread > ROUNDING * length, spread, length)
    unit = np.divide(1.0, scale, out=np.zeros(p), where=scale > 0)
    least = np.maximum(x.dependent, ROUNDING * length * unit)
    left = x.triangle * unit
    blocks = []
    for columns in order:
        rows = []
        for j in columns:
            rest = float(np.linalg.norm(left[:, j]))
            if rest <= least[j]:
                continue
            direction = left[:, j] / rest
            row = (direction @ left) / rest
            left = left - np.outer(direction, row * rest)
            left[:, j] = 0.0
            rows.append(np.where(np.abs(row) < NEGLIGIBLE, 0.0, row) * scale / scale[j])
        blocks.append(np.array(rows).reshape(-1, p))
    return blocks


def _marginal(fit: Fit, terms: list[ModelTerm]) -> dict[str, Array]:
    indicators, places = indicator_matrix(fit, terms)
    centred, shift = _centre(indicators, terms, places)
    gram, size, unit = _scaled_gram(centred)
    values, vectors = np.linalg.eigh(gram)
    used = values > 1e-9 * values.max(initial=0.0)
    # rows that span the functions estimable of the centred columns, and what they are as functions of those of X
    span = vectors[:, used].T * size
    coding = (
        unit[:, None]
        * (vectors[:, used] / values[used])
        @ vectors[:, used].T
        @ ((centred * unit).T @ fit._work.rows().fixed.matrix)
    )
    unshift = -shift
    if fit.design.fixed.written is not None:
        eye = np.eye(len(shift))
        written = (eye + shift) @ indicator_map(fit, terms)
        unshift = indicator_map(fit, terms, back=True) @ (eye - shift) - eye
        shift, size = written - eye, _Reduced.of(centred).combined(written).length
    plain = ~(shift != 0).any(axis=0)
    # terms with the same numeric variables, between which orthogonality is asked for, are brought to one size
    common = _common_sizes(terms, places, size)
    found = {}
    for term in terms:
        if term.is_intercept:
            continue
        if (rows := _coefficients_as_written(fit, term, terms)) is not None:
            found[term.name] = rows
            continue
        containing = [column for other in terms if other.contains(term) for column in places[other.name]]
        own = list(places[term.name])
        others = sorted(set(range(len(size))) - set(own) - set(containing))
        # what vanishes in an indicator does not change with what is measured from its mean
        vanishing = [j for j in others if plain[j]]
        forth, back = shift.copy(), unshift.copy()
        forth[vanishing] = back[vanishing] = 0.0
        involved = _combinations_without((span + span @ forth) / common, others)
        only_containing = _combinations_without(involved, own)
        L = _reduced(_orthogonal_part(involved, only_containing), own) * common
        L[:, others] = 0.0
        found[term.name] = _drop_rounding((L + L @ back) @ coding, column_sizes(fit))
    return found


def _coefficients_as_written(fit: Fit, term: ModelTerm, terms: list[ModelTerm]) -> Array | None:
    """Return the coefficients of a term as functions of β, where its test is that they are zero as written.

    So it is where no other term contains it and X has full rank. None elsewhere, and where X is as written.
    """
    fixed = fit.design.fixed
    if fixed.written is None or fixed.null_basis.shape[1] or any(other.contains(term) for other in terms):
        return None
    return fixed.written[list(term.place)]


def _common_sizes(terms: list[ModelTerm], places: dict[str, tuple[int, ...]], size: Array) -> Array:
    """Return for each column the largest size among those of the terms with the same numeric variables.

    The columns of a term that shares its variables with no other, such as x and x² of a basis, keep their own.
    """
    common = np.where(size > 0, size, 1.0)
    for term in terms:
        alike = [other for other in terms if other.numbers == term.numbers]
        if len(alike) > 1:
            same = [column for other in alike for column in places[other.name]]
            common[list(places[term.name])] = size[same].max(initial=0.0) or 1.0
    return common


def _combinations_without(rows: Array, columns: list[int]) -> Array:
    """Return a basis of the combinations of independent rows that vanish in some columns."""
    if not columns or len(rows) == 0:
        return rows
    u, values, _ = np.linalg.svd(rows[:, columns], full_matrices=True)
    rank = (
        int((values > 1e-8 * max(float(values.max(initial=0.0)), 1e-300)).sum())
        if np.abs(rows[:, columns]).max() > 1e-10
        else 0
    )
    return np.asarray(u[:, rank:].T @ rows)


def _orthogonal_part(rows: Array, removed: Array) -> Array:
    """Return a basis of the part of a row space orthogonal to a subspace of it."""
    if len(rows) == 0:
        return rows
    if len(removed):
        q, _ = np.linalg.qr(removed.T)
        rows = rows - (rows @ q) @ q.T
    _, _, vectors = np.linalg.svd(rows, full_matrices=False)
    rank = int(len(rows) - len(removed))
    return np.asarray(vectors[:rank])


def _reduced(rows: Array, own: list[int]) -> Array:
    """Return the reduced echelon form of independent rows over their own columns, ones at the pivots.

    The degrees of freedom of Fai and Cornelius depend on the basis; this is the one SAS prints.
    """
    rows = rows.copy()
    free = list(range(len(rows)))
    scale = np.abs(rows).max(initial=0.0)
    for column in own:
        if not free:
            break
        best = max(free, key=lambda i: abs(float(rows[i, column])))
        if abs(rows[best, column]) <= 1e-8 * scale:
            continue
        rows[best] /= rows[best, column]
        others = np.arange(len(rows)) != best
        rows[others] -= np.outer(rows[others, column], rows[best])
        free.remove(best)
    return rows


def _drop_rounding(rows: Array, sizes: Array) -> Array:
    """Return rows L (q, p) without entries that are rounding error in columns of these sizes (p,)."""
    if rows.size == 0:
        return rows
    entries = np.abs(rows) / sizes
    return np.where(entries < NEGLIGIBLE * entries.max(axis=1, keepdims=True), 0.0, rows)
