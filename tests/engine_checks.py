"""What engines are held to: every verb of `Equations` at covariances drawn at random, against dense algebra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dense_equations import DenseEquations, DenseWorking
from mixedmodels.control import Control
from mixedmodels.engines import RANDOM_ENGINES as ENGINES
from mixedmodels.engines.base import Covariances, Direction, Equations, ErrorCovariance, Target
from mixedmodels.typing import Array, Codes
from models import Model

CONTROL = Control(threads=1)


@dataclass
class Case:
    """Equations and the oracle factored at the same covariances, and what else is asked of both.

    `tolerance` is relative to the largest number of an answer, at least one: both sides are double precision, and
    the oracle's V has a condition of up to 1e4 (1e5 and Σ of up to 1e3 in drawn designs).
    """

    design: Model
    equations: Equations
    kind: str
    seed: int
    tolerance: float = 1e-8
    oracle: DenseEquations = field(init=False)
    covariances: Covariances = field(init=False)
    directions: list[Direction] = field(init=False)

    def __post_init__(self) -> None:
        self.oracle = DenseEquations.of(self.design, self.equations.groups, self.equations.homogeneous)
        rng = np.random.default_rng(self.seed)
        self.covariances = draw_covariances(self.design, self.oracle, rng, self.kind)
        self.directions = draw_directions(self.design, self.oracle, rng, self.covariances)
        self.factor()

    def factor(self) -> None:
        self.pieces = self.equations.factor(self.covariances)
        self.expected_pieces = self.oracle.factor(self.covariances)

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed + 1)

    def agree(self, actual: object, expected: object, size: float = 1.0) -> None:
        """Assert that two answers, arrays or tuples of them, are equal."""
        if isinstance(expected, tuple):
            assert isinstance(actual, tuple)
            for one, other in zip(actual, expected, strict=True):
                self.agree(one, other, size)
            return
        found, wanted = np.asarray(actual), np.asarray(expected)
        assert found.shape == wanted.shape
        scale = max(size, float(np.max(np.abs(wanted), initial=0.0)))
        np.testing.assert_allclose(found, wanted, atol=self.tolerance * scale, rtol=0)

    @property
    def prior(self) -> float:
        """The largest variance of V: what the oracle subtracts from, and its rounding error is relative to."""
        return float(np.max(self.oracle.covariance(self.covariances).diagonal(), initial=1.0))


# -- numbers to ask at ---------------------------------------------------------------------------------------


def error_matrix(
    design: Model, rng: np.random.Generator, *, slope: bool = False, only: int | None = None
) -> Array:
    """Return R* or (`slope`) a direction of it, (n, n), for errors by cluster; `only` for one parameter set."""
    residual = design.residual
    if residual is None or residual.structure is None:
        return np.eye(design.n) * (1.0 if slope else rng.uniform(0.5, 2.0))
    total, own = np.zeros((design.n, design.n)), residual.sets[residual.clusters]
    same = residual.clusters[:, None] == residual.clusters
    for s in range(residual.n_sets):
        if residual.coordinates is None:
            size = residual.positions.size
            root = rng.standard_normal((size, size))
            grid = root + root.T if slope else root @ root.T / size + 0.3 * np.eye(size)
            matrix = grid[np.ix_(residual.index, residual.index)]
        else:
            at = residual.coordinates
            apart = np.sqrt(np.sum((at[:, None] - at) ** 2, axis=2)) * rng.uniform(0.5, 1.5)
            matrix = rng.uniform(0.5, 2.0) * np.exp(-apart) * (apart if slope else 1.0)
            matrix += 0.2 * np.eye(design.n)
        if only is None or s == only:
            total += matrix * (same & (own == s)[:, None])
    return total


def by_class(oracle: DenseEquations, matrix: Array) -> tuple[Array, ...]:
    """Return R of every class from the whole matrix, (C, t, t) for each size group."""
    out = tuple(matrix[g.first_rows[:, :, None], g.first_rows[:, None, :]] for g in oracle.groups)
    # clusters of one class have the same R
    np.testing.assert_array_equal(oracle.spread(out), matrix)
    return out


def row_logs(design: Model, rng: np.random.Generator) -> Array | None:
    """Return logarithms of standard deviations by row that follow the strata and covariates, None without any."""
    if design.residual is None or not design.residual.variance:
        return None
    total = np.zeros(design.n)
    for term, own in zip(design.residual.variance, design.residual.rows.variance, strict=True):
        total += rng.uniform(-0.5, 0.5, len(term.group_labels))[own.groups]
        if own.covariate is not None:
            total += rng.uniform(-0.5, 0.5) * own.covariate
    return total


def draw_random(
    design: Model, rng: np.random.Generator, kind: str
) -> tuple[tuple[Array, ...], tuple[Array, ...] | None]:
    """Return Σ of every term and its root, None where `kind` makes some Σ indefinite."""
    roots, signs = [], []
    for k, term in enumerate(design.random):
        root = np.tril(rng.standard_normal((term.n_sets, term.n_columns, term.n_columns)))
        if kind == "singular":
            root[:, :, -1] = 0.0
        if kind == "zero" or (kind == "some zero" and k % 2 == 0):
            root[:] = 0.0
        if kind == "large":
            root *= 30.0
        roots.append(root)
        sign = np.ones(term.n_columns)
        if kind == "negative" or (kind == "mixed" and k % 2):
            sign[:] = -1.0
        if kind == "indefinite":
            sign[::2] = -1.0
        signs.append(sign)
    random = tuple((r * s) @ r.transpose(0, 2, 1) for r, s in zip(roots, signs, strict=True))
    return random, tuple(roots) if design.bounded else None


def draw_covariances(
    design: Model, oracle: DenseEquations, rng: np.random.Generator, kind: str
) -> Covariances:
    """Return covariances at random; Σ that may be indefinite are shrunk until V's smallest eigenvalue is 0.1."""
    if oracle.homogeneous:
        errors: tuple[Array, ...] = (np.full((1, 1, 1), rng.uniform(0.4, 2.0)),)
    else:
        errors = by_class(oracle, error_matrix(design, rng))
    random, roots = draw_random(design, rng, kind)
    logs = row_logs(design, rng)
    sd = None if logs is None else np.exp(logs)
    if design.bounded:
        return Covariances(random, roots, errors, sd)
    scale = 1.0
    floor = np.linalg.eigvalsh(
        oracle.covariance(Covariances(tuple(0.0 * s for s in random), None, errors, sd))
    )[0]
    while True:
        found = Covariances(tuple(scale * sigma for sigma in random), None, errors, sd)
        if np.linalg.eigvalsh(oracle.covariance(found))[0] > 0.3 * floor:
            return found
        scale *= 0.7


