"""What every covariance structure says of itself is so: closures, linearity, order of positions."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels.covariance import STRUCTURES
from mixedmodels.covariance.unbounded import Unbounded
from structure_cases import Case, close, each, grid, make, seeds


def tangents(case: Case, theta: np.ndarray, kind: str) -> np.ndarray:
    """Return GΣ + ΣG', one a row, for the G that generate the maps of one kind."""
    m = case.at.size
    sigma = case.structure.matrix(theta, case.at)
    pairs = [(i, j) for i in range(m) for j in range(m) if kind == "linear" or i == j]
    out = []
    for i, j in pairs:
        generator = np.zeros((m, m))
        generator[i, j] = 1.0
        out.append((generator @ sigma + sigma @ generator.T).ravel())
    return np.array(out)


@each
def test_families_are_closed_under_what_they_claim_and_no_more(case: Case) -> None:
    """A family closed under a group of maps has the directions in which they move Σ among its own ∂Σ/∂θ."""
    structure, m = case.structure, case.at.size
    theta = case.theta(1)
    own = structure.d_matrix(theta, case.at).reshape(len(theta), -1)
    found = {
        kind
        for kind in ("linear", "scale")
        if np.linalg.matrix_rank(np.vstack([own, tangents(case, theta, kind)]), tol=1e-8)
        == np.linalg.matrix_rank(own, tol=1e-8)
    }
    assert structure.closed_under <= found
    assert structure.own_variances == ("scale" in structure.closed_under)
    if m >= 4:  # smaller matrices have too few elements to tell the families apart
        assert structure.closed_under == found


@each
def test_variances_that_may_vanish_leave_a_covariance(case: Case) -> None:
    """Σ stays positive definite where one of them is zero, and has no slope along it there."""
    theta = case.theta(1)
    for place in case.structure.vanishing(case.at):
        theta[place] = 0.0
        assert np.linalg.eigvalsh(case.structure.matrix(theta, case.at))[0] > -1e-12
        assert not case.structure.d_matrix(theta, case.at)[place].any()
        theta = case.theta(1)
    assert case.structure.with_nugget == (
        len(case.structure.vanishing(case.at)) == 1
        and "nugget" in str(case.structure.natural(theta, case.at).names[-1])
    )


def maps(case: Case, seed: int) -> list[tuple[str, np.ndarray]]:
    """Return one T of every kind: any, positive diagonal, a multiple of the identity."""
    rng, m = np.random.default_rng(seed), case.at.size
    return [
        ("linear", rng.standard_normal((m, m))),
        ("scale", np.diag(rng.uniform(0.2, 5.0, m))),
        ("multiple", -1.7 * np.eye(m)),
    ]


@each
@seeds
def test_transform(case: Case, seed: int) -> None:
    structure, at, theta = case.structure, case.at, case.theta(seed)
    for kind, t in maps(case, seed):
        if kind != "multiple" and at.size > 1 and kind not in structure.closed_under:
            with pytest.raises(ValueError, match="does not contain TΣT'"):
                structure.transform(theta, t, at)
            continue
        if at.size == 1:
            t = np.abs(t)
        expected = t @ structure.matrix(theta, at) @ t.T
        moved = structure.transform(theta, t, at)
        close(structure.matrix(moved, at), expected, 1e-13)
        again = structure.from_natural(structure.natural(moved, at).values, at)
        close(structure.matrix(again, at), expected, 1e-10)


@pytest.mark.parametrize("name", ["us", "diag", "unr", "fa0", "banded_us"])
def test_transform_where_sigma_is_singular(name: str) -> None:
    structure, at = make(name, *((2,) if name in ("fa0", "banded_us") else ())), grid(4)
    rng = np.random.default_rng(3)
    shift = np.eye(4)
    shift[0, 1] = -2019.5
    for zeros in ((0,), (1, 2), (3,), range(4)):
        theta = rng.standard_normal(structure.size(4))
        sigma = structure.matrix(theta, at)
        if name == "diag":
            theta[list(zeros)] = 0.0
        else:  # no direction of these columns of the factor is left
            entries = structure.factor_entries(4) or [(0, j, a) for a, j in enumerate((0, 0, 0, 0, 1, 1, 1))]
            theta[[a for _, j, a in entries if j in zeros]] = 0.0
        sigma = structure.matrix(theta, at)
        for kind, t in (("scale", np.diag([1e-9, 2.0, 1e6, 0.3])), ("linear", shift)):
            if kind in structure.closed_under:
                moved = structure.transform(theta, t, at)
                expected = t @ sigma @ t.T
                # each element against the size of its own row and column
                unit = np.sqrt(np.diagonal(abs(t) @ abs(sigma) @ abs(t).T)) + 1e-300
                found = (structure.matrix(moved, at) - expected) / unit[:, None] / unit
                assert np.max(np.abs(found)) < 1e-13


def test_transform_refuses_a_turned_sign_and_a_map_to_zero() -> None:
    at, har1, us, cs = grid(3), make("har1"), make("us"), make("cs")
    theta = Case(har1, at).theta(1)
    with pytest.raises(ValueError, match="positive elements"):
        har1.transform(theta, np.diag([1.0, -1.0, 2.0]), at)
    with pytest.raises(ValueError, match="multiple of the identity"):
        cs.transform(np.ones(2), np.zeros((3, 3)), at)
    assert not us.matrix(us.transform(np.ones(6), np.zeros((3, 3)), at), at).any()


@each
def test_linear_in_variances_and_covariances(case: Case) -> None:
    structure, m = case.structure, case.at.size
    theta = case.theta(1)
    if structure.names[0] == "fa0":  # all of Σ is reached, its elements are parameters
        own = structure.d_matrix(theta, case.at).reshape(len(theta), -1)
        expected = np.linalg.matrix_rank(own) == m * (m + 1) // 2
    else:
        expected = not structure.d2_natural(theta, case.at).any()
    assert structure.linear_at(m) == expected


def test_facts_about_positions() -> None:
    """Steps count only where there is an order, and an order only where a column of positions stands."""
    facts = {
        fact: {name for name, cls in STRUCTURES.items() if getattr(cls, fact)}
        for fact in ("over_positions", "ordered", "counted", "needs_coordinates", "dependent_columns")
    }
    assert facts["counted"] < facts["ordered"] < facts["over_positions"]
    assert not facts["over_positions"] & facts["needs_coordinates"]
    assert facts["counted"] == {"ar1", "har1", "arma", "toep", "htoep"}
    assert facts["dependent_columns"] == {"homdiag", "kron", "penalty"}


def test_wrappers_state_the_facts_of_what_they_wrap() -> None:
    assert make("ar1", nugget=True).ordered
    assert not make("ar1", nugget=True).own_variances
    for name in ("us", "diag", "homdiag", "toep"):
        free = Unbounded(make(name))
        for fact in ("over_positions", "ordered", "counted", "own_variances", "closed_under"):
            assert getattr(free, fact) == getattr(make(name), fact)


@pytest.mark.parametrize("name", ["us", "diag", "cs", "toep"])
def test_transform_without_bounds(name: str) -> None:
    at, free = grid(3), Unbounded(make(name))
    theta = np.linspace(-1.0, 2.0, free.size(3))
    for kind, t in maps(Case(free, at), 1):
        if kind == "multiple" or kind in free.closed_under:
            close(free.matrix(free.transform(theta, t, at), at), t @ free.matrix(theta, at) @ t.T, 1e-13)
        else:
            with pytest.raises(ValueError, match="does not contain TΣT'"):
                free.transform(theta, t, at)
