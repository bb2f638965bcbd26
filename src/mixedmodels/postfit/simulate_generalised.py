"""New responses of a model whose random effects are integrated out: those of every predictor are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..fit import Fit, fixed_mean
from ..inference.categories import probabilities_at
from ..inference.sampled_effects import draw_effects, level_root
from ..likelihood.families.ordinal import Ordinal
from ..typing import Array


def draw_integrated(fit: Fit, n: int, rng: np.random.Generator, drawn: Sequence[bool]) -> Array:
    """Return n responses, (nobs, n), level codes of categories; effects of terms not `drawn` stay as predicted.

    Notes
    -----
    All P predictors of a row are o + Xβ̂ + Zb with the same draw of b, those of the zeros and the dispersion too; a
    level of ordered categories is drawn by its probabilities.
    """
    known = fit.distribution
    assert known is not None
    criterion, theta = fit._work.likelihood(), fit.optimum.theta
    stack, mode = criterion.observed.stack, fit._work.mode()
    fixed, location = stack.fixed(theta[criterion.of_beta]), fixed_mean(fit)
    design, sigmas = fit._work.own_design(), fit._work.own_covariances()
    roots = [level_root(term) if inside else None for term, inside in zip(design.random, drawn, strict=True)]
    out = np.empty((fit.nobs, n))
    for column in range(n):
        terms = zip(design.random, sigmas, roots, mode.b, drawn, strict=True)
        effects = tuple(draw_effects(rng, t, s, root) if inside else b for t, s, root, b, inside in terms)
        moved = stack.random(effects)
        if isinstance(known.family, Ordinal):
            # the ends of an interval fall as the location rises
            out[:, column] = draw_levels(probabilities_at(fit, location - moved[0]), rng)
        else:
            out[:, column] = known.family.simulate(known.responses, fixed + moved, known.psi, rng)
    return out


def draw_levels(shares: Array, rng: np.random.Generator) -> Array:
    """Return a level code of every row, (n,), by the probabilities of its K levels, (n, K).

    Examples
    --------
    >>> draw_levels(np.array([[0.0, 1.0, 0.0]]), np.random.default_rng(1)).tolist()
    [1.0]
    """
    ends = np.cumsum(shares, axis=1)[:, :-1]
    return np.asarray((rng.random((len(shares), 1)) > ends).sum(axis=1).astype(float))