def symmetric(rng: np.random.Generator, p: int) -> Array:
    a = rng.standard_normal((p, p))
    return a + a.T


def draw_directions(
    design: Model, oracle: DenseEquations, rng: np.random.Generator, at: Covariances
) -> list[Direction]:
    """Return directions of every term and set, of the errors, of standard deviations of rows, and of all together."""
    out = [
        Direction(random=((k, s, symmetric(rng, term.n_columns)),))
        for k, term in enumerate(design.random)
        for s in range(term.n_sets)
        for _ in range(1 + (term.n_columns > 1))
    ]
    if oracle.homogeneous:
        out.append(Direction(errors=lambda g: np.ones((1, 1, 1))))
    else:
        sets = 1 if design.residual is None else design.residual.n_sets
        stacks = [by_class(oracle, error_matrix(design, rng, slope=True, only=s)) for s in range(sets)]
        out += [Direction(errors=stack.__getitem__) for stack in stacks]
    for _ in range(2):
        logs = row_logs(design, rng)
        if logs is not None:
            out.append(Direction(rows=moved_rows(oracle, at, logs).__getitem__))
    everything = tuple(one for direction in out for one in direction.random)
    out.append(replace(out[-1], random=everything))
    return out


def moved_rows(oracle: DenseEquations, at: Covariances, logs: Array) -> list[Array]:
    """Return (ℓ̇_i + ℓ̇_j)R_ij by cluster, (m, t, t) for each size group."""
    out = []
    for group, r in zip(oracle.groups, at.errors, strict=True):
        own = logs[group.rows]
        out.append(r[group.class_of] * (own[:, :, None] + own[:, None, :]))
    return out


