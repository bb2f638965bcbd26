"""How far predictions may be off: variances, what estimating covariance parameters adds, degrees of freedom.

A prediction t'y of a target has the mean squared error M(V) = τ² − 2t'c + t'Vt, c its covariance with the data and
t = t(V) the weights of the best linear unbiased one. Along V + hD, with c and τ² moving in step, t moves by h·ṫ_D and

    M(V + hD) = M(V) + h(τ²_D − 2t'c_D + t'Dt) − h²ṫ_D'Vṫ_D + O(h³),

so that evaluations of M at covariances moved along lines have both what Satterthwaite's degrees of freedom need, the
slope, and what Kenward and Roger's method adds for the uncertainty of θ̂, 2ΣW_ab ṫ_a'Vṫ_b: minus the second derivatives
summed over directions D = ΣV̇_a w_a with ww' adding up to W. Where Σ̂ is singular a line leaves the cone, and the curve
V(θ + hw) takes its place, whose second derivative has the slope of M along D̈ in it besides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import semidefinite_cholesky
from ..criterion.base import LinearCriterion
from ..criterion.coordinates import WrittenEquations
from ..engines.base import Covariances, Direction, ErrorCovariance, Target
from ..fit import Fit
from ..inference.ddf import DegreesOfFreedom
from ..inference.sensitivity import roots, sensitivity
from ..terms.new_rows import NewRows
from ..typing import Array
from .missing_responses import ErrorsOfRows
from .mode_error import mode_variances
from .own_cluster import own_cluster_adjustment
from .unobserved import own_variances, without_new_levels

STEP = 0.02
"""Length of a move, in standard errors of the covariance parameters."""
FORWARD = 1e-4
"""Step, in standard errors, of the differences of covariances of new errors."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """Means of m rows, with what their variances are made of.

    `included` says by random term whether its effects are part of the mean; `rest` (m,) is the variance of effects at
    points without data; `valid` (m,) which rows have a mean; `errors` what is known of their errors; `missing` (m,)
    which rows are missing responses, predicted from their cluster.
    """

    rows: NewRows
    included: tuple[bool, ...]
    rest: Array
    valid: NDArray[np.bool_]
    mean: Array
    errors: ErrorsOfRows
    missing: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Variances of m means (missing responses: of the responses), of new observations, and their degrees of freedom."""

    mean: Array
    response: Array
    df: Array
    notes: tuple[str, ...] = ()


def uncertainty_of(
    fit: Fit, found: Predicted, method: DegreesOfFreedom, *, response: bool, limits: bool
) -> Uncertainty:
    """Return how far predictions may be off; degrees of freedom where `limits` are asked, for means or a `response`."""
    if fit._work.integrated:
        return _about_mode(fit, found, method)
    here = _variances(fit, found, _at_optimum(fit, found), response)
    plain = _plain(found)
    known = found.valid & ~plain
    mean = here.mean + _adjustment(fit, found, plain, method)
    notes: tuple[str, ...] = ()
    df = _own_df(fit, found, method)
    moving = method.from_variances and (response or known.any())
    if (moving and limits) or (method.adjusts and known.any()):
        slopes, bends = _moments(fit, found, method, response)
        if method.adjusts and fit.design.residual is not None and fit.design.residual.variance:
            notes = ("standard errors do not count how well the variance function is known",)
        elif method.adjusts:
            mean = mean + np.where(known, _estimation(fit, found, bends, method), 0.0)
        if moving:
            own = _satterthwaite(here, slopes, response)
            df = own if response else np.where(known, own, df)
    return Uncertainty(mean, mean + here.own, df, notes)


def _about_mode(fit: Fit, found: Predicted, method: DegreesOfFreedom) -> Uncertainty:
    """Return how far predictions of a generalised model may be off, whose new observations are not normal."""
    mean = mode_variances(fit, found.rows, found.included, found.valid, method.vcov(fit)) + found.rest
    known = fit.spec.method == "reml" and not bool(_plain(found).all())
    notes = ("standard errors of effects take the covariance parameters as known",) if known else ()
    return Uncertainty(mean, mean, _own_df(fit, found, method), notes)


