"""Each structure element by element, from its definition in the SAS/STAT user's guide (PROC MIXED, TYPE=)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from mixedmodels.covariance import Positions, bind
from mixedmodels.spec import StructureSpec

M = 4
TIMES = np.array([0.0, 0.7, 1.5, 4.0])
VARIANCES = [1.0, 4.0, 2.25, 9.0]
SD = np.sqrt(VARIANCES)
EVEN = [2.0, 4.0, 2.25, 3.0]
LAG = [1.0, 0.5, 0.3, 0.1]
NEIGHBOUR = [0.5, -0.4, 0.8]
PAIR = {(1, 0): 0.1, (2, 0): -0.2, (2, 1): 0.3, (3, 0): 0.4, (3, 1): 0.2, (3, 2): -0.1}
LOADING = np.array([[1.0, 0.0], [0.5, 2.0], [-1.0, 0.3], [0.2, 0.4]])
LOADING_VALUES = [1.0, 0.5, -1.0, 0.2, 2.0, 0.3, 0.4]
D = np.abs(TIMES[:, None] - TIMES[None, :])

Element = Callable[[int, int], float]
DEFINITIONS: list[tuple[str, tuple[int, ...], list[float], Element]] = [
    ("diag", (), VARIANCES, lambda i, j: VARIANCES[i] * (i == j)),
    ("homdiag", (), [2.0], lambda i, j: 2.0 * (i == j)),
    ("cs", (), [2.0, -0.4], lambda i, j: -0.4 + 2.0 * (i == j)),
    ("hcs", (), [*VARIANCES, -0.2], lambda i, j: SD[i] * SD[j] * (-0.2 if i != j else 1.0)),
    ("ar1", (), [2.0, -0.5], lambda i, j: 2.0 * (-0.5) ** abs(i - j)),
    ("har1", (), [*VARIANCES, 0.5], lambda i, j: SD[i] * SD[j] * 0.5 ** abs(i - j)),
    ("arma", (1, 1), [2.0, 0.5, 0.3], lambda i, j: 2.0 * (0.3 * 0.5 ** (abs(i - j) - 1) if i != j else 1.0)),
    ("toep", (), [2.0, 1.0, 0.6, 0.2], lambda i, j: 2.0 * LAG[abs(i - j)]),
    ("toep", (2,), [2.0, 1.0], lambda i, j: [2.0, 1.0, 0.0, 0.0][abs(i - j)]),
    ("htoep", (), [*VARIANCES, *LAG[1:]], lambda i, j: SD[i] * SD[j] * LAG[abs(i - j)]),
    (
        "htoep",
        (3,),
        [*VARIANCES, *LAG[1:3]],
        lambda i, j: SD[i] * SD[j] * (LAG[abs(i - j)] if abs(i - j) < 3 else 0),
    ),
    (
        "ante1",
        (),
        [*VARIANCES, *NEIGHBOUR],
        lambda i, j: SD[i] * SD[j] * float(np.prod(NEIGHBOUR[min(i, j) : max(i, j)])),
    ),
    (
        "unr",
        (),
        [*VARIANCES, *PAIR.values()],
        lambda i, j: SD[i] * SD[j] * (PAIR[max(i, j), min(i, j)] if i != j else 1.0),
    ),
    ("hf", (), [*EVEN, -2.0], lambda i, j: (EVEN[i] + EVEN[j]) / 2 - 2.0 * (i != j)),
    (
        "fa",
        (2,),
        [*LOADING_VALUES, *VARIANCES],
        lambda i, j: LOADING[i] @ LOADING[j] + VARIANCES[i] * (i == j),
    ),
    ("fa1", (2,), [*LOADING_VALUES, 2.0], lambda i, j: LOADING[i] @ LOADING[j] + 2.0 * (i == j)),
    ("fa0", (2,), LOADING_VALUES, lambda i, j: LOADING[i] @ LOADING[j]),
    ("exp", (), [2.0, 1.5], lambda i, j: 2.0 * np.exp(-D[i, j] / 1.5)),
    ("gau", (), [2.0, 1.5], lambda i, j: 2.0 * np.exp(-(D[i, j] ** 2) / 1.5**2)),
    ("pow", (), [2.0, 0.3], lambda i, j: 2.0 * 0.3 ** D[i, j]),
    ("car1", (), [2.0, 0.3], lambda i, j: 2.0 * 0.3 ** D[i, j]),
    (
        "sph",
        (),
        [2.0, 1.5],
        lambda i, j: 2.0 * (1 - 1.5 * (D[i, j] / 1.5) + 0.5 * (D[i, j] / 1.5) ** 3) * (D[i, j] <= 1.5),
    ),
    ("lin_sp", (), [2.0, 0.4], lambda i, j: 2.0 * (1 - 0.4 * D[i, j]) * (0.4 * D[i, j] <= 1)),
    (
        "mat",
        (),
        [2.0, 1.5, 1.2],
        lambda i, j: (
            2.0 / special.gamma(1.2) * (D[i, j] / 3.0) ** 1.2 * 2.0 * special.kv(1.2, D[i, j] / 1.5)
            if i != j
            else 2.0
        ),
    ),
    ("rq", (), [2.0, 1.5], lambda i, j: 2.0 / (1.0 + (D[i, j] / 1.5) ** 2)),
    ("powa", (1,), [2.0, 0.3], lambda i, j: 2.0 * 0.3 ** D[i, j]),
    ("expa", (1,), [2.0, 0.4, 1.3], lambda i, j: 2.0 * np.exp(-0.4 * D[i, j] ** 1.3)),
]


@pytest.mark.parametrize(
    ("name", "order", "values", "element"), DEFINITIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_elements(name: str, order: tuple[int, ...], values: list[float], element: Element) -> None:
    structure = bind(StructureSpec(name, order=order))
    at = Positions(M, tuple("abcd"), TIMES[:, None])
    theta = structure.from_natural(np.array(values), at)
    expected = np.array([[element(i, j) for j in range(M)] for i in range(M)])
    np.testing.assert_allclose(structure.matrix(theta, at), expected, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(structure.natural(theta, at).values, values, rtol=0.0, atol=1e-12)


def test_unstructured_lists_its_elements_row_by_row() -> None:
    at = Positions(3, ("(Intercept)", "t", "u"))
    us = bind(StructureSpec("us"))
    sigma = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.5], [0.5, -0.5, 2.0]])
    natural = us.natural(us.start(sigma, at), at)
    assert natural.names == (
        "var(Intercept)", "cov(Intercept, t)", "var(t)", "cov(Intercept, u)", "cov(t, u)", "var(u)",
    )  # fmt: skip
    np.testing.assert_allclose(natural.values, sigma[np.tril_indices(3)], atol=1e-14)
    theta = np.linalg.cholesky(sigma).T[np.triu_indices(3)]  # column by column, as lme4's theta
    np.testing.assert_allclose(us.start(sigma, at), theta, atol=1e-14)


def test_matern_derivative_in_smoothness_against_differences_of_the_bessel_function() -> None:
    at = Positions(M, tuple("abcd"), TIMES[:, None])
    mat = bind(StructureSpec("mat"))
    theta = mat.from_natural(np.array([1.0, 1.5, 1.2]), at)
    step = 1e-5

    def by_bessel(nu: float) -> np.ndarray:
        z = np.where(D > 0, D, 1.0) / 1.5
        return np.where(D > 0, 2.0 * special.kv(nu, z) * (z / 2.0) ** nu / special.gamma(nu), 1.0)

    numeric = 1.2 * (by_bessel(1.2 + step) - by_bessel(1.2 - step)) / (2.0 * step)
    # Central differences: step² times third derivatives below 1, plus rounding 1e-16/step.
    np.testing.assert_allclose(mat.d_matrix(theta, at)[2], numeric, rtol=0.0, atol=1e-9)


def test_huynh_feldt_reaches_every_positive_semidefinite_member_and_no_other() -> None:
    hf, rng = bind(StructureSpec("hf")), np.random.default_rng(11)
    accepted = 0
    for _ in range(2000):
        m = int(rng.integers(2, 6))
        variances, shift = rng.uniform(0.5, 3.0, m), rng.uniform(-4.0, 1.0)
        sigma = (variances[:, None] + variances[None, :]) / 2.0 + shift
        np.fill_diagonal(sigma, variances)
        smallest = float(np.linalg.eigvalsh(sigma)[0])
        if abs(smallest) < 1e-9:
            continue
        try:
            hf.from_natural(np.r_[variances, shift], Positions(m, tuple("abcde"[:m])))
            admitted = True
        except ValueError:
            admitted = False
        assert admitted == (smallest > 0.0)
        accepted += admitted
    assert 500 < accepted < 1500


@pytest.mark.parametrize("nu", [200.0, 1e3, 9.9e3])
@pytest.mark.parametrize("r_scaled", [0.3, 1.0, 30.0, 1e4])
def test_matern_of_large_smoothness_is_nearly_gaussian(nu: float, r_scaled: float) -> None:
    """C → exp(−d²/4νr²) with an error of order 1/ν; the power in its definition underflows on the way."""
    at = Positions(5, tuple("abcde"), np.array([[0.0], [0.1], [0.5], [1.1], [2.0]]))
    mat = bind(StructureSpec("mat"))
    r = r_scaled / (2.0 * np.sqrt(nu))
    d = np.abs(np.subtract.outer(at.coordinates[:, 0], at.coordinates[:, 0]))  # type: ignore[index]
    theta = mat.from_natural(np.array([1.0, r, nu]), at)
    np.testing.assert_allclose(mat.matrix(theta, at), np.exp(-((d / r_scaled) ** 2)), atol=0.3 / nu)
    assert np.isfinite(mat.d2_matrix(theta, at)).all()


@pytest.mark.parametrize("values", [(1.0, 1e5), (1.0, 1e12), (1.0, np.inf), (np.inf, 1.0)])
def test_matern_refuses_what_would_take_unbounded_memory(values: tuple[float, float]) -> None:
    at = Positions(3, tuple("abc"), np.array([[0.0], [0.1], [0.5]]))
    mat = bind(StructureSpec("mat"))
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"positive|outside"):
        mat.matrix(np.array([1.0, *np.log(values)]), at)
