"""Answers of engines do not depend on the order of rows, nor on the number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given

from drawn_designs import CHECKED, designs, seeds, without_bounds
from engine_checks import CONTROL, Case
from mixedmodels.control import Control
from mixedmodels.engines import ENGINES
from models import Model


@pytest.mark.parametrize("name", [name for name, kind in ENGINES.items() if not kind.given_neighbours])
@CHECKED
@given(design=designs(), seed=seeds)
def test_row_order_and_threads_do_not_move_results(name: str, design: Model, seed: int) -> None:
    engine = ENGINES[name]()
    if design.refusal(engine, CONTROL) is not None:
        design = without_bounds(design)
    assume(design.refusal(engine, CONTROL) is None)
    order = np.random.default_rng(seed).permutation(design.n)
    equations = (
        design.equations(engine, CONTROL),
        design.reordered(order).equations(ENGINES[name](), Control(threads=2)),
    )
    # the seed makes the covariances of both the same
    one, other = (
        Case(case_design, own, "regular", seed, tolerance=1e-7)
        for case_design, own in zip((design, design.reordered(order)), equations, strict=True)
    )
    for what in ("logdet", "logdet_x", "quadratic"):
        one.agree(getattr(other.pieces, what), getattr(one.pieces, what))
    pair = [case.equations.scores(design.reml).random for case in (other, one)]
    for mine, theirs in zip(*pair, strict=True):
        one.agree(mine.trace, theirs.trace)
        one.agree(mine.quadratic, theirs.quadratic)
    one.agree(other.equations.solution().beta, one.equations.solution().beta)
    one.agree(other.equations.leverages(), one.equations.leverages()[order], one.prior)
