"""Answers of engines do not depend on the order of rows, nor on the number of threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from numpy.typing import NDArray

from drawn_designs import CHECKED, designs, seeds, without_bounds
from engine_checks import CONTROL, Case
from mixedmodels.control import Control
from mixedmodels.engines import ENGINES
from mixedmodels.terms.design import Design


def reordered(design: Design, order: NDArray[np.intp]) -> Design:
    """Return the design with its rows in another order."""
    return replace(
        design,
        y=design.y[order],
        fixed=replace(design.fixed, matrix=design.fixed.matrix[order]),
        weights=None if design.weights is None else design.weights[order],
        random=tuple(
            replace(t, codes=t.codes[order], values=None if t.values is None else t.values[order])
            for t in design.random
        ),
    )


@pytest.mark.parametrize("name", ENGINES)
@CHECKED
@given(design=designs(), seed=seeds)
def test_row_order_and_threads_do_not_move_results(name: str, design: Design, seed: int) -> None:
    engine = ENGINES[name]()
    if engine.supports(design, CONTROL) is not None:
        design = without_bounds(design)
    assume(engine.supports(design, CONTROL) is None)
    order = np.random.default_rng(seed).permutation(design.n)
    equations = (
        engine.equations(design, CONTROL),
        ENGINES[name]().equations(reordered(design, order), Control(threads=2)),
    )
    # the seed makes the covariances of both the same
    one, other = (
        Case(case_design, own, "regular", seed, tolerance=1e-7)
        for case_design, own in zip((design, reordered(design, order)), equations, strict=True)
    )
    for what in ("logdet", "logdet_x", "quadratic"):
        one.agree(getattr(other.pieces, what), getattr(one.pieces, what))
    pair = [case.equations.scores(design.reml).random for case in (other, one)]
    for mine, theirs in zip(*pair, strict=True):
        one.agree(mine.trace, theirs.trace)
        one.agree(mine.quadratic, theirs.quadratic)
    one.agree(other.equations.solution().beta, one.equations.solution().beta)
    one.agree(other.equations.leverages(), one.equations.leverages()[order], one.prior)