def _estimation(fit: Fit, found: Predicted, bends: _Variances, method: DegreesOfFreedom) -> Array:
    """Return what estimating the covariance parameters adds to the variance of each prediction, (m,)."""
    added = np.maximum(-bends.mean, 0.0)
    missing = found.missing & found.valid
    if missing.any() and not fit.design.random:
        along = roots(sensitivity(fit, method.information).w)
        added[missing] = own_cluster_adjustment(fit, found.rows.x, found.errors, missing, along, FORWARD)
    return np.asarray(added)


def of_functions(fit: Fit, functions: Array, method: DegreesOfFreedom) -> tuple[Array, Array]:
    """Return variances and degrees of freedom of functions of β and of spline coefficients, (k, rank + splines)."""
    design, k = fit.design, len(functions)
    x, first = functions[:, : design.fixed.rank], design.fixed.rank
    values: list[Array | None] = []
    for term in design.random:
        values.append(functions[:, first : first + term.n_columns] if term.smooth else None)
        first += term.n_columns if term.smooth else 0
    included = tuple(term.smooth for term in design.random)
    codes = tuple(np.full(k, 0 if smooth else -1, dtype=np.int32) for smooth in included)
    rows = NewRows(
        x, x, None, codes, tuple(values), tuple(np.zeros(k, dtype=np.int32) for _ in codes), (None,) * len(codes),
        None, np.ones(k, dtype=bool), fit.backend,
    )  # fmt: skip
    none = np.zeros(k, dtype=bool)
    errors = ErrorsOfRows(np.zeros(k), none)
    found = Predicted(rows, included, np.zeros(k), ~none, np.zeros(k), errors, none)
    off = uncertainty_of(fit, found, method, response=False, limits=True)
    return off.mean, off.df


@dataclass(frozen=True, slots=True)
class _Variances:
    """Variances of means and what a new observation adds, (m,); or slopes of them squared, or second derivatives."""

    mean: Array
    own: Array


def _plain(found: Predicted) -> NDArray[np.bool_]:
    """Return which rows are predicted by x'β̂ alone, (m,)."""
    plain = ~found.missing
    for codes, included in zip(found.rows.codes, found.included, strict=True):
        plain &= (codes < 0) | (not included)
    return plain


def _adjustment(fit: Fit, found: Predicted, plain: NDArray[np.bool_], method: DegreesOfFreedom) -> Array:
    """Return x'(Φ_A − Φ)x of rows predicted by x'β̂ alone, (m,), 0 for others."""
    out = np.zeros(len(found.rows))
    chosen = plain & found.valid
    rows = fit.solution.basis.rows(found.rows.x[chosen])
    out[chosen] = np.einsum("ia,ab,ib->i", rows, method.vcov(fit) - fit.solution.own_vcov, rows)
    return out


def _own_df(fit: Fit, found: Predicted, method: DegreesOfFreedom) -> Array:
    df = np.full(len(found.rows), np.nan)
    df[found.valid] = method.single(fit, found.rows.x[found.valid])
    return df


def _satterthwaite(here: _Variances, slopes: _Variances, response: bool) -> Array:
    """Return 2v²/(g'Wg), (m,), from v and the sum of its squared slopes in directions that make up W."""
    total, spread = (here.mean + here.own, slopes.own) if response else (here.mean, slopes.mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            spread > 1e-14 * total**2, 2 * total**2 / spread, np.where(np.isnan(total), np.nan, np.inf)
        )


