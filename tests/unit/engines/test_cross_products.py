"""Cross-products accumulated from batches and merged: the model from their sums is the model from the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

import mixedmodels as mm
from engine_layouts import Rows as Layouts
from engine_layouts import equal_errors
from mixedmodels.criterion import LinearCriterion, linear_part
from mixedmodels.criterion.coordinates import column_map
from mixedmodels.engines import Layout
from mixedmodels.engines.base import Covariances, Direction, Equations
from mixedmodels.engines.blocked.engine import BlockedEngine
from mixedmodels.engines.blocked.from_products import equations_from_products
from mixedmodels.engines.cross_products import CrossProducts, Form
from mixedmodels.errors import DataError, FitError, SpecError
from mixedmodels.optimise.newton import optimise
from mixedmodels.terms.design import Design
from mixedmodels.terms.rows import FixedRows, Rows, TermRows
from mixedmodels.workings import build_criterion, own_columns

CONTROL = mm.Control()
LAYOUTS = {
    name: make for name, make in equal_errors(Layouts(11)).items() if not name.startswith("without bounds")
}


def ones_of(rows: Rows) -> list[int | None]:
    """Which column of every term is ones in all rows."""
    found: list[int | None] = []
    for term in rows.random:
        columns = np.flatnonzero((term.dense_values() == 1.0).all(axis=0))
        found.append(int(columns[0]) if len(columns) else None)
    return found


def taken(rows: Rows, chosen: np.ndarray) -> Rows:
    """Some rows."""
    return Rows(
        rows.y[chosen],
        FixedRows(rows.fixed.matrix[chosen], rows.fixed.estimable),
        tuple(TermRows(t.codes[chosen], None if t.values is None else t.values[chosen]) for t in rows.random),
        weights=None if rows.weights is None else rows.weights[chosen],
    )


def summed(form: Form, rows: Rows, labels: list[np.ndarray], batches: list[np.ndarray]) -> CrossProducts:
    """The cross-products of batches, merged in their order."""
    parts = [CrossProducts.accumulate(form, taken(rows, batch), labels) for batch in batches]
    return reduce(CrossProducts.merge, parts)


def labels_of(form: Form, layout: Layout) -> list[np.ndarray]:
    """Names of levels whose order is not that of the codes."""
    counts = [layout.terms[form.members(f)[0]].n_levels for f in range(form.n_factors)]
    return [np.array([f"level {(7 * i) % 101}" for i in range(q)]) for q in counts]


def both(
    design: Design, rows: Rows, split: Callable[[Rows], list[np.ndarray]]
) -> tuple[Equations, Equations]:
    """Equations from rows in own coordinates, and from cross-products of `split` batches of the rows as written."""
    layout = Layout.of(design)
    own_rows = replace(
        rows,
        random=tuple(
            t if (a := column_map(term)) is None else replace(t, values=t.dense_values() @ a)
            for t, term in zip(rows.random, design.random, strict=True)
        ),
    )
    form = Form.of(layout, ones_of(rows))
    labels = labels_of(form, layout)
    sums = summed(form, rows, labels, split(rows))
    maps = [column_map(term) for term in design.random]
    equations = equations_from_products(sums, layout, labels, CONTROL, maps=maps, written=rows.fixed.written)
    return BlockedEngine().equations(layout, own_rows, CONTROL), equations


def whole(rows: Rows) -> list[np.ndarray]:
    return [np.arange(len(rows))]


def seven(rows: Rows) -> list[np.ndarray]:
    return np.array_split(np.arange(len(rows)), 7)


def shuffled(rows: Rows) -> list[np.ndarray]:
    return np.array_split(np.random.default_rng(3).permutation(len(rows)), 5)


def disjoint(rows: Rows) -> list[np.ndarray]:
    """Batches that share no level of the first term."""
    if not rows.random:
        return seven(rows)
    codes = rows.random[0].codes
    return [np.flatnonzero(codes == level) for level in np.unique(codes)]


def single(rows: Rows) -> list[np.ndarray]:
    """A first batch of one row."""
    return [np.array([4]), np.delete(np.arange(len(rows)), 4)]


SPLITS = [whole, seven, shuffled, disjoint, single]


def agree(found: object, expected: object) -> None:
    """Assert that answers, arrays or tuples of them, are equal but for rounding: to 1e-8 of the largest."""
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            agree(one, other)
        return
    wanted = np.asarray(expected)
    size = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=0, atol=1e-8 * size)


def covariances_of(layout: Layout) -> Covariances:
    rng = np.random.default_rng(8)
    roots = tuple(np.tril(rng.uniform(0.2, 1.0, (t.n_sets, t.n_columns, t.n_columns))) for t in layout.terms)
    return Covariances(None, roots, (np.full((1, 1, 1), 0.7),))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_question_has_the_answer_of_the_rows(name: str, split: Callable[..., list[np.ndarray]]) -> None:
    model = LAYOUTS[name]()
    ours, theirs = both(model.design, model.rows, split)
    agree(theirs.start_moments(), ours.start_moments())
    at = covariances_of(model.layout)
    one, two = ours.factor(at), theirs.factor(at)
    agree(
        (two.logdet, two.logdet_x, two.quadratic),
        (one.logdet, one.logdet_x, one.quadratic),
    )
    left, right = ours.solution(), theirs.solution()
    agree((right.beta, right.vcov, right.random), (left.beta, left.vcov, left.random))
    for reml in (True, False):
        wanted, found = ours.scores(reml), theirs.scores(reml)
        for a, b in zip(wanted.random, found.random, strict=True):
            agree((b.trace, b.quadratic), (a.trace, a.quadratic))
        agree(found.errors, wanted.errors)
    directions = [Direction(((k, 0, np.eye(t.n_columns)),)) for k, t in enumerate(model.layout.terms)]
    agree(theirs.information(directions), ours.information(directions))
    for k, term in enumerate(model.layout.terms):
        agree(theirs.conditional_covariance(k), ours.conditional_covariance(k))
        if term.n_levels * term.n_columns < 60:
            agree(theirs.joint_covariance(k), ours.joint_covariance(k))


def data(origin: float, unit: float, level: float = 0.0) -> dict[str, object]:
    """Rows sorted by time, crossed raters, weights; a covariate `origin` spreads from zero in some unit."""
    rng = np.random.default_rng(21)
    n = 420
    g, rater = np.arange(n) // 7, rng.integers(0, 9, n)
    x, kind = np.sort(rng.standard_normal(n)), rng.integers(0, 3, n)
    y = 2.0 + 3.0 * x + rng.standard_normal(60)[g] + 0.6 * rng.standard_normal(60)[g] * x
    y += 0.5 * rng.standard_normal(9)[rater] + 0.4 * kind + rng.standard_normal(n)
    return {
        "y": y + level, "x": (x + origin) * unit, "kind": [f"kind {k}" for k in kind],
        "g": [f"g{k}" for k in g], "rater": rater, "w": rng.uniform(0.5, 3.0, n),
    }  # fmt: skip


FORMULAS = [
    "y ~ x + kind + (x | g)",
    "y ~ x + kind + (x | g) + (1 | rater)",
    "y ~ 0 + kind + x + (1 | g) + (1 | rater)",
    "y ~ x + (1 + x || g)",
]


def criterion_of(fit: mm.Fit, split: Callable[..., list[np.ndarray]]) -> LinearCriterion:
    """The criterion of a fit, made from cross-products."""
    assert fit.rows is not None
    design, _ = own_columns(fit.spec, fit.design, fit.rows, fit.control)
    return linear_part(build_criterion(fit.spec, design, both(design, fit.rows, split)[1]))


def minimum(fit: mm.Fit, split: Callable[..., list[np.ndarray]]) -> float:
    """The lowest −2l of a fit, searched from cross-products."""
    return optimise(criterion_of(fit, split), fit.control).value


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(
    ("origin", "unit", "level"),
    [(0.0, 1.0, 0.0), (1e6, 1.0, 0.0), (1e6, 1e-9, 1e6), (1e6, 1e9, -1e6), (2016.0, 1.0, 3e5)],
)
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.filterwarnings("ignore::mixedmodels.errors.ConvergenceWarning")
def test_fits_do_not_depend_on_how_rows_are_split(
    formula: str,
    origin: float,
    unit: float,
    level: float,
    weights: str | None,
    split: Callable[..., list[np.ndarray]],
) -> None:
    fit = mm.lmm(formula, data(origin, unit, level), weights=weights)
    theirs, ours = criterion_of(fit, split), fit._work.criterion()
    theta = fit.optimum.theta
    assert theirs.value(theta) == pytest.approx(ours.value(theta), rel=1e-8)
    found = optimise(theirs, fit.control)
    assert found.converged == fit.optimum.converged
    assert found.value == pytest.approx(fit.optimum.value, rel=1e-8)
    if not found.converged:
        # independent intercepts and slopes of a covariate 1e6 spreads from zero: their columns are one
        assert "||" in formula
        return
    (mine, _), (other, _) = ours.solve(theta), theirs.solve(found.theta)
    se = np.sqrt(np.diagonal(mine.vcov))
    np.testing.assert_allclose(np.sqrt(np.diagonal(other.vcov)), se, rtol=1e-5)
    np.testing.assert_allclose((other.beta - mine.beta) / se, 0.0, atol=1e-4)
    spread = np.sqrt(np.diagonal(fit._work.natural_covariance()))
    gap = (theirs.natural(found.theta).values - ours.natural(theta).values) / np.where(
        spread > 0, spread, 1.0
    )
    # variances at zero have no standard error
    np.testing.assert_allclose(gap[np.isfinite(spread)], 0.0, atol=1e-4)


def test_a_line_that_explains_nearly_everything_is_taken_off_first() -> None:
    given = data(1e6, 1.0)
    given["y"] = np.asarray(given["y"]) + 1e7 * (np.asarray(given["x"]) - 1e6)
    fit = mm.lmm("y ~ x + (1 | g)", given)
    for split in SPLITS:
        assert minimum(fit, split) == pytest.approx(fit.criterion, rel=1e-8)


def test_powers_far_from_zero_are_refused_or_right() -> None:
    given = data(0.0, 1.0)
    x = np.asarray(given["x"])
    for origin, refused in ((30.0, False), (3e5, True)):
        columns = {"a": x + origin, "b": (x + origin) ** 2}
        fit = mm.lmm("y ~ a + b + (1 | g)", {**given, **columns})
        if refused:
            with pytest.raises(FitError, match="nearly dependent"):
                minimum(fit, seven)
        else:
            assert minimum(fit, seven) == pytest.approx(fit.criterion, rel=1e-8)


def one_batch() -> tuple[Form, Rows, list[np.ndarray], Layout]:
    model = LAYOUTS["crossed slopes"]()
    form = Form.of(model.layout, ones_of(model.rows))
    return form, model.rows, labels_of(form, model.layout), model.layout


def test_batches_that_do_not_belong_together_are_refused() -> None:
    form, rows, labels, layout = one_batch()
    part = CrossProducts.accumulate(form, rows, labels)
    numbers = [np.arange(len(own)) for own in labels]
    with pytest.raises(DataError, match="one type"):
        part.merge(CrossProducts.accumulate(form, rows, numbers))
    with pytest.raises(DataError, match="different models"):
        part.merge(replace(part, form=replace(form, rank=9)))
    with pytest.raises(DataError, match="several types"):
        CrossProducts.accumulate(form, rows, [np.array(["a", 1], dtype=object), *labels[1:]])
    with pytest.raises(DataError, match="not distinct"):
        CrossProducts.accumulate(form, rows, [np.full(len(labels[0]), "a"), *labels[1:]])
    with pytest.raises(DataError, match="no rows"):
        CrossProducts.accumulate(form, taken(rows, np.empty(0, dtype=np.intp)), labels)
    values = rows.random[0].values
    assert values is not None
    spoilt = replace(rows, random=(replace(rows.random[0], values=values + 1.0), *rows.random[1:]))
    with pytest.raises(DataError, match="not ones"):
        CrossProducts.accumulate(form, spoilt, labels)
    with pytest.raises(DataError, match="do not belong"):
        equations_from_products(part, replace(layout, n=layout.n + 1), labels, CONTROL)
    with pytest.raises(DataError, match="which the model has not"):
        equations_from_products(
            part, layout, [np.array([f"new {k}" for k in own]) for own in labels], CONTROL
        )


def test_questions_that_need_rows_say_so() -> None:
    model = LAYOUTS["crossed slopes"]()
    equations = both(model.design, model.rows, seven)[1]
    equations.factor(covariances_of(model.layout))
    assert equations.refits() is None
    for question in (equations.leverages, equations.conditional_residual_variances):
        with pytest.raises(SpecError, match="needs the rows of the data"):
            question()
    again = equations.with_rows(model.rows)
    again.factor(covariances_of(model.layout))
    assert len(again.leverages()) == len(model.rows)


def test_tools_of_a_fit_without_rows_say_so() -> None:
    fit = replace(mm.lmm("y ~ x + (1 | g)", data(0.0, 1.0)), rows=None, _cache={})
    with pytest.raises(SpecError, match="needs the rows of the data"):
        fit.residuals()
    assert np.isfinite(fit.solution.beta).all()


def test_sums_in_another_frame_are_the_same_sums() -> None:
    form, rows, labels, _ = one_batch()
    part = CrossProducts.accumulate(form, rows, labels)
    moved = replace(
        part.frame, centre=part.frame.centre + 0.5, level=part.frame.level - 2.0, line=part.frame.line + 1.5
    )
    back = part.in_frame(moved).in_frame(part.frame)
    agree(back.gram, part.gram)
    for one, two in zip(back.factors, part.factors, strict=True):
        agree((one.block, one.dense), (two.block, two.dense))