class DrawnErrors(ErrorCovariance):
    """Errors that are combinations of those of a cluster of the fit, and something of their own."""

    def __init__(self, oracle: DenseEquations, cluster: NDArray[np.intp], rng: np.random.Generator) -> None:
        cross = rng.standard_normal((len(cluster), oracle.layout.n)) * (oracle.r[cluster] != 0)
        self.cross = cross @ oracle.r
        self.own = np.einsum("ni,ni->n", self.cross, cross) + rng.uniform(0.5, 1.0, len(cluster))

    def between(self, targets: NDArray[np.intp], rows: NDArray[np.intp]) -> Array:
        return self.cross[targets[:, None], rows]

    def variances(self) -> Array:
        return self.own


def draw_rows(
    design: Model, rng: np.random.Generator, n: int = 8
) -> tuple[list[Codes | None], list[Array | None]]:
    """Return levels (some not in the fit, which have no set of their own) and Z values of n quantities."""
    codes: list[Codes | None] = []
    values: list[Array | None] = []
    of_group: dict[str, Codes] = {}
    for term in design.random:
        # terms of one group are told one level
        drawn = rng.integers(-1, term.n_levels, n).astype(np.int32)
        own = of_group.setdefault(term.group, drawn)
        codes.append(
            np.maximum(own, 0) if any(t.n_sets > 1 for t in design.random if t.group == term.group) else own
        )
        values.append(
            None if term.values is None and rng.random() < 0.5 else rng.standard_normal((n, term.n_columns))
        )
    return codes, values


# -- checks --------------------------------------------------------------------------------------------------


def criterion(case: Case) -> None:
    for name in ("logdet", "logdet_x", "quadratic"):
        case.agree(getattr(case.pieces, name), getattr(case.expected_pieces, name))


def scores(case: Case) -> None:
    for reml in (True, False):
        found, wanted = case.equations.scores(reml), case.oracle.scores(reml)
        for mine, theirs in zip(found.random, wanted.random, strict=True):
            case.agree(mine.trace, theirs.trace)
            case.agree(mine.quadratic, theirs.quadratic)
        # Γ is what is left of two parts
        size = max(float(np.abs(part).max(initial=0.0)) for part in case.oracle.traces(reml)[1])
        case.agree(tuple(found.errors), wanted.errors, size)
        if case.covariances.sd is not None:
            assert found.clusters is not None
        if found.clusters is not None:
            case.agree(tuple(found.clusters), wanted.clusters, size)


def traces(case: Case) -> None:
    for reml in (True, False):
        case.agree(case.equations.traces(reml), case.oracle.traces(reml))


def information(case: Case) -> None:
    case.agree(case.equations.information(case.directions), case.oracle.information(case.directions))


def trace_products(case: Case) -> None:
    for reml in (True, False):
        found = case.equations.trace_products(case.directions, reml)
        if found is None:
            assert not case.equations.exact_information
        else:
            case.agree(found, case.oracle.trace_products(case.directions, reml))


def fixed_information(case: Case) -> None:
    for _ in range(2):
        weights = symmetric(case.rng, len(case.directions))
        found = case.equations.fixed_information(case.directions, weights)
        wanted = _in_own(case, case.oracle.fixed_information(case.directions, weights))
        # Σ_ab w_ab Q_ab cancels where weights have both signs
        unsigned = case.oracle.fixed_information(case.directions, np.abs(weights))
        size = np.abs(_in_own(case, unsigned)[1]).max(initial=1.0)
        case.agree(found[0], wanted[0])
        case.agree(found[1], wanted[1], size)


