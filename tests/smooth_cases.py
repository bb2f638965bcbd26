"""One case for each basis: data, arguments, and what its theory says of the result."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from mixedmodels.smooths import SMOOTHS, Basis, Given, MixedForm


@dataclass(frozen=True)
class Case:
    """A basis with the arguments it is learned by, and the functions that its penalties leave free, (n, M)."""

    name: str
    x: tuple[np.ndarray, ...]
    new: tuple[np.ndarray, ...]
    free: np.ndarray
    k: int | None = 8
    m: object = None
    levels: tuple[tuple[str, ...] | None, ...] = ()
    knots: np.ndarray | None = None
    known: np.ndarray | None = None
    partition: bool = False
    movable: bool = True
    sized: bool = True
    moves: float = 1e-6
    label: str = field(default="")

    @property
    def n(self) -> int:
        return len(self.x[0])

    @property
    def is_factor(self) -> tuple[bool, ...]:
        return tuple(v.dtype != np.float64 for v in self.x)

    @property
    def curve(self) -> bool:
        """Whether there is one numeric variable."""
        return self.is_factor.count(False) == 1

    @property
    def numeric(self) -> int:
        return self.is_factor.index(False)

    def shifted(self, step: float) -> tuple[np.ndarray, ...]:
        """Return the new rows with the numeric variable moved by a step."""
        return tuple(v if factor else v + step for v, factor in zip(self.new, self.is_factor, strict=True))

    def given(self, **changes: object) -> Given:
        own = {"k": self.k, "m": self.m, "levels": self.levels, "knots": self.knots, "known": self.known}
        return Given(label="s(x)", **(own | changes))  # type: ignore[arg-type]

    def basis(self, origin: float = 0.0, unit: float = 1.0) -> Basis:
        knots = None if self.knots is None else origin + unit * self.knots
        return SMOOTHS[self.name].learn(self.moved(self.x, origin, unit), self.given(knots=knots))

    def moved(self, x: tuple[np.ndarray, ...], origin: float, unit: float) -> tuple[np.ndarray, ...]:
        return tuple(v if factor else origin + unit * v for v, factor in zip(x, self.is_factor, strict=True))

    def breaks(self, basis: Basis) -> np.ndarray:
        """Return the knots in x, where derivatives of high order jump; a copy of them for each round of a cycle."""
        knots = getattr(basis, "knots", None)
        if knots is None:
            return np.array([np.inf])
        at = basis.origin + basis.unit * np.asarray(knots).ravel()  # type: ignore[attr-defined]
        return np.concatenate([at + r * basis.unit for r in (-1, 0, 1)])  # type: ignore[attr-defined]


def _data(n: int = 70) -> tuple[np.ndarray, np.ndarray]:
    """Values with ties and gaps, and new ones inside and outside their range."""
    rng = np.random.default_rng(11)
    x = np.sort(np.round(rng.beta(1.2, 1.0, n), 3))
    new = np.linspace(x[0] - 0.3 * (x[-1] - x[0]), x[-1] + 0.3 * (x[-1] - x[0]), 61)
    return x, new


X, NEW = _data()
ONE = np.ones((len(X), 1))
LINE = np.column_stack((np.ones(len(X)), X))
NONE = np.zeros((len(X), 0))

PLANE = np.column_stack((X, np.random.default_rng(12).uniform(-1.0, 2.0, len(X))))
NEW_PLANE = (NEW, np.linspace(-2.0, 3.0, len(NEW)))
FLAT = np.column_stack((np.ones(len(X)), PLANE))

LEVELS = ("a", "b", "c", "d", "e", "f")
G = np.random.default_rng(13).permutation(np.arange(len(X)) % 6).astype(np.int32)
NEW_G = (np.arange(len(NEW)) % 6).astype(np.int32)
RING = np.roll(np.eye(6), 1, axis=0) + np.roll(np.eye(6), -1, axis=0)
SZ = np.einsum("nl,nm->nlm", np.eye(6)[G][:, 1:] - np.eye(6)[G][:, :1], LINE).reshape(len(X), -1)

CASES = (
    Case("tp", (X,), (NEW,), LINE),
    Case("tp", (X,), (NEW,), np.column_stack((LINE, X**2)), m=3, label="tp 3"),
    Case("tp", (X,), (NEW,), NONE, m=(2, 0), label="tp 2 0"),
    Case("tp", tuple(PLANE.T), NEW_PLANE, FLAT, k=15, movable=False, label="tp plane"),
    Case("ts", (X,), (NEW,), NONE),
    Case("cr", (X,), (NEW,), LINE, partition=True),
    Case("cr", (X,), (NEW,), LINE, k=3, partition=True, label="cr 3"),
    Case("cs", (X,), (NEW,), NONE, partition=True),
    Case("cc", (X,), (NEW,), ONE, partition=True),
    Case("ps", (X,), (NEW,), LINE, partition=True),
    Case("ps", (X,), (NEW,), ONE, m=(1, 1), partition=True, label="ps 1 1"),
    Case("cp", (X,), (NEW,), ONE, partition=True),
    Case("bs", (X,), (NEW,), LINE, partition=True),
    Case("bs", (X,), (NEW,), NONE, m=(3, 2, 1, 0), partition=True, label="bs 3 2 1 0"),
    Case("ad", (X,), (NEW,), LINE, k=12, partition=True),
    Case("ad", (X,), (NEW,), LINE, k=15, m=3, partition=True, label="ad 3"),
    Case("gp", (X,), (NEW,), LINE),
    Case("gp", (X,), (NEW,), ONE, m=(-4,), label="gp -4"),
    Case("gp", tuple(PLANE.T), NEW_PLANE, FLAT, k=15, movable=False, label="gp plane"),
    Case("re", (G,), (NEW_G,), NONE, k=None, levels=(LEVELS,), sized=False),
    Case(
        "re",
        (X, G),
        (NEW, NEW_G),
        NONE,
        k=None,
        levels=(None, LEVELS),
        sized=False,
        movable=False,
        label="re slope",
    ),
    Case("fs", (X, G), (NEW, NEW_G), NONE, levels=(None, LEVELS)),
    Case("sz", (G, X), (NEW_G, NEW), SZ, levels=(LEVELS, None)),
    Case("mrf", (G,), (NEW_G,), ONE, k=None, levels=(LEVELS,), known=RING, movable=False, partition=True),
    Case("mrf", (G,), (NEW_G,), ONE, k=4, levels=(LEVELS,), known=RING, movable=False, label="mrf 4"),
    Case("rsmooth", (X,), (NEW,), LINE, k=12),
    Case("rsmooth", tuple(PLANE.T), NEW_PLANE, FLAT, k=15, movable=False, label="rsmooth plane"),
    Case("spline", (X,), (NEW,), np.column_stack((LINE, X**2)), k=10),
    Case("spline", (X,), (NEW,), LINE, k=10, m=1, label="spline 1"),
)

each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.label or case.name)


def lines(plain: MixedForm, chosen: MixedForm, m: int) -> None:
    """Assert that the last m random columns of a form that can vanish are the fixed ones of the plain form."""
    last = chosen.random[:, -m:]
    np.testing.assert_allclose(
        last @ np.linalg.lstsq(last, plain.fixed, rcond=None)[0], plain.fixed, atol=1e-10
    )
