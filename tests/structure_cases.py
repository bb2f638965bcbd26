"""Every covariance structure at the positions and orders that its tests use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mixedmodels.covariance import Positions, Structure, bind
from mixedmodels.covariance.kronecker import Kronecker
from mixedmodels.covariance.nugget import WithNugget
from mixedmodels.spec import StructureSpec


def grid(m: int) -> Positions:
    return Positions(m, tuple(f"v{i + 1}" for i in range(m)))


def line(*times: float) -> Positions:
    return Positions(len(times), tuple(map(str, times)), np.array(times, dtype=np.float64)[:, None])


def plane(m: int) -> Positions:
    points = np.random.default_rng(7).uniform(0.0, 3.0, (m, 2))
    return Positions(m, tuple(f"p{i + 1}" for i in range(m)), points)


@dataclass(frozen=True)
class Case:
    structure: Structure
    at: Positions

    def __str__(self) -> str:
        return f"{self.structure!r}-{self.at.size}"

    def theta(self, seed: int) -> np.ndarray:
        """A θ with an admissible Σ; moderate on every scale."""
        rng = np.random.default_rng(seed)
        m = self.at.size
        base = self.structure.start(np.diag(rng.uniform(0.5, 2.0, m)), self.at)
        for spread in (0.5, 0.2, 0.05, 0.01, 0.0):
            theta = base + spread * rng.standard_normal(len(base))
            if (
                np.linalg.eigvalsh(self.structure.matrix(theta, self.at))[0] > 1e-6
                or self.structure.always_psd
            ):
                return theta
        return base


def make(name: str, *order: int, nugget: bool = False, **options: object) -> Structure:
    return bind(StructureSpec(name, order=order, nugget=nugget), **options)  # type: ignore[arg-type]


def kron(first: str, second: str, *sizes: int) -> Structure:
    return bind(StructureSpec("kron", parts=(StructureSpec(first), StructureSpec(second))), sizes=sizes)


TIMES = line(0.0, 0.7, 1.0, 2.5, 4.0)
PLANE = plane(6)
RNG = np.random.default_rng(3)
ROOT = RNG.standard_normal((4, 4))
PAIRS = Positions(
    5,
    tuple("abcde"),
    np.array([[0.0, 0.0], [0.0, 2.0], [1.0, 1.0], [1.0, 0.0], [1.0, 2.0]]),
)
PAIRS_AT_TIMES = Positions(
    5,
    tuple("abcde"),
    np.array([[0.0, 0.0], [0.0, 2.5], [1.0, 1.1], [1.0, 0.3], [1.0, 2.0]]),
)

CASES: dict[str, list[Case]] = {
    "us": [Case(make("us"), grid(m)) for m in (1, 2, 3, 5)],
    "diag": [Case(make("diag"), grid(m)) for m in (1, 3)],
    "homdiag": [Case(make("homdiag"), grid(m)) for m in (1, 4)],
    "cs": [Case(make("cs"), grid(m)) for m in (2, 5)],
    "hcs": [Case(make("hcs"), grid(m)) for m in (2, 4)],
    "ar1": [Case(make("ar1"), grid(m)) for m in (2, 5)] + [Case(make("ar1", nugget=True), grid(5))],
    "har1": [Case(make("har1"), grid(m)) for m in (2, 4)],
    "arma": [Case(make("arma", *order), grid(6)) for order in ((), (1, 0), (0, 1), (2, 1), (1, 2), (2, 2))],
    "toep": [Case(make("toep"), grid(m)) for m in (2, 5)]
    + [Case(make("toep", q), grid(5)) for q in (1, 2, 3)],
    "htoep": [Case(make("htoep"), grid(m)) for m in (2, 4)] + [Case(make("htoep", 2), grid(4))],
    "ante1": [Case(make("ante1"), grid(m)) for m in (2, 5)],
    "fa": [Case(make("fa", q), grid(5)) for q in (1, 2)],
    "fa0": [Case(make("fa0", q), grid(4)) for q in (1, 2, 4)],
    "fa1": [Case(make("fa1", q), grid(5)) for q in (1, 2)],
    "banded_us": [Case(make("banded_us", q), grid(5)) for q in (1, 2, 3)],
    "unr": [Case(make("unr"), grid(m)) for m in (2, 4)],
    "hf": [Case(make("hf"), grid(m)) for m in (2, 3, 5)],
    "exp": [Case(make("exp"), PLANE), Case(make("exp", nugget=True), PLANE)],
    "gau": [Case(make("gau"), PLANE), Case(make("gau", nugget=True), TIMES)],
    "sph": [Case(make("sph"), PLANE), Case(make("sph", nugget=True), PLANE)],
    "lin_sp": [Case(make("lin_sp"), TIMES), Case(make("lin_sp", nugget=True), TIMES)],
    "mat": [Case(make("mat"), PLANE), Case(make("mat", nugget=True), TIMES)],
    "pow": [Case(make("pow"), PLANE), Case(make("pow", nugget=True), TIMES)],
    "rq": [Case(make("rq"), PLANE), Case(make("rq", nugget=True), TIMES)],
    "car1": [Case(make("car1"), TIMES), Case(make("car1", nugget=True), TIMES)],
    "powa": [Case(make("powa", 2), PLANE), Case(make("powa", dimension=1, nugget=True), TIMES)],
    "expa": [Case(make("expa", 2), PLANE), Case(make("expa", 1, nugget=True), TIMES)],
    "lin": [Case(make("lin", matrices=(np.eye(4), np.ones((4, 4)), ROOT @ ROOT.T)), grid(4))],
    "penalty": [
        Case(make("penalty", matrices=matrices), grid(4))
        for matrices in (
            (np.array([1.0, 2.0, 0.0, 0.5]), np.array([0.0, 0.0, 1.0, 3.0])),
            (np.array([1.0, 2.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 3.0])),
            (np.eye(4), np.diag([0.0, 1.0, 2.0, 3.0]), ROOT @ ROOT.T),
        )
    ],
    "kron": [
        Case(kron(a, b, 2, 3), grid(6)) for a in ("us", "diag", "fa1") for b in ("us", "ar1", "cs", "toep")
    ]
    + [Case(kron("us", "hcs", 2, 3), PAIRS), Case(kron("ar1", "car1", 2, 5), PAIRS_AT_TIMES)]
    + [Case(WithNugget(kron("us", "ar1", 2, 3)), grid(6))]
    + [Case(Kronecker(make("us"), Kronecker(make("ar1"), make("cs"), (2, 2)), (2, 4)), grid(8))],
}
ALL = [case for cases in CASES.values() for case in cases]
each = pytest.mark.parametrize("case", ALL, ids=str)
seeds = pytest.mark.parametrize("seed", [1, 2])


def close(actual: np.ndarray, expected: np.ndarray, relative: float) -> None:
    """Assert equality up to rounding relative to the largest element."""
    assert actual.shape == expected.shape
    scale = max(float(np.max(np.abs(expected), initial=0.0)), 1e-3)
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=relative * scale)