def _in_own(case: Case, pair: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return A'MA of matrices in the oracle's X, A the map of the equations' own coordinates."""
    a = case.equations.solution().basis.rows(np.eye(case.design.fixed.rank))
    return a.T @ pair[0] @ a, a.T @ pair[1] @ a


def solution(case: Case) -> None:
    found, wanted = case.equations.solution(), case.oracle.solution()
    case.agree(found.beta, wanted.beta)
    case.agree(found.vcov, wanted.vcov)
    own = found.basis.rows(np.eye(len(wanted.beta)))
    case.agree(own @ found.own_beta, wanted.beta)
    case.agree(own @ found.own_vcov @ own.T, wanted.vcov)
    case.agree(tuple(found.random), wanted.random, case.prior)


def conditional_covariance(case: Case) -> None:
    for k in range(len(case.design.random)):
        case.agree(
            case.equations.conditional_covariance(k), case.oracle.conditional_covariance(k), case.prior
        )


def joint_covariance(case: Case) -> None:
    for k in range(len(case.design.random)):
        case.agree(case.equations.joint_covariance(k), case.oracle.joint_covariance(k), case.prior)


def prediction_variance(case: Case) -> None:
    for x, codes, values in _quantities(case):
        found = case.equations.prediction_variance(x, codes, values)
        case.agree(found, case.oracle.prediction_variance(x, codes, values), case.prior)


def predict(case: Case) -> None:
    for x, codes, values in _quantities(case):
        targets = [Target(x, codes, values)]
        if not case.equations.homogeneous:
            rows = case.rng.integers(0, case.design.n, len(targets[0])).astype(np.intp)
            error = DrawnErrors(case.oracle, rows, case.rng)
            rows = np.where(case.rng.random(len(rows)) < 0.3, -1, rows)
            targets.append(replace(targets[0], cluster=rows, error=error))
        for target in targets:
            case.agree(case.equations.predict(target), case.oracle.predict(target), case.prior)


def _quantities(case: Case) -> list[tuple[Array | None, list[Codes | None], list[Array | None]]]:
    """Return quantities of every kind: all parts, without a fixed part, and with single terms left out."""
    codes, values = draw_rows(case.design, case.rng)
    x = case.rng.standard_normal((8, case.design.fixed.rank))
    out: list[tuple[Array | None, list[Codes | None], list[Array | None]]] = [(x, codes, values)]
    if codes:
        out.append((None, codes, values))
    for k in range(len(codes)):
        out.append((x, [None if j == k else c for j, c in enumerate(codes)], values))
    return out


def conditional_residual_variances(case: Case) -> None:
    found = case.equations.conditional_residual_variances()
    case.agree(found, case.oracle.conditional_residual_variances(), case.prior)


def leverages(case: Case) -> None:
    for fixed in (False, True):
        case.agree(case.equations.leverages(fixed=fixed), case.oracle.leverages(fixed=fixed), case.prior)


def start_moments(case: Case) -> None:
    if case.equations.homogeneous:
        case.agree(case.equations.start_moments(), case.oracle.start_moments())


def start_squares(case: Case) -> None:
    case.agree(tuple(case.equations.response_squares()), case.oracle.response_squares())
    found = case.equations.explained_squares(case.covariances)
    case.agree(tuple(found), case.oracle.explained_squares(case.covariances))


def direction_gram(case: Case) -> None:
    """Dependent directions are found, and no others: the null spaces are the same."""
    if case.equations.homogeneous:
        return
    directions = [*case.directions, case.directions[0]]
    bases = []
    for one in (case.equations, case.oracle):
        gram = one.direction_gram(case.covariances, directions)
        size = np.sqrt(np.maximum(gram.diagonal(), 1e-300))
        values, vectors = np.linalg.eigh(gram / np.outer(size, size))
        # a dependence known to rounding, squared; independent ones are far from it in these layouts
        null = vectors[:, values < 1e-9] / size[:, None]
        bases.append(np.linalg.qr(null)[0])
    assert bases[0].shape == bases[1].shape
    case.agree(bases[0] @ bases[0].T, bases[1] @ bases[1].T)


def draw_sides(case: Case) -> tuple[Array, list[Array]]:
    """Return two right-hand sides over [β; b], those of β for the columns of X as they are."""
    rng = case.rng
    random = [rng.standard_normal((t.n_levels, t.n_columns, 2)) for t in case.design.random]
    return rng.standard_normal((case.design.fixed.rank, 2)), random


def own_columns(case: Case) -> Array:
    """Return A of X_own = XA, (r, r)."""
    return case.equations.basis.rows(np.eye(case.design.fixed.rank))


def solve(case: Case) -> None:
    fixed, random = draw_sides(case)
    a = own_columns(case)
    size = case.prior * case.design.n
    beta, b = case.equations.solve(a.T @ fixed, random)
    wanted = case.oracle.solve(fixed, random)
    assert beta is not None
    case.agree(a @ beta, wanted[0], size)
    case.agree(b, wanted[1], size)
    # β held
    beta, b = case.equations.solve(None, random)
    assert beta is None
    case.agree(b, case.oracle.solve(None, random)[1], size)


def rows_and_effects(case: Case) -> None:
    """Xβ + Zb, and X'v, Z'v, of one vector and of several."""
    fixed, random = draw_sides(case)
    a = own_columns(case)
    v = case.rng.standard_normal((case.design.n, 2))
    for of in (lambda one: one, lambda one: one[..., 0]):
        b = [of(own) for own in random]
        found = case.equations.linear_predictor(of(fixed), b)
        case.agree(found, case.oracle.linear_predictor(a @ of(fixed), b))
        found = case.equations.adjoint(of(v))
        wanted = case.oracle.adjoint(of(v))
        case.agree(found[0], a.T @ wanted[0])
        case.agree(found[1], wanted[1])


def cross_fixed(case: Case) -> None:
    r = case.rng.standard_normal(case.design.n)
    wanted = case.oracle.cross_fixed(case.directions, r)
    case.agree(case.equations.cross_fixed(case.directions, r), wanted @ own_columns(case))


def other_rows(case: Case) -> None:
    """Another response, and other weights; the first equations keep their own."""
    rng, n = case.rng, case.design.n
    y, weights = rng.standard_normal(n), rng.uniform(0.3, 3.0, n)
    pairs = [(replace(case.design, y=y), case.equations.new_response(y))]
    if case.design.bounded or case.equations.diagonal:
        scores_ = weights * y
        design = replace(case.design, y=scores_ / weights, weights=weights)
        pairs.append((design, case.equations.reweight(weights, scores_)))
    for design, equations in pairs:
        again = Case(design, equations, case.kind, case.seed, case.tolerance)
        for check in (criterion, scores, information, solution, leverages, start_moments, start_squares):
            check(again)
    case.factor()
    criterion(case)
    solution(case)


def working(case: Case, weights: Array, scores_: Array) -> Case:
    """Return the case of working weights and scores: what is linear in them, and what they leave of V."""
    equations = case.equations.reweight(weights, scores_)
    again = replace(case, equations=equations)
    again.oracle = DenseWorking(case.design, weights, scores_)
    again.directions = [d for d in case.directions if d.errors is None]
    again.factor()
    return again


def criterion_of_scores(case: Case) -> None:
    """log|V| and log|X'V⁻¹X|; y'Py of a row of weight 0 is infinite."""
    for name in ("logdet", "logdet_x"):
        case.agree(getattr(case.pieces, name), getattr(case.expected_pieces, name))


def scores_of_terms(case: Case) -> None:
    for reml in (True, False):
        found, wanted = (one.scores(reml, errors=False) for one in (case.equations, case.oracle))
        for mine, theirs in zip(found.random, wanted.random, strict=True):
            case.agree(mine.trace, theirs.trace)
            case.agree(mine.quadratic, theirs.quadratic)


def rescale(case: Case) -> None:
    """V times a factor, without factoring again; last, because everything is then about that V."""
    if not case.equations.homogeneous:
        return
    case.equations.rescale(1.7)
    case.oracle.rescale(1.7)
    for check in REUSABLE:
        check(case)
    case.factor()
    criterion(case)
    scores(case)


REUSABLE: tuple[Callable[[Case], None], ...] = (
    scores, traces, information, trace_products, fixed_information, solution, conditional_covariance,
    joint_covariance, prediction_variance, predict, conditional_residual_variances, leverages, solve, cross_fixed,
)  # fmt: skip
CHECKS = (
    criterion, *REUSABLE, rows_and_effects, start_moments, start_squares, direction_gram, other_rows, rescale,
)  # fmt: skip
"""One check for every verb."""
WORKING = (
    criterion_of_scores, scores_of_terms, information, solution, conditional_covariance, joint_covariance,
    prediction_variance, leverages, solve, cross_fixed,
)  # fmt: skip
"""What is asked at working weights and scores."""


def make_case(name: str, design: Model, kind: str, seed: int, tolerance: float = 1e-8) -> Case:
    """Return the equations of an engine at covariances of a kind."""
    return Case(design, design.equations(ENGINES[name](), CONTROL), kind, seed, tolerance)
