"""How much of each smooth the rest of the model can say as well: collinearity of curves."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.predictors import predictors
from ..inference.smooth_posterior import coefficients, smooths_of
from ..table import Table
from ..terms.smooth import Curve, PlacedCurve
from ..typing import Array
from .smooths import smooth_columns

HIGH = 0.8


def concurvity(fit: Fit) -> Table:
    """Return how much of each smooth is a function of the other terms.

    Returns
    -------
    Table
        `term worst observed estimate`, each from 0 (none) to 1 (all of it), for each smooth: the largest share of any
        function of its basis that lies in the space of the other terms, the share of the estimated curve, and the share
        of the basis as a whole.

    Notes
    -----
    With f = g + h, g the part of f in the space of all other fixed columns and smooths: ‖g‖²/‖f‖² over the rows.
    `worst` is pessimistic, `observed` depends on the estimates, `estimate` on neither. Bars and smooths by level (`fs`,
    `re`) are left out. *Same as* `concurvity` of mgcv.

    Raises
    ------
    SpecError
        For a fit without smooths of the population.

    Examples
    --------
    >>> import numpy as np, mixedmodels as mm
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(size=200)
    >>> data = {"x": x, "z": x**2 + rng.normal(0, 0.01, 200), "y": np.sin(6 * x) + rng.normal(0, 0.2, 200)}
    >>> table = mm.lmm("y ~ s(x, bs='cr') + s(z, bs='cr')", data).concurvity()
    >>> table["term"].tolist(), bool(table["worst"][1] > 0.99)
    (['s(x)', 's(z)'], True)
    """
    places = [place for place in smooths_of(fit) if not place.grouped]
    if not places:
        raise SpecError(f"{fit.spec.formula!r} has no smooth of the population; write s(x) in the formula.")
    own = [coefficients(fit, place) for place in places]
    curves = [smooth_columns(fit, one) @ one.estimate for one in own]
    taken = {column for place in places for column in place.fixed}
    rest = [j for j in fit.design.fixed.estimable if j not in taken]
    fixed = fit._work.rows().fixed.matrix[:, rest]
    blocks = [_basis(fit, place) for place in places]
    shares = np.array([_shares([*blocks, fixed], curves[j], j) for j in range(len(places))])
    columns = {
        "term": np.array([place.label for place in places], dtype=object),
        "worst": shares[:, 0],
        "observed": shares[:, 1],
        "estimate": shares[:, 2],
    }
    high = columns["term"][shares[:, 0] > HIGH]
    notes = ["Share of each smooth that the other terms can say as well."]
    if len(high):
        notes.append(
            f"Nearly a function of the others: {', '.join(high)}; their curves are hard to tell apart."
        )
    return Table(columns, title="Concurvity", notes=tuple(notes), backend=fit.backend)


def _basis(fit: Fit, place: PlacedCurve) -> Array:
    """Return the columns of a smooth in the coordinates of its basis, centred, (n, k)."""
    curve = place.curve
    if not isinstance(curve, Curve):
        return smooth_columns(fit, coefficients(fit, place))
    maps = np.hstack([curve.fixed, curve.random])
    # An orthonormal basis of the same coefficients, whatever the coordinates of the mixed model.
    turn = np.linalg.svd(maps / np.linalg.norm(maps, axis=0), full_matrices=False)[0]
    data = predictors(fit)
    found = curve.basis.design(tuple(one.values(data, fit.nobs) for one in curve.arguments), 0, turn)
    if curve.by is not None:
        found *= curve.by.weights(data)[:, None]
    return found


def _shares(blocks: list[Array], f: Array, j: int) -> tuple[float, float, float]:
    """Return the worst, the observed and the average share of term j in the space of the others."""
    others = np.hstack([block for i, block in enumerate(blocks) if i != j])
    span, sizes, _ = np.linalg.svd(
        others / np.maximum(np.linalg.norm(others, axis=0), 1e-300), full_matrices=False
    )
    span = span[:, sizes > 1e-10 * sizes[0]]
    mine = blocks[j]
    basis, scale, _ = np.linalg.svd(mine, full_matrices=False)
    basis = basis[:, scale > 1e-10 * scale[0]]
    worst = float(np.linalg.norm(span.T @ basis, 2)) ** 2
    size = float(f @ f)
    observed = float(np.sum((span.T @ f) ** 2)) / size if size > 0 else np.nan
    estimate = float(np.sum((span.T @ mine) ** 2) / np.sum(mine**2))
    return min(worst, 1.0), observed, estimate