def _moments(
    fit: Fit, found: Predicted, method: DegreesOfFreedom, response: bool
) -> tuple[_Variances, _Variances]:
    """Return the sums over directions of squared slopes (of means, of new observations) and of second derivatives."""
    m = len(found.rows)
    squares, bends = _Variances(np.zeros(m), np.zeros(m)), _Variances(np.zeros(m), np.zeros(m))
    for w in roots(sensitivity(fit, method.information).w).T:
        line = _Line.of(fit, found, w)
        at = {k: _variances(fit, found, line.state(k * STEP), response) for k in (-2, -1, 0, 1, 2)}
        means, totals = (
            {k: one.mean for k, one in at.items()},
            {k: one.mean + one.own for k, one in at.items()},
        )
        squares.mean[:] += _slope(means) ** 2
        squares.own[:] += _slope(totals) ** 2
        bends.mean[:] += (-means[-2] + 16 * means[-1] - 30 * means[0] + 16 * means[1] - means[2]) / (
            12 * STEP**2
        )
        if not line.straight:
            # along a curve M also moves with the curve's own second derivative
            turned = [means[0], *(_variances(fit, found, line.turned(k), response).mean for k in (1, 2, 3))]
            bends.mean[:] -= (-11 * turned[0] + 18 * turned[1] - 9 * turned[2] + 2 * turned[3]) / (
                6 * STEP**2
            )
    return squares, bends


def _slope(at: dict[int, Array]) -> Array:
    return np.asarray((at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * STEP))


@dataclass(frozen=True, slots=True)
class _State:
    """A covariance of the data, factored, with what it says of new rows.

    `sigmas` are Σ of every term in own coordinates; `variances` (m,) of the errors of new rows, and `relation` their
    covariances with those of the fit for the rows that are missing responses.
    """

    equations: WrittenEquations
    sigmas: tuple[Array, ...]
    variances: Array
    relation: ErrorCovariance | None


def _variances(fit: Fit, found: Predicted, at: _State, response: bool) -> _Variances:
    rows, missing, valid = found.rows, found.missing, found.valid
    bare, new = without_new_levels(fit, rows)
    mean, own = np.full(len(rows), np.nan), np.where(missing, 0.0, at.variances)
    codes = [c if inside else None for c, inside in zip(bare.codes, found.included, strict=True)]
    for chosen, relation in ((valid & ~missing, None), (missing, at.relation)):
        if chosen.any():
            target = Target(
                np.ascontiguousarray(rows.x[chosen]),
                [None if c is None else c[chosen] for c in codes],
                [None if z is None else z[chosen] for z in bare.values],
                cluster=None if relation is None else found.errors.cluster_rows[chosen],
                error=relation,
            )
            mean[chosen] = at.equations.predict(target)[1]
    predicted = [n & valid & inside for n, inside in zip(new, found.included, strict=True)]
    left_out = [valid & response & (not inside) for inside in found.included]
    mean = mean + own_variances(fit, rows, tuple(predicted), at.sigmas)
    own = own + own_variances(fit, rows, tuple(left_out), at.sigmas)
    return _Variances(mean + found.rest, own) if all(found.included) else _Variances(mean, own + found.rest)


def _at_optimum(fit: Fit, found: Predicted) -> _State:
    errors = found.errors
    return _State(
        fit._work.equations(), fit._work.own_covariances(), errors.variances, errors.relation(found.missing)
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """Covariances V + hD with D = Σ_a w_aV̇_a, about rows divided by their standard deviations.

    Where a Σ of the line would not be positive definite, at a singular one, the line follows θ + hw, a curve.
    """

    criterion: LinearCriterion
    own: WrittenEquations
    theta: Array
    w: Array
    base: Covariances
    random: tuple[Array, ...]
    errors: tuple[Array, ...]
    found: Predicted
    straight: bool

    @classmethod
    def of(cls, fit: Fit, found: Predicted, w: Array) -> _Line:
        """Return the line through the covariance of a fit."""
        own = fit._work.criterion()
        criterion, theta = own.jointly(), own.absolute(fit.optimum.theta)
        base = criterion.model.numbers(theta, roots=False)
        assert base.random is not None
        random, errors = (
            [np.zeros_like(one) for one in base.random],
            [np.zeros_like(one) for one in base.errors],
        )
        for weight, direction in zip(w, criterion.model.directions(theta), strict=True):
            if weight:
                _add(weight, direction, random, errors)
        far = [one + k * STEP * move for one, move in zip(base.random, random, strict=True) for k in (-2, 2)]
        equations = WrittenEquations(criterion.equations, own.design)
        straight = all(_is_definite(one) for one in far)
        return cls(criterion, equations, theta, w, base, tuple(random), tuple(errors), found, straight)

    def turned(self, count: int) -> _State:
        """Return V + kh²D̈, k = `count` and h = STEP, D̈ the second derivative of the curve of Σ at its start."""
        model = self.criterion.model
        ends = [model.matrices(self.theta + k * STEP * self.w) for k in (-1.0, 1.0)]
        assert self.base.random is not None
        moved = zip(self.base.random, *ends, strict=True)
        return self._state(
            tuple(one + count * (before - 2.0 * one + after) for one, before, after in moved), 0.0
        )

    def state(self, length: float) -> _State:
        """Return V + hD, h = `length`, factored in the equations of the fit."""
        model, at = self.criterion.model, self.theta + length * self.w
        assert self.base.random is not None
        if not self.straight:
            return self._state(model.matrices(at), length)
        moved = zip(self.base.random, self.random, strict=True)
        return self._state(tuple(one + length * move for one, move in moved), length)

    def _state(self, sigmas: tuple[Array, ...], length: float) -> _State:
        """Return V of some Σ, the errors moved by `length`, factored in the equations of the fit."""
        model, at = self.criterion.model, self.theta + length * self.w
        errors = tuple(one + length * move for one, move in zip(self.base.errors, self.errors, strict=True))
        sd = None if self.base.sd is None else np.exp(model.relative_log_sd(at))
        equations = self.criterion.equations
        # the criterion factors again when it is next asked
        equations.holder = None
        if equations.takes_roots:
            roots = tuple(np.array([semidefinite_cholesky(one) for one in stack]) for stack in sigmas)
            equations.factor(Covariances(None, roots, errors, sd))
        else:
            equations.factor(Covariances(sigmas, None, errors, sd))
        variances, relation = self._errors(length)
        return _State(self.own, sigmas, variances, relation)

    def _errors(self, length: float) -> tuple[Array, ErrorCovariance | None]:
        """Return the variances of the errors of new rows, and the relation of missing ones, moved along the line."""
        errors, missing = self.found.errors, self.found.missing
        if errors.fitted is None:
            return errors.variances * (1.0 + length * self.w[-1]), None
        ahead, behind = (errors.moved(self.theta + k * FORWARD * self.w) for k in (1.0, -1.0))
        share = length / (2.0 * FORWARD)
        variances = errors.variances + share * (ahead.variances - behind.variances)
        if not missing.any():
            return variances, None
        relation, after, before = (one.relation(missing) for one in (errors, ahead, behind))
        assert relation is not None
        assert after is not None
        assert before is not None
        return variances, _MovedErrors(relation, after, before, share)


@dataclass(frozen=True, slots=True)
class _MovedErrors(ErrorCovariance):
    """The covariances of `here` moved by `share` of the difference of those `ahead` and `behind`."""

    here: ErrorCovariance
    ahead: ErrorCovariance
    behind: ErrorCovariance
    share: float

    def variances(self) -> Array:
        return self.here.variances() + self.share * (self.ahead.variances() - self.behind.variances())

    def between(self, targets: NDArray[np.intp], rows: NDArray[np.intp]) -> Array:
        moved = self.ahead.between(targets, rows) - self.behind.between(targets, rows)
        return self.here.between(targets, rows) + self.share * moved

    def among(self, rows: NDArray[np.intp]) -> Array:
        moved = self.ahead.among(rows) - self.behind.among(rows)
        return self.here.among(rows) + self.share * moved

    def coordinates(self) -> Array | None:
        return self.here.coordinates()


def _add(weight: float, direction: Direction, random: list[Array], errors: list[Array]) -> None:
    for term, which, sigma in direction.random:
        random[term][which] += weight * sigma
    if direction.errors is not None:
        for g, out in enumerate(errors):
            out += weight * direction.errors(g)


def _is_definite(matrices: Array) -> bool:
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return False
    return True
